"""The queue of PostgreSQL: procrastinate's, in the same database.

Its task carries our job's id. Enqueued on our own connection it is part of our transaction; its workers are woken by
NOTIFY and send heartbeats; what a dead one left is put back by whoever notices. Jobs that are begun with the call that
brought them are rows of a worker as well, whose heartbeat is ours.
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

from bgone.errors import ApiError
from bgone.jobs.pace import LEASE_S
from bgone.jobs.queue import Perform
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
_HOLD = text(
    "INSERT INTO procrastinate_jobs (queue_name, task_name, priority, queueing_lock, args, status, worker_id) "
    "VALUES (:queue, :task, :priority, :job_id, jsonb_build_object('job_id', CAST(:job_id AS text)), 'doing', "
    "(SELECT id FROM procrastinate_workers WHERE id = :worker))"
)
_HELD = "FROM procrastinate_jobs WHERE queueing_lock = :job_id AND status = 'doing' AND worker_id = :worker"
_LET_GO = text(f"DELETE {_HELD}")
_PUT_BACK = text(f"SELECT procrastinate_retry_job_v2(id, CAST(:at AS timestamptz), NULL, NULL, NULL) {_HELD}")
_BEAT = text("UPDATE procrastinate_workers SET last_heartbeat = now() WHERE id = :worker RETURNING id")
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
        self._worker: int | None = None  # of the jobs that are held
        self._held: set[asyncio.Task[None]] = set()
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

    @property
    def can_hold(self) -> bool:
        """See ``Queue``."""
        return self._worker is not None

    def hold(self, connection: Connection, job_id: str, priority: int) -> None:
        """See ``Queue``: not through procrastinate, which would wake every worker for it."""
        held = {"queue": QUEUE, "task": TASK, "priority": max(-priority, _LEAST), "worker": self._worker}
        connection.execute(_HOLD, {**held, "job_id": job_id})

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
            worker, self._worker = self._worker, None
            for task in (minding, *self._held):
                task.cancel()
            await asyncio.gather(minding, *self._held, return_exceptions=True)
            if worker is not None:
                with suppress(*_TROUBLE):  # others notice that its heartbeat has ended
                    await asyncio.shield(self._app.job_manager.unregister_worker(worker))

    def perform_held(self, job_id: str, perform: Perform) -> None:
        """See ``Queue``."""
        task = asyncio.create_task(self._run_held(job_id, perform, self._worker), name=f"job {job_id}")
        self._held.add(task)
        task.add_done_callback(self._held.discard)

    async def aclose(self) -> None:
        """See ``Queue``."""
        await self._app.close_async()

    async def _run(self, job_id: str) -> None:
        assert self._perform is not None
        again = await self._perform(job_id)
        if again is not None:
            raise _Again(again)

    async def _run_held(self, job_id: str, perform: Perform, worker: int | None) -> None:
        again: datetime | None = datetime.now(UTC)  # handed back at once where the work is cancelled
        try:
            again = await perform(job_id)
        except Exception as error:  # noqa: BLE001 - as if its worker had died
            again = datetime.now(UTC) + timedelta(seconds=self._lease_s)
            self._log.error("job left", job=job_id, exc_info=error)
        finally:
            await asyncio.shield(self._let_go(job_id, again, worker))

    async def _let_go(self, job_id: str, again: datetime | None, worker: int | None) -> None:
        held = {"job_id": job_id, "worker": worker}
        with suppress(ApiError):  # it is put back when our heartbeat ends, and found to be over
            if again is None:
                await self._db.write(lambda link: link.execute(_LET_GO, held))
            else:
                await self._db.write(lambda link: link.execute(_PUT_BACK, {**held, "at": again}))

    async def _mind(self) -> None:
        """Give signs of life for what is held; put back what workers without a heartbeat have left."""
        manager = self._app.job_manager
        while True:
            try:
                await self._beat()
                stalled = await manager.get_stalled_jobs(queue=QUEUE, seconds_since_heartbeat=self._lease_s)
                for job in stalled:
                    with suppress(ProcrastinateException):  # another replica was faster
                        await manager.retry_job(job)
            except (*_TROUBLE, ApiError) as error:
                self._log.warning("queue out of reach", detail=str(error))
            await asyncio.sleep(self._lease_s / 4)

    async def _beat(self) -> None:
        if self._worker is not None:
            alive = {"worker": self._worker}
            if await self._db.write(lambda link: link.execute(_BEAT, alive).first()):
                return
        self._worker = await self._app.job_manager.register_worker()
