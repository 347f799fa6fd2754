"""JPEG, written as it comes: each strip is coded as a JPEG of its own and spliced into one scan at restart markers.

A restart marker begins the entropy coding afresh, exactly as a new file does (ITU-T T.81, E.1.4), so the strips need
not know each other: they are coded side by side, and the picture is never whole in memory.
"""

from __future__ import annotations

import struct
from concurrent.futures import Executor
from typing import Literal, NamedTuple

import cv2

from bgone.imaging.strips import Gatherer, Lane
from bgone.imaging.writer import Pixels, PixelsPerMetre, Write

MAX_SIDE = 65_500  # libjpeg's JPEG_MAX_DIMENSION
BLOCK = 8  # with 4:4:4 or grey, a coding unit is one block of 8 x 8 pixels
# Whole blocks; the units of the widest strip (65,504) just fit the 16 bits of a restart interval.
STRIP_ROWS = 64

START_OF_FRAME, START_OF_SCAN, FIRST_RESTART, END_OF_IMAGE = 0xC0, 0xDA, 0xD0, b"\xff\xd9"
JFIF_DENSITY_AT = 13  # in a file that begins with SOI and APP0, as OpenCV's do: unit, across, down
INCHES_PER_METRE = 39.3701


class CodedStrip(NamedTuple):
    """A strip's own JPEG header, and its entropy-coded data without the end marker."""

    header: bytes
    scan: bytes


class JpegWriter:
    """Writes baseline JPEG with standard tables, one ``write`` a strip of 64 rows; holds at most five strips.

    Chroma is never subsampled (4:4:4): a subject on a flat colour bleeds visibly at 4:2:0. Untagged, since an untagged
    JPEG is read as sRGB everywhere.

    Args:
        write: Takes the next piece of the file; called in the thread that adds rows.
        width, height: Size of the picture in pixels, at most ``MAX_SIDE``.
        channels: 1 grey or 3 RGB.
        pool: Codes strips side by side; None codes in the calling thread. See ``Lane`` for which pool.
        quality_percent: 1..100, libjpeg's scale.
        pixels_per_metre: Resolution (across, down) when known.
    """

    def __init__(
        self,
        write: Write,
        width: int,
        height: int,
        channels: Literal[1, 3],
        *,
        pool: Executor | None,
        quality_percent: int,
        pixels_per_metre: PixelsPerMetre | None = None,
    ) -> None:
        self._write = write
        self._width = width
        self._height = height
        self._quality_percent = quality_percent
        self._pixels_per_metre = pixels_per_metre
        self._written = 0
        self._lane = Lane(self._emit, pool)
        self._gatherer = Gatherer(
            (height, width, channels),
            STRIP_ROWS,
            (width, channels),
            lay=_lay_bgr if channels == 3 else _lay_grey,
            take=self._take,
        )

    def add(self, rows: Pixels) -> None:
        """See ``Writer.add``."""
        self._gatherer.add(rows)

    def finish(self) -> None:
        """See ``Writer.finish``."""
        self._gatherer.check_complete()
        self._lane.drain()
        self._write(END_OF_IMAGE)

    def _take(self, strip: Pixels, *, last: bool) -> None:
        self._lane.put(_code, strip, self._quality_percent)

    def _emit(self, strip: CodedStrip) -> None:
        if self._written == 0:
            before = self._file_header(strip.header)
        else:
            before = bytes((0xFF, FIRST_RESTART + (self._written - 1) % 8))
        self._written += 1
        self._write(before + strip.scan)

    def _file_header(self, strip_header: bytes) -> bytes:
        """The first strip's header with the whole picture's height, its resolution and a restart interval."""
        header = bytearray(strip_header)
        if self._pixels_per_metre is not None:
            across, down = (min(65_535, max(1, round(each / INCHES_PER_METRE))) for each in self._pixels_per_metre)
            struct.pack_into(">BHH", header, JFIF_DENSITY_AT, 1, across, down)
        struct.pack_into(">H", header, _segment(header, START_OF_FRAME) + 5, self._height)
        units = -(-self._width // BLOCK) * (STRIP_ROWS // BLOCK)
        scan_at = _segment(header, START_OF_SCAN)
        header[scan_at:scan_at] = struct.pack(">BBHH", 0xFF, 0xDD, 4, units)
        return bytes(header)


def _lay_bgr(rows: Pixels, into: Pixels) -> None:
    cv2.cvtColor(rows, cv2.COLOR_RGB2BGR, dst=into)


def _lay_grey(rows: Pixels, into: Pixels) -> None:
    into[...] = rows


def _code(strip: Pixels, quality_percent: int) -> CodedStrip:
    options = (
        (cv2.IMWRITE_JPEG_QUALITY, quality_percent),
        (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    )
    _, coded = cv2.imencode(".jpg", strip, [number for option in options for number in option])
    file = coded.tobytes()
    scan_at = _segment(file, START_OF_SCAN)
    scan_at += 2 + int.from_bytes(file[scan_at + 2 : scan_at + 4], "big")
    return CodedStrip(file[:scan_at], file[scan_at : -len(END_OF_IMAGE)])


def _segment(file: bytes | bytearray, marker: int) -> int:
    """Where the header segment with this marker begins."""
    at = 2
    while file[at + 1] != marker:
        at += 2 + int.from_bytes(file[at + 2 : at + 4], "big")
    return at
