"""The queue of PostgreSQL: procrastinate's, in the same database.

Its task carries our job's id. Enqueued on our own connection it is part of our transaction; its workers are woken by
NOTIFY and send heartbeats; what a dead one left is put back by whoever notices.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import structlog
from procrastinate import App, BaseRetryStrategy, PsycopgConnector, RetryDecision, SyncPsycopgConnector
from procrastinate.exceptions import ProcrastinateException
from procrastinate.jobs import Job as QueueJob
from psycopg_pool import PoolTimeout
from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

from bgone.jobs.queue import LEASE_S, Perform
from bgone.storage.database import Database

QUEUE = "bgone"
TASK = "bgone.job"
CHANNEL = "bgone_job_over"
POLL_S = 1.0  # how often what is due again is looked for; what is new announces itself
STUMBLE_S = 1.0
_LEAST = -(2**31)  # of procrastinate's priorities; the highest goes first
_CANCEL = text(
    "SELECT procrastinate_cancel_job_v1(id, false, true) FROM procrastinate_jobs "
    "WHERE queueing_lock = :job_id AND status = 'todo'"
)
_WAITING = text("SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo' AND queue_name = :queue")
_NOTIFY = text("SELECT pg_notify(:channel, :job_id)")
# A queue that was empty when its table was last analysed is sorted as a whole for each job: 240 ms of 100,000. In the
# order of its index, whatever the statistics say, the first costs a hundredth of that.
_PLANS = "-c enable_sort=off -c enable_bitmapscan=off -c jit=off"
_TROUBLE = (ProcrastinateException, psycopg.Error, PoolTimeout, OSError)


class _Again(Exception):  # noqa: N818 - how procrastinate is told, not an error
    def __init__(self, at: datetime) -> None:
        super().__init__(at)
        self.at = at


class _Retry(BaseRetryStrategy):
    """Whatever ends otherwise than by being over is tried again: what a job comes to is said in the table of jobs."""

    def __init__(self, lease_s: float) -> None:
        self._lease_s = lease_s

    def get_retry_decision(self, *, exception: BaseException, job: QueueJob) -> RetryDecision:
        """When."""
        if isinstance(exception, _Again):
            return RetryDecision(retry_at=exception.at)
        pause_s = 0 if isinstance(exception, asyncio.CancelledError) else self._lease_s
        return RetryDecision(retry_at=datetime.now(UTC) + timedelta(seconds=pause_s))


class ProcrastinateQueue:
    """See ``Queue``. Lives on one event loop; made by ``open``.

    Args:
        db: A PostgreSQL database.
        lease_s: After so long without a heartbeat another worker takes over.
    """

    def __init__(self, db: Database, lease_s: float = LEASE_S) -> None:
        self._db = db
        self._lease_s = lease_s
        arguments, options = PGDialect_psycopg().create_connect_args(db.url)  # type: ignore[no-untyped-call]
        self._where: dict[str, Any] = {"conninfo": arguments[0] if arguments else "", "kwargs": options}
        working = {**options, "options": f"{options.get('options', '')} {_PLANS}".strip()}
        pool = PsycopgConnector(min_size=1, max_size=4, timeout=10, conninfo=self._where["conninfo"], kwargs=working)
        self._app = App(connector=pool)
        self._app.task(name=TASK, queue=QUEUE, retry=_Retry(lease_s))(self._run)
        # On the transaction's own connection: it is never opened.
        enqueuing = App(connector=SyncPsycopgConnector())
        self._task = enqueuing.task(name=TASK, queue=QUEUE)(self._run)
        self._perform: Perform | None = None
        self._log = structlog.get_logger("bgone.queue")

    @classmethod
    async def open(cls, db: Database, lease_s: float = LEASE_S) -> ProcrastinateQueue:
        """Connect."""
        # One line for each step of each job is for the debugging of procrastinate.
        logging.getLogger("procrastinate").setLevel(logging.WARNING)
        queue = cls(db, lease_s)
        await queue._app.open_async()
        return queue

    # --- in the caller's transaction ----------------------------------------------------------------------------

    def enqueue(self, connection: Connection, job_id: str, priority: int, at: datetime) -> None:
        """See ``Queue``."""
        self._task.configure(
            connection=connection.connection.driver_connection,
            priority=max(-priority, _LEAST),
            queueing_lock=job_id,
            schedule_at=at if at > datetime.now(UTC) else None,
        ).defer(job_id=job_id)

    def forget(self, connection: Connection, job_id: str) -> None:
        """See ``Queue``: one that somebody performs is ended by its worker."""
        connection.execute(_CANCEL, {"job_id": job_id})

    def announce(self, connection: Connection, job_id: str) -> None:
        """See ``Queue``."""
        connection.execute(_NOTIFY, {"channel": CHANNEL, "job_id": job_id})

    async def listen(self, heard: Callable[[str], None]) -> None:
        """See ``Queue``."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._where["conninfo"], autocommit=True, **self._where["kwargs"]
                ) as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    async for message in connection.notifies():
                        heard(message.payload)
            except psycopg.Error as error:
                self._log.warning("not listening", detail=str(error))
            await asyncio.sleep(STUMBLE_S)

    # --- working ------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        """See ``Queue``: procrastinate's trigger has done it."""

    async def waiting(self) -> int:
        """See ``Queue``."""
        return await self._db.query(lambda link: link.execute(_WAITING, {"queue": QUEUE}).scalar_one())

    async def work(self, perform: Perform, places: int) -> None:
        """See ``Queue``."""
        self._perform = perform
        minding = asyncio.create_task(self._mind(), name="stalled jobs")
        try:
            while True:
                try:
                    await self._app.run_worker_async(
                        queues=[QUEUE],
                        concurrency=places,
                        fetch_job_polling_interval=POLL_S,
                        shutdown_graceful_timeout=0,
                        delete_jobs="always",
                        install_signal_handlers=False,
                        update_heartbeat_interval=self._lease_s / 4,
                        stalled_worker_timeout=self._lease_s,
                    )
                except _TROUBLE as error:
                    self._log.warning("queue out of reach", detail=str(error))
                await asyncio.sleep(STUMBLE_S)
        finally:
            minding.cancel()
            await asyncio.gather(minding, return_exceptions=True)

    async def aclose(self) -> None:
        """See ``Queue``."""
        await self._app.close_async()

    async def _run(self, job_id: str) -> None:
        assert self._perform is not None
        again = await self._perform(job_id)
        if again is not None:
            raise _Again(again)

    async def _mind(self) -> None:
        """Put back what workers without a heartbeat have left."""
        manager = self._app.job_manager
        while True:
            await asyncio.sleep(self._lease_s / 4)
            try:
                stalled = await manager.get_stalled_jobs(queue=QUEUE, seconds_since_heartbeat=self._lease_s)
                for job in stalled:
                    with suppress(ProcrastinateException):  # another replica was faster
                        await manager.retry_job(job)
            except _TROUBLE as error:
                self._log.warning("queue out of reach", detail=str(error))
