"""Receivers that are slow, fail, redirect, vanish or die, told by a real server about real jobs: at least once, one id.

The server is in a hurry (``benchmarks.hurried``): its schedule takes seconds, not a day. A message goes to jobid's
``webhook_url``, or to the URL that hears of all of an account's jobs.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise

import pytest
from benchmarks.hurried import HURRY
from httpx2 import AsyncClient

from bgone.accounts.books import open_books
from bgone.jobs.deliveries import Delivery
from bgone.jobs.delivery_rows import StoredHooks, TableDeliveries
from bgone.storage.database import Database
from tests import pictures
from tests.databases import KINDS, on_database, own_postgres, sqlite_address
from tests.jobs.receivers import Receiver, receiver
from tests.serving import Served, serve

ENOUGH_S = 60.0
PHOTO = pictures.photo(61, 40, of=pictures.ball)
PAUSES_S = HURRY.rules.pauses_s


@dataclass
class Office:
    """A server that tells, and its database."""

    served: Served
    address: str


@pytest.fixture(scope="module", params=KINDS)
def office(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """One for all of this file, over each kind of database; only 127.0.0.1 may be told."""
    folder = tmp_path_factory.mktemp("office")

    def over(address: str) -> Iterator[Office]:
        settings = {"database_url": address, "data_dir": folder / "state", "fetch_allow": "127.0.0.1/32"}
        with serve(folder, "benchmarks.hurried", **settings) as served:
            yield Office(served, address)

    if request.param == "sqlite":
        address = sqlite_address(folder)
        on_database(address, lambda database: database.migrate())
        yield from over(address)
        return
    with own_postgres() as address:
        on_database(address, lambda database: database.migrate())
        yield from over(address)


@pytest.fixture(params=["order", "account"])
def by(request: pytest.FixtureRequest) -> str:
    """Who names the URL."""
    return str(request.param)


@dataclass
class Customer:
    """An account of its own, whose jobs are told to one URL."""

    client: AsyncClient
    database: Database
    deliveries: TableDeliveries
    address: str
    order_url: str

    async def hand_in(self) -> str:
        """A job's id."""
        data = {"webhook_url": self.order_url} if self.order_url else {}
        answer = await self.client.post("/api/v1/remove-bg", files={"image_file": ("x.jpg", PHOTO)}, data=data)
        assert answer.status_code == 202, answer.text
        job_id: str = answer.json()["jobId"]
        return job_id

    async def until(self, job_id: str, true: Callable[[Delivery], bool]) -> Delivery:
        """What is to be told of a job, once something is true of it."""
        async with asyncio.timeout(ENOUGH_S):
            while not (found := await self.deliveries.of_job(job_id)) or not true(found[0]):
                await asyncio.sleep(0.02)
        (delivery,) = found
        return delivery

    async def told(self, job_id: str) -> Delivery:
        """The same, once it is over."""
        return await self.until(job_id, lambda delivery: delivery.state != "waiting")

    async def run(self, *arguments: str) -> object:
        """What ``bgone jobs ARGUMENTS --json`` says."""
        command = [sys.executable, "-m", "bgone", "jobs", *arguments, "--database-url", self.address, "--json"]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, check=True, env={**os.environ})
        return json.loads(done.stdout)


@asynccontextmanager
async def customer(office: Office, by: str, url: str) -> AsyncIterator[Customer]:
    """A new one."""
    async with open_books(office.address) as books:
        account = await books.accounts.create(secrets.token_hex(8), credits=Decimal(20))
        key, _ = await books.keys.create(account.id)
        if by == "account":
            await StoredHooks(books.db).set_url(account.id, url)
        headers = {"authorization": f"Bearer {key}"}
        async with AsyncClient(
            base_url=office.served.url, headers=headers, timeout=ENOUGH_S, trust_env=False
        ) as client:
            kept = TableDeliveries(books.db, HURRY.rules)
            yield Customer(client, books.db, kept, office.address, url if by == "order" else "")


