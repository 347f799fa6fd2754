"""What the server hands out for the page at ``/console/``: its address, its headers, and how much of it."""

from __future__ import annotations

import re

import pytest

from bgone.api.console.front import FOLDER
from bgone.api.console.front import ROOT as SHARED
from bgone.api.console.office import PATH, ROOT, office_page
from bgone.api.static import CSP
from tests.api.console.test_front import ASSETS as FRONT_ASSETS
from tests.api.console.test_front import MOST_BYTES, tags
from tests.serving import Served

ASSETS = sorted(path.name for path in (FOLDER / "office_assets").iterdir())
PAGE = office_page(has_accounts=True).body.decode()
USED = ("style.css", "dom.js", "icon.svg")  # of those of the page at /


def test_it_is_served(server: Served) -> None:
    """To everybody: it holds no secret. It says what to do where there are no accounts."""
    answer = server.get(PATH)

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text == office_page(has_accounts=False).body.decode()
    assert 'data-accounts="none"' in answer.text
    assert 'data-accounts="yes"' in PAGE
    assert "{{" not in PAGE


def test_without_its_slash_it_leads_there(server: Served) -> None:
    """By a relative address, which is right below a proxy's path as well."""
    with server.client() as client:
        answer = client.get("/console", follow_redirects=False)
        followed = client.get("/console", follow_redirects=True)

    assert (answer.status_code, answer.headers["location"]) == (308, "console/")
    assert (followed.status_code, followed.url.path) == (200, PATH)


@pytest.mark.parametrize("path", [PATH, "/console", ROOT + "main.js"])
def test_posting_to_it_is_refused(server: Served, path: str) -> None:
    """Pages are read only."""
    answer = server.post(path, content=b"x")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", [PATH, ROOT + "main.js", ROOT + "office.css"])
def test_nothing_foreign_may_run(server: Served, path: str) -> None:
    """The same policy as the other page, without exceptions; no cookies; no frames around it."""
    answer = server.get(path)

    assert answer.headers["content-security-policy"] == CSP
    assert "unsafe" not in CSP
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "set-cookie" not in answer.headers
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["none.js", "office.html", "..%2Foffice.py", "%2e%2e/office.html"])
def test_only_assets_are_served(server: Served, name: str) -> None:
    """Neither the page's source nor anything beside it."""
    assert server.get(ROOT + name).status_code == 404


def test_both_pages_together_are_small(server: Served) -> None:
    """With everything that they can load, as it crosses the wire."""
    lengths = {}
    paths = ["/", PATH, *(SHARED + name for name in FRONT_ASSETS), *(ROOT + name for name in ASSETS)]
    with server.client() as client:
        for path in paths:
            answer = client.get(path, headers={"accept": "text/html", "accept-encoding": "gzip"})
            assert answer.status_code == 200
            lengths[path] = int(answer.headers["content-length"])

    assert sum(lengths.values()) <= MOST_BYTES, lengths


def test_page_loads_only_what_is_here() -> None:
    """Each script and sheet that it names is an asset, and each asset is named; modules import no others."""
    named = {attributes[name] for _, attributes in tags(PAGE) for name in ("src", "href") if name in attributes}
    static = {address.removeprefix("..") for address in named if "static/" in address}

    assert static == {*(SHARED + name for name in USED), *(ROOT + name for name in ASSETS)}
    links = {address for address in named if "static/" not in address and not address.startswith("#")}
    assert links == {"../", "../docs"}
    for name in ASSETS:
        imported = re.findall(r'from "(.*?)"', (FOLDER / "office_assets" / name).read_text())
        assert set(imported) <= {"../dom.js", *(f"./{other}" for other in ASSETS)}


def test_page_has_nothing_inline() -> None:
    """The policy would stop it."""
    found = tags(PAGE)

    assert all(attributes.get("src") for tag, attributes in found if tag == "script")
    assert not [tag for tag, _ in found if tag == "style"]
    assert not [name for _, attributes in found for name in attributes if name == "style" or name.startswith("on")]


@pytest.mark.parametrize("name", ASSETS)
def test_no_module_makes_markup_of_text(name: str) -> None:
    """Names of accounts and words of strangers' servers are text, never markup; nothing is kept, no host is named."""
    text = (FOLDER / "office_assets" / name).read_text()

    forbidden = (
        "innerHTML|outerHTML|insertAdjacentHTML|document.write|eval|localStorage|sessionStorage|indexedDB|cookie"
    )
    assert re.findall(rf"\b(?:{forbidden})\b", text) == []
    assert set(re.findall(r"//([\w-]+\.[\w.-]+)", text)) - {"www.w3.org"} == set()
