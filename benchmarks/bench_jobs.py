"""What the job engine itself costs: taking a job, handing it out, ending it; empty, and with 100,000 jobs waiting.

``python -m benchmarks.bench_jobs [--postgres ADDRESS] [--rounds N] [--waiting N]``; pictures are stand-ins, made at
once, so that all that is measured is ours. SQLite and objects lie in a folder of their own, PostgreSQL gets a
database of its own.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import uvloop
from sqlalchemy import Connection, insert, text

from benchmarks.bench_credits import own_postgres, values_of
from bgone.accounts.accounts import Accounts
from bgone.accounts.credits import Credits
from bgone.accounts.keys import Holder, Keys
from bgone.accounts.slips import Slips
from bgone.jobs.book import Made
from bgone.jobs.durable import DurableBook
from bgone.jobs.job import Job, new_id
from bgone.jobs.making import DurableLimits
from bgone.jobs.queue import Queue, open_queue, utc_now
from bgone.pipeline.order import Order, Upload
from bgone.storage.database import Database
from bgone.storage.objects import Objects
from bgone.storage.tables import job_queue, jobs

CALLS = 200  # of one caller, a round
CALLERS = 20
EACH = 20  # of each of these
CLAIMS = 300
Fresh = Callable[[], AbstractContextManager[str]]
"""The address of a new database, for a block."""
SOURCE = os.urandom(100_000)


@dataclass(frozen=True, slots=True)
class Figures:
    """One round; milliseconds where nothing else is said.

    Attributes:
        bare_ms: Median of the cheapest transaction that writes nothing: what the machine is worth now.
        take_ms: Median of taking a job that costs a credit, its source of 100 kB stored, one caller.
        take_slow_ms: 99 of 100 were faster.
        taken_s: Jobs taken a second, twenty callers on one account.
        whole_ms: Median from the call that takes a job to its end, one after the other, the worker in this process.
        claim_ms: Median between two jobs that are handed out, performed at once and forgotten.
        claim_slow_ms: 99 of 100 were faster.
    """

    bare_ms: float
    take_ms: float
    take_slow_ms: float
    taken_s: float
    whole_ms: float
    claim_ms: float
    claim_slow_ms: float


class Yard:
    """A book, an account with plenty of credits, and a store."""

    def __init__(self, database: Database, folder: Path, holder: Holder, queue: Queue, *, works: bool) -> None:
        self.database = database
        self.queue = queue
        self.objects = Objects(f"file://{folder}")
        self.holder = holder
        slips = self.slips = Slips(database)

        def settle(connection: Connection, slip: str, job: Job) -> None:
            slips.settle(connection, slip, charge=job.state == "done", reason=job.state)

        limits = DurableLimits(waiting=10_000_000)
        self.book = DurableBook(database, queue, _make, self.objects, limits, settle=settle, works=works)

    async def bare(self) -> None:
        await self.database.write(lambda link: link.execute(text("SELECT 1")).first())

    async def take(self) -> Job:
        job_id = new_id()
        pay = partial(self.slips.hold, self.holder, Decimal(1), job_id, "poofbg")
        owner = self.holder.account.id
        return await self.book.submit(job_id, "poofbg", owner, Order(Upload(SOURCE)), {}, Decimal(1), pay=pay)

    async def whole(self) -> None:
        job = await self.book.wait((await self.take()).id, 60)
        if job.state != "done":
            raise SystemExit(f"a job {job.state}: {job.failure}")

    async def crowd(self) -> float:
        """Jobs taken a second."""

        async def caller() -> None:
            for _ in range(EACH):
                await self.take()

        started = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return CALLERS * EACH / (time.perf_counter() - started)

    async def claims(self) -> list[float]:
        """Milliseconds between two jobs handed out."""
        moments: list[float] = []
        enough = asyncio.Event()

        async def perform(_job_id: str) -> datetime | None:
            moments.append(time.perf_counter())
            if len(moments) > CLAIMS:
                enough.set()
            return None

        working = asyncio.create_task(self.queue.work(perform, 1))
        await enough.wait()
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)
        return [(after - before) * 1000 for before, after in itertools.pairwise(moments)]


@asynccontextmanager
async def _make(_order: Order) -> AsyncIterator[Made]:
    async def pieces() -> AsyncIterator[bytes]:
        yield SOURCE

    yield Made(pieces(), "image/png", ".png", 1, 1)


@asynccontextmanager
async def open_yard(database: Database, folder: Path, holder: Holder, *, works: bool) -> AsyncIterator[Yard]:
    """A yard over a database."""
    queue = await open_queue(database)
    yard = Yard(database, folder, holder, queue, works=works)
    yard.book.start()
    yield yard
    await yard.book.aclose()
    await yard.objects.aclose()


async def milliseconds(work: Callable[[], Awaitable[object]]) -> list[float]:
    """How long each call took."""
    taken = []
    for _ in range(CALLS):
        started = time.perf_counter()
        await work()
        taken.append((time.perf_counter() - started) * 1000)
    return taken


def fill(count: int, connection: Connection) -> None:
    """So many jobs of others that wait, in both tables."""
    ids = [new_id() for _ in range(count)]
    now = utc_now()
    rows = [
        {
            "id": job_id, "dialect": "poofbg", "owner": f"acc_{number % 50}", "state": "queued", "rank": number // 50,
            "created_at": now, "recipe": "", "notes": "{}", "price": "1", "secret": "",
        }
        for number, job_id in enumerate(ids)
    ]  # fmt: skip
    connection.execute(insert(jobs), rows)
    if connection.dialect.name == "sqlite":
        queued = [{"job_id": row["id"], "priority": row["rank"], "at": now} for row in rows]
        connection.execute(insert(job_queue), queued)
        return
    connection.execute(
        text(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, queueing_lock, args) "
            "SELECT 'bgone', 'bgone.job', -rank, id, jsonb_build_object('job_id', id) FROM jobs WHERE recipe = ''"
        )
    )


async def measure(address: str, folder: Path, waiting: int) -> Figures:
    """One round over a new database."""
    database = await Database.open(address)
    await database.migrate()
    account = await Accounts(database).create(f"bench {secrets.token_hex(4)}", credits=Decimal(10_000_000))
    keys = Keys(database)
    secret, _ = await keys.create(account.id)
    holder = await keys.find(secret)
    async with open_yard(database, folder, holder, works=True) as yard:
        bare = statistics.median(await milliseconds(yard.bare))
        whole = statistics.median(await milliseconds(yard.whole))
    async with open_yard(database, folder, holder, works=False) as yard:
        if waiting:
            await database.write(partial(fill, waiting))
        takes = await milliseconds(yard.take)
        rate = await yard.crowd()
        claims = await yard.claims()
    if differences := await Credits(database).audit():
        raise SystemExit(f"the books do not balance: {differences}")
    await database.aclose()
    return Figures(bare, statistics.median(takes), _slow(takes), rate, whole, statistics.median(claims), _slow(claims))


def _slow(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=100)[-1]


async def run(databases: dict[str, Fresh], folder: Path, rounds: int, waiting: int) -> None:
    """Every database in every round, so that all meet the same neighbours."""
    measured: dict[str, list[Figures]] = {}
    for _ in range(rounds):
        for name, fresh in databases.items():
            for count in (0, waiting):
                with fresh() as address:
                    figures = await measure(address, folder / "objects", count)
                measured.setdefault(f"{name}, {count} waiting", []).append(figures)
    click.echo(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {rounds} rounds: median (least to most)")
    for name, of_rounds in measured.items():
        for field, words in (
            ("bare_ms", "empty transaction, ms"),
            ("take_ms", "taking a job, one caller, ms"),
            ("take_slow_ms", "the same, 99 %, ms"),
            ("taken_s", f"jobs taken a second, {CALLERS} callers"),
            ("whole_ms", "from taking it to its end, ms"),
            ("claim_ms", "handing out, ms"),
            ("claim_slow_ms", "the same, 99 %, ms"),
        ):
            values = values_of([getattr(each, field) for each in of_rounds])
            shown = [f"{value:.0f}" if value >= 100 else f"{value:.2f}" for value in values]
            click.echo(f"{name:<28} {words:<40} {shown[0]} ({shown[1]} to {shown[2]})")


@click.command()
@click.option("--postgres", default="postgresql+psycopg:///test?host=/var/run/postgresql", show_default=True)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(min=1))
@click.option("--waiting", default=100_000, show_default=True, type=click.IntRange(min=1))
def main(postgres: str, rounds: int, waiting: int) -> None:
    """Measure both databases."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        databases: dict[str, Fresh] = {
            "SQLite": lambda: nullcontext(f"sqlite+aiosqlite:///{folder}/{secrets.token_hex(4)}.db"),
            "PostgreSQL": lambda: own_postgres(postgres),
        }
        uvloop.run(run(databases, folder, rounds, waiting))


if __name__ == "__main__":
    main()
