"""What does a call that waits for its job cost beside a call that is its work? And how fast are jobs accepted?

    python -m benchmarks.waiting [--pairs N] [--postgres ADDRESS]

One server with accounts on each database, without a net. In each pair the same tiny picture goes once to ``POST /v2``
and once to PoofBG's ``POST /v1/remove-background``, first the one, then the other, in an order that turns, each on a
connection of its own that is kept alive. Then many clients post to ``POST /api/v1/remove-bg``, which never waits; the
server works on one of those jobs at a time meanwhile, as it comes.
"""

from __future__ import annotations

import asyncio
import http.client
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

import click
import cv2
import numpy as np

from benchmarks.bench import Bench
from benchmarks.bench_credits import own_postgres
from benchmarks.client import Post, form
from bgone.accounts.books import open_books
from bgone.storage.database import Database

POSTGRES = "postgresql+psycopg://postgres@127.0.0.1:5432/test"
PAIRS = 300
WARMING = 30
CLIENTS = 16
ACCEPTING_S = 5.0
PLENTY = 1_000_000  # of credits, and of jobs that may wait


class Caller(http.client.HTTPConnection):
    """One connection, kept alive, that sends one request again and again.

    Args:
        proof: Is in every answer that is the right one; a job that failed answers 200 as well.
    """

    def __init__(self, port: int, post: Post, key: tuple[str, str], proof: bytes) -> None:
        super().__init__("127.0.0.1", port, timeout=60)
        boundary = post.body[2 : post.body.index(b"\r\n")].decode()
        self._post, self._proof = post, proof
        self._headers = dict([key, ("content-type", f"multipart/form-data; boundary={boundary}")])

    def ask(self) -> float:
        """Milliseconds from before the request to the answer's last byte."""
        started = time.perf_counter()
        self.request("POST", self._post.path, self._post.body, self._headers)
        answer = self.getresponse()
        body = answer.read()
        ms = 1000 * (time.perf_counter() - started)
        if self._proof not in body:
            raise RuntimeError(f"{self._post.path} answered {answer.status}: {body[:200]!r}")
        return ms


def measure(bench: Bench, address: str) -> tuple[list[float], list[float], float]:
    """(milliseconds of each plain call, of each waiting one, jobs accepted a second) on an empty database."""
    with _server(bench, address) as (port, key):
        bearer, picture = ("authorization", f"Bearer {key}"), _picture()
        plain = Caller(port, form("/v2", "image_file", picture, {}), ("x-api-key", key), b"\x89PNG")
        waiting = Caller(port, form("/poofbg/v1/remove-background", "file", picture, {}), bearer, b'"completed"')
        with closing(plain), closing(waiting):
            _alternate(plain, waiting, WARMING)
            taken = _alternate(plain, waiting, bench.pairs)
        never = form("/jobid/api/v1/remove-bg", "image_file", picture, {})
        return *taken, _accepted_s([Caller(port, never, bearer, b'"jobId"') for _ in range(CLIENTS)])


def _alternate(plain: Caller, waiting: Caller, pairs: int) -> tuple[list[float], list[float]]:
    taken: dict[Caller, list[float]] = {plain: [], waiting: []}
    for number in range(pairs):
        for caller in (plain, waiting) if number % 2 else (waiting, plain):
            taken[caller].append(caller.ask())
    return taken[plain], taken[waiting]


def _accepted_s(callers: Sequence[Caller]) -> float:
    """Answers a second to all of these at once."""
    started = time.perf_counter()

    def work(caller: Caller) -> int:
        count = 0
        with closing(caller):
            while time.perf_counter() - started < ACCEPTING_S:
                caller.ask()
                count += 1
        return count

    with ThreadPoolExecutor(len(callers)) as threads:
        count = sum(threads.map(work, callers))
    return count / (time.perf_counter() - started)


@contextmanager
def _server(bench: Bench, address: str) -> Iterator[tuple[int, str]]:
    """Its port, and a key of an account with plenty of credits."""
    key = asyncio.run(_open_account(address))
    settings = {"database_url": address, "rate_limits": "off", "jobs_waiting": PLENTY}
    with TemporaryDirectory() as data, bench.bgone(net=False, data_dir=data, **settings) as server:
        yield server.port, key


async def _open_account(address: str) -> str:
    database = await Database.open(address)
    await database.migrate()
    await database.aclose()
    async with open_books(address) as books:
        account = await books.accounts.create("bench", credits=Decimal(PLENTY))
        secret, _ = await books.keys.create(account.id)
        return secret


def _picture() -> bytes:
    pixels = np.full((60, 80, 3), (212, 205, 190), np.uint8)
    cv2.circle(pixels, (40, 30), 18, (40, 50, 210), -1, cv2.LINE_AA)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


@click.command()
@click.option("--pairs", default=PAIRS, show_default=True, type=click.IntRange(min=2))
@click.option("--postgres", default=POSTGRES, show_default=True)
def main(pairs: int, postgres: str) -> None:
    """Measure and print."""
    bench = Bench(Path(__file__).parent / ".work", None, pairs, quick=False)
    with TemporaryDirectory() as folder, own_postgres(postgres) as address:
        for name, each in (("SQLite", f"sqlite+aiosqlite:///{folder}/bgone.db"), ("PostgreSQL", address)):
            before = os.getloadavg()[0]
            plain, waiting, accepted_s = measure(bench, each)
            added = [after - bare for bare, after in zip(plain, waiting, strict=True)]
            click.echo(f"{name}, {pairs} pairs; load average {before:.1f} before, {os.getloadavg()[0]:.1f} after")
            for what, ms in (("POST /v2", plain), ("POST /v1/remove-background", waiting), ("a pair adds", added)):
                click.echo(f"  {what:27}median {median(ms):6.2f} ms, p90 {quantiles(ms, n=10)[-1]:6.2f} ms")
            click.echo(f"  jobs accepted a second, {CLIENTS} clients: {accepted_s:.0f}")


if __name__ == "__main__":
    main()
