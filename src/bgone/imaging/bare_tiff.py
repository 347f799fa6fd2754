"""Pixels of this process as the cheapest file that the picture path reads: an uncompressed TIFF, one copy of them.

Baseline TIFF 6.0 in strips, so that it streams; orientation and colour profile go along as in any file.
"""

from __future__ import annotations

import struct

from bgone.imaging.writer import Pixels

STRIP_BYTES = 1 << 18

# TIFF 6.0, sections 2, 7, 8 and 18; the profile's tag is ICC.1:2022's, annex B.4.
_SHORT, _LONG, _UNDEFINED = 3, 4, 7
_UNCOMPRESSED, _GREY, _RGB, _CHUNKY, _STRAIGHT_ALPHA = 1, 1, 2, 1, 2
_PROFILE = 34675
_HEADER = struct.pack("<2sHI", b"II", 42, 8)


def bare_tiff(pixels: Pixels, *, orientation: int = 1, profile: bytes = b"") -> bytes:
    """The file.

    Args:
        pixels: uint8 (h, w, 1, 3 or 4), in C order; straight alpha.
        orientation: EXIF orientation 1..8 of them.
        profile: Their ICC profile; empty for sRGB.
    """
    height, width, bands = pixels.shape
    rows = max(1, STRIP_BYTES // (width * bands))
    strips = -(-height // rows)
    lengths = [rows * width * bands] * (strips - 1) + [(height - rows * (strips - 1)) * width * bands]
    tags: list[tuple[int, int, list[int] | bytes]] = [
        (256, _LONG, [width]),
        (257, _LONG, [height]),
        (258, _SHORT, [8] * bands),
        (259, _SHORT, [_UNCOMPRESSED]),
        (262, _SHORT, [_GREY if bands == 1 else _RGB]),
        (273, _LONG, [0] * strips),  # where the strips are: known when all else is
        (274, _SHORT, [orientation]),
        (277, _SHORT, [bands]),
        (278, _LONG, [rows]),
        (279, _LONG, lengths),
        (284, _SHORT, [_CHUNKY]),
    ]
    if bands == 4:
        tags.append((338, _SHORT, [_STRAIGHT_ALPHA]))
    if profile:
        tags.append((_PROFILE, _UNDEFINED, profile))
    start = len(_directory(tags))
    places = [start + index * rows * width * bands for index in range(strips)]
    tags[5] = (273, _LONG, places)
    return b"".join((_directory(tags), pixels.data))


def _directory(tags: list[tuple[int, int, list[int] | bytes]]) -> bytes:
    """Everything before the pixels: header, entries, and behind them the values that do not fit into an entry."""
    after = len(_HEADER) + 2 + 12 * len(tags) + 4
    entries, values = struct.pack("<H", len(tags)), b""
    for tag, kind, value in tags:
        data = (
            value if isinstance(value, bytes) else struct.pack(f"<{len(value)}{'H' if kind == _SHORT else 'I'}", *value)
        )
        entries += struct.pack("<HHI", tag, kind, len(value))
        if len(data) <= 4:
            entries += data.ljust(4, b"\0")
        else:
            entries += struct.pack("<I", after + len(values))
            values += data + b"\0" * (len(data) % 2)  # values begin on even bytes
    return _HEADER + entries + struct.pack("<I", 0) + values
