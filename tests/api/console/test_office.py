"""The page at ``/console/`` in a real browser: an operator's day, with a real server and its accounts."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from bgone.matting.models import EMBEDDED
from tests.api.console.office import ADMIN, ENOUGH_S, Office, closed_office, cut, hand_in, until
from tests.api.console.test_access import RUN_AXE, axe  # noqa: F401 - a fixture
from tests.api.console.test_keys import STORED
from tests.databases import sqlite_address
from tests.origin import listener
from tests.serving import Served, serve

PHONE = {"width": 360, "height": 740}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a database, and an admin key that is not all ASCII."""
    folder = tmp_path_factory.mktemp("office")
    address = sqlite_address(folder)
    given = {"database_url": address, "data_dir": folder / "state", "fetch_allow": "127.0.0.0/8"}
    with serve(folder, admin_key=ADMIN, **given) as running:
        yield running


@pytest.fixture
def office(browser: Browser, served: Served) -> Iterator[Office]:
    """The page, with its key."""
    with closed_office(browser, served) as opened:
        opened.enter()
        opened.title("Overview")
        yield opened


@pytest.fixture
def account(office: Office, request: pytest.FixtureRequest) -> str:
    """The name of an account of this test's own, with 20 credits."""
    name = re.sub(r"\W+", " ", request.node.name)
    office.api("POST", "accounts", json={"name": name, "credits": "20"})
    return name


# --- the key --------------------------------------------------------------------------------------------------------


def test_a_server_without_accounts_says_what_to_set(browser: Browser, server: Served) -> None:
    """And asks for no key."""
    with closed_office(browser, server) as office:
        expect(office.page.get_by_role("heading", name="No accounts on this server")).to_be_visible()
        expect(office.page.locator("#nothing")).to_contain_text("BGONE_ADMIN_KEY")
        expect(office.page.locator("#nothing")).to_contain_text("bgone accounts create")
        expect(office.page.locator("#key")).to_be_hidden()


def test_wrong_keys_are_told_in_words(browser: Browser, served: Served) -> None:
    """One that nobody has, and one that cuts but does not administer; then the right one opens the page."""
    with closed_office(browser, served) as office:
        office.api("POST", "accounts", json={"name": "cutter"})
        live = office.api("POST", "accounts/cutter/keys", json={})["key"]
        for key, words in (("wrong", "This API key is not known."), (live, "This key is not an admin key.")):
            office.enter(key)
            expect(office.page.get_by_role("alert")).to_have_text(words)
            expect(office.page.locator("#view")).to_be_hidden()
            expect(office.page.get_by_label("Admin key")).to_be_focused()
        office.enter()
        office.title("Overview")


def test_the_key_is_kept_in_memory_only(browser: Browser, served: Served) -> None:
    """Not in the page, not in addresses, nowhere in the browser; reloading and *Forget key* forget it."""
    with closed_office(browser, served) as office:
        sent: list[str] = []
        office.page.on("request", lambda asked: sent.append(asked.url))
        office.enter()
        office.title("Overview")
        for view in ("Accounts", "Keys", "Usage", "Jobs", "Webhooks"):
            office.go(view)

        kept = office.page.evaluate(STORED)
        assert kept.pop("address") == f"{served.url}/console/#/webhooks"
        assert (kept.pop("cookie"), kept.pop("state")) == ("", "null")
        assert set(kept.values()) == {0}
        assert ADMIN not in office.page.content()
        assert not [address for address in sent if "operators-own" in address]
        assert office.page.get_by_label("Admin key").input_value() == ""

        office.page.get_by_role("button", name="Forget key").click()
        expect(office.page.locator("#key")).to_be_visible()
        assert office.page.locator("#view").inner_text() == ""
        office.enter()
        office.title("Webhooks")
        office.page.reload()
        expect(office.page.locator("#key")).to_be_visible()
        expect(office.page.locator("#view")).to_be_hidden()


# --- accounts and keys ----------------------------------------------------------------------------------------------


