"""ZIP with colour and alpha apart: ``color.jpg`` and ``alpha.png``, a third of the bytes of a PNG of both.

The two files are stored as they are, with their lengths and checksums in front of them, since not every reader takes
stored entries that tell theirs afterwards. So what is compressed waits until the last row; the pixels do not.
"""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import Executor

import numpy as np

from bgone.imaging.jpeg import JpegWriter
from bgone.imaging.png import Channels, PngWriter
from bgone.imaging.writer import Pixels, PixelsPerMetre, Write, Writer

COLOUR, ALPHA = b"color.jpg", b"alpha.png"

# PKWARE's APPNOTE 6.3.10, 4.3.7, 4.3.12 and 4.3.16: little-endian.
LOCAL_HEADER, CENTRAL_HEADER, END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
VERSION, STORED = 20, 0
UNIX_FILE = 0o100644 << 16
MIDNIGHT, FIRST_DAY = 0, 1 << 5 | 1  # 1 January 1980: the same picture is the same file
LONGEST = 0xFFFF_FFFF


class Entry:
    """One file of the archive while it is written: its pieces, length and checksum."""

    def __init__(self, name: bytes) -> None:
        self.name = name
        self.pieces: list[bytes] = []
        self._length = 0
        self._crc = 0

    def write(self, piece: bytes) -> None:
        """Take the next piece."""
        self.pieces.append(piece)
        self._length += len(piece)
        self._crc = zlib.crc32(piece, self._crc)

    @property
    def facts(self) -> bytes:
        """What both headers say: version, flags, method, time, day, checksum, lengths, the name's length, no extras."""
        if self._length > LONGEST:
            raise ValueError(f"{self._length} bytes are too long for a ZIP")
        lengths = self._length, self._length, len(self.name), 0
        return struct.pack("<5H3I2H", VERSION, 0, STORED, MIDNIGHT, FIRST_DAY, self._crc, *lengths)


class ZipWriter:
    """Writes the archive when finished; until then it holds the compressed files, a few tenths of a byte a pixel.

    Args:
        write: Takes the next piece of the file; called in the thread that finishes.
        width, height: Size of the picture in pixels.
        channels: 4 RGBA with straight alpha; 3 RGB or 1 grey are colour alone, and ``alpha.png`` is white.
        pool: Codes strips side by side; see ``strips.Lane`` for which pool.
        quality_percent: 1..100, of the JPEG.
        pixels_per_metre: Resolution (across, down) when known.
    """

    def __init__(
        self,
        write: Write,
        width: int,
        height: int,
        channels: Channels,
        *,
        pool: Executor | None,
        quality_percent: int,
        pixels_per_metre: PixelsPerMetre | None = None,
    ) -> None:
        self._write = write
        self._channels = channels
        self._colour, self._alpha = Entry(COLOUR), Entry(ALPHA)
        self._writers: tuple[Writer, Writer] = (
            JpegWriter(
                self._colour.write,
                width,
                height,
                1 if channels == 1 else 3,
                pool=pool,
                quality_percent=quality_percent,
                pixels_per_metre=pixels_per_metre,
            ),
            PngWriter(self._alpha.write, width, height, 1, pool=pool, pixels_per_metre=pixels_per_metre),
        )

    def add(self, rows: Pixels) -> None:
        """See ``Writer.add``."""
        colour, alpha = self._writers
        if self._channels == 4:
            colour.add(rows[..., :3])
            alpha.add(rows[..., 3:])
        else:
            colour.add(rows)
            alpha.add(np.full((*rows.shape[:2], 1), 255, np.uint8))

    def finish(self) -> None:
        """See ``Writer.finish``."""
        for writer in self._writers:
            writer.finish()
        at, directory = 0, b""
        for entry in (self._colour, self._alpha):
            facts = entry.facts
            directory += CENTRAL_HEADER + struct.pack("<H", 3 << 8 | VERSION) + facts
            directory += struct.pack("<3H2I", 0, 0, 0, UNIX_FILE, at) + entry.name
            header = LOCAL_HEADER + facts + entry.name
            at += len(header) + sum(map(len, entry.pieces))
            self._write(header)
            for piece in entry.pieces:
                self._write(piece)
        self._write(directory + END + struct.pack("<4H2IH", 0, 0, 2, 2, len(directory), at, 0))
