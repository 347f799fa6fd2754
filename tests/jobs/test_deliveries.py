"""Deliveries: one suite over memory, SQLite and PostgreSQL; due times, leases, schedules, parking."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete

from bgone.jobs.deliveries import (
    GONE,
    HEALTHY,
    PAUSES_S,
    Deliveries,
    Delivery,
    Health,
    MemoryDeliveries,
    Rules,
    Try,
    host_of,
    message_id,
    verdict,
)
from bgone.jobs.delivery_rows import StoredHooks, TableDeliveries
from bgone.jobs.hooks import key_of
from bgone.jobs.job import Waiting
from bgone.jobs.webhooks import Webhooks
from bgone.pipeline.addresses import parse_networks
from bgone.storage.database import Database
from bgone.storage.tables import deliveries, hooks, receivers
from tests.conftest import ROOT
from tests.databases import Clock, migrated_postgres, sqlite_address
from tests.jobs.receivers import ENOUGH_S, receiver

__all__ = ["migrated_postgres"]

RULES = Rules(pauses_s=(10.0, 100.0), dead_after=2, park_s=1000, keep_trying_s=5000)
Main = Callable[[Deliveries, Clock], Awaitable[None]]
NOWHERE: dict[str, int] = {}


@asynccontextmanager
async def on_tables(address: str) -> AsyncIterator[Database]:
    """A database without deliveries and hooks."""
    db = await Database.open(address)
    try:
        for table in (deliveries, receivers, hooks):
            await db.write(lambda link, table=table: link.execute(delete(table)))  # type: ignore[misc]
        yield db
    finally:
        await db.aclose()


def address_of(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    found: str = sqlite_address(folder) if kind == "sqlite" else request.getfixturevalue("migrated_postgres")
    return found


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def play(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Main], None]:
    """Runs a scene on each kind of store."""
    kind = str(request.param)
    address = "" if kind == "memory" else address_of(kind, request, tmp_path)

    def run(main: Main) -> None:
        async def scene() -> None:
            if kind == "memory":
                await main(MemoryDeliveries(RULES), Clock())
                return
            async with on_tables(address) as db:
                await main(TableDeliveries(db, RULES), Clock())

        asyncio.run(scene())

    return run


@pytest.fixture(params=["sqlite", "postgresql"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database of each kind."""
    return address_of(str(request.param), request, tmp_path)


def made(clock: Clock, job_id: str = "a" * 32, url: str = "https://a.test/hook", **changes: Any) -> Delivery:
    """A delivery that is due now."""
    now = clock()
    plain = Delivery(
        message_id(job_id, url),
        job_id,
        "acc_1",
        url,
        b'{"a":"\xc3\xa9"}',
        now,
        now + timedelta(seconds=5000),
        due_at=now,
    )
    return replace(plain, **changes)


def refused(clock: Clock, status: int | None = 500) -> Try:
    return Try(clock(), status, 12.5, f"answered {status}")


def taken(clock: Clock) -> Try:
    return Try(clock(), 200, 3.5)


async def one(store: Deliveries, clock: Clock) -> Delivery:
    """The one delivery that is due."""
    (found,) = await store.claim(clock(), 9, NOWHERE, 9)
    return found


# --- what is due ----------------------------------------------------------------------------------------------------


def test_what_is_kept_comes_back_whole(play: Callable[[Main], None]) -> None:
    """Every field, once; the same id is not kept twice."""

    async def main(store: Deliveries, clock: Clock) -> None:
        first = made(clock)
        assert await store.add(first)
        assert not await store.add(replace(first, body=b"{}"))
        assert list(await store.of_job(first.job_id)) == [first]
        assert await store.next_due() == clock()

    play(main)


def test_what_waits_is_counted_since_it_was_due(play: Callable[[Main], None]) -> None:
    """Delivered ones wait no more; one under way is not overdue."""

    async def main(store: Deliveries, clock: Clock) -> None:
        assert await store.waiting() == Waiting(0)
        await store.add(made(clock, trace="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01 a=1"))
        since = clock()
        clock.move(seconds=5)
        await store.add(made(clock, "b" * 32))
        assert await store.waiting() == Waiting(2, since)
        (first, second) = await store.claim(clock(), 9, NOWHERE, 9)
        assert first.trace.endswith(" a=1")
        waiting = await store.waiting()
        assert waiting.since is not None
        assert (waiting.count, waiting.since > clock()) == (2, True)
        for delivery in (first, second):
            await store.settle(delivery, taken(clock), clock(), 1)
        assert await store.waiting() == Waiting(0)

    play(main)


