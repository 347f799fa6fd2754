"""Rows as they are, for callers in this process that want pixels and no file."""

from __future__ import annotations

import numpy as np

from bgone.imaging.png import Channels
from bgone.imaging.writer import Pixels, Write


class RawWriter:
    """Writes rows from top to bottom, ``channels`` bytes a pixel, nothing around them.

    Args:
        write: Takes the next piece.
        width, height: Size of the picture in pixels.
        channels: 1, 3 or 4.
    """

    def __init__(self, write: Write, width: int, height: int, channels: Channels) -> None:
        self._write = write
        self._row_pixels = width * channels
        self._rows_left = height

    def add(self, rows: Pixels) -> None:
        """See ``Writer.add``."""
        if rows.dtype != np.uint8 or rows.size != len(rows) * self._row_pixels or len(rows) > self._rows_left:
            raise ValueError(f"{rows.dtype} {rows.shape}: {self._rows_left} rows of {self._row_pixels} bytes are left")
        self._rows_left -= len(rows)
        self._write(rows.tobytes())

    def finish(self) -> None:
        """See ``Writer.finish``."""
        if self._rows_left:
            raise ValueError(f"{self._rows_left} rows are missing")
