"""What keys and credits add to a request, and how many spends a second one account takes.

``python -m benchmarks.bench_credits [--postgres ADDRESS] [--rounds N]``; measures SQLite in a folder of its own, and
PostgreSQL in a database of its own, made on the server of the address and dropped again.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import psycopg
import uvloop
from sqlalchemy import text
from sqlalchemy.engine import make_url

from bgone.accounts.accounts import Accounts
from bgone.accounts.credits import Credits
from bgone.accounts.keys import Holder, Keys
from bgone.storage.database import Database

CALLS = 300  # of one caller, a round
CALLERS = 50
EACH = 40  # calls of each of these, a round
ONE = Decimal(1)


@dataclass(frozen=True, slots=True)
class Figures:
    """One round.

    Attributes:
        bare_ms: Median of the cheapest question to the database: what the machine is worth now.
        cached_ms: Median of finding a key that the cache knows.
        found_ms: Median of finding a key that it does not.
        spend_ms: Median of a hold and its charge together, one caller.
        slow_ms: Nineteen of twenty of these were faster.
        spends_s: Holds with their charges a second, fifty callers on one account.
    """

    bare_ms: float
    cached_ms: float
    found_ms: float
    spend_ms: float
    slow_ms: float
    spends_s: float


class Till:
    """An account with plenty of credits, and everything that spends them."""

    def __init__(self, database: Database, secret: str, holder: Holder) -> None:
        self.database = database
        self.secret = secret
        self.holder = holder
        self.credits = Credits(database)
        self.keys = Keys(database, cache_s=3600)
        self.uncached = Keys(database, cache_s=0)
        self._requests = count()

    async def bare(self) -> None:
        await self.database.query(lambda link: link.execute(text("SELECT 1")).first())

    async def cached(self) -> None:
        await self.keys.find(self.secret)

    async def found(self) -> None:
        await self.uncached.find(self.secret)

    async def spend(self) -> None:
        hold = await self.credits.hold(self.holder, ONE, f"req_{next(self._requests)}", "removebg")
        await self.credits.charge(hold)

    async def crowd(self) -> float:
        """Spends a second."""

        async def caller() -> None:
            for _ in range(EACH):
                await self.spend()

        started = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(CALLERS)))
        return CALLERS * EACH / (time.perf_counter() - started)


async def milliseconds(work: Callable[[], Awaitable[None]], calls: int = CALLS) -> list[float]:
    """How long each of ``calls`` took."""
    taken = []
    for _ in range(calls):
        started = time.perf_counter()
        await work()
        taken.append((time.perf_counter() - started) * 1000)
    return taken


async def measure(till: Till) -> Figures:
    """One round."""
    bare, cached, found = [statistics.median(await milliseconds(work)) for work in (till.bare, till.cached, till.found)]
    spends = await milliseconds(till.spend)
    slow = statistics.quantiles(spends, n=20)[-1]
    return Figures(bare, cached, found, statistics.median(spends), slow, await till.crowd())


@asynccontextmanager
async def open_till(address: str) -> AsyncIterator[Till]:
    """A till over a new database; afterwards its books must balance."""
    database = await Database.open(address)
    await database.migrate()
    account = await Accounts(database).create(f"bench {secrets.token_hex(4)}", credits=Decimal(10_000_000))
    keys = Keys(database)
    secret, _ = await keys.create(account.id, prefix="sk_live_")
    till = Till(database, secret, await keys.find(secret))
    yield till
    await till.credits.aclose()
    if differences := await till.credits.audit():
        raise SystemExit(f"the books do not balance: {differences}")
    await database.aclose()


async def run(addresses: dict[str, str], rounds: int) -> None:
    """Every database in every round, so that all meet the same neighbours."""
    measured: dict[str, list[Figures]] = {name: [] for name in addresses}
    for _ in range(rounds):
        for name, address in addresses.items():
            async with open_till(address) as till:
                measured[name].append(await measure(till))
    click.echo(f"load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores, {rounds} rounds: median (least to most)")
    for name, figures in measured.items():
        for field, words in (
            ("bare_ms", "SELECT 1, ms"),
            ("cached_ms", "key from the cache, ms"),
            ("found_ms", "key from the database, ms"),
            ("spend_ms", "hold and charge, one caller, ms"),
            ("slow_ms", "the same, 95 %, ms"),
            ("spends_s", f"spends a second, {CALLERS} callers, one account"),
        ):
            values = [getattr(each, field) for each in figures]
            shown = [f"{value:.0f}" if value >= 100 else f"{value:.3f}" for value in values_of(values)]
            click.echo(f"{name:<10} {words:<46} {shown[0]} ({shown[1]} to {shown[2]})")


def values_of(values: list[float]) -> tuple[float, float, float]:
    """(median, least, most)."""
    return statistics.median(values), min(values), max(values)


@contextmanager
def own_postgres(server: str) -> Iterator[str]:
    """The address of a database for the block."""
    url, name = make_url(server), f"bgone_bench_{secrets.token_hex(4)}"
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield url.set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@click.command()
@click.option("--postgres", default="postgresql+psycopg:///test?host=/var/run/postgresql", show_default=True)
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(min=1))
def main(postgres: str, rounds: int) -> None:
    """Measure both databases."""
    with TemporaryDirectory() as folder, own_postgres(postgres) as address:
        addresses = {"SQLite": f"sqlite+aiosqlite:///{Path(folder)}/bgone.db", "PostgreSQL": address}
        uvloop.run(run(addresses, rounds))


if __name__ == "__main__":
    main()
