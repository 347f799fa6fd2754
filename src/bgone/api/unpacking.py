"""Unpacking: pictures out of a stranger's ZIP, whose every number is a claim.

The directory is measured before anybody reads it, and entries are inflated piece by piece, counted, and no further than
a picture may be long; what an entry says of its own length is not believed. Names are labels and never paths.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from dataclasses import dataclass

from bgone.errors import ApiError, too_many_bytes, too_many_parts, unreadable_image

DIRECTORY_BYTES = 2_000_000  # of 1,000 entries with long names and extra fields, many times over
_END, _END_64 = b"PK\5\6", b"PK\6\7"
_END_BYTES, _LOCATOR_BYTES, _COMMENT_BYTES = 22, 20, 65_535
_PIECE_BYTES = 1 << 18
_JUNK = ("__MACOSX/", ".DS_Store", "Thumbs.db")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1
LABEL_CHARS = 200


@dataclass(frozen=True, slots=True)
class Archive:
    """An uploaded ZIP whose directory has been checked.

    Attributes:
        file: It.
        entries: Those that may be pictures, in its order.
    """

    file: zipfile.ZipFile
    entries: tuple[zipfile.ZipInfo, ...]


def open_archive(data: bytes, most: int) -> Archive:
    """Read the directory; blocking.

    Args:
        data: The whole file.
        most: Entries that may be pictures.

    Raises:
        malformed_body: It is no ZIP, one without entries, or one of an absurd directory.
        too_many_parts: It has more entries.
    """
    _check_directory(data)
    try:
        file = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OverflowError, UnicodeDecodeError, NotImplementedError) as error:
        raise _no_archive(repr(error)) from error
    entries = tuple(info for info in file.infolist() if not info.is_dir() and not _is_junk(info.filename))
    if len(entries) > most:
        raise too_many_entries(most)
    if not entries:
        raise _no_archive("no entries")
    return Archive(file, entries)


def read_entry(archive: Archive, info: zipfile.ZipInfo, limit_bytes: int) -> bytes:
    """One entry, inflated; blocking.

    Raises:
        too_many_bytes: It is longer.
        unreadable_image: It is encrypted, damaged, or packed in a way that is not read here.
    """
    if info.flag_bits & _ENCRYPTED or info.compress_type not in _METHODS:
        raise unreadable_image(f"entry: flags {info.flag_bits}, method {info.compress_type}")
    body = io.BytesIO()
    try:
        with archive.file.open(info) as entry:
            while piece := entry.read(_PIECE_BYTES):
                body.write(piece)
                if body.tell() > limit_bytes:
                    raise too_many_bytes(limit_bytes)
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError, NotImplementedError, RuntimeError) as error:
        raise unreadable_image(repr(error)) from error
    return body.getvalue()


def too_many_entries(most: int) -> ApiError:
    """More pictures than a batch may have."""
    error = too_many_parts(most)
    return ApiError(error.kind, f"At most {most:,} pictures are taken in one batch; this one has more.")


def label_of(name: str) -> str:
    """A name as it may be shown: its last part, printable, cut."""
    last = name.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return "".join(character for character in last if character.isprintable())[:LABEL_CHARS]


def _check_directory(data: bytes) -> None:
    """Refuse a directory that would fill the memory by being read: a hundred bytes can become a kilobyte each."""
    at = _find_end(data)
    if at < 0 or len(data) - at < _END_BYTES:
        raise _no_archive("no end of directory")
    length = struct.unpack_from("<I", data, at + 12)[0]
    if data[max(0, at - _LOCATOR_BYTES) :].startswith(_END_64) or length > DIRECTORY_BYTES:
        raise _no_archive(f"a directory of {length} bytes, or ZIP64")


def _find_end(data: bytes) -> int:
    """Where ``zipfile`` finds the directory's end."""
    if data[-_END_BYTES:].startswith(_END) and data.endswith(b"\0\0"):
        return len(data) - _END_BYTES
    start = max(0, len(data) - _END_BYTES - _COMMENT_BYTES - 1)
    return data.rfind(_END, start)


def _is_junk(name: str) -> bool:
    return name.startswith(_JUNK[0]) or name.endswith(_JUNK[1:])


def _no_archive(detail: str) -> ApiError:
    return ApiError("malformed_body", "archive: expected a ZIP of pictures.", detail=detail)
