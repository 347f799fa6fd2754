"""A real Chromium, driven: Debian's, installed where it is missing."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, Request, sync_playwright
from playwright.sync_api import TimeoutError as PageTimeoutError

from tests.debian import program

READY = """count => document.querySelectorAll(".picture[data-state=done]").length === count
    && [...document.querySelectorAll("#stage img")].every((image) =>
        image.complete && (image.naturalWidth === 0 || !image.hidden))"""
WAIT_MS = 90_000  # for anything that a loaded machine may be slow at


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A browser without windows; while it is open the thread counts as running an event loop."""
    path = program("chromium", "chromium", "fonts-liberation")
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*flags, "--disable-dev-shm-usage"])
        try:
            yield browser
        finally:
            browser.close()


@dataclass
class Visit:
    """A page of the console and what it did.

    Attributes:
        page: The page.
        url: Of the server.
        strangers: Addresses on other hosts that it asked for.
        complaints: Errors and warnings of its console, policy violations among them.
    """

    page: Page
    url: str
    strangers: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def heard_request(self, asked: Request) -> None:
        """Note who is asked."""
        parts = urlsplit(asked.url)
        if parts.scheme not in ("blob", "data") and parts.netloc != urlsplit(self.url).netloc:
            self.strangers.append(asked.url)

    def heard_words(self, said: ConsoleMessage) -> None:
        """Note what the browser complains of; that a request was refused is no fault of the page."""
        if said.type in ("error", "warning") and "the server responded with a status of" not in said.text:
            self.complaints.append(said.text)

    def heard_error(self, error: Error) -> None:
        """Note what nobody caught."""
        self.complaints.append(str(error))

    def add(self, *files: Path) -> None:
        """Choose files as the button does."""
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_role("button", name="Choose pictures").click()
        chooser.value.set_files(list(files))

    def ready(self, count: int = 1) -> None:
        """Wait until so many pictures are ready, and the one on the stage is in sight."""
        self.page.wait_for_function(READY, arg=count)

    def open_groups(self) -> None:
        """Unfold all options."""
        self.page.evaluate("document.querySelectorAll('#options details').forEach(group => { group.open = true })")


@contextlib.contextmanager
def visit(browser: Browser, url: str, *, path: str = "/", script: str = "", **context: Any) -> Iterator[Visit]:
    """Open the console in a context of its own.

    Args:
        browser: The browser.
        url: Of the server.
        path: Of the page.
        script: Runs in the page before its own scripts, whatever its policy says.
        context: Playwright's options: viewport, colour scheme, permissions.

    Raises:
        AssertionError: The page asked for something on another host, or complained.
    """
    opened: BrowserContext = browser.new_context(**context)
    opened.set_default_timeout(WAIT_MS)
    if script:
        opened.add_init_script(script)
    try:
        page = opened.new_page()
        seen = Visit(page, url)
        page.on("request", seen.heard_request)
        page.on("console", seen.heard_words)
        page.on("pageerror", seen.heard_error)
        # While somebody listens, choosers are Playwright's; without, the first may open before it has heard of that.
        page.on("filechooser", lambda _: None)
        page.goto(f"{url}{path}")
        try:
            page.wait_for_selector("body[data-ready]", state="attached")
        except PageTimeoutError as error:
            raise AssertionError(f"the page did not start: {seen.complaints}") from error
        yield seen
        assert seen.strangers == []
        assert seen.complaints == []
    finally:
        opened.close()
