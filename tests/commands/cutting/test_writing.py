"""Answers become files whole or not at all."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bgone.commands.cutting.writing import Aside, remove_leftovers


def test_an_answer_is_seen_when_it_is_whole(tmp_path: Path) -> None:
    """Until then there is another name in the same folder, which is made with the first bytes."""
    target = tmp_path / "new" / "a.png"
    with Aside(target.parent) as aside:
        assert not target.parent.exists()
        aside.write(b"one")
        aside.write(b"two")
        assert [path.name for path in target.parent.iterdir()] == [aside.path.name]
        aside.keep(target, overwrite=False)

    assert target.read_bytes() == b"onetwo"
    assert os.listdir(target.parent) == ["a.png"]
    assert aside.written == 6


def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    """Whatever it was."""

    def fail() -> None:
        with Aside(tmp_path) as aside:
            aside.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()

    assert os.listdir(tmp_path) == []


def test_a_file_that_has_appeared_is_not_written_over(tmp_path: Path) -> None:
    """Even in the last moment."""
    target = tmp_path / "a.png"
    with Aside(tmp_path) as aside:
        aside.write(b"new")
        target.write_bytes(b"old")
        with pytest.raises(FileExistsError):
            aside.keep(target, overwrite=False)

    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize("appeared", [False, True])
def test_file_systems_without_hard_links_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, appeared: bool
) -> None:
    """FAT, and some of the network's."""

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "not here")

    monkeypatch.setattr(os, "link", refuse)
    target = tmp_path / "a.png"
    with Aside(tmp_path) as aside:
        aside.write(b"new")
        if appeared:
            target.write_bytes(b"old")
            with pytest.raises(FileExistsError):
                aside.keep(target, overwrite=False)
        else:
            aside.keep(target, overwrite=False)

    assert target.read_bytes() == (b"old" if appeared else b"new")
    assert os.listdir(tmp_path) == ["a.png"]


def test_overwriting_goes_through_a_link(tmp_path: Path) -> None:
    """The link stays one."""
    (tmp_path / "real.png").write_bytes(b"old")
    (tmp_path / "link.png").symlink_to("real.png")
    with Aside(tmp_path) as aside:
        aside.write(b"new")
        aside.keep(tmp_path / "link.png", overwrite=True)

    assert (tmp_path / "link.png").is_symlink()
    assert (tmp_path / "real.png").read_bytes() == b"new"


def test_files_have_the_usual_rights(tmp_path: Path) -> None:
    """Those that the process gives to every new file."""
    plain = tmp_path / "plain"
    plain.touch()
    with Aside(tmp_path) as aside:
        aside.write(b"x")
        aside.keep(tmp_path / "a", overwrite=False)

    assert (tmp_path / "a").stat().st_mode == plain.stat().st_mode


def test_leftovers_are_removed_at_a_sudden_end(tmp_path: Path) -> None:
    """Of this process, and nobody else's files."""
    (tmp_path / ".bgone-other.part").touch()
    with Aside(tmp_path) as aside:
        aside.write(b"half")
        remove_leftovers()
        assert os.listdir(tmp_path) == [".bgone-other.part"]
