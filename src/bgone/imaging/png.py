"""PNG, written as it comes: Up filter, fast deflate in strips, about twice as fast as libpng and smaller.

A deflate stream may be cut at full flushes into strips that know nothing of each other, so they are packed side by
side; each becomes one IDAT chunk, and their Adler-32 sums are combined into the stream's.
"""

from __future__ import annotations

import struct
from concurrent.futures import Executor
from typing import Literal, NamedTuple

import numpy as np

from bgone.imaging.deflate import Deflater, best_deflater, combine_adler32
from bgone.imaging.strips import Gatherer, Lane
from bgone.imaging.writer import Pixels, PixelsPerMetre, Write

Channels = Literal[1, 3, 4]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES = {1: 0, 3: 2, 4: 6}  # grey, RGB, RGBA; PNG specification (third edition) 11.2.1
UP = 2  # 9.2: each byte less the byte above it; above the first row are zeros
ZLIB_HEADER = b"\x78\x01"  # deflate, 32 KB window, fastest: RFC 1950 2.2
STRIP_BYTES = 1 << 20


class PackedStrip(NamedTuple):
    """A strip as an IDAT chunk, with the Adler-32 and the length in bytes of what it unpacks to."""

    chunk: bytes
    adler: int
    length: int


class PngWriter:
    """Writes 8-bit PNG, one ``write`` a strip of about 1 MB; holds at most five filtered strips and one row.

    Args:
        write: Takes the next piece of the file; called in the thread that adds rows.
        width, height: Size of the picture in pixels.
        channels: 1 grey, 3 RGB, 4 RGBA with straight alpha; sRGB, and declared so.
        pool: Deflates strips side by side; None deflates in the calling thread. See ``Lane`` for which pool.
        deflater: The best one installed unless given.
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
        deflater: Deflater | None = None,
        pixels_per_metre: PixelsPerMetre | None = None,
    ) -> None:
        self._write = write
        self._deflater = deflater or best_deflater()
        self._header = self._file_header(width, height, channels, pixels_per_metre)
        self._adler = 1
        self._above = np.zeros(width * channels, np.uint8)
        self._lane = Lane(self._emit, pool)
        row_bytes = 1 + width * channels
        self._gatherer = Gatherer(
            (height, width, channels),
            max(1, STRIP_BYTES // row_bytes),
            (row_bytes,),
            lay=self._lay_filtered,
            take=self._take,
        )

    def add(self, rows: Pixels) -> None:
        """See ``Writer.add``. Rows are filtered here: cheaper than the copy that filtering on the pool would need."""
        self._gatherer.add(rows)

    def finish(self) -> None:
        """See ``Writer.finish``."""
        self._gatherer.check_complete()
        self._lane.drain()
        checksum = self._chunk(b"IDAT", struct.pack(">I", self._adler))
        self._write(checksum + self._chunk(b"IEND", b""))

    def _lay_filtered(self, rows: Pixels, into: Pixels) -> None:
        flat = rows.reshape(len(rows), -1)
        into[:, 0] = UP
        np.subtract(flat[0], self._above, out=into[0, 1:])
        np.subtract(flat[1:], flat[:-1], out=into[1:, 1:])
        self._above[:] = flat[-1]

    def _take(self, strip: Pixels, *, last: bool) -> None:
        self._lane.put(self._pack, strip, last=last)

    def _pack(self, strip: Pixels, *, last: bool) -> PackedStrip:
        packed = self._deflater.pack(strip, last=last)
        return PackedStrip(self._chunk(b"IDAT", packed), self._deflater.adler32(strip), strip.size)

    def _emit(self, strip: PackedStrip) -> None:
        self._write(self._header + strip.chunk)
        self._header = b""
        self._adler = combine_adler32(self._adler, strip.adler, strip.length)

    def _file_header(
        self, width: int, height: int, channels: Channels, pixels_per_metre: PixelsPerMetre | None
    ) -> bytes:
        facts = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
        header = SIGNATURE + self._chunk(b"IHDR", facts) + self._chunk(b"sRGB", b"\0")
        if pixels_per_metre is not None:
            header += self._chunk(b"pHYs", struct.pack(">IIB", *pixels_per_metre, 1))
        return header + self._chunk(b"IDAT", ZLIB_HEADER)

    def _chunk(self, kind: bytes, data: bytes) -> bytes:
        check = self._deflater.crc32(data, self._deflater.crc32(kind))
        return b"".join((struct.pack(">I", len(data)), kind, data, struct.pack(">I", check)))
