"""What do keys, credits and limits add to a request? The same picture, the same server, with and without accounts.

    python -m benchmarks.gate [--postgres ADDRESS] [--redis ADDRESS]

All servers stay up side by side. In each round every one of them is asked once, in an order that turns, on connections
that are kept alive; the server without accounts is taken off the others round by round, so that whatever else the
machine does meets both. The picture is tiny and there is no net: what is added is milliseconds, not a share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click
import cv2
import numpy as np

from benchmarks import process
from benchmarks.bench import Bench, Row
from benchmarks.bench_credits import own_postgres
from benchmarks.client import Client, Post
from benchmarks.compare import Spread, spread
from benchmarks.server import Server
from bgone.accounts.accounts import Plan
from bgone.accounts.books import open_books
from bgone.storage.database import Database

POSTGRES = "postgresql+psycopg:///test?host=/var/run/postgresql"
REDIS = "redis://127.0.0.1:6379/0"
LIMIT_MS = 1.0
ROUNDS = 160  # of a pair
WARMING = 40
# One rule that never refuses here: its window is counted for every call.
RATES = {"*": [{"per": "minute", "amount": 10_000, "scope": "key"}]}
BARE = "without accounts"
SQLITE, POSTGRESQL = "SQLite, limits in memory", "PostgreSQL over a socket, limits in Redis"


@dataclass(frozen=True, slots=True)
class Asked:
    """A server and what it is asked."""

    server: Server
    client: Client
    post: Post


@dataclass(frozen=True, slots=True)
class Added:
    """What a server needs more than the one without accounts, by pairs.

    Attributes:
        ms: Median of a round's differences.
        cpu_ms: Mean CPU of a request, over the process tree; the database's own is not in it.
    """

    ms: Spread
    cpu_ms: Spread


def ask(bench: Bench) -> list[Row]:
    """Added milliseconds on each database."""
    return measure(bench, POSTGRES, REDIS)


def measure(bench: Bench, postgres: str, redis: str) -> list[Row]:
    """The same with databases of the caller's choice."""
    with _servers(bench, postgres, redis) as asked:
        bare_ms, added = _compare(asked, bench.pairs, bench.count(ROUNDS))
    note = f"without accounts a request takes {bare_ms.words(' ms', 1)}"
    return [
        Row(
            f"Keys, credits and limits, added to a request: {name}",
            f"≤ {LIMIT_MS:.0f} ms",
            figures.ms.words(" ms", 2),
            figures.ms.median <= LIMIT_MS,
            (note, f"CPU of the server: {figures.cpu_ms.words(' ms', 2)}"),
        )
        for name, figures in added.items()
    ]


def _compare(asked: Mapping[str, Asked], pairs: int, rounds: int) -> tuple[Spread, dict[str, Added]]:
    """(milliseconds of the bare server, what the others add)."""
    names = list(asked)
    bare: list[float] = []
    ms: dict[str, list[float]] = {name: [] for name in names}
    cpu: dict[str, list[float]] = {name: [] for name in names}
    _rounds(asked, WARMING)
    for _ in range(pairs):
        before = {name: process.cpu_s(each.server.pid) for name, each in asked.items()}
        taken = _rounds(asked, rounds)
        after = {name: process.cpu_s(each.server.pid) for name, each in asked.items()}
        used = {name: 1000 * (after[name] - before[name]) / rounds for name in names}
        bare.append(median(taken[BARE]))
        for name in names:
            ms[name].append(median(one - none for one, none in zip(taken[name], taken[BARE], strict=True)))
            cpu[name].append(used[name] - used[BARE])
    return spread(bare), {name: Added(spread(ms[name]), spread(cpu[name])) for name in names if name != BARE}


def _rounds(asked: Mapping[str, Asked], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each server in each round."""
    names = list(asked)
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            answer = asked[name].client.post(asked[name].post)
            if answer.status != 200:
                raise RuntimeError(f"{name} answered {answer.status}")
            taken[name].append(1000 * answer.seconds)
    return taken


# --- the servers ----------------------------------------------------------------------------------------------------


@contextmanager
def _servers(bench: Bench, postgres: str, redis: str) -> Iterator[dict[str, Asked]]:
    """By name: without accounts, and on each database with credits alone and with limits."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        sqlite = f"sqlite+aiosqlite:///{folder}/bgone.db"
        socket = stack.enter_context(own_postgres(postgres))
        keys = {address: asyncio.run(_open_account(address)) for address in (sqlite, socket)}
        kinds: dict[str, dict[str, object]] = {
            BARE: {"auth": "none", "rate_limits": "off"},
            "SQLite, no limits": {"database_url": sqlite, "rate_limits": "off"},
            SQLITE: {"database_url": sqlite},
            "PostgreSQL over a socket, no limits": {"database_url": socket, "rate_limits": "off"},
            POSTGRESQL: {"database_url": socket, "limits_url": redis, "limits_outage": "closed"},
        }
        asked = {}
        for name, settings in kinds.items():
            server = stack.enter_context(bench.bgone(net=False, data_dir=folder / "nobody", **settings))
            client = stack.enter_context(closing(Client(server.port)))
            post = server.kind.post(_picture())
            key = keys.get(str(settings.get("database_url")), "")
            asked[name] = Asked(server, client, replace(post, path=f"{post.path}?api_key={key}") if key else post)
        yield asked


async def _open_account(address: str) -> str:
    """A key of an account with plenty of credits and one limit."""
    database = await Database.open(address)
    await database.migrate()
    await database.aclose()
    async with open_books(address) as books:
        await books.accounts.put_plan(Plan("counted", rates=RATES))
        account = await books.accounts.create("bench", plan="counted", credits=Decimal(1_000_000))
        secret, _ = await books.keys.create(account.id)
        return secret


def _picture() -> bytes:
    pixels = np.full((48, 64, 3), (212, 205, 190), np.uint8)
    cv2.circle(pixels, (32, 24), 14, (40, 50, 210), -1, cv2.LINE_AA)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


@click.command()
@click.option("--pairs", default=7, show_default=True, type=click.IntRange(min=1))
@click.option("--postgres", default=POSTGRES, show_default=True)
@click.option("--redis", default=REDIS, show_default=True)
def main(pairs: int, postgres: str, redis: str) -> None:
    """Measure and print."""
    bench = Bench(Path(__file__).parent / ".work", None, pairs, quick=False)
    for row in measure(bench, postgres, redis):
        click.echo("\n".join([f"{row.measured:>24}  {row.what}", *(f"{'':26}{note}" for note in row.notes)]))


if __name__ == "__main__":
    main()
