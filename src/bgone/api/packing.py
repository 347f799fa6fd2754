"""Packing: results as one ZIP, streamed as it is read, its length known before its first byte.

Pictures are compressed already, so they are stored as they are, with length and checksum in front, since not every
reader takes stored entries that tell theirs afterwards. So a large picture is read twice: once to be summed.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from bgone.jobs.job import Stored
from bgone.storage.objects import Objects

# PKWARE's APPNOTE 6.3.10, 4.3.7, 4.3.12, 4.3.14 to 4.3.16 and 4.5.3: little-endian.
_LOCAL, _CENTRAL, _END, _END_64, _LOCATOR_64 = b"PK\3\4", b"PK\1\2", b"PK\5\6", b"PK\6\6", b"PK\6\7"
_VERSION, _STORED, _UTF8 = 45, 0, 1 << 11
_UNIX_FILE = 0o100644 << 16
_MIDNIGHT, _FIRST_DAY = 0, 1 << 5 | 1  # 1 January 1980
_ELSEWHERE = 0xFFFF_FFFF  # stands for an offset that is told in an extra field or in the ZIP64 end
_LONGEST = _ELSEWHERE
_ONCE_BYTES = 4 << 20  # what is no longer is kept between its two uses


@dataclass(frozen=True, slots=True)
class Packed:
    """One file of the archive.

    Attributes:
        name: Its name there.
        stored: Where it is read from; less than 4 GiB.
    """

    name: str
    stored: Stored


def length_of(files: Sequence[Packed]) -> int:
    """Bytes of the whole archive."""
    offset = directory = 0
    for file in files:
        directory += len(_central(file, 0, offset))
        offset += len(_local(file, 0)) + file.stored.size_bytes
    return offset + directory + len(_end(len(files), offset, directory))


async def pack(objects: Objects, files: Sequence[Packed]) -> AsyncIterator[bytes]:
    """The archive's bytes.

    Raises:
        KeyError: A picture is not there any more.
    """
    offset, directory = 0, b""
    for file in files:
        small = await _all(objects, file) if file.stored.size_bytes <= _ONCE_BYTES else None
        crc = zlib.crc32(small) if small is not None else await _crc(objects, file)
        header = _local(file, crc)
        yield header
        if small is not None:
            yield small
        else:
            async for piece in objects.stream(file.stored.key, 0, file.stored.size_bytes):
                yield piece
        directory += _central(file, crc, offset)
        offset += len(header) + file.stored.size_bytes
    yield directory + _end(len(files), offset, len(directory))


async def _all(objects: Objects, file: Packed) -> bytes:
    return b"".join([piece async for piece in objects.stream(file.stored.key, 0, file.stored.size_bytes)])


async def _crc(objects: Objects, file: Packed) -> int:
    crc = 0
    async for piece in objects.stream(file.stored.key, 0, file.stored.size_bytes):
        crc = zlib.crc32(piece, crc)
    return crc


def _facts(file: Packed, crc: int, extra: int) -> bytes:
    size, name = file.stored.size_bytes, file.name.encode()
    return struct.pack("<5H3I2H", _VERSION, _UTF8, _STORED, _MIDNIGHT, _FIRST_DAY, crc, size, size, len(name), extra)


def _local(file: Packed, crc: int) -> bytes:
    return _LOCAL + _facts(file, crc, 0) + file.name.encode()


def _central(file: Packed, crc: int, offset: int) -> bytes:
    extra = struct.pack("<2HQ", 1, 8, offset) if offset >= _LONGEST else b""
    facts = _CENTRAL + struct.pack("<H", 3 << 8 | _VERSION) + _facts(file, crc, len(extra))
    return facts + struct.pack("<3H2I", 0, 0, 0, _UNIX_FILE, _short(offset)) + file.name.encode() + extra


def _short(offset: int) -> int:
    return offset if offset < _LONGEST else _ELSEWHERE


def _end(count: int, offset: int, length: int) -> bytes:
    large = b""
    if offset >= _LONGEST:
        made_by = 3 << 8 | _VERSION
        large = _END_64 + struct.pack("<Q2H2I4Q", 44, made_by, _VERSION, 0, 0, count, count, length, offset)
        large += _LOCATOR_64 + struct.pack("<IQI", 0, offset + length, 1)
    return large + _END + struct.pack("<4H2IH", 0, 0, count, count, length, _short(offset), 0)
