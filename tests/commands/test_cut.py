"""``bgone cut`` as people use it: a process of its own, real pictures, the real net."""

from __future__ import annotations

import io
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import PIL.Image
import pytest

from bgone.imaging.sniff import sniff
from tests.commands.process import COMMAND, environment, lines, run
from tests.origin import site
from tests.pictures import ball, decode, photo
from tests.serving import Served


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """Three pictures, one in a folder of its own; beside them a broken one and a text."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for name, seed in (("a.jpg", 1), ("b.jpg", 2), ("sub/c.jpg", 3)):
        (folder / name).write_bytes(photo(121, 80, seed=seed, of=ball))
    (folder / "broken.jpg").write_bytes(photo(121, 80)[:900])
    (folder / "notes.txt").write_text("no picture")
    return folder


@pytest.fixture(params=["here", "far away"])
def where(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Flags of both ways to cut."""
    if request.param == "here":
        return ()
    served: Served = request.getfixturevalue("server")
    return ("--server", served.url)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_folder_is_cut(album: Path, tmp_path: Path, where: tuple[str, ...]) -> None:
    """With its folders; the broken picture is told in one line, and the exit status is 1."""
    done = run("cut", album, "-r", "-o", tmp_path / "out", *where)

    assert files(tmp_path / "out") == ["a.png", "b.png", "sub/c.png"]
    assert [decode((tmp_path / "out" / name).read_bytes()).shape for name in ("a.png", "sub/c.png")] == [
        (80, 121, 4)
    ] * 2
    told, summary = done.stderr.decode().splitlines()
    assert told.startswith(f"bgone: {album}/broken.jpg: The picture is damaged")
    assert summary.startswith("3 done, 1 failed in ")
    assert (done.returncode, done.stdout) == (1, b"")


def test_json_tells_all_of_it(album: Path, tmp_path: Path, where: tuple[str, ...]) -> None:
    """A line for each picture, with its file and its failure, and one for all."""
    done = run("cut", album, "-o", tmp_path / "out", "--json", *where)
    *told, summary = lines(done.stdout)
    by_name = {Path(line["source"]).name: line for line in told}

    assert set(by_name) == {"a.jpg", "b.jpg", "broken.jpg"}
    a = by_name["a.jpg"]
    assert (a["status"], a["target"], a["format"], a["width"], a["height"]) == (
        "done", str(tmp_path / "out" / "a.png"), "png", 121, 80,
    )  # fmt: skip
    assert a["bytes"] == (tmp_path / "out" / "a.png").stat().st_size
    assert by_name["broken.jpg"]["error"]["kind"] == "unreadable_image"
    assert (summary["summary"]["done"], summary["summary"]["failed"]) == (2, 1)


def test_the_second_run_does_what_it_is_told(album: Path, tmp_path: Path) -> None:
    """Refuses, skips or writes over."""
    picture, out = album / "a.jpg", tmp_path / "out"
    first = run("cut", picture, "-o", f"{out}/")
    before = (out / "a.png").stat().st_mtime_ns
    refused = run("cut", picture, "-o", f"{out}/")
    skipped = run("cut", picture, "-o", f"{out}/", "--skip-existing", "-v")
    after = (out / "a.png").stat().st_mtime_ns
    written = run("cut", picture, "-o", f"{out}/", "--overwrite")

    assert [done.returncode for done in (first, refused, skipped, written)] == [0, 1, 0, 0]
    assert b"exists: say --overwrite or --skip-existing" in refused.stderr
    assert skipped.stderr.startswith(f"{picture}: {out}/a.png exists; skipped\n".encode())
    assert before == after < (out / "a.png").stat().st_mtime_ns


def test_one_picture_is_cut_in_silence(album: Path, tmp_path: Path) -> None:
    """Into the file that is named, whose ending is the format; -v tells of it."""
    quiet = run("cut", album / "a.jpg", "-o", tmp_path / "x.webp")
    told = run("cut", album / "a.jpg", "-o", tmp_path / "y.jpg", "-v")

    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, b"", b"")
    assert told.stderr.startswith(f"{album}/a.jpg -> {tmp_path}/y.jpg  121 x 80  ".encode())
    assert [sniff((tmp_path / name).read_bytes()) for name in ("x.webp", "y.jpg")] == ["webp", "jpeg"]


