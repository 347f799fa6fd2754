"""Metrics of a running server: what the page of operations says is there, it moves, and it tells no secrets."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bgone.accounts.books import open_books
from tests import pictures
from tests.collector import collector
from tests.conftest import ROOT
from tests.databases import sqlite_address
from tests.serving import Served, serve
from tests.wire import wait_until

PHOTO = pictures.photo(161, 120, of=pictures.ball)
ROW = re.compile(r"\| (?P<names>`bgone_[^|]*) \| (?P<kind>[a-z]+)(: (?P<labels>[a-z, ]+))? \| .+ \|")


def table() -> dict[str, tuple[str, frozenset[str]]]:
    """Name → (type, labels), as docs/operations.md says."""
    page = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    lines = page.partition("<!-- metrics -->")[2].partition("<!-- /metrics -->")[0].splitlines()[3:]
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for line in lines:
        match = ROW.fullmatch(line)
        assert match is not None, line
        labels = frozenset(match["labels"].split(", ") if match["labels"] else ())
        found |= dict.fromkeys(re.findall(r"`(\w+)`", match["names"]), (match["kind"], labels))
    return found


def values(served: Served) -> dict[str, float]:
    """``name{labels}`` → value, of every sample."""
    lines = served.get("/metrics").text.splitlines()
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, str]]:
    """A server with accounts, and a key."""
    folder = tmp_path_factory.mktemp("metrics")
    address = sqlite_address(folder)

    async def new_key() -> str:
        async with open_books(address) as books:
            account = await books.accounts.create("shop", credits=Decimal(50))
            return (await books.keys.create(account.id, prefix="sk_live_"))[0]

    key = asyncio.run(new_key())
    settings: dict[str, Any] = {
        "database_url": address,
        "data_dir": folder / "state",
        "fetch_allow": "127.0.0.0/8",
        "job_wait_s": 0,
    }
    with serve(folder, **settings) as served:
        yield served, key


def test_the_page_shows_every_metric_and_no_other(shop: tuple[Served, str]) -> None:
    """By name and type, in both directions."""
    text = shop[0].get("/metrics").text
    served = {family.name: family.type for family in text_string_to_metric_families(text)}
    ours = {name: kind for name, kind in served.items() if name.startswith("bgone_")}

    assert ours == {name: kind for name, (kind, _) in table().items()}


def test_everything_moves(shop: tuple[Served, str]) -> None:
    """A picture, a fetch that works and one that fails, a job with its webhook, refusals: each is counted, in place."""
    served, key = shop
    bearer = {"authorization": f"Bearer {key}"}
    before = values(served)
    with collector() as heard:
        heard.pages["/x.jpg"] = PHOTO
        assert served.post("/v2", content=PHOTO, headers={"x-api-key": key}).status_code == 200
        for path, status in (("x.jpg", 200), ("none.jpg", 400)):
            answer = served.post(
                "/v1.0/removebg", data={"image_url": f"{heard.url}/{path}"}, headers={"x-api-key": key}
            )
            assert answer.status_code == status, answer.text
        assert served.post("/v2", content=PHOTO, headers={"x-api-key": "wrong"}).status_code == 401
        files, hook = {"image_file": ("x.jpg", PHOTO)}, {"webhook_url": f"{heard.url}/hook"}
        assert served.post("/api/v1/remove-bg", files=files, data=hook, headers=bearer).status_code == 202
        heard.wait(lambda: any(one.path == "/hook" for one in heard.asked))

    def moved(name: str) -> float:
        return values(served).get(name, 0) - before.get(name, 0)

    counted = {
        'bgone_requests_total{dialect="backgrounderase",operation="cut",status="200"}': 1,
        'bgone_refused_total{dialect="backgrounderase",kind="key_wrong"}': 1,
        'bgone_refused_total{dialect="removebg",kind="fetch_failed"}': 1,
        "bgone_fetch_seconds_count": 2,
        'bgone_fetch_failures_total{kind="fetch_failed"}': 1,
        "bgone_fetched_bytes_total": len(PHOTO),
        'bgone_credits_charged_total{dialect="backgrounderase"}': 1,
        'bgone_credits_charged_total{dialect="jobid"}': 1,
        'bgone_jobs_ended_total{dialect="jobid",state="done"}': 1,
        "bgone_job_seconds_count": 1,
        'bgone_webhook_tries_total{outcome="delivered"}': 1,
        "bgone_webhook_seconds_count": 1,
        'bgone_net_run_seconds_count{model="bgone-small-1"}': 3,
        "bgone_batch_size_count": 3,
        'bgone_stage_seconds_count{stage="draw"}': 3,
        'bgone_stage_seconds_count{stage="fetch"}': 2,
        "bgone_pixels_total": 3 * 161 * 120,
    }
    wait_until(lambda: all(moved(name) >= count for name, count in counted.items()), seconds=60)
    assert {name: moved(name) for name in counted} == counted
    now = values(served)

    assert now['bgone_database_seconds_count{way="write"}'] > 0
    assert moved("bgone_memory_estimate_bytes_count") >= 4
    assert 0 < now["bgone_memory_held_peak_bytes"] <= now["bgone_memory_budget_bytes"]
    assert 1e6 < now["bgone_memory_ready_bytes"] <= now["bgone_memory_peak_bytes"]
    assert now["bgone_loop_lag_seconds"] >= 0
    assert any(name.startswith("bgone_info{") and 'model="bgone-small-1"' in name for name in now)
    assert key not in served.get("/metrics").text
    assert "127.0.0.1" not in served.get("/metrics").text


def test_labels_are_those_of_the_page(shop: tuple[Served, str]) -> None:
    """Of every sample that there is by now."""
    known = table()
    for family in text_string_to_metric_families(shop[0].get("/metrics").text):
        for sample in family.samples:
            if family.name in known:
                assert set(sample.labels) - {"le"} == known[family.name][1], sample


def test_what_waits_in_the_database_is_told(tmp_path: Path) -> None:
    """Jobs that nobody begins, their age, the credits that they hold; a webhook that nobody takes."""
    address = sqlite_address(tmp_path)

    async def new_key() -> str:
        async with open_books(address) as books:
            account = await books.accounts.create("shop", credits=Decimal(5))
            return (await books.keys.create(account.id, prefix="sk_live_"))[0]

    bearer = {"authorization": f"Bearer {asyncio.run(new_key())}"}
    settings: dict[str, Any] = {
        "database_url": address,
        "data_dir": tmp_path / "state",
        "job_wait_s": 0,
        "jobs_running": 0,
    }
    with serve(tmp_path, **settings) as served:
        for _ in range(2):
            files = {"image_file": ("x.jpg", PHOTO)}
            taken = served.post("/api/v1/remove-bg", files=files, headers=bearer)
            assert taken.status_code == 202, taken.text
        wait_until(lambda: values(served).get("bgone_jobs_waiting") == 2, seconds=60)
        found = values(served)

    assert found["bgone_credits_held"] == 2
    assert found["bgone_jobs_oldest_wait_seconds"] > 0
    assert (found["bgone_jobs_running"], found["bgone_webhooks_waiting"]) == (0, 0)
