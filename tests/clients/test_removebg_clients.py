"""Programs written for remove.bg, unchanged but for the address they talk to.

Not here: the official clients in Go, Ruby and PHP, whose requests ``tests/api/test_removebg_http.py`` repeats.
"""

from __future__ import annotations

import base64
import json
import re
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

# The lines that docs/migrate-from-remove-bg.md tells the users of these packages to write.
PAGE = Path(__file__).parents[2] / "docs" / "migrate-from-remove-bg.md"
REMOVEBG = 'removebg.removebg.API_ENDPOINT = "http://HOST:8000/v1.0/removebg"'
REMOVE_BG_API = 'remove_bg_api.API_URL = "http://HOST:8000/v1.0"'
REMBGPY = 'rembgpy.bg.base_url = "http://HOST:8000/v1.0/removebg"'

# removebg-cli has an address in the middle of a function: what it asks of api.remove.bg is asked of the test's server.
REDIRECT = """
plain = requests.sessions.Session.request
def here(self, method, url, **options):
    return plain(self, method, url.replace("https://api.remove.bg", os.environ["SERVER"]), **options)
requests.sessions.Session.request = here
"""


@pytest.fixture(scope="session")
def python() -> Path:
    """An interpreter that has the Python clients."""
    return install.python_packages(
        "removebg", "removebg==0.4", "remove-bg-api==0.2.1", "removebg-cli==1.0.0", "rembgpy==1.0.1",
        "requests==2.32.5", "rich==14.1.0",
    )  # fmt: skip


def _redirect(modules: Path) -> None:
    """The addresses that the JavaScript clients have built in."""
    for path in ("remove.bg/dist/index.js", "removd/lib/manage.js", "removd/lib/balance.js"):
        text = (modules / path).read_text()
        changed = re.sub(r"""(["'])https://api\.remove\.bg/""", r"process.env.SERVER + \1/", text)
        assert changed != text
        (modules / path).write_text(changed)


@pytest.fixture(scope="session")
def node() -> Path:
    """A folder where node finds the JavaScript clients."""
    # removd's own sharp is compiled at install time; a newer one comes compiled.
    packages = {"remove.bg": "1.3.0", "removd": "1.1.1"}
    return install.node_packages("removebg", packages, overrides={"sharp": "0.33.5"}, edit=_redirect)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A photo in a file."""
    path = tmp_path / "photo.jpg"
    path.write_bytes(PHOTO)
    return path


@pytest.fixture(scope="module")
def link() -> Iterator[str]:
    """A URL of the photo."""
    with site({"/photo.jpg": PHOTO}) as address:
        yield f"{address}/photo.jpg"


def ask_python(python: Path, server: Served, folder: Path, script: str, *arguments: str) -> Any:
    """What a Python program prints, as JSON; ``HOST:8000`` in it is the server."""
    script = script.replace("HOST:8000", f"127.0.0.1:{server.port}")
    done = install.run(
        [str(python), "-c", "import json, os, sys, requests\n" + script, *arguments],
        folder,
        SERVER=server.url,
        REMOVE_BG_API_KEY="k",
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def ask_node(node: Path, server: Served, script: str, *arguments: str) -> Any:
    """What a JavaScript program prints, as JSON."""
    done = install.run(["node", "-e", script, *arguments], node, SERVER=server.url)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def is_cutout(data: bytes, width: int = 321, height: int = 240) -> bool:
    """RGBA of this size, the ball in, the wall out."""
    pixels = decode(data)
    assert pixels.shape == (height, width, 4)
    return bool(pixels[height // 2, width // 2, 3] == 255 and pixels[2, 2, 3] == 0)


def corner(data: bytes) -> tuple[int, ...]:
    """RGB of the background."""
    return tuple(int(value) for value in decode(data)[2, 2][:3])


# --- Python ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", [REMOVEBG, REMOVE_BG_API, REMBGPY])
def test_the_migration_page_has_the_lines_that_are_tested(line: str) -> None:
    """What is told is what works."""
    assert f"`{line}`" in PAGE.read_text()


def test_pypi_removebg(python: Path, server: Served, picture: Path, link: str) -> None:
    """File, URL and base64 are written to files; ``regular`` is its default size."""
    script = f"""
