"""Jobs of a database as operators look at them: whosever they are, without their pictures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import select

from bgone.jobs.job import Failure, State
from bgone.storage.database import Database
from bgone.storage.tables import jobs

_COLUMNS = (
    jobs.c.id,
    jobs.c.dialect,
    jobs.c.owner,
    jobs.c.state,
    jobs.c.tries,
    jobs.c.created_at,
    jobs.c.finished_at,
    jobs.c.price,
    jobs.c.failure,
    jobs.c.close_at,
)


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job in short.

    Attributes:
        id: As in ``Job``.
        dialect: That took it.
        owner: The account.
        state: As in ``Job``.
        tries: How often its work was begun and counts.
        created_at: UTC.
        finished_at: UTC, or None.
        price: Credits that were or will be charged.
        failure: Why there is no result.
        is_told: It is over, and what follows an end has been done.
    """

    id: str
    dialect: str
    owner: str
    state: State
    tries: int
    created_at: datetime
    finished_at: datetime | None
    price: Decimal
    failure: Failure | None
    is_told: bool = False


async def newest_jobs(db: Database, most: int, owner: str = "", state: str = "", skip: int = 0) -> list[JobLine]:
    """The newest first, without the first ``skip``; of one owner and in one state where these are said."""
    asked = select(*_COLUMNS).order_by(jobs.c.created_at.desc(), jobs.c.id).limit(most).offset(skip)
    if owner:
        asked = asked.where(jobs.c.owner == owner)
    if state:
        asked = asked.where(jobs.c.state == state)
    return [_line(row) for row in await db.query(lambda link: link.execute(asked).all())]


async def find_job(db: Database, job_id: str) -> JobLine | None:
    """The job of this id."""
    asked = select(*_COLUMNS).where(jobs.c.id == job_id)
    row = await db.query(lambda link: link.execute(asked).first()) if job_id.isalnum() else None
    return _line(row) if row is not None else None


def _line(row: Any) -> JobLine:
    failure = msgspec.json.decode(row.failure, type=Failure) if row.failure else None
    return JobLine(
        row.id,
        row.dialect,
        row.owner,
        row.state,
        row.tries,
        row.created_at,
        row.finished_at,
        Decimal(row.price),
        failure,
        row.finished_at is not None and row.close_at is None,
    )
