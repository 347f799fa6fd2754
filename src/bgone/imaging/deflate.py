"""Deflaters: three libraries write the same raw deflate stream at very different speeds; the best one wins."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from types import ModuleType
from typing import Any

from numpy.typing import NDArray

ADLER_MODULUS = 65_521
RAW_WINDOW_BITS = -15

# Name: module, level. docs/performance.md, 12 MP RGBA: 114 ms and 11.2 MB, 250 ms and 10.8 MB; zlib is the last
# resort. zlib-ng 1 is faster than 2 but writes 50 % more.
KNOWN = {
    "isal": ("isal.isal_zlib", 1),
    "zlib-ng": ("zlib_ng.zlib_ng", 2),
    "zlib": ("zlib", 1),
}
# ISA-L is written for x86; elsewhere zlib-ng is the faster one.
BEST_FIRST = ("isal", "zlib-ng", "zlib")
BEST_FIRST_ELSEWHERE = ("zlib-ng", "isal", "zlib")


@dataclass(frozen=True, slots=True)
class Deflater:
    """A library with zlib's interface, and the level at which it is worth its time."""

    name: str
    library: ModuleType
    level: int

    def pack(self, data: NDArray[Any] | bytes, *, last: bool) -> bytes:
        """Raw deflate of ``data`` that stands alone: strips joined in order make one stream, closed by the ``last``."""
        press = self.library.compressobj(self.level, self.library.DEFLATED, RAW_WINDOW_BITS)
        body: bytes = press.compress(data)
        tail: bytes = press.flush(self.library.Z_FINISH if last else self.library.Z_FULL_FLUSH)
        return body + tail

    def adler32(self, data: NDArray[Any] | bytes) -> int:
        checksum: int = self.library.adler32(data)
        return checksum

    def crc32(self, data: NDArray[Any] | bytes, before: int = 0) -> int:
        """CRC of ``data`` following bytes whose CRC is ``before``."""
        checksum: int = self.library.crc32(data, before)
        return checksum


@cache
def deflater(name: str) -> Deflater:
    """The deflater of that name.

    Raises:
        ImportError: Its library is not installed.
    """
    module, level = KNOWN[name]
    return Deflater(name, import_module(module), level)


@cache
def best_deflater(machine: str | None = None) -> Deflater:
    """The fastest deflater installed for this ``machine`` (``platform.machine()`` unless given)."""
    on_x86 = (machine or platform.machine()).lower() in {"x86_64", "amd64"}
    for name in BEST_FIRST if on_x86 else BEST_FIRST_ELSEWHERE:
        try:
            return deflater(name)
        except ImportError:
            continue
    raise AssertionError("zlib is part of Python")


def combine_adler32(first: int, second: int, second_length: int) -> int:
    """Adler-32 of two runs of bytes joined, from that of each and the length of the second in bytes.

    Source: ``adler32_combine`` of zlib (adler32.c).
    """
    low = (first & 0xFFFF) - 1
    total = low + (second & 0xFFFF)
    sums = (first >> 16) + (second >> 16) + second_length * low
    return (sums % ADLER_MODULUS) << 16 | total % ADLER_MODULUS