def test_standard_input_becomes_standard_output(album: Path, where: tuple[str, ...]) -> None:
    """The picture and nothing else."""
    done = run("cut", "-", "--format", "webp", "--width", "30", *where, data=(album / "a.jpg").read_bytes())

    with PIL.Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.width) == ("WEBP", 30)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_broken_picture_writes_nothing_to_standard_output(album: Path) -> None:
    """Not half an answer; JSON goes where the picture does not."""
    done = run("cut", "-", "--json", data=(album / "broken.jpg").read_bytes())

    assert (done.returncode, done.stdout) == (1, b"")
    assert lines(done.stderr.splitlines()[0])[0]["status"] == "failed"


@pytest.mark.parametrize(
    ("flags", "corner"),
    [
        (("--background", "#00f", "--format", "png"), (0, 0, 255)),
        (("--background", "none"), (0, 0, 0, 0)),
        (("--channels", "alpha"), 0),
        (("--no-crop", "--semitransparency", "--max-side", "60", "--background", "rgb(0, 128, 0)"), (0, 128, 0)),
    ],
)
def test_render_options_are_flags(album: Path, where: tuple[str, ...], flags: tuple[str, ...], corner: object) -> None:
    """All of them are those of the HTTP API."""
    done = run("cut", "-", *flags, *where, data=(album / "a.jpg").read_bytes())

    with PIL.Image.open(io.BytesIO(done.stdout)) as image:
        assert image.getpixel((0, 0)) == corner


def test_a_picture_can_lie_under_the_subject(album: Path, tmp_path: Path, where: tuple[str, ...]) -> None:
    """From a file."""
    PIL.Image.new("RGB", (50, 50), (0, 200, 0)).save(tmp_path / "green.png")
    done = run("cut", "-", "--background-image", tmp_path / "green.png", *where, data=(album / "a.jpg").read_bytes())

    with PIL.Image.open(io.BytesIO(done.stdout)) as image:
        assert image.getpixel((0, 0)) == (0, 200, 0)


def test_a_url_is_fetched_with_care(album: Path, tmp_path: Path) -> None:
    """Networks that are not public are for the operator to allow."""
    with site({"/ball.jpg": (album / "a.jpg").read_bytes()}) as address:
        refused = run("cut", f"{address}/ball.jpg", "-o", f"{tmp_path}/out/")
        allowed = run("cut", f"{address}/ball.jpg", "-o", f"{tmp_path}/out/", said={"BGONE_FETCH_ALLOW": "127.0.0.0/8"})

    assert (refused.returncode, allowed.returncode) == (1, 0)
    assert b"could not be fetched" in refused.stderr
    assert files(tmp_path / "out") == ["ball.png"]


def test_a_url_is_for_the_server_to_fetch(album: Path, tmp_path: Path, server: Served) -> None:
    """By its own rules."""
    with site({"/ball.jpg": (album / "a.jpg").read_bytes()}) as address:
        done = run("cut", f"{address}/ball.jpg", "-o", f"{tmp_path}/out/", said={"BGONE_SERVER": server.url})

    assert done.returncode == 0
    assert files(tmp_path / "out") == ["ball.png"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cut",), "Missing argument 'SRC...'. (bgone cut --help)"),
        (("cut", "a.jpg", "--max-side", "0"), "--max-side: expected a whole number from 1 to"),
        (("cut", "a.jpg", "--background", "blurry"), "--background: expected none, blur"),
        (("cut", "a.jpg", "--name", "{stam}"), "'{stam}' is no template"),
        (("cut", "a.jpg", "-o", "x.xyz"), "x.xyz: no format is called 'xyz'"),
        (("cut", "a.jpg", "b.jpg", "-o", "-"), "standard output takes one picture"),
        (("cut", "a.jpg", "--server", "ftp://x"), "'ftp://x' is no address of a server"),
        (("cut", "a.jpg", "--server", "http://x", "--threads", "2"), "--threads is for cutting here"),
        (("cut", "-", "--watch", "-o", "out/"), "--watch is for folders"),
        (("cut", "a.jpg", "--outline-colour", "red"), "No such option"),
    ],
)
def test_a_misspelled_command_is_one_line(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    """Status 2, before anything is done."""
    done = run(*arguments, folder=tmp_path)

    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1)
    assert words in done.stderr.decode()
    assert files(tmp_path) == []


