"""A durable book with all around it, in this process or in a worker of its own that can be killed."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection, func, select

from bgone.accounts.accounts import Accounts
from bgone.accounts.credits import Credits
from bgone.accounts.keys import Holder, Keys
from bgone.accounts.slips import Slips
from bgone.jobs.book import Made
from bgone.jobs.durable import DurableBook
from bgone.jobs.job import Job, new_id
from bgone.jobs.making import DurableLimits
from bgone.jobs.queue import open_queue
from bgone.pipeline.order import Order, Upload
from bgone.storage.database import Database
from bgone.storage.objects import Objects
from bgone.storage.tables import jobs
from tests.databases import Clock, on_database

Value = TypeVar("Value")
LEASE_S = 4.0  # a loaded machine still gives its signs of life in time
PROMPT = DurableLimits(pause_s=0.01, again_s=0.01)


class Easel:
    """Makes pictures out of their sources, after a while; what it is told to fail with, it does."""

    def __init__(self, seconds: float = 0) -> None:
        self.go = asyncio.Event()
        self.go.set()
        self.seconds = seconds
        self.failures: list[BaseException] = []
        self.begun: list[bytes] = []

    @asynccontextmanager
    async def make(self, order: Order) -> AsyncIterator[Made]:
        assert isinstance(order.source, Upload)
        self.begun.append(order.source.data)
        await asyncio.sleep(self.seconds)
        await self.go.wait()
        if self.failures:
            raise self.failures.pop(0)
        yield Made(_pieces(b"made of " + order.source.data), "image/png", ".png", 61, 40)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 5):
        yield body[at : at + 5]


@dataclass
class Plant:
    """One process' view: a book, the store, the accounts, and what was heard."""

    database: Database
    objects: Objects
    book: DurableBook
    easel: Easel
    clock: Clock
    slips: Slips
    credits: Credits
    folder: Path
    ended: list[Job] = field(default_factory=list)
    deaf: list[Exception] = field(default_factory=list)
    told: Path | None = None  # a file that outlives the process: a line for each end that was heard of

    async def hear(self, job: Job) -> None:
        if self.deaf:
            raise self.deaf.pop()
        self.ended.append(job)
        if self.told is not None:
            with self.told.open("a") as file:
                file.write(f"{job.id}\n")

    async def holder(self, given: str = "10") -> Holder:
        """A new account's key."""
        account = await Accounts(self.database, now=self.clock).create(new_id(), "", "payg", Decimal(given))
        keys = Keys(self.database, cache_s=0, now=self.clock)
        secret, _ = await keys.create(account.id)
        return await keys.find(secret)

    async def submit(
        self,
        body: bytes = b"picture",
        owner: str = "me",
        dialect: str = "poofbg",
        *,
        key: str = "",
        job_id: str = "",
        waits: bool = False,
    ) -> Job:
        order, notes = Order(Upload(body)), {"note": "kept"}
        return await self.book.submit(
            job_id or new_id(), dialect, owner, order, notes, Decimal(1), idempotency_key=key, waits=waits
        )

    async def buy(
        self, holder: Holder, body: bytes = b"picture", *, key: str = "", job_id: str = "", waits: bool = False
    ) -> Job:
        """A job that costs a credit."""
        job_id = job_id or new_id()

        def pay(also: Callable[[Connection, str], None]) -> Awaitable[object]:
            return self.slips.hold(holder, Decimal(1), job_id, "poofbg", also)

        owner, order = holder.account.id, Order(Upload(body))
        return await self.book.submit(
            job_id, "poofbg", owner, order, {}, Decimal(1), idempotency_key=key, pay=pay, waits=waits
        )

    async def finish(self, job: Job) -> Job:
        return await self.book.wait(job.id, math.inf)

    async def left(self, holder: Holder) -> tuple[Decimal, Decimal]:
        """(what can be spent, what is held)."""
        balance = await self.credits.balance(holder.account.id)
        return balance.credits, balance.held

    async def closed(self) -> None:
        """What follows the ends of jobs has been done, by whichever process."""
        left = select(func.count()).select_from(jobs).where(jobs.c.close_at.is_not(None))
        while await self.database.query(lambda link: link.execute(left).scalar_one()):
            await asyncio.sleep(0.005)

    def stored(self) -> list[str]:
        """Everything in the object store."""
        return sorted(path.name for path in self.folder.iterdir())

    async def at_work(self) -> None:
        """The queue hands jobs out here."""
        await self.until(lambda: self.book._queue.can_hold)

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def plant(
    database: Database,
    folder: Path,
    limits: DurableLimits = PROMPT,
    *,
    works: bool = True,
    lease_s: float = LEASE_S,
    easel: Easel | None = None,
) -> AsyncIterator[Plant]:
    """An open one over a database and a folder of objects."""
    clock, easel = Clock(), easel or Easel()
    objects = Objects(f"file://{folder}")
    slips = Slips(database, now=clock)

    def settle(connection: Connection, slip: str, job: Job) -> None:
        slips.settle(connection, slip, charge=job.state == "done", reason=f"job {job.state}", pixels=61 * 40)

    queue = await open_queue(database, lease_s)
    made: list[Plant] = []

    async def hear(job: Job) -> None:
        await made[0].hear(job)

    book = DurableBook(database, queue, easel.make, objects, limits, on_end=hear, settle=settle, now=clock, works=works)
    money = Credits(database, now=clock)
    made.append(Plant(database, objects, book, easel, clock, slips, money, folder))
    book.start()
    try:
        yield made[0]
    finally:
        await book.aclose()
        await money.aclose()
        await objects.aclose()


def in_plant(
    address: str,
    folder: Path,
    main: Callable[[Plant], Awaitable[Value]],
    limits: DurableLimits = PROMPT,
    *,
    works: bool = True,
) -> Value:
    """What ``main`` answers with a book that is open; every balance is the sum of its ledger afterwards."""

    async def on(database: Database) -> Value:
        async with asyncio.timeout(100), plant(database, folder / "objects", limits, works=works) as room:
            value = await main(room)
            assert await room.credits.audit() == []
            return value

    return on_database(address, on)
