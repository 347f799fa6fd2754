"""Rows of the table of jobs: jobs as they are written and read, and what else is in a row."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, insert, select, text, update

from bgone.jobs.job import Failure, Job, Stored
from bgone.storage.tables import jobs

# Words of the statements, not parameters: plans can use the partial indexes.
IS_QUEUED = text("state = 'queued'")
IS_OPEN = text("state IN ('queued', 'running')")
IS_RUNNING = text("state = 'running'")
_ID = jobs.c.id == bindparam("id_")
_OWN_LAST = select(func.max(jobs.c.rank) + 1).where(jobs.c.owner == bindparam("owner_"), IS_QUEUED).scalar_subquery()
_FIRST = select(func.min(jobs.c.rank)).where(IS_QUEUED).scalar_subquery()
# An account's next job stands one behind its last that waits; the first of a newcomer where the queue stands now. So
# the more an account has waiting the later its next comes, and no stream of newcomers holds up those who waited.
ADD = insert(jobs).values(rank=func.coalesce(_OWN_LAST, _FIRST, 0)).returning(jobs.c.rank)
HELD = insert(jobs).values(rank=func.coalesce(_OWN_LAST, _FIRST, 0)).returning(*jobs.c)
GET = select(jobs).where(_ID)
BEGIN = (
    update(jobs)
    .where(_ID, IS_OPEN)
    .values(state="running", fence=jobs.c.fence + 1, tries=jobs.c.tries + 1)
    .returning(*jobs.c)
)
PUT_BACK = (
    update(jobs)
    .where(_ID, IS_RUNNING, jobs.c.fence == bindparam("fence_"))
    .values(state="queued", tries=bindparam("tries_"))
)
CLOSE = update(jobs).where(_ID).values(close_at=None, sources="[]", recipe="")
COUNT_WAITING = select(func.count()).select_from(jobs).where(IS_QUEUED)
FIRST_WAITING = select(func.min(jobs.c.created_at)).where(IS_QUEUED)


def row_of(job: Job, recipe: str, sources: Sequence[str]) -> dict[str, Any]:
    """What is written when a job is taken.

    Args:
        job: It.
        recipe: Its order, by ``to_json``.
        sources: Keys of the pictures that were stored for it.
    """
    return {
        "id": job.id,
        "dialect": job.dialect,
        "owner": job.owner,
        "state": job.state,
        "created_at": job.created_at,
        "recipe": recipe,
        "notes": as_json(job.notes),
        "price": str(job.price),
        "sources": as_json(sources),
        "secret": secrets.token_hex(32),
    }


def job_of(row: Any) -> Job:
    """The job of a whole row."""
    return Job(
        id=row.id,
        dialect=row.dialect,
        owner=row.owner,
        state=row.state,
        created_at=row.created_at,
        finished_at=row.finished_at,
        result=msgspec.json.decode(row.result, type=Stored) if row.result else None,
        failure=msgspec.json.decode(row.failure, type=Failure) if row.failure else None,
        price=Decimal(row.price),
        notes=msgspec.json.decode(row.notes),
    )


def as_json(value: Any) -> str | None:
    """Text for a column; None stays so."""
    return None if value is None else msgspec.json.encode(value).decode()


def result_key(secret: str, fence: int) -> str:
    """Where work that began under this fence stores its result: nobody can guess it, whoever has the row knows it."""
    return base64.urlsafe_b64encode(hashlib.sha256(f"{secret}:{fence}".encode()).digest()[:24]).decode()
