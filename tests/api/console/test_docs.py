"""The page at ``/docs`` in a real browser: what it shows, how it is used, and that what it says to type works."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from bgone.api.openapi import pages
from bgone.api.openapi.document import document
from bgone.api.routes import DIALECTS
from tests.debian import program
from tests.pictures import ball, decode, photo
from tests.serving import Served

VIEWER = Path(pages.__file__).parent / "viewer"
MOST_BYTES = 60_000  # of the page and all that it asks for, gzipped; the console's own style included
WAIT_MS = 20_000


@contextmanager
def reading(browser: Browser, server: Served, place: str = "", **context: object) -> Iterator[Page]:
    """The page, opened; nothing of other hosts is asked for, and nothing complains."""
    opened = browser.new_context(**context)  # type: ignore[arg-type]
    opened.set_default_timeout(WAIT_MS)
    asked: list[str] = []
    complaints: list[str] = []
    page = opened.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda said: complaints.append(f"{said.type}: {said.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    try:
        page.goto(f"{server.url}/docs{place}")
        page.wait_for_selector("main h1")
        yield page
        assert {urlsplit(url).netloc for url in asked} == {urlsplit(server.url).netloc}
        assert complaints == []
    finally:
        opened.close()


def test_every_dialect_is_led_to(browser: Browser, server: Served) -> None:
    """The first page names all of them, and how many routes each has."""
    with reading(browser, server) as page:
        heads = page.locator("main a.panel h2").all_inner_texts()

    assert heads[: len(DIALECTS)] == [dialect.title for dialect in DIALECTS]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_dialects_routes_are_told(browser: Browser, server: Served, dialect: object) -> None:
    """Each with its fields, its answers and a line to type."""
    name = getattr(dialect, "name", "")
    told = document(DIALECTS, only=name)
    homes = [path for path, item in told["paths"].items() if "x-alias-of" not in next(iter(item.values()))]

    with reading(browser, server, f"#/{name}/") as page:
        panels = page.locator("main article")
        assert panels.count() >= len(homes)
        assert page.locator("main article pre").count() >= panels.count()
        assert page.locator("main article details.answer").count() >= panels.count()
        texts = page.locator("main").inner_text()

    assert all(path in texts for path in homes)


def test_search_finds_routes_by_what_they_take(browser: Browser, server: Served) -> None:
    """By keyboard alone: a slash leads to the search, what is found can be opened."""
    with reading(browser, server) as page:
        page.keyboard.press("/")
        page.keyboard.type("bg_color semitransparency")
        page.wait_for_function("document.querySelectorAll('#list a').length === 2")
        assert page.locator("#list summary").all_inner_texts() == ["remove.bg v1.0"]
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_selector("article[id='removebg.cut']")

        assert page.title() == "remove.bg v1.0: bgone's API"
        assert "1 routes found" in page.locator("#said").inner_text()


def test_a_link_leads_to_its_route(browser: Browser, server: Served) -> None:
    """Links that people send each other."""
    with reading(browser, server, "#/foner/foner.download") as page:
        assert page.evaluate("document.activeElement.id") == "foner.download"
        assert page.locator("#list a[aria-current=true]").inner_text().endswith("/v1/jobs/{id}/download")


@pytest.mark.parametrize("name", ["backgrounderase", "removebg", "clipdrop", "bgone"])
def test_what_it_says_to_type_works(browser: Browser, server: Served, tmp_path: Path, name: str) -> None:
    """The curl of a picture route, typed as it stands, brings a cutout."""
    program("curl", "curl")
    (tmp_path / "photo.jpg").write_bytes(photo(80, 60, of=ball))
    with reading(browser, server, f"#/{name}/") as page:
        typed = page.locator("main article pre").first.inner_text()

    done = subprocess.run(["sh", "-c", typed], cwd=tmp_path, capture_output=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert decode((tmp_path / "cutout.png").read_bytes()).shape[2] == 4


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_is_dark_and_light(browser: Browser, server: Served, scheme: str) -> None:
    """As the system says, until the button says otherwise."""
    with reading(browser, server, color_scheme=scheme) as page:
        ground = "getComputedStyle(document.documentElement).backgroundColor"
        before = page.evaluate(ground)
        page.locator("#theme").click()

        assert page.evaluate(ground) != before


def test_it_fits_a_phone(browser: Browser, server: Served) -> None:
    """Nothing is wider than the window."""
    with reading(browser, server, "#/bgone/", viewport={"width": 360, "height": 740}) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_it_is_small(server: Served) -> None:
    """Page, scripts, styles and the description together, as they go over the wire."""
    with server.client() as client:
        paths = ["/docs", "/openapi.json", "/static/console/style.css", "/static/console/dom.js"]
        paths += [f"/static/docs/{path.name}" for path in VIEWER.iterdir() if path.suffix != ".html"]
        answers = [client.get(path, headers={"accept-encoding": "gzip"}) for path in paths]

    assert all(answer.status_code == 200 for answer in answers)
    assert all(answer.headers["content-encoding"] == "gzip" for answer in answers)
    assert sum(int(answer.headers["content-length"]) for answer in answers) <= MOST_BYTES


def test_policy_is_strict(server: Served) -> None:
    """Nothing inline, nothing from elsewhere, no frame around it."""
    answer = server.get("/docs")
    policy = answer.headers["content-security-policy"]

    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'")
    assert "unsafe" not in policy
    assert "http:" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert len(gzip.compress(answer.content)) < 2_000
