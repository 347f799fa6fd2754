"""Pulling model files, from a real web server that behaves and misbehaves."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bgone.errors import StartError
from bgone.matting.models import Model
from bgone.matting.parts import PullError
from bgone.matting.pulling import pull
from tests.conftest import ROOT
from tests.matting.mirror import File, mirror
from tests.matting.puller import row

CONTENT = random.Random(7).randbytes(3_000_001)  # more than one piece, no multiple of anything
OTHER = random.Random(8).randbytes(len(CONTENT))
TINY = row(hashlib.sha256(CONTENT).hexdigest(), len(CONTENT))


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the developer's network needs must not stand between two processes of this machine."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def files() -> dict[str, File]:
    """What the mirror serves; tests add to it."""
    return {"/tiny.onnx": File(CONTENT)}


@pytest.fixture
def at(files: dict[str, File]) -> Iterator[str]:
    """The mirror's address."""
    with mirror(files) as address:
        yield address


def got(tmp_path: Path, *sources: str, model: Model = TINY, said: list[str] | None = None) -> Path:
    """Pull; the graph is not looked at."""
    heard: list[str] = [] if said is None else said
    return pull(model, tmp_path / "models", sources=sources, check=lambda path, model: None, say=heard.append)


def left(tmp_path: Path) -> list[str]:
    """Names in the folder, but for locks."""
    return sorted(path.name for path in (tmp_path / "models").iterdir() if not path.name.endswith(".lock"))


def test_a_file_comes_whole(tmp_path: Path, at: str) -> None:
    """Its bytes, and nothing beside it."""
    path = got(tmp_path, f"{at}/tiny.onnx")

    assert path.read_bytes() == CONTENT
    assert left(tmp_path) == ["tiny.onnx"]


def test_progress_ends_with_all(tmp_path: Path, at: str) -> None:
    """It only rises, in bytes of the file."""
    heard: list[tuple[int, int]] = []
    pull(
        TINY,
        tmp_path / "models",
        sources=[f"{at}/tiny.onnx"],
        check=lambda path, model: None,
        on_progress=lambda done, total: heard.append((done, total)),
    )

    assert heard == sorted(heard)
    assert heard[-1] == (len(CONTENT), len(CONTENT))


def test_a_file_that_is_here_is_not_asked_for(tmp_path: Path, at: str, files: dict[str, File]) -> None:
    """Only its sum is looked at; a damaged one is replaced."""
    path = got(tmp_path, f"{at}/tiny.onnx")
    got(tmp_path, f"{at}/tiny.onnx")
    assert len(files["/tiny.onnx"].asked) == 1

    path.write_bytes(OTHER)
    assert got(tmp_path, f"{at}/tiny.onnx").read_bytes() == CONTENT


def test_a_broken_connection_is_taken_up_again(tmp_path: Path, at: str, files: dict[str, File]) -> None:
    """From where it ended, with the validator of what had come."""
    file = files["/tiny.onnx"]
    file.breaks_after = 1_100_000

    assert got(tmp_path, f"{at}/tiny.onnx").read_bytes() == CONTENT
    assert len(file.asked) == 3
    assert file.asked[0] == (None, None)
    assert all(asked is not None and shown == '"v1"' for asked, shown in file.asked[1:])


def test_a_server_without_ranges_sends_all_again(tmp_path: Path, at: str, files: dict[str, File]) -> None:
    """What had come is thrown away, not appended to."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.onnx.part").write_bytes(CONTENT[:1000])
    files["/tiny.onnx"].ranges = False

    assert got(tmp_path, f"{at}/tiny.onnx").read_bytes() == CONTENT


def test_a_file_that_changed_is_fetched_from_the_beginning(tmp_path: Path, at: str, files: dict[str, File]) -> None:
    """If-Range: the server says 200 when the validator is another."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.onnx.part").write_bytes(OTHER[:1000])
    (tmp_path / "models" / "tiny.onnx.part.json").write_text(f'{{"url": "{at}/tiny.onnx", "validator": "\\"v0\\""}}')

    assert got(tmp_path, f"{at}/tiny.onnx").read_bytes() == CONTENT
    assert files["/tiny.onnx"].asked == [("bytes=1000-", '"v0"')]


