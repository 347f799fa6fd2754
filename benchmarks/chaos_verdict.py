"""What is left after a chaos, and what must be: each finding is one line, and there must be none."""

from __future__ import annotations

import asyncio
import http.client
import os
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import cv2
import msgspec
import numpy as np
import orjson
from sqlalchemy import Connection, func, select, text, update

from benchmarks.chaos_fleet import ACCOUNT_HOOK, PATH, Heard, is_damaged, size_of, waits
from bgone.accounts.books import Books
from bgone.jobs.durable import DurableBook
from bgone.jobs.job import Stored
from bgone.jobs.queue import open_queue
from bgone.storage.database import Database
from bgone.storage.objects import Objects
from bgone.storage.tables import deliveries, jobs

OVER_S = 300.0  # after the last call everything is over by then: a refused webhook is told within three minutes
_LONG = timedelta(hours=25)


@dataclass(frozen=True, slots=True)
class Customer:
    """An account of the chaos.

    Attributes:
        account: Its id.
        key: Secret.
        given: Credits at the beginning.
        hooked: All its jobs are told to a URL of its own as well.
    """

    account: str
    key: str
    given: Decimal
    hooked: bool


@dataclass(slots=True)
class Verdict:
    """What was found.

    Attributes:
        faults: What must not be, in words.
        done: Jobs.
        failed: Jobs.
        begun: How often work was begun, all jobs together.
        orphans: Objects that dead processes left, before the sweep.
    """

    faults: list[str] = field(default_factory=list)
    done: int = 0
    failed: int = 0
    begun: int = 0
    orphans: int = 0

    def must(self, what: str, is_so: bool) -> None:
        """Note what is not so."""
        if not is_so:
            self.faults.append(what)


async def until_over(database: Database, count: int) -> None:
    """Until all is over and told, or it has taken too long: the verdict says what is missing then."""
    give_up_at = time.monotonic() + OVER_S

    def left(link: Connection) -> int:
        known = link.execute(select(func.count()).select_from(jobs)).scalar_one()
        unclosed = select(func.count()).select_from(jobs)
        unclosed = unclosed.where(jobs.c.finished_at.is_(None) | jobs.c.close_at.is_not(None))
        waiting = select(func.count()).select_from(deliveries).where(deliveries.c.state == "waiting")
        open_ones = link.execute(unclosed).scalar_one() + link.execute(waiting).scalar_one()
        return int(count - known + open_ones + link.execute(text(_queued(database))).scalar_one())

    while time.monotonic() < give_up_at:
        if not await database.query(left):
            return
        await asyncio.sleep(0.25)


def _queued(database: Database) -> str:
    return f"SELECT count(*) FROM {'job_queue' if database.is_sqlite else 'procrastinate_jobs'}"


async def judge(
    books: Books, folder: Path, port: int, customers: Sequence[Customer], accepted: Mapping[int, str], heard: Heard
) -> Verdict:
    """Look at everything.

    Args:
        books: The database.
        folder: Of the objects.
        port: Of the server, which runs.
        customers: Job ``n`` is that of the ``n``-th of them, around and around.
        accepted: Number of the job → id that it was accepted under.
        heard: What the receiver was told.
    """
    verdict = Verdict()
    rows = {row.id: row for row in await books.db.query(lambda link: link.execute(select(jobs)).all())}
    states = Counter(row.state for row in rows.values())
    verdict.done, verdict.failed = states["done"], states["failed"]
    verdict.begun = sum(row.fence for row in rows.values())
    verdict.must(f"jobs are not the accepted ones: {len(rows)} of {len(accepted)}", set(rows) == {*accepted.values()})
    verdict.must(f"states are {dict(states)}", set(states) <= {"done", "failed"})
    unfair = [n for n, job_id in accepted.items() if not is_damaged(n) and rows[job_id].state != "done"]
    taken = [n for n in unfair if rows[accepted[n]].tries < 3]  # the others took three workers along
    verdict.must(f"sound pictures failed: {taken}", not taken)
    queued = await books.db.query(lambda link: link.execute(text(_queued(books.db))).scalar_one())
    verdict.must(f"{queued} rows are left in the queue", not queued)
    await asyncio.to_thread(_fetch_results, verdict, rows, port, customers, accepted)
    await _check_money(verdict, books, rows, customers)
    _check_messages(verdict, customers, accepted, heard)
    await _check_objects(verdict, books.db, folder, rows)
    return verdict


