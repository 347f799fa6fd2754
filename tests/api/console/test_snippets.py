"""The programs that the page shows really run, and get the same picture."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.api.console.browser import Visit
from tests.api.console.conftest import Open
from tests.api.console.test_cutting import downloaded
from tests.origin import site
from tests.pictures import ball, encode, photo
from tests.serving import Served, serve

KEY = "a-key-that-is-long-enough"
TABS = {"curl": ("sh",), "Python": (sys.executable, "-"), "JavaScript": ("node", "--input-type=module", "-")}


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a key."""
    with serve(tmp_path_factory.mktemp("locked"), api_keys=KEY, fetch_allow="127.0.0.0/8") as served:
        yield served


def run(console: Visit, tab: str, folder: Path) -> dict[str, bytes]:
    """Run what the page shows; what files it leaves beside those that were there."""
    command = TABS[tab]
    if shutil.which(command[0]) is None or (tab == "curl" and shutil.which("curl") is None):
        pytest.skip(f"needs {tab} on the PATH")
    console.page.get_by_role("tab", name=tab).click()
    program = console.page.locator("#snippet").inner_text()
    there = set(folder.iterdir())
    clean = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    done = subprocess.run(
        command,
        input=program,
        cwd=folder,
        env={**clean, "BGONE_KEY": KEY},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, f"{program}\n{done.stderr}"
    return {path.name: path.read_bytes() for path in set(folder.iterdir()) - there}


@pytest.mark.parametrize("tab", TABS)
@pytest.mark.parametrize(
    "name", ["photo.jpg", 'it\'s a "mug"; 50%, \\two\\ $HOME `id` \u00fc.jpg'], ids=["plain", "odd name"]
)
def test_programs_give_the_same_bytes(server: Served, opened: Open, tmp_path: Path, tab: str, name: str) -> None:
    """Of a file, with options that need quoting."""
    path = tmp_path / name
    path.write_bytes(photo(121, 81, of=ball))
    with opened(server.url) as console:
        console.add(path)
        console.page.locator("#live").uncheck()
        console.page.locator("[name=ground][value=colour]").check(force=True)
        console.page.locator("#o-background").fill("rgb(10, 20, 30)")
        console.open_groups()
        console.page.locator("#o-format").select_option("webp")
        console.page.locator("#o-max_side").fill("64")
        console.page.locator("#o-region").fill("0% 0% 90% 100%")
        console.page.locator("#update").click()
        console.ready()
        wanted = downloaded(console)[1]
        made = run(console, tab, tmp_path)

    assert made == {f"{name.removesuffix('.jpg')}-cutout.webp": wanted}


@pytest.mark.parametrize("tab", TABS)
def test_programs_with_key_address_and_background(locked: Served, opened: Open, tmp_path: Path, tab: str) -> None:
    """The key comes from the environment, the picture from its address, the background from a file."""
    ground = tmp_path / "ground.png"
    ground.write_bytes(encode(np.full((20, 30, 3), (20, 90, 160), np.uint8), "PNG"))
    with site({"/ball.jpg": photo(121, 81, of=ball)}) as origin, opened(locked.url) as console:
        console.page.locator("#key-value").fill(KEY)
        console.page.get_by_role("button", name="Use this key").click()
        console.page.locator("[name=ground][value=picture]").check(force=True)
        console.page.locator("#o-background_image").set_input_files(ground)
        console.page.get_by_label("Address of a picture").fill(f"{origin}/ball.jpg")
        console.page.get_by_role("button", name="Add").click()
        console.ready()
        name, wanted = downloaded(console)
        made = run(console, tab, tmp_path)

    assert made == {name: wanted}


def test_copying_gives_what_is_shown(server: Served, opened: Open) -> None:
    """One button, into the clipboard."""
    with opened(server.url, permissions=["clipboard-read", "clipboard-write"]) as console:
        console.page.get_by_role("tab", name="JavaScript").click()
        console.page.get_by_role("button", name="Copy").click()
        console.page.wait_for_function("() => document.querySelector('#said').textContent === 'Copied'")
        copied = console.page.evaluate("navigator.clipboard.readText()")

        assert copied.strip() == console.page.locator("#snippet").inner_text().strip()
