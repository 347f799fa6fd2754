"""A server that asks for a key: the page has a field for it, and keeps it nowhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.console.browser import Visit
from tests.api.console.conftest import Open
from tests.serving import Served, serve

KEY = "a-key-that-is-long-enough"
STORED = """async () => ({
    local: localStorage.length, session: sessionStorage.length, cookie: document.cookie,
    databases: (await indexedDB.databases()).length, caches: (await caches.keys()).length,
    workers: (await navigator.serviceWorker.getRegistrations()).length,
    state: JSON.stringify(history.state), address: location.href,
})"""


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a key."""
    with serve(tmp_path_factory.mktemp("locked"), api_keys=KEY) as served:
        yield served


def enter(console: Visit, key: str) -> None:
    """Type a key and use it."""
    console.page.get_by_label("Key", exact=True).fill(key)
    console.page.get_by_role("button", name="Use this key").click()


def test_a_key_is_asked_for_at_once_and_kept_in_memory_only(locked: Served, opened: Open, ball_photo: Path) -> None:
    """The picture waits, then is cut; a reload forgets."""
    with opened(locked.url) as console:
        sent: list[str] = []
        console.page.on("request", lambda asked: sent.append(asked.url))
        assert console.page.get_by_role("heading", name="This server asks for a key").is_visible()
        console.add(ball_photo)
        assert console.page.locator(".note").inner_text() == "Waiting for a key"
        assert [address for address in sent if "cut" in address.rpartition("/")[2]] == []
        assert console.page.evaluate("document.activeElement.id") == "key-value"

        enter(console, KEY)
        console.ready()
        assert console.page.locator("#key").is_hidden()
        assert console.page.locator("#key-value").input_value() == ""
        assert not any(KEY in address for address in sent)
        kept = console.page.evaluate(STORED)
        assert kept == {
            **dict.fromkeys(("local", "session", "databases", "caches", "workers"), 0),
            "cookie": "",
            "state": "null",
            "address": f"{locked.url}/",
        }
        assert KEY not in console.page.content()

        console.page.reload()
        console.page.wait_for_selector("body[data-ready]", state="attached")
        assert console.page.locator("#key").is_visible()


def test_a_wrong_key_is_told_in_words(locked: Served, opened: Open, ball_photo: Path) -> None:
    """The server's own, and the field is there again; the right one goes on where it stopped."""
    with opened(locked.url) as console:
        console.add(ball_photo)
        enter(console, "a-wrong-key")
        console.page.locator("#key-wrong").wait_for()
        assert console.page.locator("#key-wrong").inner_text() == "This API key is not known."
        assert console.page.locator(".note").inner_text() == "Waiting for a key"

        enter(console, KEY)
        console.ready()


def test_another_key_can_be_used_later(locked: Served, opened: Open, ball_photo: Path) -> None:
    """The button in the head opens the field again."""
    with opened(locked.url) as console:
        enter(console, "a-wrong-key")
        console.page.get_by_role("button", name="Key", exact=True).click()
        enter(console, KEY)
        console.add(ball_photo)
        console.ready()


def test_nothing_that_costs_is_done_unasked(locked: Served, opened: Open) -> None:
    """With a key each drawing may cost a credit: redrawing starts switched off."""
    with opened(locked.url) as console:
        assert not console.page.get_by_label("Redraw the picture as I change things").is_checked()


def test_programs_read_the_key_from_the_environment(locked: Served, opened: Open) -> None:
    """The text to be copied names it, and never shows it."""
    with opened(locked.url) as console:
        enter(console, KEY)
        texts = []
        for tab in ("curl", "Python", "JavaScript"):
            console.page.get_by_role("tab", name=tab).click()
            texts.append(console.page.locator("#snippet").inner_text())

    assert all("BGONE_KEY" in text and KEY not in text for text in texts)


def test_an_open_server_asks_for_none(console: Visit) -> None:
    """No field where none is needed."""
    assert console.page.locator("#key").is_hidden()
    assert console.page.locator("#key-open").is_hidden()
