"""One browser for all tests of the console, gone before other tests begin."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.api.console.browser import Visit, chromium, visit
from tests.pictures import ball, photo
from tests.serving import Served

Open = Callable[..., AbstractContextManager[Visit]]


# Of the package and not of the session: while a playwright is there, asyncio.run() finds a loop that runs already.
@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with chromium() as opened:
        yield opened


@pytest.fixture
def console(browser: Browser, server: Served) -> Iterator[Visit]:
    """The page of a server that is open to all."""
    with visit(browser, server.url) as seen:
        yield seen


@pytest.fixture
def opened(browser: Browser) -> Open:
    """Opens pages of other servers, or with other windows: ``opened(server.url, viewport=…)``."""

    def open_page(url: str, **context: Any) -> AbstractContextManager[Visit]:
        return visit(browser, url, **context)

    return open_page


@pytest.fixture
def pictures(tmp_path: Path) -> Callable[[int], list[Path]]:
    """So many photos, each of another size."""

    def draw(count: int) -> list[Path]:
        paths = [tmp_path / f"ball {number}.jpg" for number in range(1, count + 1)]
        for number, path in enumerate(paths):
            path.write_bytes(photo(181 + 10 * number, 121, of=ball, seed=number))
        return paths

    return draw


@pytest.fixture
def ball_photo(pictures: Callable[[int], list[Path]]) -> Path:
    """A photo whose subject the net finds."""
    return pictures(1)[0]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The first test may have to install the browser."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.timeout(400))
