"""The page at ``/console/``, driven: an operator's hands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Browser, Locator, Page, expect

from tests.api.console.browser import WAIT_MS, Visit, visit
from tests.pictures import ball, photo
from tests.serving import Served

ADMIN = "operators-own-kéy"
PHOTO = photo(81, 60, of=ball)
ENOUGH_S = 45.0


@dataclass
class Office:
    """The page, opened.

    Attributes:
        visit: What it did.
        served: Its server.
    """

    visit: Visit
    served: Served

    @property
    def page(self) -> Page:
        """The browser's."""
        return self.visit.page

    def enter(self, key: str = ADMIN) -> None:
        """Type the key and use it."""
        self.page.get_by_label("Admin key").fill(key)
        self.page.get_by_role("button", name="Use this key").click()

    def go(self, view: str, title: str = "") -> None:
        """By the link above the views."""
        self.page.get_by_role("navigation", name="Views").get_by_role("link", name=view).click()
        self.title(title or view)

    def open(self, address: str, title: str) -> None:
        """By its address."""
        self.page.evaluate("address => { location.hash = address }", address)
        self.title(title)

    def title(self, words: str) -> None:
        """Wait until a view is there."""
        expect(self.page.locator("#view h1")).to_have_text(words)

    def press(self, name: str) -> None:
        """A button of the view."""
        self.page.locator("#view").get_by_role("button", name=name, exact=True).click()

    @property
    def dialog(self) -> Locator:
        """The open one."""
        return self.page.get_by_role("dialog")

    def fill(self, submit: str, **fields: str) -> None:
        """Answer a dialog."""
        for name, value in fields.items():
            field = self.dialog.locator(f"[name={name}]")
            if field.evaluate("field => field.tagName") == "SELECT":
                field.select_option(value)
            else:
                field.fill(value)
        self.dialog.get_by_role("button", name=submit, exact=True).click()

    def secret(self) -> str:
        """The new key, which is shown once; the dialog is closed then."""
        shown = self.page.locator("#secret").inner_text()
        self.dialog.get_by_role("button", name="Done").click()
        expect(self.page.locator("dialog")).to_have_count(0)
        return shown

    def row(self, words: str) -> Locator:
        """A row of a table."""
        return self.page.get_by_role("row").filter(has_text=words)

    def api(self, method: str, path: str, **options: Any) -> Any:
        """The same by the API."""
        with self.served.client() as client:
            headers = {b"x-api-key": ADMIN.encode()}
            answer = client.request(method, f"/admin/v1/{path}", headers=headers, **options)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()


@contextmanager
def closed_office(browser: Browser, served: Served, **context: Any) -> Iterator[Office]:
    """The page, before a key is typed."""
    with visit(browser, served.url, path="/console/", **context) as seen:
        expect.set_options(timeout=WAIT_MS)
        yield Office(seen, served)


def cut(served: Served, key: str) -> int:
    """The status of a call with a key."""
    return served.post("/cut/v1", content=PHOTO, headers={"x-api-key": key}).status_code


def hand_in(served: Served, key: str, url: str = "") -> str:
    """A new job's id."""
    data = {"webhook_url": url} if url else {}
    headers = {"authorization": f"Bearer {key}"}
    answer = served.post("/api/v1/remove-bg", files={"image_file": ("x.jpg", PHOTO)}, data=data, headers=headers)
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json()["jobId"]
    return job_id


def until(true: Callable[[], object]) -> None:
    """Wait for something that the server does behind."""
    give_up_at = time.monotonic() + ENOUGH_S
    while not true():
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