def _fetch_results(
    verdict: Verdict, rows: Mapping[str, Any], port: int, customers: Sequence[Customer], accepted: Mapping[int, str]
) -> None:
    """Every result is read over its link, and is its own picture; every failure has a reason."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for number, job_id in accepted.items():
        headers = {"authorization": f"Bearer {customers[number % len(customers)].key}"}
        connection.request("GET", f"{PATH.replace('remove-bg', 'jobs')}/{job_id}", headers=headers)
        shown = orjson.loads(connection.getresponse().read())
        is_done = rows[job_id].state == "done"
        verdict.must(f"job {number} is shown as {shown}", shown["status"] == ("completed" if is_done else "failed"))
        verdict.must(f"job {number} fails without a reason", is_done or bool(shown["errorMessage"]))
        if is_done:
            link = urlsplit(shown["outputUrl"])
            connection.request("GET", f"{link.path}?{link.query}")
            data = np.frombuffer(connection.getresponse().read(), np.uint8)
            pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
            width, height = size_of(number)
            verdict.must(
                f"job {number} has another's result", pixels is not None and pixels.shape[:2] == (height, width)
            )
    connection.close()


async def _check_money(verdict: Verdict, books: Books, rows: Mapping[str, Any], customers: Sequence[Customer]) -> None:
    for customer in customers:
        done = sorted(row.id for row in rows.values() if row.owner == customer.account and row.state == "done")
        balance = await books.credits.balance(customer.account)
        entries = await books.credits.entries(customer.account, 1_000_000)
        charged = sorted(entry.request_id for entry in entries if entry.reason == "charge")
        verdict.must(f"{customer.account} is charged {len(charged)} times for {len(done)} results", charged == done)
        verdict.must(f"{customer.account} holds {balance.held}", balance.held == 0)
        left = customer.given - len(done)
        verdict.must(f"{customer.account} has {balance.credits}, not {left}", balance.credits == left)
    differences = await books.credits.audit()
    verdict.must(f"the books do not balance: {differences}", differences == [])


def _check_messages(verdict: Verdict, customers: Sequence[Customer], accepted: Mapping[int, str], heard: Heard) -> None:
    for number, job_id in accepted.items():
        own = [] if waits(number) else ["/job"]
        paths = [*own, *([ACCOUNT_HOOK] if customers[number % len(customers)].hooked else [])]
        for path in paths:
            ids = heard.ids[path].get(job_id, set())
            verdict.must(f"job {number} was told to {path} under {len(ids)} ids", len(ids) == 1)


async def _check_objects(verdict: Verdict, db: Database, folder: Path, rows: Mapping[str, Any]) -> None:
    """A day later: what belongs to no job is swept, results are not; then their time is over, and nothing is left."""
    results = {msgspec.json.decode(row.result, type=Stored).key for row in rows.values() if row.result}
    before = _names(folder)
    verdict.must(f"{len(results - before)} results are gone", results <= before)
    verdict.orphans = len(before - results)
    _age_files(folder)
    await db.write(lambda link: _age(link, jobs.c.created_at))
    objects = Objects(f"file://{folder}")
    book = DurableBook(db, await open_queue(db), cast(Any, None), objects, works=False)
    try:
        await book.sweep()
        left = _names(folder)
        verdict.must(f"after the sweep {len(left - results)} objects are nobody's", left <= results)
        verdict.must(f"the sweep took {len(results - left)} results", results <= left)
        await db.write(lambda link: _age(link, jobs.c.finished_at))
        await book.sweep()
        verdict.must("results outlive their time", not _names(folder))
        known = await db.query(lambda link: link.execute(select(func.count()).select_from(jobs)).scalar_one())
        verdict.must(f"{known} jobs outlive their time", known == 0)
    finally:
        await book.aclose()
        await objects.aclose()


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _age_files(folder: Path) -> None:
    a_day_ago = time.time() - _LONG.total_seconds()
    for path in folder.iterdir():
        os.utime(path, (a_day_ago, a_day_ago))


def _age(link: Connection, column: Any) -> None:
    """Set a moment of all jobs back by a day and an hour."""
    for job_id, moment in link.execute(select(jobs.c.id, column)).all():
        link.execute(update(jobs).where(jobs.c.id == job_id).values({column.name: moment - _LONG}))
