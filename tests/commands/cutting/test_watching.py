"""Pictures are taken when whoever writes them has finished."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bgone.commands.cutting.sources import find
from bgone.commands.cutting.watching import watch


def watched(folder: Path, steps: Sequence[Callable[[], object]], ours: str = "") -> Iterator[str]:
    """Names as they are given; one step is done after each look, and the watch ends after the last."""
    left = iter(steps)

    def wait(_seconds: float) -> bool:
        step = next(left, None)
        if step is not None:
            step()
        return step is None

    for source in watch(lambda: find([str(folder)], recursive=False), wait, lambda text: Path(text).name == ours):
        yield source.name


def nothing() -> None:
    """A look later."""


def test_a_picture_is_given_once_two_looks_agree(tmp_path: Path) -> None:
    """And not again while it stays as it is."""
    (tmp_path / "a.jpg").write_bytes(b"x")

    assert list(watched(tmp_path, [])) == []
    assert list(watched(tmp_path, [nothing])) == ["a.jpg"]
    assert list(watched(tmp_path, [nothing, nothing, nothing])) == ["a.jpg"]


def test_a_picture_that_grows_is_waited_for(tmp_path: Path) -> None:
    """However long it grows."""
    file = tmp_path / "a.jpg"
    file.write_bytes(b"x")

    def grow() -> None:
        with file.open("ab") as more:
            more.write(b"x")

    assert list(watched(tmp_path, [grow, grow, grow])) == []
    assert list(watched(tmp_path, [grow, grow, nothing])) == ["a.jpg"]


def test_an_empty_file_is_not_yet_a_picture(tmp_path: Path) -> None:
    """Whoever made it is about to write it."""
    (tmp_path / "a.jpg").touch()

    assert list(watched(tmp_path, [nothing, nothing])) == []


def test_a_changed_picture_is_given_again(tmp_path: Path) -> None:
    """Also one of the same size, put in its place."""
    file = tmp_path / "a.jpg"
    file.write_bytes(b"x")

    def replace() -> None:
        other = tmp_path / "b.tmp"
        other.write_bytes(b"y")
        os.utime(other, ns=(0, file.stat().st_mtime_ns))
        other.rename(file)

    assert list(watched(tmp_path, [nothing, replace, nothing])) == ["a.jpg", "a.jpg"]


def test_a_picture_that_goes_and_comes_is_given_again(tmp_path: Path) -> None:
    """Even with the time that it had."""
    file, away = tmp_path / "a.jpg", tmp_path / "away"
    file.write_bytes(b"x")
    steps = [nothing, lambda: file.rename(away), lambda: away.rename(file), nothing]

    assert list(watched(tmp_path, steps)) == ["a.jpg", "a.jpg"]


def test_answers_are_no_sources(tmp_path: Path) -> None:
    """They may lie in the folder that is watched."""
    (tmp_path / "a.jpg").write_bytes(b"x")
    (tmp_path / "a-cut.png").write_bytes(b"x")

    assert list(watched(tmp_path, [nothing, nothing], ours="a-cut.png")) == ["a.jpg"]


def test_a_folder_that_goes_is_no_end(tmp_path: Path) -> None:
    """A network's may come back."""
    folder = tmp_path / "in"
    folder.mkdir()

    def make() -> None:
        (folder / "a.jpg").write_bytes(b"x")

    assert list(watched(folder, [folder.rmdir, folder.mkdir, make, nothing])) == ["a.jpg"]
