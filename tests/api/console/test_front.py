"""What the server hands out for the page at ``/``: to whom, with which headers, and how much of it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from bgone import __version__
from bgone.api.console.front import FOLDER, ROOT, front_page
from bgone.api.render_options import OPTIONS, PICTURES
from bgone.matting.models import EMBEDDED
from tests.serving import Served

HTML = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}
MOST_BYTES = 150_000
ASSETS = sorted(path.name for path in (FOLDER / "assets").iterdir())
PAGE = front_page(keys_needed=False, most_bytes=100_000_000, models=(EMBEDDED,)).body.decode()


class _Tags(HTMLParser):
    """Every tag with its attributes, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))


def tags(text: str = PAGE) -> list[tuple[str, dict[str, str]]]:
    """Tags of the page."""
    parser = _Tags()
    parser.feed(text)
    return parser.found


# --- who gets it ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", [HTML["accept"], "text/html", "TEXT/HTML;q=0.5", "application/json, text/html"])
def test_browsers_get_the_page(server: Served, accept: str) -> None:
    """Whoever names ``text/html``."""
    answer = server.get("/", headers={"accept": accept})

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text == PAGE


@pytest.mark.parametrize("accept", ["*/*", "", "application/json", "text/*", "text/html;q=0", "text/html; q=0.0"])
def test_everybody_else_gets_the_state(server: Served, accept: str) -> None:
    """Probes send ``*/*`` or nothing; their answer stays JSON, and caches are told what it depends on."""
    answer = server.get("/", headers={"accept": accept})

    assert answer.json()["status"] == "ok"
    assert answer.headers["vary"] == "accept"


def test_head_tells_what_get_would(server: Served) -> None:
    """Same headers, no body."""
    with server.client() as client:
        get, head = (client.request(method, "/", headers=HTML) for method in ("GET", "HEAD"))

    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]
    assert head.headers["etag"] == get.headers["etag"]


@pytest.mark.parametrize("path", ["/", ROOT + "main.js"])
def test_posting_to_the_page_is_refused(server: Served, path: str) -> None:
    """Pages are read only."""
    answer = server.post(path, headers=HTML, content=b"x")

    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]


# --- headers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", ROOT + "main.js", ROOT + "style.css", ROOT + "icon.svg"])
def test_nothing_foreign_may_run(server: Served, path: str) -> None:
    """A policy without exceptions, on the page and on what it loads."""
    answer = server.get(path, headers=HTML)
    policy = dict(rule.split(" ", 1) for rule in answer.headers["content-security-policy"].split("; "))

    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": "'self'",
        "img-src": "'self' data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-request-id"].startswith("req_")
    assert "set-cookie" not in answer.headers


def test_page_gives_up_what_it_does_not_need(server: Served) -> None:
    """No camera, no place, nobody's window."""
    headers = server.get("/", headers=HTML).headers

    assert {"camera=()", "geolocation=()", "microphone=()"} <= set(headers["permissions-policy"].split(", "))
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["vary"] == "accept, accept-encoding"


@pytest.mark.parametrize("name", ["", *ASSETS])
def test_browsers_that_have_it_load_nothing(server: Served, name: str) -> None:
    """A strong tag, asked for again each time, and answered 304 while it holds."""
    path = ROOT + name if name else "/"
    first = server.get(path, headers=HTML)
    again = server.get(path, headers={**HTML, "if-none-match": first.headers["etag"]})

    assert re.fullmatch(r'"[0-9a-f]{20}(-gz)?"', first.headers["etag"])
    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    ("name", "media_type"), [("main.js", "text/javascript"), ("style.css", "text/css"), ("icon.svg", "image/svg+xml")]
)
def test_assets_say_what_they_are(server: Served, name: str, media_type: str) -> None:
    """Browsers run no module and take no sheet of another type."""
    answer = server.get(ROOT + name, headers={"accept-encoding": "identity"})

    assert answer.headers["content-type"].split(";")[0] == media_type
    assert answer.content == (FOLDER / "assets" / name).read_bytes()


@pytest.mark.parametrize("name", ["none.js", "page.html", "..%2Ffront.py", "%2e%2e/page.html"])
def test_only_assets_are_served(server: Served, name: str) -> None:
    """Neither the page's source nor anything beside it."""
    assert server.get(ROOT + name).status_code == 404


