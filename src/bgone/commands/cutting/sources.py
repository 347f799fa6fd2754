"""What the user names becomes a list of pictures: files, folders, globs, URLs, ``-``."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from glob import has_magic, iglob
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What folders and globs are searched for; a file that is named by itself may be called anything.
ENDINGS = frozenset(
    (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".gif", ".tif", ".tiff", ".bmp", ".avif", ".heic", ".heif")
)
STDIN = "-"
_URL = re.compile(r"https?://", re.IGNORECASE)
_UNSAFE = re.compile(r"[^\w.,+=@ -]+")
_NAMELESS = "picture"


@dataclass(frozen=True, slots=True)
class Source:
    """One picture to be cut.

    Attributes:
        text: How people call it: a path, a URL or ``-``.
        name: Of its file, with its ending: what answers are named after.
        below: Folder under the one that was searched, kept under the answers' folder; empty for none.
        found: In a folder or by a glob; False for what was named itself.
        path: The file; None for a URL and standard input.
    """

    text: str
    name: str
    below: str = ""
    found: bool = False
    path: Path | None = None

    @property
    def is_url(self) -> bool:
        return self.path is None and self.text != STDIN


class RealPaths:
    """``os.path.realpath`` of many files in few folders, in half the time; for one look at them, and not for longer."""

    def __init__(self) -> None:
        self._folders: dict[str, str] = {}

    def __call__(self, path: str) -> str:
        if os.path.islink(path):
            return os.path.realpath(path)
        folder, name = os.path.split(path)
        if folder not in self._folders:
            self._folders[folder] = os.path.realpath(folder)
        return os.path.join(self._folders[folder], name)


def find(names: Iterable[str], *, recursive: bool, without: Path | None = None) -> Iterator[Source]:
    """Every picture once, in the order of the names, folders by name.

    Args:
        names: Of the command line; a name that is neither there nor a glob gives a source that fails when it is read.
        recursive: Look into the folders of folders.
        without: A folder that is not looked into: the answers' own. Named itself it is.
    """
    seen: set[str] = set()
    real = RealPaths()
    for name in names:
        for source in _named(name, recursive=recursive, without=without):
            key = source.text if source.path is None else real(source.text)
            if key not in seen:
                seen.add(key)
                yield source


def many(names: Iterable[str]) -> bool:
    """Whether the names may mean more than one picture, however many they mean now."""
    listed = list(names)
    return len(listed) > 1 or any(Path(name).is_dir() or is_glob(name) for name in listed)


def is_glob(name: str) -> bool:
    """A pattern that the shell has left to us, and no file of that very name."""
    return has_magic(name) and not _URL.match(name) and not os.path.lexists(name)


def is_url(name: str) -> bool:
    """An http or https address."""
    return bool(_URL.match(name))


def _named(name: str, *, recursive: bool, without: Path | None) -> Iterator[Source]:
    if name == STDIN:
        yield Source(STDIN, "stdin")
    elif is_url(name):
        yield Source(name, _name_of(name))
    elif is_glob(name):
        yield from _in_glob(name, without)
    elif os.path.isdir(name):
        yield from _in_folder(Path(name), recursive=recursive, without=without)
    else:
        yield Source(name, os.path.basename(name), path=Path(name))


def _in_folder(folder: Path, *, recursive: bool, without: Path | None) -> Iterator[Source]:
    avoided = None if without is None else os.path.realpath(without)
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if recursive and not name.startswith(".") and os.path.realpath(os.path.join(at, name)) != avoided
        )
        below = os.path.relpath(at, folder)
        for name in sorted(files):
            if is_picture(name):
                path = os.path.join(at, name)
                yield Source(path, name, "" if below == "." else below, found=True, path=Path(path))


def _in_glob(pattern: str, without: Path | None) -> Iterator[Source]:
    avoided = None if without is None else os.path.realpath(without) + os.sep
    fixed = _fixed_part(pattern)
    for text in sorted(iglob(pattern, recursive=True)):
        if not is_picture(os.path.basename(text)) or not os.path.isfile(text):
            continue
        if avoided is not None and os.path.realpath(text).startswith(avoided) and not _inside(fixed, avoided):
            continue
        below = os.path.relpath(os.path.dirname(text) or ".", fixed or ".")
        yield Source(text, os.path.basename(text), "" if below == "." else below, found=True, path=Path(text))


def is_picture(name: str) -> bool:
    """By its ending; hidden files are none, and so no leftover of ours."""
    return not name.startswith(".") and os.path.splitext(name)[1].lower() in ENDINGS


def _fixed_part(pattern: str) -> str:
    """The folders before the first that is a pattern: ``a/b/*/c*.png`` → ``a/b``."""
    head = pattern
    while has_magic(head):
        head = os.path.dirname(head)
    return head


def _inside(folder: str, avoided: str) -> bool:
    return (os.path.realpath(folder or ".") + os.sep).startswith(avoided)


def _name_of(url: str) -> str:
    """A file name after a URL's last part, of harmless characters."""
    last = unquote(urlsplit(url).path).rstrip("/").rpartition("/")[2]
    return _UNSAFE.sub("_", last).lstrip(".")[-120:] or _NAMELESS
