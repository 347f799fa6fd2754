"""Unpacking: archives of strangers, honest and otherwise."""

from __future__ import annotations

import io
import struct
import zipfile

import pytest

from bgone.api.unpacking import label_of, open_archive, read_entry
from bgone.errors import ApiError
from tests.pictures import photo

PHOTO = photo()


def zipped(*files: tuple[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP of these names and contents."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return buffer.getvalue()


def lie(archive: bytes, at: int, form: str, number: int) -> bytes:
    """An archive whose end of directory says something else."""
    found = archive.rfind(b"PK\5\6") + at
    return archive[:found] + struct.pack(form, number) + archive[found + struct.calcsize(form) :]


PLAIN = zipped(("a.jpg", PHOTO))


@pytest.mark.parametrize(
    "archive",
    [
        b"no ZIP at all",
        b"PK\5\6",
        PLAIN[:-30],
        lie(PLAIN, 12, "<I", 3_000_000),
        PLAIN[:-22] + b"PK\6\7" + bytes(16) + PLAIN[-22:],
        zipped(),
        zipped(("folder/", b"")),
    ],
    ids=["text", "end", "cut", "directory", "zip64", "empty", "folders"],
)
def test_what_is_no_archive_is_refused(archive: bytes) -> None:
    """Cut, empty, or of a directory that would fill the memory."""
    with pytest.raises(ApiError) as caught:
        open_archive(archive, 1000)
    assert caught.value.kind == "malformed_body"


def test_pictures_come_out_as_they_went_in() -> None:
    """Stored or deflated; folders and what systems leave in archives are passed over."""
    files = (("x/", b""), ("x/a.jpg", PHOTO), ("__MACOSX/._a.jpg", b"x"), ("x/.DS_Store", b"x"), ("b.png", b"y"))
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        opened = open_archive(zipped(*files, method=method), 2)
        assert [read_entry(opened, entry, 1_000_000) for entry in opened.entries] == [PHOTO, b"y"]


def test_bombs_are_not_inflated() -> None:
    """An entry is read no further than a picture may be long, whatever it says of itself."""
    archive = zipped(("bomb.bmp", bytes(50_000_000)))
    assert len(archive) < 100_000
    opened = open_archive(archive, 1000)
    with pytest.raises(ApiError) as caught:
        read_entry(opened, opened.entries[0], 1_000_000)
    assert caught.value.kind == "too_many_bytes"


def test_archives_have_a_most_of_entries() -> None:
    """One more is refused."""
    archive = zipped(*((f"{number}.jpg", b"x") for number in range(11)))
    assert len(open_archive(archive, 11).entries) == 11
    with pytest.raises(ApiError):
        open_archive(archive, 10)


def test_damaged_entries_are_unreadable_pictures() -> None:
    """Wrong sums, methods that are not read here, encryption."""

    stored = zipped(("a.jpg", PHOTO), method=zipfile.ZIP_STORED)
    broken = stored.replace(PHOTO[100:110], bytes(10))
    packed = zipped(("a.jpg", PHOTO), method=zipfile.ZIP_LZMA)
    secret = bytearray(stored)
    secret[6] |= 1
    secret[stored.rfind(b"PK\1\2") + 8] |= 1

    for archive in (broken, packed, bytes(secret)):
        opened = open_archive(archive, 1000)
        with pytest.raises(ApiError) as caught:
            read_entry(opened, opened.entries[0], 1_000_000)
        assert caught.value.kind == "unreadable_image"


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("a/b.jpg", "b.jpg"),
        ("a\\b.jpg", "b.jpg"),
        ("a\0b\nc", "abc"),
        ("x" * 300, "x" * 200),
        ("/", ""),
        ("é.jpg", "é.jpg"),
    ],
)
def test_labels_are_last_parts(name: str, label: str) -> None:
    """Printable and cut."""
    assert label_of(name) == label
