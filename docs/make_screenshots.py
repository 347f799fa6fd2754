"""Photograph the console for docs/console.md: a real server, a real browser, photos that are drawn in code.

Run by ``make screenshots``.
"""

from __future__ import annotations

import asyncio
import io
import math
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import PIL.Image
from playwright.sync_api import Browser

from bgone.accounts.books import open_books
from bgone.accounts.usage import Usage

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]
import scenes  # noqa: E402 - found by the line above, as the next ones
from tests.api.console.browser import Visit, chromium, visit  # noqa: E402
from tests.api.console.office import ADMIN, Office, closed_office, cut, hand_in, until  # noqa: E402
from tests.databases import sqlite_address  # noqa: E402
from tests.origin import listener  # noqa: E402
from tests.serving import Served, serve  # noqa: E402

FOLDER = HERE / "pictures" / "console"
MOST_BYTES, QUALITY = 100_000, 88
PHOTOS = {"mug": scenes.mug, "car": scenes.car, "portrait": scenes.person}
LAPTOP = {"width": 1280, "height": 800}
PHONE = {"width": 360, "height": 740}
STILL: dict[str, Any] = {"reduced_motion": "reduce", "locale": "en-GB"}


def save(console: Visit, name: str, selector: str = "") -> None:
    """Write docs/pictures/console/NAME.webp: the window, or an element of it."""
    taken = console.page.locator(selector).screenshot() if selector else console.page.screenshot()
    path = FOLDER / f"{name}.webp"
    with PIL.Image.open(io.BytesIO(taken)) as image:
        image.convert("RGB").save(path, "WEBP", quality=QUALITY, method=6)
    assert path.stat().st_size <= MOST_BYTES, f"{path}: {path.stat().st_size} bytes"


def draw(folder: Path) -> list[Path]:
    """The photos as files."""
    paths = []
    for name, scene in PHOTOS.items():
        image = PIL.Image.fromarray(scene())
        paths.append(folder / f"{name}.jpg")
        image.resize((image.width * 2, image.height * 2), PIL.Image.Resampling.LANCZOS).save(paths[-1], quality=92)
    return paths


def by_day(browser: Browser, url: str, photos: list[Path]) -> None:
    """The page as most see it first."""
    with visit(browser, url, viewport=LAPTOP, **STILL) as console:
        save(console, "start")
        console.add(*photos)
        console.ready(len(photos))
        console.page.locator("#slider").fill("48")
        save(console, "cut")
        console.page.locator(".pick").nth(2).click()
        console.page.locator("[data-preset=shop]").click()
        console.page.locator("#frame.apart").wait_for()
        console.ready()
        console.page.evaluate("scrollTo(0, 0)")
        save(console, "shop")
        console.page.locator("[data-preset=shadow]").click()
        console.page.locator("#frame:not(.apart)").wait_for()
        console.ready()
        console.page.get_by_role("tab", name="Python").click()
        save(console, "code", "#code")


def by_night(browser: Browser, url: str, photos: list[Path]) -> None:
    """In the dark, and an option that the server does not understand."""
    with visit(browser, url, viewport=LAPTOP, color_scheme="dark", **STILL) as console:
        console.add(photos[1])
        console.ready()
        save(console, "dark")
        console.page.locator("summary", has_text="Crop and place").click()
        console.page.get_by_label("Crop to the subject").check()
        console.page.locator("#o-margin").fill("a little")
        console.page.locator(".picture[data-state=failed]").wait_for()
        save(console, "error")


def on_a_phone(browser: Browser, url: str, photos: list[Path]) -> None:
    """Held in one hand."""
    with visit(browser, url, viewport=PHONE, device_scale_factor=2, has_touch=True, **STILL) as console:
        console.add(photos[2])
        console.ready()
        save(console, "phone")


# --- the operator's page --------------------------------------------------------------------------------------------

