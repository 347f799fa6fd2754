"""What people see on a real terminal, and what pipes get instead."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands.process import COMMAND, environment, run
from tests.pictures import ball, photo

PATIENCE_S = 100


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Some pictures, and a broken one."""
    folder = tmp_path / "in"
    folder.mkdir()
    data = photo(320, 240, of=ball)
    for number in range(100):
        (folder / f"{number:03}.jpg").write_bytes(data)
    (folder / "000.jpg").write_bytes(data[:900])
    return folder


@contextmanager
def terminal(
    *arguments: str | Path, said: dict[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """``bgone ARGUMENTS`` with a terminal of its own, and our end of that; ended if it does not end."""
    ours, theirs = pty.openpty()
    command = ["setsid", "--ctty", *COMMAND, *map(str, arguments)]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(said))
    os.close(theirs)
    try:
        yield process, ours
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read(ours: int, until: Callable[[str], bool] = lambda _: False) -> str:
    """What the terminal shows, to the end or as far as ``until`` is content."""
    shown = b""
    give_up_at = time.monotonic() + PATIENCE_S
    while time.monotonic() < give_up_at and not until(shown.decode(errors="replace")):
        if not select.select([ours], [], [], 1)[0]:
            continue
        try:
            piece = os.read(ours, 65536)
        except OSError:  # Linux says EIO when the last of the other side has closed it
            break
        if not piece:
            break
        shown += piece
    return shown.decode(errors="replace")


def test_progress_is_drawn_on_a_terminal(album: Path, tmp_path: Path) -> None:
    """A bar with rate and remaining time; failures stand above it, the summary in its place."""
    with terminal("cut", album, "-o", tmp_path / "out", "--max-side", "20") as (process, ours):
        shown = read(ours)
        status = process.wait()

    assert "] 0/100" in shown
    assert "/s  " in shown
    assert " left" in shown
    assert "1 failed" in shown
    assert "\x1b[31mbgone:\x1b[0m" in shown
    last = shown.rstrip().rpartition("\r\x1b[K")[2]
    assert "99 done, 1 failed in " in last
    assert status == 1


def test_ctrl_c_at_a_terminal_ends_cleanly(album: Path, tmp_path: Path) -> None:
    """The key itself, as the terminal gives it to every process of the group."""
    with terminal("cut", album, "-o", tmp_path / "out") as (process, ours):
        # The first is broken; where one is done, the work goes on.
        read(ours, until=lambda shown: (tmp_path / "out").is_dir())
        os.write(ours, b"\x03")
        shown = read(ours)
        status = process.wait()

    assert status == 130
    assert "; interrupted" in shown
    assert "not begun" in shown
    assert "Traceback" not in shown
    assert all(name.endswith(".png") for name in os.listdir(tmp_path / "out"))


@pytest.mark.parametrize("said", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_can_be_refused(said: dict[str, str], tmp_path: Path) -> None:
    """As no-color.org asks, and for terminals that have none."""
    with terminal("cut", tmp_path / "none.jpg", "-o", tmp_path / "x.png", said=said) as (_, ours):
        shown = read(ours)

    assert shown.startswith("bgone: ")


def test_pipes_get_neither_bars_nor_colours(album: Path, tmp_path: Path) -> None:
    """Lines only, and only what was asked for."""
    done = run("cut", album / "000.jpg", album / "001.jpg", "-o", tmp_path / "out")
    told = run("cut", album / "000.jpg", album / "001.jpg", "-o", tmp_path / "out2", "-v")

    assert b"\x1b" not in done.stderr + told.stderr
    assert b"\r" not in done.stderr + told.stderr
    assert (done.stderr.count(b"\n"), told.stderr.count(b"\n")) == (2, 3)


def test_a_picture_is_not_poured_onto_a_terminal(album: Path) -> None:
    """It is no text."""
    with terminal("cut", album / "001.jpg", "-o", "-") as (process, ours):
        shown = read(ours)
        status = process.wait()

    assert status == 2
    assert "a picture is no text for a terminal" in shown


FAULT = "import bgone.__main__ as main, bgone.machine as machine; machine.cores = lambda: 1 / 0; main.main()"


@pytest.mark.parametrize(("flags", "shows"), [((), False), (("-v",), False), (("-vv",), True)])
def test_a_fault_is_one_line_until_more_is_asked_for(
    album: Path, tmp_path: Path, flags: tuple[str, ...], shows: bool
) -> None:
    """With -vv there is the traceback; the exit status is 1."""
    command = [COMMAND[0], "-c", FAULT, "cut", str(album), "-o", str(tmp_path), *flags]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert ("Traceback" in done.stderr) is shows
    assert "ZeroDivisionError: division by zero" in done.stderr
    if not shows:
        assert done.stderr.count("\n") == 1
