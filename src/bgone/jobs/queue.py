"""The queue of jobs: which one is made next, by whom, and what becomes of one whose maker has died.

A queue knows ids and nothing else: what a job is stands in the table of jobs, and what is said of it there counts. A
queue may hand out an id twice; whoever performs it looks first whether there is anything left to do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Protocol

from sqlalchemy import Connection

from bgone.jobs.pace import LEASE_S
from bgone.storage.database import Database

Perform = Callable[[str], Awaitable[datetime | None]]
"""Does a job's work, by its id; None: it is over, else when it is to be tried again. Cancelled, it is handed back."""


class Queue(Protocol):
    """Hands out ids, lowest priority number first, of equals the first that came."""

    def enqueue(self, connection: Connection, job_id: str, priority: int, at: datetime) -> None:
        """Add a job within the caller's transaction; nobody gets it before ``at``."""

    def forget(self, connection: Connection, job_id: str) -> None:
        """The job is over, within the caller's transaction: done, cancelled, whatever."""

    @property
    def can_hold(self) -> bool:
        """Whether this process works, and so may hold jobs that it has not been handed."""

    def hold(self, connection: Connection, job_id: str, priority: int) -> None:
        """Add a job, within the caller's transaction, as if it had been handed out here at once."""

    def perform_held(self, job_id: str, perform: Perform) -> None:
        """Perform a job that is held, whose transaction has been committed: as one that was handed out, in a place of
        the caller's."""

    def wake(self) -> None:
        """What was added here has been committed."""

    async def work(self, perform: Perform, places: int) -> None:
        """Perform jobs, ``places`` at one time, until cancelled; those under way are cancelled and handed back."""

    async def waiting(self) -> int:
        """How many jobs nobody has taken."""

    def announce(self, connection: Connection, job_id: str) -> None:
        """Tell other processes, when the caller's transaction is committed, that a job is over."""

    async def listen(self, heard: Callable[[str], None]) -> None:
        """Hear of jobs that are over, until cancelled; returns at once where one can only look."""

    async def aclose(self) -> None:
        """Disconnect."""


async def open_queue(db: Database, lease_s: float = LEASE_S) -> Queue:
    """The queue that belongs to the database.

    Args:
        db: Where jobs are.
        lease_s: After so long without a sign of life another worker takes over.
    """
    if db.is_sqlite:
        from bgone.jobs.lease_queue import LeaseQueue

        return LeaseQueue(db, lease_s)
    from bgone.jobs.procrastinate_queue import ProcrastinateQueue  # comes with an extra

    return await ProcrastinateQueue.open(db, lease_s)


def utc_now() -> datetime:
    """The clock of every queue: what is due is due for all processes."""
    return datetime.now(UTC)
