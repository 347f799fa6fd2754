"""What every writer of pictures is: rows go in, pieces of a file come out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Write = Callable[[bytes], object]
PixelsPerMetre = tuple[int, int]


class Writer(Protocol):
    """Rows in, file out. Once a call has raised, the writer is of no further use and writes nothing more."""

    def add(self, rows: Pixels) -> None:
        """Take the next rows, any number of them.

        Args:
            rows: uint8 (h, width, channels), or (h, width) when channels is 1; sRGB, straight alpha. Used up before
                this returns: the caller may overwrite them.

        Raises:
            ValueError: The shape or type is wrong, or there are more rows than the picture has.
            Exception: Whatever the caller's ``write`` raised; strips still waiting are given up.
        """

    def finish(self) -> None:
        """Write what remains.

        Raises:
            ValueError: Rows are missing.
            Exception: Whatever the caller's ``write`` raised.
        """
