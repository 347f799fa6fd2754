"""The files of examples/ run as they are, in their own languages, against a real server."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.clients.install import python_packages, run
from tests.conftest import ROOT
from tests.debian import program
from tests.pictures import photo
from tests.serving import Served, serve

EXAMPLES = ROOT / "examples"
PHOTO = photo(161, 120)
KEY = "key-of-the-examples"


def _python() -> str:
    return str(python_packages("examples", "requests==2.34.2", "httpx==0.28.1"))


def _php() -> str:
    php = program("php", "php-cli", "php-curl")
    if "curl" not in subprocess.run([php, "-m"], capture_output=True, text=True, check=True).stdout.split():
        pytest.skip("needs PHP's curl extension: install php-curl")
    return php


def _go(folder: Path) -> str:
    """The example, compiled; without any package but Go's own, so without a network."""
    go, binary = program("go", "golang-go"), folder / "cut"
    home = {
        "GOCACHE": str(folder / "cache"),
        "GOPATH": str(folder / "path"),
        "GOTOOLCHAIN": "local",
        "GO111MODULE": "off",
    }
    built = subprocess.run(
        [go, "build", "-o", str(binary), str(EXAMPLES / "cut.go")],
        env=os.environ | home, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    return str(binary)


# File → what runs it.
RUNNERS: dict[str, Callable[[Path], list[str]]] = {
    "cut.sh": lambda _: [program("sh", "dash"), str(EXAMPLES / "cut.sh")],
    "cut_requests.py": lambda _: [_python(), str(EXAMPLES / "cut_requests.py")],
    "cut.mjs": lambda _: [program("node", "nodejs"), str(EXAMPLES / "cut.mjs")],
    "cut.go": lambda folder: [_go(folder)],
    "cut.php": lambda _: [_php(), str(EXAMPLES / "cut.php")],
}


@pytest.fixture(scope="module", params=RUNNERS)
def command(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """How an example is run."""
    program("curl", "curl")
    return RUNNERS[request.param](tmp_path_factory.mktemp("example"))


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> object:
    with serve(tmp_path_factory.mktemp("locked"), api_keys=KEY) as served:
        yield served


def test_examples_write_the_servers_bytes(command: list[str], server: Served, tmp_path: Path) -> None:
    """What lies on disk is what the server answers, and nothing lies beside it."""
    (tmp_path / "photo.jpg").write_bytes(PHOTO)

    done = run([*command, "photo.jpg", "cutout.png"], tmp_path, BGONE_URL=server.url)

    assert done.returncode == 0, done.stderr
    direct = server.post("/cut/v1", files={"image": PHOTO}, data={"crop": "true", "margin": "5%"})
    assert (tmp_path / "cutout.png").read_bytes() == direct.content
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cutout.png", "photo.jpg"]


def test_examples_tell_what_is_wrong(command: list[str], locked: Served, tmp_path: Path) -> None:
    """A wrong key, then a file that is no picture: exit status 1, the server's words, no file."""
    (tmp_path / "photo.jpg").write_bytes(b"no picture at all")

    for key, code in (("wrong", "key_wrong"), (KEY, "unreadable_image")):
        done = run([*command, "photo.jpg", "cutout.png"], tmp_path, BGONE_URL=locked.url, BGONE_KEY=key)
        assert done.returncode == 1
        assert code in done.stderr
        assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_the_example_of_a_folder_cuts_all_of_it(server: Served, tmp_path: Path) -> None:
    """Side by side, by httpx."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(6):
        (photos / f"{number}.jpg").write_bytes(photo(120 + number, 90))

    done = run([_python(), str(EXAMPLES / "cut_httpx.py"), "photos", "cutouts"], tmp_path, BGONE_URL=server.url)

    assert done.returncode == 0, done.stderr
    cut = sorted((tmp_path / "cutouts").iterdir())
    assert [path.name for path in cut] == [f"{number}.webp" for number in range(6)]
    assert all(path.read_bytes()[8:12] == b"WEBP" for path in cut)


def test_every_example_is_run_and_told() -> None:
    """A file of examples/ is in the table of its page, and here."""
    files = {path.name for path in EXAMPLES.iterdir()} - {"README.md"}
    assert files == {*RUNNERS, "cut_httpx.py"}
    assert set(re.findall(r"\| \[([\w.]+)\]", (EXAMPLES / "README.md").read_text())) == files
