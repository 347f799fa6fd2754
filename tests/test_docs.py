"""The documentation site is whole: no broken link or anchor, no third party, and a menu that leads to every page."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator

from tests.conftest import ROOT

_ASSET = re.compile(r"""(?:src|href)="(https?:)?//[^"]+\.(?:js|css|woff2?|png|svg|jpg)""")


def test_the_site_builds_strictly() -> None:
    """``make docs``: every link and every anchor leads somewhere; scripts, styles, fonts and pictures are its own."""
    built = subprocess.run([sys.executable, ROOT / "docs" / "site.py"], capture_output=True, text=True, check=False)

    assert built.returncode == 0, built.stdout + built.stderr
    assert "No issues found" in built.stdout + built.stderr
    pages = sorted((ROOT / "build" / "site").rglob("*.html"))
    assert len(pages) > 30
    strangers = {found[0] for page in pages for found in _ASSET.finditer(page.read_text())}
    assert strangers == set()


def test_every_page_is_in_the_menu() -> None:
    """And the menu leads to no page that is not there."""
    menu = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]["nav"]
    listed = list(_leaves(menu))

    list_pages = [sys.executable, str(ROOT / "docs" / "site.py"), "--pages"]
    staged = set(subprocess.run(list_pages, capture_output=True, text=True, check=True).stdout.split())
    assert len(listed) == len(set(listed))
    assert set(listed) == staged


def _leaves(entries: list[dict[str, object]]) -> Iterator[str]:
    for entry in entries:
        for value in entry.values():
            if isinstance(value, list):
                yield from _leaves(value)
            else:
                yield str(value)