def test_a_setting_that_is_wrong_is_one_line(tmp_path: Path) -> None:
    """Status 78, as of a server."""
    done = run("cut", "a.jpg", folder=tmp_path, said={"BGONE_DEVICE": "abacus"})

    assert (done.returncode, done.stderr.count(b"\n")) == (78, 1)
    assert b"BGONE_DEVICE" in done.stderr


def test_a_folder_without_pictures_says_so(tmp_path: Path) -> None:
    """And where there may be some."""
    done = run("cut", tmp_path, "-o", tmp_path / "out")

    assert (done.returncode, done.stderr.decode()) == (
        1, f"bgone: no pictures in {tmp_path} (--recursive looks into their folders)\n",
    )  # fmt: skip


# --- ends before the end --------------------------------------------------------------------------------------------


@pytest.fixture
def crowd(tmp_path: Path) -> Path:
    """Many more pictures than a machine cuts in a moment."""
    folder = tmp_path / "crowd"
    folder.mkdir()
    data = photo(640, 480, of=ball)
    for number in range(300):
        (folder / f"{number:03}.jpg").write_bytes(data)
    return folder


def start(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """``bgone ARGUMENTS`` in a process group of its own, as shells do it."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        process_group=0,
    )


def whole(folder: Path) -> int:
    """How many answers there are; each can be read to its end, and there is nothing beside them."""
    names = os.listdir(folder)
    for name in names:
        assert name.endswith(".png")
        decode((folder / name).read_bytes())
    return len(names)


@pytest.mark.parametrize(("sign", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_work_cleanly(crowd: Path, tmp_path: Path, sign: signal.Signals, status: int) -> None:
    """What was begun is whole, nothing is left over, and the summary tells how many were not begun."""
    with start("cut", crowd, "-o", tmp_path / "out", "--json") as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        os.killpg(process.pid, sign)
        rest, told = process.communicate()
    *done, summary = lines(first + rest)

    assert process.returncode == status
    assert whole(tmp_path / "out") == len(done) == summary["summary"]["done"]
    assert summary["summary"]["interrupted"]
    assert summary["summary"]["not_begun"] == 300 - len(done) > 0
    assert b"Traceback" not in told


def test_a_reader_that_leaves_ends_the_work(crowd: Path, tmp_path: Path) -> None:
    """As of ``bgone cut ... --json | head -1``: no traceback, no half answers."""
    with start("cut", crowd, "-o", tmp_path / "out", "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        told = process.stderr.read()

    assert process.returncode not in (None, 0)
    assert 0 < whole(tmp_path / "out") < 300
    assert b"Traceback" not in told


# --- watching -------------------------------------------------------------------------------------------------------


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """A folder, and who watches it."""
    folder = tmp_path / "watched"
    folder.mkdir()
    with start("cut", folder, "--watch", "-o", folder / "out", "--json") as process:
        try:
            yield folder, process
        finally:
            process.kill()


def heard(stream: IO[bytes] | None) -> dict[str, Any]:
    """The next line."""
    assert stream is not None
    (line,) = lines(stream.readline())
    return line


def test_a_folder_can_be_watched(watched: tuple[Path, subprocess.Popen[bytes]]) -> None:
    """Pictures that come, and that change; Ctrl-C is its usual end, with a summary and status 0."""
    folder, process = watched
    (folder / "a.jpg").write_bytes(photo(121, 80, of=ball))
    first = heard(process.stdout)
    (folder / "a.jpg").write_bytes(photo(61, 40, of=ball))
    second = heard(process.stdout)
    os.killpg(process.pid, signal.SIGINT)
    summary = heard(process.stdout)

    assert [(line["status"], line["width"]) for line in (first, second)] == [("done", 121), ("done", 61)]
    assert process.wait() == 0
    assert (summary["summary"]["done"], summary["summary"]["interrupted"]) == (2, False)
    assert whole(folder / "out") == 1
