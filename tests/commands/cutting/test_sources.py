"""Which pictures names mean."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bgone.commands.cutting.sources import Source, find, is_url, many


@pytest.fixture
def album(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of files that are pictures by their endings, and of others; the current one."""
    for name in (
        "b.JPG",
        "a.png",
        "notes.txt",
        ".hidden.jpg",
        ".bgone-1.part",
        "sub/c.webp",
        "sub/deep/d.tif",
        ".git/e.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*said: str, recursive: bool = False, without: Path | None = None) -> list[str]:
    return [source.text for source in find(said, recursive=recursive, without=without)]


def test_a_folder_means_its_pictures(album: Path) -> None:
    """By their endings, in any case, by name; hidden files and other files are none."""
    assert names(".") == ["./a.png", "./b.JPG"]


def test_a_folder_means_its_folders_too_when_asked(album: Path) -> None:
    """Each picture keeps the folder that it lies in; hidden ones are not looked into."""
    found = list(find([str(album)], recursive=True))

    assert [(source.name, source.below) for source in found] == [
        ("a.png", ""), ("b.JPG", ""), ("c.webp", "sub"), ("d.tif", os.path.join("sub", "deep")),
    ]  # fmt: skip


def test_the_answers_folder_is_not_looked_into(album: Path) -> None:
    """It may lie inside the folder of the sources."""
    assert names(".", recursive=True, without=album / "sub") == ["./a.png", "./b.JPG"]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*", [("a.png", ""), ("b.JPG", "")]),
        ("sub/*", [("c.webp", "")]),
        ("s*/c*", [("c.webp", "sub")]),
        ("sub/**", [("c.webp", ""), ("d.tif", "deep")]),
        ("**/*.tif", [("d.tif", os.path.join("sub", "deep"))]),
        ("*.gif", []),
    ],
)
def test_a_glob_that_the_shell_left_means_what_it_matches(album: Path, pattern: str, found: list[object]) -> None:
    """Pictures only; they keep their folders below the pattern's fixed part."""
    assert [(source.name, source.below) for source in find([pattern], recursive=False)] == found


def test_a_file_named_like_a_pattern_is_a_file(album: Path) -> None:
    """What is there by that very name is no glob."""
    (album / "x[1].jpg").touch()

    assert names("x[1].jpg") == ["x[1].jpg"]


def test_what_is_named_twice_is_cut_once(album: Path) -> None:
    """By whatever path."""
    os.symlink("a.png", album / "link.png")

    assert names("a.png", "./a.png", ".", str(album / "a.png")) == ["a.png", "./b.JPG"]


def test_a_file_that_is_not_there_is_a_source() -> None:
    """It fails when it is read, and is told of like every failure."""
    assert names("no/such.jpg", "notes.txt") == ["no/such.jpg", "notes.txt"]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://example.com/a/photo.jpg?x=1#y", "photo.jpg"),
        ("HTTP://example.com/a%20b%2Fc.png", "c.png"),
        ("https://example.com/", "picture"),
        ("https://example.com/..%2f..%2fetc%2fpasswd", "passwd"),
        ("https://example.com/%00%0a;rm", "_rm"),
        ("https://example.com/" + "x" * 300 + ".jpg", "x" * 116 + ".jpg"),
    ],
)
def test_a_url_is_named_after_its_last_part(url: str, name: str) -> None:
    """Without what a file's name must not have."""
    (source,) = find([url], recursive=False)

    assert (source.text, source.name, source.is_url) == (url, name, True)


def test_a_dash_is_standard_input() -> None:
    """No URL and no file."""
    assert list(find(["-"], recursive=False)) == [Source("-", "stdin")]
    assert not is_url("-")


def test_several_may_be_meant(album: Path) -> None:
    """By a folder, a glob or two names, however many there are now."""
    assert [many(said) for said in (["."], ["*.gif"], ["a.png", "b.JPG"], ["a.png"], ["-"])] == [
        True, True, True, False, False,
    ]  # fmt: skip