import removebg.removebg
{REMOVEBG}
from removebg import RemoveBg
path, url, text = sys.argv[1:]
client = RemoveBg("k", "error.log")
client.remove_background_from_img_file(path)
client.remove_background_from_img_url(url, new_file_name="url.png")
client.remove_background_from_base64_img(text, size="4k", new_file_name="base64.png")
client.remove_background_from_img_file(path, bg_color="#00ff00")
os.replace(path + "_no_bg.png", "green.jpg")
client.remove_background_from_img_file(path)
try:
    client.remove_background_from_img_file(path, size="huge")
except requests.exceptions.HTTPError as error:
    json.dump(error.response.json(), sys.stdout)
"""
    folder = picture.parent
    text = base64.b64encode(PHOTO).decode()
    complaint = ask_python(python, server, folder, script, str(picture), link, text)

    for name in ("photo.jpg_no_bg.png", "url.png", "base64.png"):
        assert is_cutout((folder / name).read_bytes())
    assert corner((folder / "green.jpg").read_bytes()) == pytest.approx((0, 255, 0), abs=3)
    assert complaint["errors"][0]["code"] == "invalid_size"


def test_pypi_remove_bg_api(python: Path, server: Served, picture: Path, link: str) -> None:
    """Asks for the account first and counts credits off as integers, which full pictures cost."""
    script = f"""
import remove_bg_api
{REMOVE_BG_API}
from remove_bg_api import RemoveBg
path, url = sys.argv[1:]
client = RemoveBg("k")
before = client.account.balance()
client.remove_bg_file(path, out_path="file.png", size="full", raw=False)
open("url.png", "wb").write(client.remove_bg_url(url, size="full"))
spent = before - client.account.balance()
try:
    client.remove_bg_bytes(b"no picture at all", size="full")
    refused = False
except Exception as error:
    refused = type(error).__name__
credits = client.account.get_balance_dict()
json.dump([before, spent, refused, credits, client.account.free_api_calls()], sys.stdout)
"""
    before, spent, refused, credits_left, free_calls = ask_python(
        python, server, picture.parent, script, str(picture), link
    )

    assert is_cutout((picture.parent / "file.png").read_bytes())
    assert is_cutout((picture.parent / "url.png").read_bytes())
    assert (spent, refused) == (2, "ApiErrorCode400")
    assert credits_left["total"] == before == credits_left["subscription"] + credits_left["payg"]
    assert isinstance(free_calls, int)


def test_pypi_removebg_cli(python: Path, server: Served, picture: Path) -> None:
    """The command line: cut, account, and a complaint with the title."""
    script = f"""{REDIRECT}
import removebg_cli
ends = []
path, broken = sys.argv[1:]
for arguments in (["--account"], [path, "-o", "out/cut.png", "-c"], [broken], [path, "-b", "blurple"]):
    sys.argv[1:] = arguments
    with removebg_cli.console.capture() as said:
        try:
            removebg_cli.main()
            code = 0
        except SystemExit as end:
            code = end.code
    ends.append([code, said.get()])
json.dump(ends, sys.stdout)
"""
    broken = picture.parent / "broken.png"
    broken.write_bytes(b"no picture at all")
    account, cut, unreadable, colour = ask_python(python, server, picture.parent, script, str(picture), str(broken))

    assert account[0] == 0
    assert "1000000" in account[1]
    assert cut[0] == 0
    assert "0.25 credits" in cut[1]
    alpha = decode((picture.parent / "out" / "cut.png").read_bytes())[..., 3]
    assert all(side.any() for side in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))
    assert unreadable[0] == colour[0] == 1
    assert "[400]" in unreadable[1]
    assert "Invalid value for parameter 'bg_color'" in colour[1]


def test_pypi_rembgpy(python: Path, server: Served, picture: Path, link: str) -> None:
    """Sends every option in every request, ``roi`` with bare zeros and ``type_level=none``."""
    script = f"""