def play(scene: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(scene())  # type: ignore[arg-type]


def must_be_one_message(listener: Receiver, delivery: Delivery) -> None:
    """Whatever came has the message's id, and the same body."""
    assert {told.headers["webhook-id"] for told in listener.told} == {delivery.id}
    assert {told.body for told in listener.told} == {delivery.body}


def must_back_off(delivery: Delivery, pauses_s: Sequence[float] = PAUSES_S) -> None:
    """No try comes earlier than its pause, less a fifth."""
    gaps = [(after.at - before.at).total_seconds() for before, after in pairwise(delivery.tries)]
    assert all(gap >= 0.8 * pause_s for gap, pause_s in zip(gaps, pauses_s, strict=False)), gaps


def test_slow_receivers_are_told_again(office: Office, by: str) -> None:
    """Who answers after the time for a try has heard it, and hears it again with the same id, until it answers."""

    async def scene() -> None:
        async with receiver("200 OK", slow_s=30) as listener, customer(office, by, listener.url) as shop:
            job_id = await shop.hand_in()
            await shop.until(job_id, lambda delivery: len(delivery.tries) >= 2)
            listener.slow_s = 0
            delivery = await shop.told(job_id)
            assert delivery.state == "delivered"
            assert [tried.error for tried in delivery.tries[:2]] == ["no answer within 1 s"] * 2
            assert [tried.latency_ms >= 900 for tried in delivery.tries[:2]] == [True, True]
            assert len(listener.told) >= 3
            must_be_one_message(listener, delivery)
            must_back_off(delivery)

    play(scene)


def test_failing_receivers_are_told_again(office: Office, by: str) -> None:
    """Three errors, then it is taken, and not told any more; each try is in the log that operators read."""

    async def scene() -> None:
        statuses = ["500 Oops", "503 Busy", "404 Lost", "200 OK"]
        async with receiver(*statuses) as listener, customer(office, by, listener.url) as shop:
            job_id = await shop.hand_in()
            delivery = await shop.told(job_id)
            assert delivery.state == "delivered"
            assert [tried.status for tried in delivery.tries] == [500, 503, 404, 200]
            assert len(listener.told) == 4
            must_be_one_message(listener, delivery)
            must_back_off(delivery)
            log = await shop.run("deliveries", job_id)
            assert isinstance(log, dict)
            assert [one["error"] for one in log["tries"]] == ["answered 500", "answered 503", "answered 404", ""]

    play(scene)


def test_redirects_are_not_followed(office: Office, by: str) -> None:
    """A receiver that sends us on to a private address: nobody there hears a byte, and the log tells why."""

    async def scene() -> None:
        async with receiver("200 OK") as inside:
            elsewhere = f"http://127.0.0.2:{inside.port}/"
            sends_on = [f"{status}\r\nlocation: {elsewhere}" for status in ("302 Found", "307 There", "308 There")]
            async with receiver(*sends_on, "200 OK") as listener, customer(office, by, listener.url) as shop:
                delivery = await shop.told(await shop.hand_in())
                assert delivery.state == "delivered"
                assert [tried.status for tried in delivery.tries] == [302, 307, 308, 200]
                assert {"redirects are not followed" in tried.error for tried in delivery.tries[:3]} == {True}
                assert inside.told == []
                must_be_one_message(listener, delivery)

    play(scene)


def test_private_addresses_are_refused(office: Office, by: str) -> None:
    """A URL that leads inside: tried by the schedule, refused each time before a byte is sent, given up."""

    async def scene() -> None:
        async with receiver("200 OK") as inside:
            async with customer(office, by, f"http://127.0.0.2:{inside.port}/") as shop:
                delivery = await shop.told(await shop.hand_in())
            assert delivery.state == "failed"
            assert [tried.status for tried in delivery.tries] == [None] * (1 + len(PAUSES_S))
            assert {tried.error.rstrip(".").rpartition(" ")[2] for tried in delivery.tries} == {"allowed"}
            assert inside.told == []

    play(scene)


def test_vanished_receivers_hear_of_it_when_they_are_back(office: Office, by: str) -> None:
    """Nobody listens while the job ends; then somebody does."""

    async def scene() -> None:
        listener = Receiver(["200 OK"])
        with socket.socket() as place:
            place.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
            url = f"http://127.0.0.1:{place.getsockname()[1]}/"
            async with customer(office, by, url) as shop:
                job_id = await shop.hand_in()
                await shop.until(job_id, lambda delivery: len(delivery.tries) >= 2)
                server = await asyncio.start_server(listener.serve, sock=place)
                try:
                    delivery = await shop.told(job_id)
                finally:
                    server.close()
            assert delivery.state == "delivered"
            assert {tried.status for tried in delivery.tries[:2]} == {None}
            assert "connection failed" in delivery.tries[0].error
            assert len(listener.told) == 1
            must_be_one_message(listener, delivery)

    play(scene)


def test_dead_receivers_are_parked_until_somebody_believes_in_them(office: Office, by: str) -> None:
    """After two messages that were given up nothing is sent; told again by hand, all come, with their ids."""

    async def scene() -> None:
        async with receiver("500 Oops") as listener, customer(office, by, listener.url) as shop:
            given_up = [await shop.told(await shop.hand_in()) for _ in range(2)]
            assert [delivery.state for delivery in given_up] == ["failed"] * 2
            before = len(listener.told)
            assert before == 2 * (1 + len(PAUSES_S))

            def is_parked(delivery: Delivery) -> bool:
                return delivery.due_at is not None and (delivery.due_at - delivery.created_at).total_seconds() > 600

            parked = await shop.hand_in()
            waiting = await shop.until(parked, is_parked)
            assert (waiting.tries, len(listener.told)) == ((), before)

            listener.statuses = ["200 OK"]
            first = given_up[0]
            assert await shop.run("redeliver", first.job_id) == {"job_id": first.job_id, "messages": 1}
            again = await shop.told(first.job_id)
            freed = await shop.told(parked)
            assert (again.state, again.id, again.body) == ("delivered", first.id, first.body)
            assert (freed.state, freed.id) == ("delivered", waiting.id)
            assert [told.headers["webhook-id"] for told in listener.told].count(first.id) == 2 + len(PAUSES_S)

    play(scene)