def test_what_is_taken_is_leased(play: Callable[[Main], None]) -> None:
    """Nobody else gets it before the lease ends; then somebody does, and the first taker's word counts no more."""

    async def main(store: Deliveries, clock: Clock) -> None:
        await store.add(made(clock))
        first = await one(store, clock)
        assert await store.claim(clock(), 9, NOWHERE, 9) == []
        clock.move(seconds=61)
        second = await one(store, clock)
        assert second.id == first.id
        assert await store.settle(first, taken(clock), clock(), 1) is None
        settled = await store.settle(second, taken(clock), clock(), 1)
        assert settled is not None
        assert settled.state == "delivered"
        assert list(await store.of_job(first.job_id)) == [settled]
        clock.move(days=1)
        assert await store.claim(clock(), 9, NOWHERE, 9) == []
        assert await store.next_due() is None

    play(main)


def test_the_schedule_is_kept(play: Callable[[Main], None]) -> None:
    """After 10 and after 100 seconds, then it is given up; every try is in the log."""

    async def main(store: Deliveries, clock: Clock) -> None:
        await store.add(made(clock))
        for pause_s in (10, 100):
            await store.settle(await one(store, clock), refused(clock), clock(), 1)
            assert await store.next_due() == clock() + timedelta(seconds=pause_s)
            clock.move(seconds=pause_s - 1)
            assert await store.claim(clock(), 9, NOWHERE, 9) == []
            clock.move(seconds=1)
        last = await store.settle(await one(store, clock), refused(clock, None), clock(), 1)
        assert last is not None
        assert (last.state, last.due_at, last.finished_at) == ("failed", None, clock())
        (kept,) = await store.of_job(last.job_id)
        assert [tried.status for tried in kept.tries] == [500, 500, None]
        assert kept == last

    play(main)


def test_hosts_have_their_share(play: Callable[[Main], None]) -> None:
    """The oldest first, no more of a host than it may have together with what is under way, and no more in all."""

    async def main(store: Deliveries, clock: Clock) -> None:
        for number in range(5):
            await store.add(made(clock, f"a{number}", "https://A.test/hook"))
            clock.move(seconds=1)
        for number in range(5):
            await store.add(made(clock, f"b{number}", "https://b.test:444/hook"))
            clock.move(seconds=1)
        found = await store.claim(clock(), 9, {"a.test": 1}, 2)
        assert [delivery.job_id for delivery in found] == ["a0", "b0", "b1"]
        assert [delivery.job_id for delivery in await store.claim(clock(), 2, NOWHERE, 9)] == ["a1", "a2"]

    play(main)


def test_redelivery_begins_anew(play: Callable[[Main], None]) -> None:
    """Of what was taken and of what was given up; a try under way counts no more; the id stays."""

    async def main(store: Deliveries, clock: Clock) -> None:
        await store.add(made(clock))
        first = await one(store, clock)
        assert await store.redeliver(first.job_id, clock()) == 1
        assert await store.settle(first, taken(clock), clock(), 1) is None
        second = await one(store, clock)
        await store.settle(second, taken(clock), clock(), 1)
        assert await store.redeliver(first.job_id, clock()) == 1
        third = await one(store, clock)
        assert third.id == first.id
        assert (third.used, len(third.tries)) == (0, 1)
        assert await store.redeliver("nothing", clock()) == 0
        assert await store.redeliver("a\0b", clock()) == 0

    play(main)


def test_what_is_long_over_is_forgotten(play: Callable[[Main], None]) -> None:
    """After seven days; what waits is kept."""

    async def main(store: Deliveries, clock: Clock) -> None:
        await store.add(made(clock, "over"))
        await store.settle(await one(store, clock), taken(clock), clock(), 1)
        clock.move(days=8)
        await store.add(made(clock, "waits"))
        assert await store.sweep(clock()) == 1
        assert [delivery.job_id for delivery in await store.recent(9)] == ["waits"]

    play(main)


# --- dead receivers -------------------------------------------------------------------------------------------------


async def kill(store: Deliveries, clock: Clock, count: int = 2) -> None:
    """Deliveries to one URL, given up one after the other."""
    for number in range(count):
        await store.add(made(clock, f"dead{number}", used=2))
        await store.settle(await one(store, clock), refused(clock), clock(), 1)


