"""Those who wait for the end of a job, in this process or in another."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import select

from bgone.errors import ApiError
from bgone.jobs.job import Job
from bgone.storage.database import Database
from bgone.storage.tables import jobs

LOOK_S = 0.2  # how often jobs that somebody waits for are looked at

Over = asyncio.Future[Job | None]
"""Done when a job is over: the job where it ended here, None where that was only heard of."""


@dataclass(frozen=True, slots=True)
class Waiters:
    """Lives on one event loop.

    Attributes:
        db: Where jobs are.
    """

    db: Database
    _waiting: dict[str, set[Over]] = field(default_factory=dict)

    @contextmanager
    def waiter(self, job_id: str) -> Iterator[Over]:
        """One more who waits for a job."""
        over: Over = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(job_id, set()).add(over)
        try:
            yield over
        finally:
            waiting = self._waiting[job_id]
            waiting.discard(over)
            if not waiting:
                del self._waiting[job_id]

    def tell(self, job: Job) -> None:
        """A job has ended here."""
        self._wake(job.id, job)

    def hear(self, job_id: str) -> None:
        """A job is said to have ended."""
        self._wake(job_id, None)

    async def look(self) -> None:
        """Find jobs that ended elsewhere, whatever was or was not announced, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            if ids := list(self._waiting):
                ended = select(jobs.c.id).where(jobs.c.id.in_(ids), jobs.c.finished_at.is_not(None))
                with suppress(ApiError):  # the database is away: the next look
                    for job_id in await self.db.query(lambda link, ended=ended: link.execute(ended).scalars().all()):  # type: ignore[misc]
                        self.hear(job_id)

    def _wake(self, job_id: str, job: Job | None) -> None:
        for over in self._waiting.get(job_id, ()):
            if not over.done():
                over.set_result(job)
