"""A small storm on each database: three servers, failures, hang-ups and a kill; and whether its judge sees at all."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy import update

from benchmarks import models, storm, storm_calls
from bgone.accounts.books import Books, open_books
from bgone.accounts.credits import Entry
from bgone.accounts.keys import Holder
from bgone.storage.tables import ledger
from tests import wire
from tests.api.test_conformance import SMALL, with_file
from tests.databases import KINDS, on_database, own_postgres, sqlite_address
from tests.serving import serve

Value = TypeVar("Value")
CALLS, CLIENTS, AMOUNTS = 330, 16, (2, 8)


@dataclass
class Wreck:
    """What a storm left."""

    address: str
    past: storm.Storm
    verdict: storm.Verdict

    def books(self, work: Callable[[Books], Awaitable[Value]]) -> Value:
        """Something done in its database."""

        async def main() -> Value:
            async with open_books(self.address) as books:
                return await work(books)

        return asyncio.run(main())

    def judged(self) -> list[str]:
        """What the judge finds now."""
        return self.books(lambda books: storm.judge(books, self.past)).faults


@pytest.fixture(scope="module", params=KINDS)
def wreck(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wreck]:
    """A storm that is over; its limits are shared where there is a Redis."""
    folder = tmp_path_factory.mktemp("storm")
    limits = _redis() if request.param == "postgresql" else ""
    with nullcontext(sqlite_address(folder)) if request.param == "sqlite" else own_postgres() as address:
        model = str(models.save(models.no_net(), folder / "no-net.onnx"))
        work = storm.weather(
            address, folder, calls=CALLS, clients=CLIENTS, kills=1, amounts=AMOUNTS, limits=limits, model=model
        )
        yield Wreck(address, *asyncio.run(work))


def _redis() -> str:
    if found := os.environ.get("BGONE_TEST_REDIS", ""):
        return found
    with socket.socket() as probe:
        return "redis://127.0.0.1:6379/0" if probe.connect_ex(("127.0.0.1", 6379)) == 0 else ""


def test_the_books_balance_after_a_storm(wreck: Wreck) -> None:
    """Every picture that somebody has was paid for once, and nothing else but what cannot be known."""
    outcomes = Counter(call.outcome for call in wreck.past.calls)

    assert wreck.verdict.faults == []
    assert len(wreck.past.calls) >= CALLS
    assert min(outcomes[outcome] for outcome in ("picture", "refused", "unknown")) > 0, wreck.verdict.counts
    assert {200, 202, 400, 401, 402, 429} <= {call.status for call in wreck.past.calls}, wreck.verdict.counts
    assert len(wreck.past.killed_at) == 1


def test_the_judge_sees_a_free_picture(wreck: Wreck) -> None:
    """And that the books do not balance by it; put right, they do again."""
    picture = _paid(wreck)

    def change(reason: str, was: str) -> None:
        of_picture = update(ledger).where(ledger.c.request_id == picture.ledger_id, ledger.c.reason == was)
        on_database(wreck.address, lambda db: db.write(lambda link: link.execute(of_picture.values(reason=reason))))

    change("released", "charge")
    faults = wreck.judged()
    change("charge", "released")

    assert any(f"{picture.ledger_id} was free" in fault for fault in faults)
    assert any("was not charged and cost" in fault for fault in faults)
    assert wreck.judged() == []


def test_the_judge_sees_a_refusal_that_was_paid_for(wreck: Wreck) -> None:
    """Although the account's balance is the sum of its ledger."""
    calls = wreck.past.calls
    refused = next(call for call in calls if call.outcome == "refused" and call.ledger_id and "plenty" in call.account)

    async def pay(books: Books) -> None:
        account = await books.accounts.get(refused.account)
        holder = Holder((await books.keys.list(account.id))[0], account, await books.accounts.plan(account.plan))
        await books.credits.charge(await books.credits.hold(holder, Decimal(1), refused.ledger_id, "poof"))

    wreck.books(pay)

    assert wreck.books(lambda books: books.credits.audit()) == []
    assert any(f"{refused.ledger_id} was refused" in fault for fault in wreck.judged())


def test_windows_are_counted_by_what_lies_within() -> None:
    """A call belongs to a window when it began and ended in it; three of these four do."""
    spans = [(0.0, 0.5), (0.4, 1.0), (0.9, 0.95), (0.9, 1.3)]
    calls = [storm_calls.Call("poof", "a", "k", Decimal(1), began=began, ended=ended) for began, ended in spans]

    assert storm.most_within(calls, 1.0) == 3
    assert storm.most_within([], 1.0) == 0


def test_jobs_of_a_server_that_ends_are_done_by_the_next(tmp_path: Path) -> None:
    """At once, and not when the hold runs out: all that is not done when SIGTERM comes."""
    address = sqlite_address(tmp_path)

    async def prepare() -> str:
        async with open_books(address) as books:
            account = await books.accounts.create("jobs", credits=Decimal(50))
            secret, _ = await books.keys.create(account.id)
            return secret

    async def read() -> tuple[Decimal, Decimal, list[Entry]]:
        async with open_books(address) as books:
            balance = await books.credits.balance("jobs")
            account = await books.accounts.get("jobs")
            assert await books.credits.audit() == []
            return balance.credits, balance.held, list(await books.credits.entries(account.id, 1000))

    key = asyncio.run(prepare())
    settings: dict[str, object] = {"database_url": address, "rate_limits": "off", "drain_s": 0, "grace_s": 0}
    with serve(tmp_path, **settings) as served:
        wire.wait_until(served.ready)
        with served.client() as client:
            for _ in range(30):
                headers = {"authorization": f"Bearer {key}"}
                answer = client.post("/api/v1/remove-bg", **with_file("jobid", SMALL), headers=headers)
                assert answer.status_code == 202, answer.text
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(30) == 0
    left, held, entries = asyncio.run(read())
    done = sum(entry.reason == "charge" for entry in entries)
    assert left == 20
    assert held == 30 - done
    assert done < 30

    with serve(tmp_path, **settings):
        wire.wait_until(lambda: asyncio.run(read())[1] == 0, 40)
    left, _, entries = asyncio.run(read())
    assert left == 20
    assert sum(entry.reason == "charge" for entry in entries) == 30


def _paid(wreck: Wreck) -> storm_calls.Call:
    """A picture whose name in the ledger its client knows."""
    paying = {customer.name for customer in wreck.past.customers if customer.name.startswith("plenty")}
    calls = wreck.past.calls
    return next(call for call in calls if call.outcome == "picture" and call.ledger_id and call.account in paying)