def test_an_account_is_created_credited_and_barred(office: Office) -> None:
    """Found by a search; each change stands in its ledger; what is refused is told in the dialog, which stays."""
    office.go("Accounts")
    office.press("Create account")
    office.fill("Create", name="Nordlicht <b>1</b>", email="it@nordlicht.example", credits="10")
    office.title("Nordlicht <b>1</b>")
    expect(office.page.locator(".figure").first).to_contain_text("10")

    office.press("Add credits")
    office.fill("Add", amount="-11", reason="invoice 4711")
    expect(office.dialog.get_by_role("alert")).to_contain_text("at least -10")
    office.fill("Add", amount="2.5")
    expect(office.page.locator("dialog")).to_have_count(0)
    expect(office.row("invoice 4711")).to_contain_text("+2.5")
    expect(office.page.locator(".figure").first).to_contain_text("12.5")
    expect(office.page.get_by_role("button", name="Add credits")).to_be_focused()

    office.press("Bar")
    office.fill("Bar")
    expect(office.page.locator(".facts .badge")).to_have_text("barred")
    office.press("Serve again")
    office.fill("Serve again")
    expect(office.page.locator(".facts .badge")).to_have_text("active")

    office.press("Change plan")
    office.fill("Begin this plan", plan="metered_monthly")
    expect(office.page.locator(".figure").first).to_contain_text("metered")

    office.go("Accounts")
    office.page.get_by_role("searchbox", name="Find").fill("NORDLICHT.ex")
    office.page.get_by_role("button", name="Find").click()
    expect(office.page.get_by_role("table").get_by_role("link")).to_have_text(["Nordlicht <b>1</b>"])


def test_a_key_is_created_used_rotated_and_revoked(office: Office, account: str) -> None:
    """Its secret is shown once and cuts; revoked it does not, within seconds; usage shows the calls."""
    office.go("Keys")
    office.press("Create key")
    office.fill("Create", account="nobody")
    expect(office.dialog.get_by_role("alert")).to_have_text("There is no such account.")
    office.fill("Create", account=account, prefix="sk_live_")
    first = office.secret()
    assert first.startswith("sk_live_")
    assert first not in office.page.content()
    assert cut(office.served, first) == 200

    name = first[: len("sk_live_") + 12]
    office.open(f"#/keys?account={account}", "Keys")
    office.row(name).get_by_role("button", name="Rotate").click()
    office.fill("Rotate", overlap_s="3600")
    second = office.secret()
    expect(office.row(name)).to_contain_text("replaced")
    assert [cut(office.served, key) for key in (first, second)] == [200, 200]

    office.page.get_by_role("button", name=f"Revoke {name}").click()
    office.fill("Cancel")
    expect(office.row(name)).to_contain_text("valid")
    office.page.get_by_role("button", name=f"Revoke {name}").click()
    office.fill("Revoke")
    expect(office.row(name)).to_contain_text("revoked")
    until(lambda: cut(office.served, first) in (401, 403))
    assert cut(office.served, second) == 200

    until(lambda: sum(day["calls"] for day in office.api("GET", f"accounts/{account}/usage")["days"]) >= 4)
    office.open(f"#/usage?account={account}", f"Usage of {account}")
    expect(office.page.locator(".figure").nth(2)).to_contain_text("4")
    expect(office.page.get_by_role("img", name=re.compile("^Calls per day"))).to_be_visible()
    expect(office.row("bgone")).not_to_have_count(0)
    with office.page.expect_download() as started:
        office.press("Download CSV")
    saved = Path(started.value.path()).read_text()
    assert saved.splitlines()[0] == "day,account_id,key_id,dialect,mode,calls,failures,credits,pixels"
    assert ",bgone,live," in saved


def test_the_secret_is_not_lost_by_a_slip(office: Office, account: str) -> None:
    """Escape does not close the dialog that shows it; it can be copied."""
    office.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    office.go("Keys")
    office.press("Create key")
    office.fill("Create", account=account, mode="test")
    shown = office.page.locator("#secret").inner_text()
    office.page.keyboard.press("Escape")
    office.dialog.get_by_role("button", name="Copy").click()
    expect(office.dialog.get_by_role("button", name="Copied")).to_be_visible()

    assert office.page.evaluate("navigator.clipboard.readText()") == shown
    assert office.secret() == shown
    assert cut(office.served, shown) == 200


def test_a_key_that_ends_meanwhile_closes_the_page(browser: Browser, served: Served) -> None:
    """What it showed is gone, and why is told."""
    with closed_office(browser, served) as office:
        office.api("POST", "accounts", json={"name": "deputy"})
        deputy = office.api("POST", "accounts/deputy/keys", json={"mode": "admin"})
        office.enter(deputy["key"])
        office.title("Overview")
        office.api("DELETE", f"keys/{deputy['name']}")
        expect(office.page.locator("#key")).to_be_visible()

        expect(office.page.get_by_role("alert")).to_have_text("This API key is no longer valid.")
        assert office.page.locator("#view").inner_text() == ""


