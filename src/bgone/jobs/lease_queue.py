"""The queue in the SQLite file itself: a claim is a lease that its holder keeps extending.

A row's ``at`` says from when on it may be claimed; claiming sets it to the end of the lease. So one rule serves for
what waits, what is to be tried again later, and what a dead worker left behind. Whoever lost its lease finds another's
claim in the row, and changes nothing any more.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial

import structlog
from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from bgone.errors import ApiError
from bgone.jobs.pace import LEASE_S
from bgone.jobs.queue import Perform, utc_now
from bgone.storage.database import Database
from bgone.storage.tables import Moment, job_queue

POLL_S = 0.25  # how often an idle worker looks for what other processes have added
STUMBLE_S = 1.0  # before the next look at a database that is away

_DUE = job_queue.c.at <= bindparam("now", type_=Moment)
_ANY_DUE = select(job_queue.c.seq).where(_DUE).limit(1)
_FIRST = select(job_queue.c.seq).where(_DUE).order_by(job_queue.c.priority, job_queue.c.seq).limit(1).scalar_subquery()
_CLAIM = (
    update(job_queue)
    .where(job_queue.c.seq == _FIRST)
    .values(at=bindparam("until", type_=Moment), claim=bindparam("mine"), attempt=job_queue.c.attempt + 1)
    .returning(job_queue.c.job_id, job_queue.c.attempt)
)
_OWN = job_queue.c.claim == bindparam("mine_")
_EXTEND = (
    update(job_queue)
    .where(job_queue.c.job_id.in_(bindparam("ids", expanding=True)), _OWN)
    .values(at=bindparam("until", type_=Moment))
    .returning(job_queue.c.job_id)
)
_OF_ATTEMPT = (job_queue.c.job_id == bindparam("id_"), _OWN, job_queue.c.attempt == bindparam("attempt_"))
_PUT_BACK = update(job_queue).where(*_OF_ATTEMPT).values(at=bindparam("until", type_=Moment), claim="")
_PUT_ALL_BACK = update(job_queue).where(_OWN).values(at=bindparam("until", type_=Moment), claim="")
_REMOVE = delete(job_queue).where(*_OF_ATTEMPT)


class LeaseQueue:
    """See ``Queue``. Lives on one event loop.

    Args:
        db: A SQLite database.
        lease_s: After so long without a sign of life another worker takes over.
        now: The clock, UTC.
    """

    def __init__(self, db: Database, lease_s: float = LEASE_S, now: Callable[[], datetime] = utc_now) -> None:
        self._db = db
        self._lease = timedelta(seconds=lease_s)
        self._now = now
        self._mine = secrets.token_hex(8)  # this worker's name in its claims
        self._added = asyncio.Event()
        self._held: dict[str, asyncio.Task[None]] = {}
        self._works = False
        self._log = structlog.get_logger("bgone.queue")

    # --- in the caller's transaction ----------------------------------------------------------------------------

    def enqueue(self, connection: Connection, job_id: str, priority: int, at: datetime) -> None:
        """See ``Queue``."""
        connection.execute(insert(job_queue), {"job_id": job_id, "priority": priority, "at": at})

    @property
    def can_hold(self) -> bool:
        """See ``Queue``."""
        return self._works

    def hold(self, connection: Connection, job_id: str, priority: int) -> None:
        """See ``Queue``: its lease begins now."""
        leased = {"at": self._now() + self._lease, "claim": self._mine, "attempt": 1}
        connection.execute(insert(job_queue), {"job_id": job_id, "priority": priority, **leased})

    def forget(self, connection: Connection, job_id: str) -> None:
        """See ``Queue``."""
        connection.execute(delete(job_queue).where(job_queue.c.job_id == job_id))

    def announce(self, connection: Connection, job_id: str) -> None:
        """See ``Queue``: SQLite calls nobody."""

    async def listen(self, heard: Callable[[str], None]) -> None:
        """See ``Queue``: one can only look."""

    # --- working ------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """See ``Queue``."""
        self._added.set()

    async def waiting(self) -> int:
        """See ``Queue``."""
        counted = select(func.count()).select_from(job_queue).where(job_queue.c.claim == "")
        return await self._db.query(lambda connection: connection.execute(counted).scalar_one())

    async def work(self, perform: Perform, places: int) -> None:
        """See ``Queue``."""
        free = asyncio.Semaphore(places)
        self._works = True
        beating = asyncio.create_task(self._beat(), name="leases")
        try:
            while True:
                await free.acquire()
                claimed = None
                try:
                    claimed = await self._next()
                finally:
                    if claimed is None:
                        free.release()
                if claimed is not None:
                    self._begin(perform, *claimed).add_done_callback(lambda _: free.release())
        finally:
            self._works = False
            for task in self._held.values():
                task.cancel()
            await asyncio.gather(*self._held.values(), return_exceptions=True)
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
            # One that was cancelled before its first step has put nothing back.
            await asyncio.shield(self._hand_back())

    def perform_held(self, job_id: str, perform: Perform) -> None:
        """See ``Queue``."""
        task = self._begin(perform, job_id, 1)
        if not self._works:  # stopped between the two
            task.cancel()

    async def aclose(self) -> None:
        """See ``Queue``: the database is closed by whoever opened it."""

    async def _next(self) -> tuple[str, int]:
        """The next job, when there is one."""
        while True:
            self._added.clear()
            try:
                if (claimed := await self._claimed()) is not None:
                    return claimed
                pause_s = POLL_S
            except ApiError as error:
                self._log.warning("queue out of reach", detail=error.detail)
                pause_s = STUMBLE_S
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):  # ``wait_for`` of Python 3.11 may swallow a cancellation
                    await self._added.wait()

    async def _claimed(self) -> tuple[str, int] | None:
        claiming = asyncio.ensure_future(self._claim())
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            with suppress(ApiError):
                if (claimed := await claiming) is not None:
                    await self._put_back(*claimed, self._now())
            raise

    async def _claim(self) -> tuple[str, int] | None:
        # To look takes no lock: an idle worker stands in nobody's way.
        due = await self._db.query(lambda connection: connection.execute(_ANY_DUE, {"now": self._now()}).first())
        if due is None:
            return None
        now = self._now()
        values = {"now": now, "until": now + self._lease, "mine": self._mine}
        row = await self._db.write(lambda connection: connection.execute(_CLAIM, values).first())
        return None if row is None else (row.job_id, row.attempt)

    def _begin(self, perform: Perform, job_id: str, attempt: int) -> asyncio.Task[None]:
        task = asyncio.create_task(self._perform(perform, job_id, attempt), name=f"job {job_id}")
        self._held[job_id] = task
        task.add_done_callback(partial(self._left, job_id))
        return task

    async def _perform(self, perform: Perform, job_id: str, attempt: int) -> None:
        again: datetime | None = self._now()  # handed back at once where the work is cancelled
        try:
            again = await perform(job_id)
        except Exception as error:  # noqa: BLE001 - as if its worker had died: it is tried again when the lease is over
            again = self._now() + self._lease
            self._log.error("job left", job=job_id, exc_info=error)
        finally:
            await asyncio.shield(self._put_back(job_id, attempt, again))

    async def _put_back(self, job_id: str, attempt: int, again: datetime | None) -> None:
        values = {"id_": job_id, "mine_": self._mine, "attempt_": attempt}
        with suppress(ApiError):  # the lease runs out by itself
            if again is None:
                await self._db.write(lambda connection: connection.execute(_REMOVE, values))
            else:
                await self._db.write(lambda connection: connection.execute(_PUT_BACK, values | {"until": again}))

    async def _hand_back(self) -> None:
        with suppress(ApiError):
            values = {"mine_": self._mine, "until": self._now()}
            await self._db.write(lambda connection: connection.execute(_PUT_ALL_BACK, values))

    def _left(self, job_id: str, task: asyncio.Task[None]) -> None:
        self._held.pop(job_id, None)
        if not task.cancelled() and (error := task.exception()):
            self._log.error("job left", job=job_id, exc_info=error)

    async def _beat(self) -> None:
        """Extend the leases; stop working on what is no longer ours."""
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 4)
            if not (ids := list(self._held)):
                continue
            values = {"ids": ids, "mine_": self._mine, "until": self._now() + self._lease}
            try:
                kept = await self._db.write(lambda link, values=values: link.execute(_EXTEND, values).scalars().all())  # type: ignore[misc]
            except ApiError as error:
                self._log.warning("leases not extended", detail=error.detail)
                continue
            for job_id in set(ids).difference(kept):
                if task := self._held.get(job_id):
                    task.cancel()