DAYS, TICKS = 30, 150  # of usage; of the overview's charts
ACCOUNT = "Northlight Studio"
APIS = {"removebg": 380, "photoroom": 210, "bgone": 150, "clipdrop": 60}  # and how often they are called


async def fill(address: str) -> None:
    """Accounts, and a month in which the keys of one were used."""
    chance = random.Random(5)  # noqa: S311 - not a secret
    async with open_books(address) as books:
        for name, given in ((ACCOUNT, "2500"), ("Shop on the corner", "80.25"), ("Old client", "0")):
            await books.accounts.create(name, "it@example.com", credits=Decimal(given))
        account = await books.accounts.get(ACCOUNT)
        holder = await books.keys.find((await books.keys.create(account.id))[0])
        for back in range(DAYS, 0, -1):
            at = datetime.now(UTC) - timedelta(days=back)
            usage = Usage(books.db, now=lambda at=at: at)  # type: ignore[misc]
            quiet = 0.3 if at.weekday() > 4 else 1.0
            for api, most in APIS.items():
                for _ in range(int(quiet * chance.randrange(most // 2, most))):
                    usage.count(holder, api, Decimal("0.25"), 4_000_000, failed=chance.random() < 0.01)
            await usage.aclose()


def with_traffic(office: Office, key: str) -> None:
    """Five minutes of the overview, as fast as the server answers: waves of pictures, the page's clock hurried."""
    crowd = ThreadPoolExecutor(12)
    for tick in range(TICKS):
        wave = max(0.0, math.sin(tick / 14)) * 1.6 + max(0.0, math.sin(tick / 5 + 1)) * 1.2
        for _ in range(int(wave)):
            crowd.submit(cut, office.served, key)
        with office.page.expect_response("**/admin/v1/server"):
            office.page.clock.run_for(2_000)
    crowd.shutdown()


def by_operator(browser: Browser, served: Served) -> None:
    """Work, a job, a month, a new key."""
    with closed_office(browser, served, viewport=LAPTOP, **STILL) as office, listener() as (url, told):
        key = office.api("POST", f"accounts/{ACCOUNT}/keys", json={"prefix": "sk_live_"})["key"]
        office.page.clock.install()
        office.enter()
        office.title("Overview")
        with_traffic(office, key)
        save(office.visit, "admin-overview")
        office.page.clock.resume()

        job_id = hand_in(served, key, url)
        told.get(timeout=60)
        until(lambda: office.api("GET", f"jobs/{job_id}/deliveries")["tries"])
        office.open(f"#/jobs/{job_id}", f"Job {job_id[:12]}")
        save(office.visit, "admin-job")
        office.open(f"#/usage?account={ACCOUNT}", f"Usage of {ACCOUNT}")
        save(office.visit, "admin-usage")
        office.go("Keys")
        office.press("Create key")
        office.fill("Create", account="Shop on the corner", prefix="poof_")
        office.page.locator("#secret").wait_for()
        save(office.visit, "admin-key")
        office.secret()


def by_operator_on_the_way(browser: Browser, served: Served) -> None:
    """Is it still ready?"""
    with closed_office(browser, served, viewport=PHONE, color_scheme="dark", device_scale_factor=2, **STILL) as office:
        office.enter()
        office.title("Overview")
        save(office.visit, "admin-phone")


def main() -> None:
    """Write all of them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as name, chromium() as browser, serve(Path(name)) as served:
        photos = draw(Path(name))
        for take in (by_day, by_night, on_a_phone):
            take(browser, served.url, photos)
    with TemporaryDirectory() as name:
        folder, address = Path(name), sqlite_address(Path(name))
        asyncio.run(fill(address))
        given = {"database_url": address, "data_dir": folder / "state", "fetch_allow": "127.0.0.0/8"}
        with serve(folder, admin_key=ADMIN, **given) as served, chromium() as browser:
            by_operator(browser, served)
            by_operator_on_the_way(browser, served)


if __name__ == "__main__":
    main()
