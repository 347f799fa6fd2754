"""``pyclipdrop`` from PyPI, unchanged: its base URL is an argument, or the environment's ``BASE_URL``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from tests import pictures
from tests.clients import install
from tests.pictures import ball, decode, encode
from tests.serving import Served, serve

PHOTO = partial(pictures.photo, of=ball)(161, 120)
KEY = "k3y"

SCRIPT = """
import json, sys
from pyclipdrop import ClipdropClient
from pyclipdrop.exceptions import APIRequestError
picture, output, handling, options = sys.argv[1], sys.argv[2], sys.argv[3] or None, json.loads(sys.argv[4])
try:
    ClipdropClient(**options).remove_background(picture, transparency_handling=handling, output_file=output)
    print("done")
except APIRequestError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that needs a key."""
    with serve(tmp_path_factory.mktemp("guarded"), auth="required", api_keys=KEY) as served:
        yield served


def ask(folder: Path, picture: bytes, handling: str = "", *, key: str = KEY, name: str = "a.jpg", **where: str) -> str:
    """What a program prints that has the client write ``out.png``; ``where`` is an argument or a variable."""
    (folder / name).write_bytes(picture)
    python = install.python_packages("pyclipdrop", "pyclipdrop==1.0.1", "requests==2.32.5", "pydantic-settings==2.11.0")
    options = json.dumps({"api_key": key} | {k: v for k, v in where.items() if k == "base_url"})
    variables = {k: v for k, v in where.items() if k != "base_url"}
    arguments = [str(folder / name), str(folder / "out.png"), handling, options]
    done = install.run([str(python), "-c", SCRIPT, *arguments], folder, **variables)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("where", ["base_url", "BASE_URL"])
def test_pyclipdrop_cuts_a_photo(guarded: Served, tmp_path: Path, where: str) -> None:
    """It types a .jpg as image/jpg, names it by its whole path, and takes the answer for a PNG."""
    said = ask(tmp_path, PHOTO, **{where: guarded.url})

    assert said == "done"
    pixels = decode((tmp_path / "out.png").read_bytes())
    assert pixels.shape == (120, 161, 4)
    assert (pixels[60, 80, 3], pixels[2, 2, 3]) == (255, 0)


@pytest.mark.parametrize(("handling", "corner"), [("return_input_if_non_opaque", 255), ("discard_alpha_layer", 0)])
def test_pyclipdrop_handles_transparency(guarded: Served, tmp_path: Path, handling: str, corner: int) -> None:
    """A cutout comes back with its own alpha, or is cut anew."""
    cutout = np.dstack([ball(161, 120), np.full((120, 161), 255, np.uint8)])
    cutout[:, :20, 3] = 0

    assert ask(tmp_path, encode(cutout, "PNG"), handling, name="a.png", base_url=guarded.url) == "done"
    assert decode((tmp_path / "out.png").read_bytes())[2, 158, 3] == corner


@pytest.mark.parametrize(
    ("picture", "key", "words"),
    [(b"no picture", KEY, "The picture is damaged"), (PHOTO, "wrong", "This API key is not known.")],
)
def test_pyclipdrop_tells_why_it_was_refused(
    guarded: Served, tmp_path: Path, picture: bytes, key: str, words: str
) -> None:
    """The text of ``error`` reaches its caller."""
    said = ask(tmp_path, picture, key=key, base_url=guarded.url)

    assert f"The request to the Clipdrop API failed: {words}" in said
