"""Jobs, webhooks and the server over the admin API: real servers, on each kind of database."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import httpx2
import pytest

from bgone import __version__
from bgone.matting.models import EMBEDDED
from tests import pictures
from tests.databases import KINDS, on_database, own_postgres, sqlite_address
from tests.origin import Told, listener
from tests.serving import Served, serve

PHOTO = pictures.photo(81, 60, of=pictures.ball)
ADMIN = {"x-api-key": "operators-own-key"}
ENOUGH_S = 60.0


@dataclass
class Office:
    """A server with two accounts, looked at with the operator's key.

    Attributes:
        served: The server.
        keys: Account → key.
    """

    served: Served
    keys: Mapping[str, str]

    def ask(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """Any request to the admin API."""
        with self.served.client() as client:
            return client.request(method, f"/admin/v1{path}", headers=ADMIN, **options)

    def get(self, path: str, **query: object) -> Any:
        """What an operation tells."""
        answer = self.ask("GET", path, params={name: str(value) for name, value in query.items()})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def hand_in(self, account: str, webhook_url: str = "") -> str:
        """A new job's id."""
        answer = self.served.post(
            "/api/v1/remove-bg",
            files={"image_file": ("x.jpg", PHOTO)},
            data={"webhook_url": webhook_url} if webhook_url else {},
            headers={"authorization": f"Bearer {self.keys[account]}"},
        )
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["jobId"]
        return job_id

    def until(self, path: str, name: str, value: object) -> Any:
        """What an operation tells, once one of its members is so."""
        give_up_at = time.monotonic() + ENOUGH_S
        while (told := self.get(path))[name] != value:
            assert time.monotonic() < give_up_at, told
            time.sleep(0.05)
        return told

    def settled(self, job_id: str, tries: int) -> Any:
        """The one webhook of a job, once it was tried so often and is over."""
        give_up_at = time.monotonic() + ENOUGH_S
        while True:
            told = self.get(f"/jobs/{job_id}/deliveries")
            if [(one["tries"], one["state"]) for one in told["deliveries"]] == [(tries, "delivered")]:
                return told
            assert time.monotonic() < give_up_at, told
            time.sleep(0.05)


@contextmanager
def office(address: str, folder: Path, **settings: object) -> Iterator[Office]:
    """A running one."""
    given = {"database_url": address, "data_dir": folder / "state", "admin_key": ADMIN["x-api-key"], **settings}
    with serve(folder, fetch_allow="127.0.0.0/8", **given) as served:
        keys = {}
        for name in ("shop", "studio"):
            made = served.post("/admin/v1/accounts", json={"name": name, "credits": "9"}, headers=ADMIN)
            assert made.status_code == 201, made.text
            keys[name] = served.post(f"/admin/v1/accounts/{name}/keys", json={}, headers=ADMIN).json()["key"]
        yield Office(served, keys)


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind that nobody else uses."""
    if request.param == "sqlite":
        yield sqlite_address(tmp_path)
    else:
        with own_postgres() as found:
            on_database(found, lambda database: database.migrate())
            yield found


def ids(told: Mapping[str, Any]) -> list[str]:
    """Of the jobs in a list."""
    return [job["id"] for job in told["jobs"]]


def heard(told: SimpleQueue[Told]) -> str:
    """The id of the next message."""
    return told.get(timeout=ENOUGH_S).message_id


def test_jobs_that_wait_are_listed_and_cancelled(address: str, tmp_path: Path) -> None:
    """Nobody works here, so they wait: told by account, state and page; a cancelled one gives back what it held."""
    with office(address, tmp_path, jobs_running=0) as here:
        first, second = here.hand_in("shop"), here.hand_in("shop")
        other = here.hand_in("studio")

        assert ids(here.get("/jobs")) == [other, second, first]
        assert ids(here.get("/jobs", limit=1, offset=1)) == [second]
        assert ids(here.get("/jobs", account="shop")) == [second, first]
        assert ids(here.get("/jobs", account="studio", state="queued")) == [other]
        assert ids(here.get("/jobs", state="done")) == []
        shown = here.get(f"/jobs/{first}")
        assert (shown["id"], shown["state"], shown["dialect"], shown["tries"]) == (first, "queued", "jobid", 0)
        assert shown["owner"] == here.get("/accounts/shop")["id"]
        assert here.get("/accounts/shop")["balance"] == "7"
        here.until("/server", "jobs_waiting", 3)

        cancelled = here.ask("POST", f"/jobs/{first}/cancel").json()
        assert (cancelled["id"], cancelled["state"]) == (first, "cancelled")
        assert here.get("/accounts/shop")["balance"] == "8"
        assert here.ask("POST", f"/jobs/{first}/cancel").json() == cancelled
        assert ids(here.get("/jobs", state="cancelled")) == [first]


def test_webhooks_are_listed_and_sent_again(address: str, tmp_path: Path) -> None:
    """A job that was done, its message with each try, the same message once more; then the job is gone for good."""
    with listener() as (url, told), office(address, tmp_path) as here:
        job_id = here.hand_in("shop", url)
        message = heard(told)
        here.until(f"/jobs/{job_id}", "state", "done")
        kept = here.settled(job_id, tries=1)
        assert [one["status"] for one in kept["tries"]] == [204]

        (listed,) = here.get("/deliveries")["deliveries"]
        assert (listed["id"], listed["job_id"], listed["url"], listed["state"]) == (message, job_id, url, "delivered")
        assert here.get("/deliveries")["tries"] == []
        assert here.get("/deliveries", account="shop", state="delivered")["deliveries"] == [listed]
        assert here.get("/deliveries", account="studio")["deliveries"] == []
        assert here.get("/deliveries", state="failed")["deliveries"] == []
        assert here.get("/deliveries", offset=1)["deliveries"] == []

        again = here.ask("POST", f"/jobs/{job_id}/redeliver")
        assert again.json() == {"job_id": job_id, "messages": 1}
        assert heard(told) == message
        here.settled(job_id, tries=2)

        removed = here.ask("DELETE", f"/jobs/{job_id}")
        assert removed.json() == {"job_id": job_id, "deleted": True, "state": "gone"}
        assert here.ask("GET", f"/jobs/{job_id}").status_code == 404
        assert here.get("/jobs")["jobs"] == []
        log = [line for line in here.served.log() if line["event"] == "admin"]
        assert {"redeliver": job_id, "deleteJob": job_id}.items() <= {
            line["operation"]: line.get("target") for line in log
        }.items()


def test_usage_of_all_accounts_is_added_up(address: str, tmp_path: Path) -> None:
    """By day and dialect; what a search finds is told by name."""
    with office(address, tmp_path) as here:
        for name in ("shop", "shop", "studio"):
            answer = here.served.post("/cut/v1", content=PHOTO, headers={"x-api-key": here.keys[name]})
            assert answer.status_code == 200, answer.text
        give_up_at = time.monotonic() + ENOUGH_S
        while sum(row["calls"] for row in here.get("/usage")["days"]) < 3:
            assert time.monotonic() < give_up_at
            time.sleep(0.05)
        table = here.get("/usage")
        rows = table["days"]  # two of them about midnight
        assert {row["dialect"] for row in rows} == {"bgone"}
        assert sum(Decimal(row["credits"]) for row in rows) == 3
        assert sum(row["pixels"] for row in rows) == 3 * 81 * 60
        assert all(table["since"] < row["day"] <= table["until"] for row in rows)

        assert [one["name"] for one in here.get("/accounts", search="STUD")["accounts"]] == ["studio"]
        assert [one["name"] for one in here.get("/accounts", search="s")["accounts"]] == ["shop", "studio"]
        assert here.get("/accounts", search="%")["accounts"] == []


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A server that nothing happens to."""
    folder = tmp_path_factory.mktemp("plain")
    with office(sqlite_address(folder), folder) as here:
        yield here


