"""A model file that is not whole yet: it lies aside as ``FILE.part``, and one process at a time works on it."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bgone.matting.model import Model
from bgone.matting.weights import digest

Check = Callable[[Path, Model], None]
"""Raises what must not become visible: a graph that does not fit its row."""
Progress = Callable[[int, int], None]
"""Hears bytes that are here, and bytes in all."""

SPARE_BYTES = 64 << 20  # left free on the disk


class PullError(Exception):
    """A model file could not be had: one line."""


def part_of(model: Model, folder: Path) -> Path:
    """Where a file lies until it is whole."""
    return folder / f"{model.file}.part"


def origin_of(part: Path) -> Path:
    """Where it is noted what a part began as."""
    return part.with_name(part.name + ".json")


def size_of(part: Path) -> int:
    """Bytes that have come."""
    return part.stat().st_size if part.exists() else 0


def throw_away(part: Path) -> None:
    """It is of no use."""
    part.unlink(missing_ok=True)
    origin_of(part).unlink(missing_ok=True)


def require_same(part: Path, model: Model) -> None:
    """Raise ``PullError``, the part thrown away, unless it is the table's file."""
    size, got = size_of(part), digest(part)
    if (size, got) != (model.size_bytes, model.sha256):
        throw_away(part)
        raise PullError(
            f"another file: {size} bytes with sha256 {got}, expected {model.size_bytes} with {model.sha256}"
        )


def require_room(model: Model, folder: Path) -> None:
    """Raise ``PullError`` where the disk has no room for what is still to come."""
    needed = model.size_bytes - size_of(part_of(model, folder)) + SPARE_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise PullError(
            f"{model.name} needs {needed // 1_000_000} MB in {folder}; {free // 1_000_000} MB are free there."
        )


def show(part: Path, path: Path, model: Model, check: Check) -> Path:
    """Make a verified part visible, on the disk before it has its name; what ``check`` refuses stays aside."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    check(part, model)
    os.replace(part, path)
    origin_of(part).unlink(missing_ok=True)
    return path


@contextmanager
def locked(model: Model, folder: Path) -> Iterator[None]:
    """One pull of a file at a time, on this machine; whoever dies leaves no lock behind.

    Raises:
        PullError: Another is under way, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / f".{model.file}.lock").open("w")
    except OSError as error:
        raise PullError(f"{folder} cannot be written: {error.strerror}.") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise PullError(f"Another pull of {model.name} is under way.") from error
        yield
