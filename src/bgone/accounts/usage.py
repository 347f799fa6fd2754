"""Usage: calls counted in memory and written once a second; a process that dies loses at most that second.

Money is not in it: what was charged is in the ledger.
"""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from datetime import date, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection, func, select

from bgone.accounts.accounts import NOTHING, utc_now
from bgone.accounts.keys import Holder
from bgone.accounts.money import credits_of, micros
from bgone.errors import ApiError
from bgone.storage.database import Database
from bgone.storage.tables import usage

_KEYS = ("account_id", "day", "key_id", "dialect")
_COUNTS = ("calls", "failures", "credits", "pixels")


@dataclass(frozen=True, slots=True)
class Day:
    """What one key did in one dialect on one day.

    Attributes:
        day: UTC.
        account_id: Whose key.
        key_id: The key's public part.
        dialect: Name of the dialect.
        mode: ``live``, ``test`` or ``admin``.
        calls: Answered, failures included.
        failures: Of these, those that were answered with an error.
        credits: Charged.
        pixels: Of the pictures that were made.
    """

    day: date
    account_id: str
    key_id: str
    dialect: str
    mode: str
    calls: int
    failures: int
    credits: Decimal
    pixels: int


@dataclass(frozen=True, slots=True)
class Total:
    """What all keys did in one dialect on one day; as ``Day``."""

    day: date
    dialect: str
    calls: int
    failures: int
    credits: Decimal
    pixels: int


class Usage:
    """Counts of this process on their way into the database; lives on one event loop.

    Args:
        db: Where they go.
        flush_s: How long a count waits in memory; what a crash loses.
        now: The clock, UTC.
    """

    def __init__(self, db: Database, flush_s: float = 1.0, now: Callable[[], datetime] = utc_now) -> None:
        self._db = db
        self._flush_s = flush_s
        self._now = now
        self._counts: dict[tuple[str, str, str, str, str], list[int]] = {}
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._log = structlog.get_logger("bgone.usage")

    def count(
        self, holder: Holder, dialect: str, charged: Decimal = NOTHING, pixels: int = 0, *, failed: bool = False
    ) -> None:
        """Count a call that has been answered; costs no more than a look into a table."""
        day = self._now().date().isoformat()
        name = (holder.account.id, day, holder.key.id, dialect, holder.key.mode)
        counts = self._counts.setdefault(name, [0, 0, 0, 0])
        for place, number in enumerate((1, int(failed), micros(charged), pixels)):
            counts[place] += number
        if self._task is None:
            self._task = asyncio.create_task(self._flush_later(), name="usage")

    async def flush(self) -> None:
        """Write what has been counted; what cannot be written stays for the next time.

        Raises:
            overloaded: The database is away.
        """
        counts, self._counts = self._counts, {}
        if not counts:
            return
        rows = [
            dict(zip((*_KEYS, "mode", *_COUNTS), (*name, *numbers), strict=True)) for name, numbers in counts.items()
        ]
        # In one order everywhere: replicas that write the same rows do not wait for each other in a circle.
        rows.sort(key=lambda row: [row[key] for key in _KEYS])
        upsert = self._db.upsert(usage, _KEYS, _COUNTS)
        try:
            await self._db.write(lambda link: link.execute(upsert, rows))
        except ApiError:
            for name, numbers in counts.items():
                kept = self._counts.setdefault(name, [0, 0, 0, 0])
                kept[:] = [one + other for one, other in zip(kept, numbers, strict=True)]
            raise

    async def aclose(self) -> None:
        """Write the rest."""
        self._closing.set()
        if self._task is not None:
            await asyncio.wait([self._task])
        await self.flush()

    async def per_day(self, account_id: str, since: date, until: date) -> list[Day]:
        """An account's usage from ``since`` to ``until``, both included, oldest first."""
        return [_day_of(row) for row in await self._db.query(partial(_select, account_id, since, until))]

    async def totals(self, since: date, until: date) -> list[Total]:
        """All accounts' usage together, from ``since`` to ``until``, both included, oldest first."""
        return [_total_of(row) for row in await self._db.query(partial(_add_up, since, until))]

    async def _flush_later(self) -> None:
        while self._counts:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), self._flush_s)
            try:
                await self.flush()
            except ApiError as error:
                self._log.error("usage not written", detail=error.detail)
                if self._closing.is_set():
                    break
        self._task = None


def to_csv(days: Iterable[Day]) -> str:
    """A table with a head, RFC 4180."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow([column.name for column in fields(Day)])
    writer.writerows(astuple(day) for day in days)
    return text.getvalue()


def _select(account_id: str, since: date, until: date, connection: Connection) -> Any:
    wanted = select(usage).where(usage.c.account_id == account_id)
    wanted = wanted.where(usage.c.day.between(since.isoformat(), until.isoformat()))
    return connection.execute(wanted.order_by(usage.c.day, usage.c.key_id, usage.c.dialect)).all()


def _add_up(since: date, until: date, connection: Connection) -> Any:
    sums = [func.sum(usage.c[name]).label(name) for name in _COUNTS]
    wanted = select(usage.c.day, usage.c.dialect, *sums).where(
        usage.c.day.between(since.isoformat(), until.isoformat())
    )
    grouped = wanted.group_by(usage.c.day, usage.c.dialect).order_by(usage.c.day, usage.c.dialect)
    return connection.execute(grouped).all()


def _total_of(row: Any) -> Total:
    # PostgreSQL adds large numbers up to decimals.
    calls, failures, charged, pixels = (int(getattr(row, name)) for name in _COUNTS)
    return Total(date.fromisoformat(row.day), row.dialect, calls, failures, credits_of(charged), pixels)


def _day_of(row: Any) -> Day:
    return Day(
        day=date.fromisoformat(row.day),
        account_id=row.account_id,
        key_id=row.key_id,
        dialect=row.dialect,
        mode=row.mode,
        calls=row.calls,
        failures=row.failures,
        credits=credits_of(row.credits),
        pixels=row.pixels,
    )