def test_dead_receivers_are_parked(play: Callable[[Main], None]) -> None:
    """After two given up nothing is sent there for a while; then one failure parks it again, a success ends it."""

    async def main(store: Deliveries, clock: Clock) -> None:
        await kill(store, clock)
        await store.add(made(clock, "new1"))
        await store.add(made(clock, "new2"))
        await store.add(made(clock, "other", "https://b.test/"))
        assert (await one(store, clock)).job_id == "other"
        clock.move(seconds=999)
        assert [found.job_id for found in await store.claim(clock(), 9, NOWHERE, 9)] == ["other"]
        clock.move(seconds=1)
        first, second = await store.claim(clock(), 9, NOWHERE, 9)
        again = await store.settle(first, refused(clock), clock(), 1)
        assert again is not None
        assert again.due_at == clock() + timedelta(seconds=1000)
        await store.settle(second, taken(clock), clock(), 1)
        await store.add(made(clock, "new3"))
        assert "new3" in [found.job_id for found in await store.claim(clock(), 9, NOWHERE, 9)]

    play(main)


def test_redelivery_ends_the_parking(play: Callable[[Main], None]) -> None:
    """Who asks for it believes that the receiver is there again."""

    async def main(store: Deliveries, clock: Clock) -> None:
        await kill(store, clock)
        assert await store.redeliver("dead0", clock()) == 1
        assert (await one(store, clock)).job_id == "dead0"

    play(main)


def test_redelivery_frees_what_was_parked_with_it(play: Callable[[Main], None]) -> None:
    """Messages that wait for the end of the parking are due as well; those of other receivers are not touched."""

    async def main(store: Deliveries, clock: Clock) -> None:
        await kill(store, clock)
        await store.add(made(clock, "parked"))
        assert await store.claim(clock(), 9, NOWHERE, 9) == []
        await store.redeliver("dead0", clock())
        assert {found.job_id for found in await store.claim(clock(), 9, NOWHERE, 9)} == {"dead0", "parked"}

    play(main)


def test_messages_for_the_dead_are_given_up_at_last(play: Callable[[Main], None]) -> None:
    """Those that would be too old when the parking ends."""

    async def main(store: Deliveries, clock: Clock) -> None:
        await kill(store, clock)
        await store.add(made(clock, "short", give_up_at=clock() + timedelta(seconds=500)))
        assert await store.claim(clock(), 9, NOWHERE, 9) == []
        (found,) = await store.of_job("short")
        assert (found.state, found.due_at) == ("failed", None)

    play(main)


# --- what a try changes ---------------------------------------------------------------------------------------------


def test_the_usual_schedule_is_a_day() -> None:
    """Ten tries; with all jitter from 18 to 24 hours; each pause no shorter than the one before."""
    assert 0.8 * sum(PAUSES_S) > 18 * 3600
    assert 23 * 3600 < sum(PAUSES_S) < 24 * 3600
    assert sorted(PAUSES_S) == list(PAUSES_S)
    assert len(PAUSES_S) == 9


def test_the_page_tells_the_schedule() -> None:
    """docs/webhooks.md has a row for each try."""
    rows = re.findall(
        r"^\| (\d+) \| (at once|(\d+) (s|min|h)) \|$", (ROOT / "docs/webhooks.md").read_text(), re.MULTILINE
    )
    seconds = [int(number or 0) * {"": 0, "s": 1, "min": 60, "h": 3600}[unit] for _, _, number, unit in rows]

    assert seconds == [0, *PAUSES_S]
    assert [int(row[0]) for row in rows] == list(range(1, 11))


@pytest.mark.parametrize(("spread", "pause_s"), [(0, 8), (0.5, 9), (1, 10)])
def test_pauses_are_spread(spread: float, pause_s: float) -> None:
    """By up to a fifth, so that what failed together does not come again together."""
    clock = Clock()
    changed, health = verdict(made(clock), refused(clock), HEALTHY, RULES, clock(), spread)

    assert changed.due_at == clock() + timedelta(seconds=pause_s)
    assert health == HEALTHY


def test_gone_is_dead_at_once() -> None:
    """410 parks the receiver."""
    clock = Clock()
    changed, health = verdict(made(clock), refused(clock, GONE), HEALTHY, RULES, clock(), 1)

    assert changed.state == "failed"
    assert health == Health(2, clock() + timedelta(seconds=1000))