# --- jobs and webhooks ----------------------------------------------------------------------------------------------


def test_a_job_shows_its_webhook_and_tells_it_again(office: Office, account: str) -> None:
    """From the list to the job, each try of its message; sent again by a button, heard again by the receiver."""
    key = office.api("POST", f"accounts/{account}/keys", json={})["key"]
    with listener() as (url, told):
        job_id = hand_in(office.served, key, url)
        message = told.get(timeout=ENOUGH_S).message_id
        until(lambda: office.api("GET", f"jobs/{job_id}/deliveries")["deliveries"][0]["state"] == "delivered")
        office.open(f"#/jobs?account={account}&state=done", "Jobs")
        office.row(account).get_by_role("link", name=job_id[:12]).click()
        office.title(f"Job {job_id[:12]}")
        expect(office.row(url)).to_contain_text("delivered")
        expect(office.row(url)).to_contain_text("204")

        office.open(f"#/webhooks?account={account}", "Webhooks")
        office.page.get_by_role("button", name=f"Send again what was to be told of job {job_id}").click()
        office.fill("Send again")
        expect(office.page.locator("dialog")).to_have_count(0)
        assert told.get(timeout=ENOUGH_S).message_id == message
        until(lambda: len(office.api("GET", f"jobs/{job_id}/deliveries")["tries"]) == 2)
        office.open(f"#/jobs/{job_id}", f"Job {job_id[:12]}")
        expect(office.page.get_by_role("table", name="Tries, oldest first").get_by_role("row")).to_have_count(3)

        office.press("Delete")
        office.fill("Delete")
        office.title("Jobs")
    assert office.served.get(f"/api/v1/jobs/{job_id}", headers={"authorization": f"Bearer {key}"}).status_code == 404


def test_a_job_that_waits_is_cancelled(browser: Browser, tmp_path: Path) -> None:
    """On a server that makes none: it gives back what it held."""
    given = {"database_url": sqlite_address(tmp_path), "data_dir": tmp_path / "state", "jobs_running": 0}
    with serve(tmp_path, admin_key=ADMIN, **given) as served, closed_office(browser, served) as office:
        office.api("POST", "accounts", json={"name": "patient", "credits": "3"})
        job_id = hand_in(served, office.api("POST", "accounts/patient/keys", json={})["key"])
        office.enter()
        office.title("Overview")
        expect(office.page.locator(".figure").filter(has_text="jobs waiting")).to_contain_text("1")
        office.page.locator(".figure").filter(has_text="jobs waiting").get_by_role("link").click()
        office.title("Jobs")
        office.page.get_by_role("button", name=f"Cancel job {job_id}").click()
        office.fill("Cancel the job")
        expect(office.page.locator("#view")).to_contain_text("No job is like that.")
        office.page.get_by_label("State").select_option("cancelled")
        expect(office.row(job_id[:12])).to_contain_text("cancelled")
        assert office.api("GET", "accounts/patient")["balance"] == "3"


# --- the overview ---------------------------------------------------------------------------------------------------


def test_the_overview_follows_the_server(browser: Browser, tmp_path: Path) -> None:
    """State, model and device; a picture that is cut meanwhile appears by itself, in words, charts and tables."""
    given = {"database_url": sqlite_address(tmp_path), "data_dir": tmp_path / "state"}
    with serve(tmp_path, admin_key=ADMIN, **given) as served, closed_office(browser, served) as office:
        office.enter()
        office.title("Overview")
        expect(office.page.locator(".notice.good")).to_contain_text("Ready")
        expect(office.row(EMBEDDED)).to_contain_text("CPU")
        pictures = office.page.locator(".figure").filter(has_text="pictures in the last").locator("strong")
        expect(pictures).to_have_text("0")
        expect(office.page.locator("#view")).to_contain_text("No picture in the last 5 min.")

        office.api("POST", "accounts", json={"name": "busy", "credits": "1"})
        assert cut(served, office.api("POST", "accounts/busy/keys", json={})["key"]) == 200
        expect(pictures).to_have_text("1")
        expect(office.row("predict")).to_contain_text("ms")
        expect(office.page.get_by_role("img", name=re.compile("^Last five minutes: 0 orders at work"))).to_be_visible()
        office.page.locator("summary", has_text="As a table").first.click()
        expect(
            office.page.get_by_role("table", name="Orders, every half minute").get_by_role("row").first
        ).to_be_visible()


