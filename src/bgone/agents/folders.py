"""Which files an agent may read and write: those in the folders that the operator names, and pictures only."""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bgone.agents.refusal import Refused
from bgone.imaging.formats import ALIASES, FORMATS, find_format

SUFFIXES = (*(row.suffix for row in FORMATS.values()), *(f".{alias}" for alias in ALIASES))


class Folders:
    """Files below some folders, links followed.

    Args:
        roots: The folders; relative paths begin in the first.
        most_bytes: Larger files are not read.
    """

    def __init__(self, roots: Sequence[Path], most_bytes: int) -> None:
        self.roots = tuple(root.resolve() for root in roots)
        self._most_bytes = most_bytes

    def read(self, path: str) -> bytes:
        """A picture's file; blocking.

        Raises:
            Refused: It lies elsewhere, is no file or too large.
        """
        place = self._inside(path)
        try:
            if not place.is_file():
                raise Refused(f"{path}: there is no such file in {self.words}")
            if (size := place.stat().st_size) > self._most_bytes:
                raise Refused(f"{path}: {size / 1e6:.1f} MB; at most {self._most_bytes / 1e6:g} MB are read")
            return place.read_bytes()
        except OSError as error:
            raise Refused(f"{path}: {error.strerror}") from error

    def check_new(self, path: str, *, overwrite: bool) -> tuple[Path, str]:
        """Where a picture may be written, and the format that its ending names.

        Raises:
            Refused: It lies elsewhere, its ending names no format, its folder is missing, or it is there already.
        """
        place = self._inside(path)
        form = find_format(place.suffix.removeprefix("."))
        if form is None:
            raise Refused(f"{path}: expected a file name that ends with {', '.join(SUFFIXES)}")
        try:
            has_folder, is_there = place.parent.is_dir(), place.exists()
        except OSError as error:
            raise Refused(f"{path}: {error.strerror}") from error
        if not has_folder:
            raise Refused(f"{path}: there is no folder {place.parent}")
        if is_there and not overwrite:
            raise Refused(f"{path}: is there already; say overwrite=true to replace it")
        return place, form.name

    def write(self, place: Path, data: bytes) -> None:
        """Whole or not at all: written beside, then renamed; blocking.

        Raises:
            Refused: It cannot be written.
        """
        beside = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
        try:
            try:
                with beside.open("xb") as file:
                    file.write(data)
                beside.replace(place)
            except BaseException:
                with suppress(OSError):
                    beside.unlink()
                raise
        except OSError as error:
            raise Refused(f"{place}: {error.strerror}") from error

    @property
    def words(self) -> str:
        """The folders, for people."""
        return " or ".join(map(str, self.roots))

    def _inside(self, path: str) -> Path:
        if "\0" in path:
            raise Refused("a path has no zero bytes")
        try:
            place = (self.roots[0] / os.path.expanduser(path)).resolve()
        except (OSError, RuntimeError) as error:  # a loop of links, a name too long
            raise Refused(f"{path}: {error}") from error
        if not any(place.is_relative_to(root) for root in self.roots):
            raise Refused(f"{path}: only files in {self.words} may be read and written")
        return place