import rembgpy
{REMBGPY}
client = rembgpy.RemBg("k", "error.log")
said = [client.remove_b64(sys.argv[2], nfn="base64.png"), client.remove_img(sys.argv[1], nfn="url.png")]
client.remove_img(sys.argv[1], nfn="blue.jpg", bg_type="color", bg="0000ff", scale="60%", position="center")
json.dump(said, sys.stdout)
"""
    said = ask_python(python, server, picture.parent, script, link, base64.b64encode(PHOTO).decode())

    assert said == ["[*] Process finished."] * 2
    assert is_cutout((picture.parent / "base64.png").read_bytes())
    assert is_cutout((picture.parent / "url.png").read_bytes())
    assert corner((picture.parent / "blue.jpg").read_bytes()) == pytest.approx((0, 0, 255), abs=3)


# --- JavaScript -----------------------------------------------------------------------------------------------------


def test_npm_remove_bg(node: Path, server: Served, picture: Path, link: str) -> None:
    """JSON mode for file, URL and base64; facts from the headers; the list of errors where it fails."""
    script = """
const client = require('remove.bg');
const [path, url, base64img, outputFile] = process.argv.slice(1);
const key = {apiKey: 'k'};
(async () => {
    const file = await client.removeBackgroundFromImageFile({path, ...key, outputFile, size: 'hd', type: 'car'});
    const linked = await client.removeBackgroundFromImageUrl({url, ...key, crop: true, crop_margin: '5%'});
    const text = await client.removeBackgroundFromImageBase64({base64img, ...key, scale: '50%', bg_color: '#ff0000'});
    const errors = await client.removeBackgroundFromImageUrl({url, ...key, size: 'huge'}).catch(errors => errors);
    console.log(JSON.stringify([file, linked, text, errors]));
})();
"""
    out = picture.parent / "out.png"
    file, linked, text, complaints = ask_node(
        node, server, script, str(picture), link, base64.b64encode(PHOTO).decode(), str(out)
    )

    assert is_cutout(out.read_bytes())
    assert base64.b64decode(file["base64img"]) == out.read_bytes()
    assert (file["resultWidth"], file["resultHeight"]) == ("321", "240")
    assert (file["creditsCharged"], file["detectedType"]) == ("1", "car")
    assert linked["creditsCharged"] == "0.25"
    assert int(linked["resultWidth"]) < 321
    assert corner(base64.b64decode(text["base64img"])) == pytest.approx((255, 0, 0), abs=3)
    assert [item["code"] for item in complaints] == ["invalid_size"]


def test_npm_removd(node: Path, server: Served, picture: Path, link: str, tmp_path: Path) -> None:
    """Streams its JSON without a length and expects the picture itself; reads the account."""
    script = """
const client = require('removd');
const [source, url, destination] = process.argv.slice(1);
const apikey = 'k';
(async () => {
    const account = await client.account({api_key: apikey, apikey});
    const file = await client.file({source, destination: destination + '/file.png', apikey});
    const linked = await client.url({source: url, destination: destination + '/url.png', apikey});
    const jpg = await client.file({source, destination: destination + '/jpg.png', apikey, format: 'jpg'});
    console.log(JSON.stringify([account, file, linked, jpg]));
})();
"""
    account, file, linked, jpg = ask_node(node, server, script, str(picture), link, str(tmp_path))

    assert account["api"]["sizes"] == "all"
    assert set(account["credits"]) == {"total", "subscription", "payg", "enterprise"}
    for outcome, name in ((file, "file.png"), (linked, "url.png")):
        assert (outcome["destination"], outcome["dimensions"]) == (str(tmp_path / name), "321x240")
        assert (outcome["charged"], outcome["detected"]) == (0.25, "other")
        assert is_cutout((tmp_path / name).read_bytes())
    assert jpg["destination"].endswith((".jpg", ".jpeg"))
    assert decode(Path(jpg["destination"]).read_bytes()).shape == (240, 321, 3)
