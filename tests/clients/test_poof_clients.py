"""``poofbg`` from PyPI, old and new, unchanged: only its base URL is the test server's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests import pictures
from tests.clients import install
from tests.origin import site
from tests.pictures import ball, decode
from tests.serving import Served

PHOTO = partial(pictures.photo, of=ball)(321, 240)

PRELUDE = """
import json, os, sys
from poof import *
client = Poof(api_key="pk_test", base_url=os.environ["SERVER"] + "/v1")
def facts(result, name):
    result.save(name)
    assert result.request_id.startswith("req_")
    return [result.content_type, result.width, result.height, type(result.processing_time_ms).__name__]
def refused(**options):
    try:
        client.remove_background(options.pop("image", b"no picture at all"), **options)
    except PoofError as error:
        return [type(error).__name__, error.status_code, error.code, error.details, error.request_id]
"""


def ask(version: str, server: Served, folder: Path, script: str, *arguments: str) -> Any:
    """What a program that uses this version prints, as JSON."""
    python = install.python_packages(f"poofbg-{version}", f"poofbg=={version}", "httpx==0.28.1")
    done = install.run([str(python), "-c", PRELUDE + script, *arguments], folder, SERVER=server.url)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A photo in a file."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(PHOTO)
    return path


@pytest.fixture
def link() -> Iterator[str]:
    """A URL of the photo."""
    with site({"/photo.jpg": PHOTO}) as address:
        yield f"{address}/photo.jpg"


def check_refusals(complaints: list[list[Any]], *details: str) -> None:
    """Each is a ValidationError that says what was wrong."""
    for complaint, detail in zip(complaints, details, strict=True):
        name, status, code, said, request_id = complaint
        assert (name, status, code) == ("ValidationError", 400, "validation_error")
        assert detail in said
        assert request_id.startswith("req_")


def test_poofbg_0_1(server: Served, picture: Path) -> None:
    """The field ``image_file``, the sizes ``small`` and ``large``, and ``crop`` sent as text."""
    script = """
path = sys.argv[1]
said = [
    facts(client.remove_background(path), "plain.png"),
    facts(client.remove_background(open(path, "rb"), format="webp", size="preview", crop=False), "small.webp"),
    facts(client.remove_background(open(path, "rb").read(), format="jpg", channels="rgb", bg_color="#00ff00",
                                   size="large", crop=True), "green.jpg"),
]
json.dump([said, client.me(), [refused(), refused(image=path, size="4k")]], sys.stdout)
"""
    said, account, complaints = ask("0.1.0", server, picture.parent, script, str(picture))
    (plain, small, green), folder = said, picture.parent

    assert plain == ["image/png", 321, 240, "int"]
    assert decode((folder / "plain.png").read_bytes()).shape == (240, 321, 4)
    assert small == ["image/webp", 256, 191, "int"]
    pixels = decode((folder / "green.jpg").read_bytes())
    assert green == ["image/jpeg", pixels.shape[1], pixels.shape[0], "int"]
    assert pixels.shape[0] < 200
    assert pixels[1, 1].tolist() == pytest.approx([0, 255, 0], abs=3)
    assert set(account) == {"organizationId", "plan", "maxCredits", "usedCredits", "autoRechargeThreshold"}
    check_refusals(complaints, "not a picture", "size")


# What 0.2 and later have in common: alpha, hd, ratios, padding and frames.
NEWER = """
path = sys.argv[1]
said = [
    facts(client.remove_background(path, channels="alpha", size="hd"), "alpha.png"),
    facts(client.remove_background(path, crop="1:1", padding="10%"), "square.png"),
    facts(client.remove_background(path, crop=True, width=500, height=400, fit="contain"), "frame.png"),
    facts(client.remove_background(path, width=100), "narrow.png"),
    facts(client.remove_background(path, width=150, height=150, fit="cover", format="webp"), "cover.webp"),
]
complaints = [refused(image=path, width=6001), refused(image=path, crop="yes"), refused(image=path, padding="10px")]
"""


def check_newer(said: list[list[Any]], folder: Path) -> None:
    alpha, square, frame, narrow, cover = said
    assert alpha == ["image/png", 321, 240, "int"]
    assert decode((folder / "alpha.png").read_bytes()).ndim == 2
    assert square[1] == pytest.approx(square[2], abs=1)
    assert frame == ["image/png", 500, 400, "int"]
    assert narrow == ["image/png", 100, 75, "int"]
    assert cover == ["image/webp", 150, 150, "int"]
    for (_type, width, height, _int), name in zip(said, ("alpha.png", "square.png", "frame.png"), strict=False):
        assert decode((folder / name).read_bytes()).shape[:2] == (height, width)


def test_poofbg_0_2(server: Served, picture: Path) -> None:
    """Still ``image_file``, with the new options."""
    script = NEWER + "json.dump([said, complaints], sys.stdout)"
    said, complaints = ask("0.2.0", server, picture.parent, script, str(picture))

    check_newer(said, picture.parent)
    check_refusals(complaints, "width", "crop", "padding")


def test_poofbg_0_4(server: Served, picture: Path, link: str) -> None:
    """The field ``file`` or ``url``, the latter in a urlencoded form; videos are refused, and no job is ever found."""
    script = (
        NEWER
        + """
said.append(facts(client.remove_background(url=sys.argv[2]), "linked.png"))
said.append(facts(client.remove_background(path), "plain.png"))
video = bytes(4) + b"ftypisom" + bytes(5000)
complaints += [refused(image=video), refused(image=None, url=sys.argv[2] + ".gone")]
try:
    client.get_job("job_8f3a1c2e9b7d4a10")
    lost = None
except PoofError as error:
    lost = [error.status_code, error.code]
json.dump([said, complaints, lost], sys.stdout)
"""
    )
    said, complaints, lost = ask("0.4.1", server, picture.parent, script, str(picture), link)
    folder = picture.parent

    check_newer(said[:5], folder)
    assert said[5] == ["image/png", 321, 240, "int"]
    assert (folder / "linked.png").read_bytes() == (folder / "plain.png").read_bytes()
    check_refusals(complaints, "width", "crop", "padding", "not a picture", "fetched")
    assert lost == [404, "job_not_found"]