@pytest.mark.parametrize(
    ("url", "host"),
    [("https://A.test/x", "a.test"), ("http://a.test:8080", "a.test:8080"), ("http://[::1", ""), ("", "")],
)
def test_hosts_are_read_from_urls(url: str, host: str) -> None:
    """Whatever stands there."""
    assert host_of(url) == host


# --- processes ------------------------------------------------------------------------------------------------------


def test_a_restart_loses_nothing(address: str) -> None:
    """Kept by a process that never sent; the next one sends it without being asked."""

    async def main() -> None:
        async with receiver("200 OK") as listener, on_tables(address) as db:
            await TableDeliveries(db).add(made(Clock(), url=listener.url))
            sender = Webhooks(
                parse_networks("127.0.0.0/8"), deliveries=TableDeliveries(db), hooks=StoredHooks(db), poll_s=0.05
            )
            sender.start()
            try:
                await listener.heard(1)
            finally:
                await sender.aclose()

    asyncio.run(main())


SENDER = """
import asyncio, sys
from bgone.jobs.deliveries import Rules
from bgone.jobs.delivery_rows import StoredHooks, TableDeliveries
from bgone.jobs.webhooks import Webhooks
from bgone.pipeline.addresses import parse_networks
from bgone.storage.database import Database

async def main():
    db = await Database.open(sys.argv[1])
    kept = TableDeliveries(db, Rules(lease_s=1))
    Webhooks(parse_networks("127.0.0.0/8"), deliveries=kept, hooks=StoredHooks(db), poll_s=0.05).start()
    await asyncio.Event().wait()

asyncio.run(main())
"""


def test_what_a_killed_process_was_sending_is_sent_by_another(address: str) -> None:
    """SIGKILL in the middle of a try: the lease ends, and the next process tells it, with the same id."""

    async def main() -> None:
        async with receiver("200 OK", slow_s=0.7) as listener, on_tables(address) as db:
            kept = TableDeliveries(db)
            await kept.add(made(Clock(), "a" * 32, listener.url))
            first = await asyncio.create_subprocess_exec(sys.executable, "-c", SENDER, address)
            await listener.heard(1)
            first.kill()
            await first.wait()
            second = await asyncio.create_subprocess_exec(sys.executable, "-c", SENDER, address)
            try:
                async with asyncio.timeout(ENOUGH_S):
                    while (await kept.of_job("a" * 32))[0].state != "delivered":
                        await asyncio.sleep(0.02)
            finally:
                second.kill()
                await second.wait()
            assert len(listener.told) >= 2
            assert len({told.headers["webhook-id"] for told in listener.told}) == 1

    asyncio.run(main())


def test_many_processes_send_each_message_once(address: str) -> None:
    """Three senders over one database; nothing is told twice, nothing is left."""

    async def main() -> None:
        async with receiver("200 OK") as listener, on_tables(address) as db:
            others = [await Database.open(address) for _ in range(2)]
            senders = [
                Webhooks(
                    parse_networks("127.0.0.0/8"), deliveries=TableDeliveries(one), hooks=StoredHooks(one), poll_s=0.05
                )
                for one in (db, *others)
            ]
            try:
                for number in range(60):
                    await senders[number % 3].send(f"job{number}", listener.url, b"{}", "acc_1")
                await listener.heard(60)
                async with asyncio.timeout(ENOUGH_S):
                    while any(found.state == "waiting" for found in await senders[0].deliveries.recent(99)):
                        await asyncio.sleep(0.01)
                assert len(listener.told) == 60
                assert len({told.headers["webhook-id"] for told in listener.told}) == 60
            finally:
                for sender in senders:
                    await sender.aclose()
                for other in others:
                    await other.aclose()

    asyncio.run(main())


def test_accounts_have_secrets_of_their_own(address: str) -> None:
    """Made once, whoever asks first; the URL is set and taken away."""

    async def main() -> None:
        async with on_tables(address) as db:
            known = StoredHooks(db)
            several = await asyncio.gather(*(known.of("acc_1") for _ in range(5)))
            assert len({hook.secret for hook in several}) == 1
            assert len(key_of(several[0].secret)) == 32
            assert (await known.of("acc_2")).secret != several[0].secret
            assert (await known.set_url("acc_1", "https://a.test/")).url == "https://a.test/"
            assert (await StoredHooks(db).of("acc_1")).secret == several[0].secret
            assert (await known.set_url("acc_1", None)).url is None

    asyncio.run(main())