def test_nothing_is_asked_while_nobody_looks(office: Office) -> None:
    """Hidden, the page is quiet; seen again, it asks."""
    asked: list[str] = []
    office.page.on("request", lambda request: asked.append(request.url))
    with office.page.expect_request("**/admin/v1/server"):
        pass
    office.page.evaluate("Object.defineProperty(document, 'hidden', {value: true, configurable: true})")
    asked.clear()
    office.page.wait_for_timeout(4500)  # two looks' time
    assert asked == []

    with office.page.expect_request("**/admin/v1/server"):
        office.page.evaluate("delete document.hidden; document.dispatchEvent(new Event('visibilitychange'))")


def test_a_server_that_stops_is_told(browser: Browser, tmp_path: Path) -> None:
    """What is seen stays, and is said to be old."""
    given = {"database_url": sqlite_address(tmp_path), "data_dir": tmp_path / "state"}
    with serve(tmp_path, admin_key=ADMIN, **given) as served, closed_office(browser, served) as office:
        office.enter()
        office.title("Overview")
        served.process.terminate()
        expect(office.page.get_by_role("alert")).to_contain_text("does not answer")
        assert office.page.locator(".figures").is_visible()
        office.page.goto("about:blank")  # it asks no more
        office.visit.complaints.clear()  # the browser's own words on connections that were refused


# --- for everybody --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "window", [{}, {"color_scheme": "dark"}, {"viewport": PHONE, "has_touch": True}], ids=["light", "dark", "phone"]
)
def test_axe_finds_nothing(browser: Browser, served: Served, axe: str, window: dict[str, Any]) -> None:  # noqa: F811
    """Every view and dialog: names, roles, contrast, order; nothing is wider than a phone."""
    found: dict[str, Any] = {}
    with closed_office(browser, served, script=axe, reduced_motion="reduce", **window) as office:

        def look(name: str) -> None:
            found[name] = office.page.evaluate(RUN_AXE.replace("passes.length < 20", "passes.length < 10"))
            assert office.page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0, name

        name = f"axe {time.time_ns()}"
        made = office.api("POST", "accounts", json={"name": name, "credits": "9"})
        key = office.api("POST", f"accounts/{name}/keys", json={})["key"]
        assert cut(served, key) == 200
        job_id = hand_in(served, key, "http://127.0.0.1:9/")
        until(lambda: office.api("GET", f"jobs/{job_id}/deliveries")["tries"])
        until(lambda: office.api("GET", f"accounts/{name}/usage")["days"])
        look("key")
        office.enter()
        office.title("Overview")
        office.page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
        look("overview")
        for view in ("Accounts", "Keys", "Usage", "Jobs", "Webhooks"):
            office.go(view)
            look(view)
        office.open(f"#/accounts/{made['id']}", name)
        look("account")
        office.press("Create key")
        look("create key")
        office.fill("Create")
        office.page.locator("#secret").wait_for()
        look("secret")
        office.secret()
        office.open(f"#/jobs/{job_id}", f"Job {job_id[:12]}")
        look("job")

    assert {view: problems for view, problems in found.items() if problems} == {}


def test_views_are_reached_by_keyboard_and_by_link(browser: Browser, served: Served) -> None:
    """The title of a view that opens has the focus, Back goes back; a link opens its view."""
    with closed_office(browser, served) as office:
        keyboard = office.page.keyboard
        expect(office.page.get_by_label("Admin key")).to_be_focused()
        keyboard.type(ADMIN)
        keyboard.press("Enter")
        office.title("Overview")
        expect(office.page.locator("#view h1")).to_be_focused()
        for _ in range(20):
            if office.page.evaluate("document.activeElement.hash") == "#/keys":
                break
            keyboard.press("Shift+Tab")
        keyboard.press("Enter")
        office.title("Keys")
        expect(office.page.locator("#view h1")).to_be_focused()
        expect(office.page.get_by_role("link", name="Keys")).to_have_attribute("aria-current", "page")
        assert office.page.title() == "Keys · bgone admin"
        office.page.go_back()
        office.title("Overview")

        office.open("#/jobs?state=failed", "Jobs")
        assert office.page.get_by_label("State").input_value() == "failed"
        office.open("#/accounts/nobody", "Accounts")
        expect(office.page.get_by_role("alert")).to_have_text("There is no such account.")