# --- what is in it --------------------------------------------------------------------------------------------------


def test_all_of_it_is_small(server: Served) -> None:
    """The page with everything it can load, as it crosses the wire."""
    lengths = {}
    with server.client() as client:
        for path in ["/", *(ROOT + name for name in ASSETS)]:
            answer = client.get(path, headers={**HTML, "accept-encoding": "gzip"})
            assert answer.headers.get("content-encoding") == "gzip" or len(answer.content) < 300
            lengths[path] = int(answer.headers["content-length"]) + sum(
                len(name) + len(value) + 4 for name, value in answer.headers.items()
            )

    assert sum(lengths.values()) <= MOST_BYTES, lengths


def test_page_loads_only_what_is_here() -> None:
    """Each script, sheet and picture that it names is an asset, each asset is named by it or by another."""
    named = {
        attributes[name]
        for _, attributes in tags()
        for name in ("src", "href")
        if name in attributes and not attributes[name].startswith("#")
    }
    assets = {address.removeprefix("static/console/") for address in named if address.startswith("static/")}

    assert named - {f"static/console/{name}" for name in assets} == {"./", "docs"}
    assert assets <= set(ASSETS)
    used = "".join((FOLDER / "assets" / name).read_text() for name in ASSETS)
    modules = {name for name in ASSETS if name.endswith(".js")}
    assert {name for name in modules if f'"./{name}"' in used} | {"main.js"} <= assets


def test_page_has_nothing_inline() -> None:
    """The policy would stop it: no script or style between tags, no ``style`` and no ``on…`` attributes."""
    assert all(attributes.get("src") for tag, attributes in tags() if tag == "script")
    assert not [tag for tag, _ in tags() if tag == "style"]
    assert not [name for _, attributes in tags() for name in attributes if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("name", ["page", *ASSETS])
def test_nothing_names_another_host(name: str) -> None:
    """Not even in a comment; XML's namespace is a name, not an address."""
    text = PAGE if name == "page" else (FOLDER / "assets" / name).read_text()

    assert set(re.findall(r"//([\w-]+\.[\w.-]+)", text)) - {"www.w3.org"} == set()


def controls() -> dict[str, list[tuple[str, dict[str, str]]]]:
    """Option → the controls that set it."""
    found: dict[str, list[tuple[str, dict[str, str]]]] = {}
    for tag, attributes in tags():
        if "data-option" in attributes:
            found.setdefault(attributes["data-option"], []).append((tag, attributes))
    return found


def test_every_option_has_a_control() -> None:
    """All of the API's own, and none that it does not know; base64 is for programs."""
    grounds = {name for name in PICTURES if name.startswith("background")} - {"background_base64"}

    assert set(controls()) == set(OPTIONS) | grounds | {"model"}


@pytest.mark.parametrize("option", [option for option in OPTIONS.values() if option.choices], ids=lambda one: one.name)
def test_closed_lists_offer_every_word(option: object) -> None:
    """The same words, the same default."""
    row = OPTIONS[option.name]  # type: ignore[attr-defined]
    head, _, rest = PAGE.partition(f'data-option="{row.name}"')
    offered = re.findall(r'<option value="([^"]*)"', rest.partition("</select>")[0])
    default = re.search(r'data-default="([^"]*)"', rest.partition(">")[0])

    assert head
    assert set(offered) == set(row.choices)
    assert default is not None
    assert default[1] == row.choices[0] == offered[0]


def test_every_control_has_a_label() -> None:
    """A ``label`` around it or for it, or words of its own."""
    labelled = {attributes["for"] for tag, attributes in tags() if tag == "label" and "for" in attributes}
    bare = [
        attributes
        for tag, attributes in tags()
        if tag in ("input", "select")
        and "hidden" not in attributes
        and attributes.get("type") not in ("radio", "checkbox")
        and "aria-label" not in attributes
        and attributes.get("id") not in labelled
    ]

    assert bare == []


def test_page_knows_the_server() -> None:
    """Version, keys, the largest file and the models are filled in, whatever a model's file is called."""
    page = front_page(keys_needed=True, most_bytes=30_000_000, models=("a", 'my "net"')).body.decode()

    assert 'data-keys="needed" data-max-bytes="30000000" data-models="a/my &quot;net&quot;"' in page
    assert f"bgone {__version__}." in page
    assert "{{" not in page