def test_the_server_is_told(plain: Office) -> None:
    """Version, model, device, seats, memory; and what the last pictures took, phase by phase."""
    before = plain.get("/server")
    assert plain.served.post("/cut/v1", content=PHOTO, headers={"x-api-key": plain.keys["shop"]}).status_code == 200
    give_up_at = time.monotonic() + ENOUGH_S
    while (told := plain.get("/server"))["seats_busy"] or told["memory_held_bytes"] or not told["timings"]:
        assert time.monotonic() < give_up_at, told
        time.sleep(0.05)

    assert (told["version"], told["pid"]) == (__version__, plain.served.process.pid)
    assert (told["ready"], told["trouble"]) == (True, "")
    assert [(one["name"], one["device"]) for one in told["models"]] == [(EMBEDDED, "CPUExecutionProvider")]
    assert told["uptime_s"] >= before["uptime_s"] >= 0
    assert told["started_at"] == before["started_at"]
    assert 0 < told["memory_resident_bytes"] < told["memory_machine_bytes"]
    assert (told["queue"], told["oldest_wait_s"]) == (0, 0)
    assert told["seats"] > 0
    assert told["queue_limit"] > 0
    phases = {one["phase"]: one for one in told["timings"]}
    assert {"look", "predict", "maps", "draw", "all"} <= phases.keys()
    assert all(0 <= one["p50_ms"] <= one["p95_ms"] for one in phases.values())


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/jobs/none", 404),
        ("GET", "/jobs/%00", 404),
        ("POST", "/jobs/none/cancel", 404),
        ("POST", "/jobs/none/redeliver", 404),
        ("POST", "/jobs/%00/redeliver", 404),
        ("DELETE", "/jobs/none", 404),
        ("PUT", "/jobs/none", 405),
        ("GET", "/jobs?state=lost", 400),
        ("GET", "/jobs?account=nobody", 404),
        ("GET", "/deliveries?state=queued", 400),
        ("GET", "/deliveries?limit=0", 400),
        ("GET", "/usage?since=2026-01-01&until=2027-01-02", 400),
        ("GET", "/accounts?search=%00", 400),
        ("POST", "/server", 405),
    ],
)
def test_what_means_nothing_is_refused(plain: Office, method: str, path: str, status: int) -> None:
    """In words, and changing nothing."""
    answer = plain.ask(method, path)

    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"]


def test_nothing_to_be_told_is_an_empty_list(plain: Office) -> None:
    """Of a job that never was as well: its webhooks outlive it, so they are looked for by its id alone."""
    assert plain.get("/jobs/none/deliveries") == {"deliveries": [], "tries": []}