def test_a_part_of_another_file_is_found_by_the_sum(tmp_path: Path, at: str, files: dict[str, File]) -> None:
    """Nobody knows where it came from: the whole has the wrong sum, and is fetched once more."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.onnx.part").write_bytes(OTHER[:1000])

    assert got(tmp_path, f"{at}/tiny.onnx").read_bytes() == CONTENT
    assert [asked for asked, _ in files["/tiny.onnx"].asked] == ["bytes=1000-", None]


def test_a_part_that_is_too_long_is_thrown_away(tmp_path: Path, at: str) -> None:
    """Longer than the file ever was."""
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "tiny.onnx.part").write_bytes(CONTENT + b"more")

    assert got(tmp_path, f"{at}/tiny.onnx").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (File(b"", status=404), "the server answered 404"),
        (File(b"", status=503), "the server answered 503"),
        (File(OTHER), "another file: 3000001 bytes with sha256"),
        (File(CONTENT[:-1]), "another file: 3000000 bytes, expected 3000001"),
        (File(CONTENT + b"more", length_said=False), "another file: more than 3000001 bytes"),
        (File(CONTENT, breaks_after=0), "RemoteProtocolError"),
        (File(b"", status=302, location="ftp://127.0.0.1/tiny.onnx"), "UnsupportedProtocol"),
        (File(b"", status=302, location="/first.onnx"), "TooManyRedirects"),
    ],
    ids=["404", "503", "other", "shorter", "longer", "silent", "ftp", "circle"],
)
def test_the_next_source_is_asked(tmp_path: Path, at: str, files: dict[str, File], first: File, why: str) -> None:
    """Whatever is wrong with the first; the words say what."""
    files["/first.onnx"] = first
    said: list[str] = []

    assert got(tmp_path, f"{at}/first.onnx", f"{at}/tiny.onnx", said=said).read_bytes() == CONTENT
    assert len(said) == 1
    assert said[0].startswith(f"{at}/first.onnx: {why}")


def test_a_source_that_nobody_serves(tmp_path: Path, at: str) -> None:
    """No connection, then the next."""
    said: list[str] = []

    got(tmp_path, "http://127.0.0.1:1/tiny.onnx", f"{at}/tiny.onnx", said=said)
    assert "ConnectError" in said[0]


def test_no_source_leaves_nothing_visible(tmp_path: Path, at: str, files: dict[str, File]) -> None:
    """A wrong file is not even left aside."""
    files["/tiny.onnx"] = File(OTHER)

    with pytest.raises(PullError, match="tiny is at none of its 1 sources"):
        got(tmp_path, f"{at}/tiny.onnx")
    assert left(tmp_path) == []


def test_redirects_are_followed(tmp_path: Path, at: str, files: dict[str, File]) -> None:
    """As release pages lead to their stores."""
    files["/release"] = File(b"", status=302, location="/tiny.onnx")

    assert got(tmp_path, f"{at}/release").read_bytes() == CONTENT


def test_a_graph_that_does_not_fit_stays_aside(tmp_path: Path, at: str) -> None:
    """The sum is right, the check is not: nothing becomes visible."""

    def refuse(path: Path, model: Model) -> None:
        raise StartError("another shape")

    with pytest.raises(StartError, match="another shape"):
        pull(TINY, tmp_path / "models", sources=[f"{at}/tiny.onnx"], check=refuse)
    assert "tiny.onnx" not in left(tmp_path)


def test_a_proxy_of_the_environment_is_used(
    tmp_path: Path, at: str, files: dict[str, File], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that does not exist is asked of the proxy, by its absolute address."""
    files["http://models.invalid/tiny.onnx"] = File(CONTENT)
    monkeypatch.setenv("http_proxy", at)

    assert got(tmp_path, "http://models.invalid/tiny.onnx").read_bytes() == CONTENT


def test_a_full_disk_is_told_before(tmp_path: Path, at: str, files: dict[str, File]) -> None:
    """How much is needed and how much there is; nobody is asked."""
    huge = row(TINY.sha256, 10**18)

    with pytest.raises(PullError, match=r"tiny needs \d+ MB in .*; \d+ MB are free"):
        got(tmp_path, f"{at}/tiny.onnx", model=huge)
    assert files["/tiny.onnx"].asked == []
    assert shutil.disk_usage(tmp_path).free < 10**18


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, at: str) -> None:
    """One line with the folder's name."""
    (tmp_path / "models").write_text("a file")

    with pytest.raises(PullError, match="models cannot be written"):
        got(tmp_path, f"{at}/tiny.onnx")


# --- processes ------------------------------------------------------------------------------------------------------


def start_pull(tmp_path: Path, url: str) -> subprocess.Popen[bytes]:
    """A pull in a process of its own."""
    command = [sys.executable, "-m", "tests.matting.puller", url, str(tmp_path / "models"), TINY.sha256]
    return subprocess.Popen([*command, str(len(CONTENT))], cwd=ROOT, stderr=subprocess.PIPE, env=dict(os.environ))


def test_a_killed_pull_goes_on_where_it_was(tmp_path: Path, at: str, files: dict[str, File]) -> None:
    """kill -9 half way: nothing visible, no lock left, and only the rest is asked for."""
    file = files["/tiny.onnx"]
    file.gate = threading.Event()
    process = start_pull(tmp_path, f"{at}/tiny.onnx")
    part = tmp_path / "models" / "tiny.onnx.part"
    try:
        assert file.halfway.wait(60)
        while not (part.exists() and part.stat().st_size >= 1 << 20):
            assert process.poll() is None, process.communicate()
            threading.Event().wait(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    had = part.stat().st_size
    assert 0 < had < len(CONTENT)
    assert not (tmp_path / "models" / "tiny.onnx").exists()

    file.gate.set()
    file.gate = None
    assert got(tmp_path, f"{at}/tiny.onnx").read_bytes() == CONTENT
    assert file.asked == [(None, None), (f"bytes={had}-", '"v1"')]


def test_two_pulls_at_once_do_not_meet(tmp_path: Path, at: str, files: dict[str, File]) -> None:
    """The second is told so, the first ends well."""
    file = files["/tiny.onnx"]
    file.gate = threading.Event()
    process = start_pull(tmp_path, f"{at}/tiny.onnx")
    try:
        assert file.halfway.wait(60)
        with pytest.raises(PullError, match="Another pull of tiny is under way"):
            got(tmp_path, f"{at}/tiny.onnx")
    finally:
        file.gate.set()
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")
    assert (tmp_path / "models" / "tiny.onnx").read_bytes() == CONTENT
