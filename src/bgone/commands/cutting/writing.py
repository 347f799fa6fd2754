"""An answer becomes a file whole or not at all: written aside in the same folder, then renamed."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path
from types import TracebackType
from typing import IO

_PREFIX, _SUFFIX = ".bgone-", ".part"
_open: set[Path] = set()


class Aside:
    """A file that is not yet there; leaving the block without ``keep`` removes it.

    Args:
        folder: Where it is written, made with the first bytes: the answer's own, so that renaming is one step of the
            file system.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / f"{_PREFIX}{secrets.token_hex(8)}{_SUFFIX}"
        self.written = 0
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Aside:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is None:
            return
        try:
            self._file.close()
        finally:
            self.path.unlink(missing_ok=True)
            _open.discard(self.path)

    def write(self, data: bytes) -> None:
        """Add bytes.

        Raises:
            OSError: The folder cannot be made or written, or the disk is full.
        """
        if self._file is None:
            _make(self.path.parent)
            _open.add(self.path)
            self._file = self.path.open("xb")
        self._file.write(data)
        self.written += len(data)

    def keep(self, target: Path, *, overwrite: bool) -> None:
        """Give the file its name, in one step.

        Raises:
            FileExistsError: ``target`` is there, and not to be written over.
            OSError: The disk is full, or the folder has gone.
        """
        if self._file is not None:
            self._file.close()
        _make(target.parent)
        if overwrite:
            # A link's file is replaced, and the link stays.
            self.path.replace(os.path.realpath(target))
            return
        try:
            os.link(self.path, target)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links: FAT, some of the network's
            if os.path.lexists(target):
                raise FileExistsError(str(target)) from None
            self.path.rename(target)


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:  # not the answer's, which would be another complaint
        raise NotADirectoryError(errno.ENOTDIR, f"{folder} is no folder") from error


def remove_leftovers() -> None:
    """Remove what is being written now, before the process ends without leaving its blocks."""
    for path in list(_open):
        path.unlink(missing_ok=True)
