"""Agents read and write pictures in the folders that they were given, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgone.agents.folders import Folders
from bgone.agents.refusal import Refused
from bgone.agents.shelf import SCHEME, Shelf


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two folders that may be used, one that may not."""
    for name in ("one", "two", "secret"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "photo.jpg").write_text(name)
    (tmp_path / "one" / "link.jpg").symlink_to(tmp_path / "secret" / "photo.jpg")
    (tmp_path / "one" / "folder").symlink_to(tmp_path / "secret")
    (tmp_path / "one" / "loop").symlink_to(tmp_path / "one" / "loop")
    (tmp_path / "one" / "across.jpg").symlink_to(tmp_path / "two" / "photo.jpg")
    return tmp_path


@pytest.fixture
def folders(place: Path) -> Folders:
    """The two."""
    return Folders((place / "one", place / "two"), 100)


def test_files_inside_are_read(place: Path, folders: Folders) -> None:
    """By relative paths from the first folder, absolute ones, and links that stay inside."""
    assert folders.read("photo.jpg") == b"one"
    assert folders.read("../two/photo.jpg") == b"two"
    assert folders.read(str(place / "two" / "photo.jpg")) == b"two"
    assert folders.read("across.jpg") == b"two"


@pytest.mark.parametrize(
    "path",
    ["../secret/photo.jpg", "link.jpg", "folder/photo.jpg", "/etc/passwd", "~/photo.jpg", "../one-more/x.jpg",
     "a\0.jpg", "loop/x.jpg", "x" * 5000 + ".jpg"],
)  # fmt: skip
def test_nothing_outside_is_read_or_written(folders: Folders, path: str) -> None:
    """Dots, links, homes, loops."""
    for attempt in (lambda: folders.read(path), lambda: folders.check_new(path, overwrite=True)):
        with pytest.raises(Refused) as caught:
            attempt()
        assert "secret" not in str(caught.value).replace(path, "")


def test_what_is_no_file_is_not_read(folders: Folders) -> None:
    """Folders and missing files."""
    for path in (".", "nothing.jpg"):
        with pytest.raises(Refused, match="no such file"):
            folders.read(path)


def test_large_files_are_not_read(place: Path, folders: Folders) -> None:
    """Their size is looked at first."""
    (place / "one" / "large.jpg").write_bytes(b"\0" * 101)

    with pytest.raises(Refused, match=r"at most 0\.0001 MB"):
        folders.read("large.jpg")


def test_pictures_are_written_whole(place: Path, folders: Folders) -> None:
    """In the format that the ending names; no other file is left."""
    target, form = folders.check_new("sub.JPEG", overwrite=False)
    folders.write(target, b"picture")

    assert (target, form) == (place / "one" / "sub.JPEG", "jpg")
    assert target.read_bytes() == b"picture"
    assert not [file for file in target.parent.iterdir() if file.name.startswith(".")]


@pytest.mark.parametrize("path", ["notes.txt", ".bashrc", "noending", "picture.png.exe", "photo.jpg", "no/such.png"])
def test_nothing_else_is_written(folders: Folders, path: str) -> None:
    """Endings of no picture, files that are there, folders that are not."""
    with pytest.raises(Refused):
        folders.check_new(path, overwrite=False)


def test_a_file_is_replaced_when_asked(place: Path, folders: Folders) -> None:
    """``overwrite``."""
    target, _ = folders.check_new("photo.jpg", overwrite=True)
    folders.write(target, b"new")

    assert (place / "one" / "photo.jpg").read_bytes() == b"new"


def test_what_cannot_be_written_is_told(place: Path, folders: Folders) -> None:
    """And leaves nothing behind."""
    (place / "one" / "there.png").mkdir()

    with pytest.raises(Refused, match=r"there\.png: "):
        folders.write(place / "one" / "there.png", b"picture")
    assert not [file for file in (place / "one").iterdir() if file.name.startswith(".")]


def test_the_shelf_keeps_the_latest() -> None:
    """As many bytes as it has room for; one alone always fits."""
    shelf = Shelf(most_bytes=100)
    first, second, third = (shelf.put(bytes([n]) * 40, "image/png") for n in range(3))

    assert shelf.get(first) is None
    assert [kept.data[0] for kept in map(shelf.get, (second, third)) if kept] == [1, 2]
    huge = shelf.put(b"x" * 500, "image/png")
    assert shelf.get(third) is None
    assert shelf.get(huge) is not None


def test_addresses_cannot_be_guessed() -> None:
    """128 random bits each."""
    shelf = Shelf()
    addresses = {shelf.put(b"x", "image/png") for _ in range(100)}

    assert len(addresses) == 100
    assert all(len(address) == len(SCHEME) + 32 for address in addresses)
