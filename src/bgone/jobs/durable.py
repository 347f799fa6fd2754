"""The durable job book: jobs that survive the process, in the database that also has the accounts.

A job's row is the truth; the queue only carries its id. Accepting a job is one transaction with the hold of its
credits, and ending it is one with the charge: work may be done twice, what comes of it is booked once. Each time that
the work is begun the row's fence rises, and only whoever holds the newest fence may end the job. Results are stored
under a key that is made of the job's secret and the fence: what a slower double or a dead worker stored is found and
removed.

What follows an end (removing sources, telling listeners) is marked as outstanding in the same transaction; the sweep
does it where its process died.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import structlog
from sqlalchemy import Connection, Row, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from bgone.errors import ApiError, invalid_option, overloaded
from bgone.jobs.book import Make
from bgone.jobs.endings import KEPT_KEY_S, Endings, Settle
from bgone.jobs.job import Job, State, Waiting
from bgone.jobs.making import DurableLimits, Making, unbroken
from bgone.jobs.orders import to_json, with_sources
from bgone.jobs.pace import Pace
from bgone.jobs.queue import Queue, utc_now
from bgone.jobs.records import ADD, COUNT_WAITING, FIRST_WAITING, GET, HELD, IS_OPEN, job_of, row_of
from bgone.jobs.waiters import Waiters
from bgone.pipeline.order import Order, Source, StoredPicture, Upload
from bgone.storage.database import Database
from bgone.storage.objects import Objects, new_key
from bgone.storage.tables import jobs

COUNT_S = 1.0  # how old the number of waiting jobs may be
_SOME = 200  # ids of one question

Also = Callable[[Connection, str], None]
"""What is written with a hold, in its transaction: (connection, slip)."""
Pay = Callable[[Also], Awaitable[object]]
"""Sets a price aside, and runs what it is given in the same transaction. Raises ``ApiError`` where that cannot be."""


class DurableBook:
    """Every job of a database, seen from one process; lives on one event loop. The same to its callers as ``JobBook``.

    Args:
        db: Where jobs are.
        queue: ``open_queue(db)``.
        make: Makes one picture.
        objects: Where sources and results go; shared by all processes.
        limits: How much.
        on_end: Hears of every job that is over, at least once, after its state is known to all and its price is
            settled; a job is told again, by whichever process sweeps, until this returns.
        settle: Charges or gives back what a job holds, in the transaction that ends it.
        now: The clock, UTC.
        works: Whether this process makes pictures, or takes and shows jobs only.
        pace: Of what is done behind.
    """

    def __init__(
        self,
        db: Database,
        queue: Queue,
        make: Make,
        objects: Objects,
        limits: DurableLimits | None = None,
        on_end: Callable[[Job], Coroutine[None, None, None]] | None = None,
        settle: Settle | None = None,
        now: Callable[[], datetime] = utc_now,
        *,
        works: bool = True,
        pace: Pace = Pace(),  # noqa: B008 - frozen
    ) -> None:
        self.limits = limits or DurableLimits()
        self._db = db
        self._queue = queue
        self._make = make
        self._objects = objects
        self._now = now
        self._works = works
        self._pace = pace
        self._waiters = Waiters(db)
        self._held: set[str] = set()  # jobs that were begun with the call that brought them
        self._counted = (-math.inf, 0)  # when, how many wait
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("bgone.job")
        self._endings = Endings(
            db,
            queue,
            objects,
            settle,
            on_end,
            over=self._waiters.tell,
            start=self._start,
            now=now,
            ttl_s=self.limits.ttl_s,
            expire_s=self.limits.expire_s,
            close_s=pace.close_s,
        )
        places = asyncio.Semaphore(self.limits.running)
        self._making = Making(db, make, objects, self._endings, self.limits, now, places)

    def start(self) -> None:
        """Begin to work, and to hear of jobs that end elsewhere."""
        if self._works:
            self._start(self._queue.work(self._making.in_turn, self.limits.running), "jobs")
        self._start(self._queue.listen(self._waiters.hear), "listen for jobs")
        self._start(self._waiters.look(), "look for jobs")
        self._start(self._tidy(), "tell of ends")

    async def aclose(self) -> None:
        """Stop; what is under way goes back to the queue."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._queue.aclose()

    # --- taking orders ------------------------------------------------------------------------------------------

    async def submit(
        self,
        job_id: str,
        dialect: str,
        owner: str,
        order: Order,
        notes: Mapping[str, str],
        price: Decimal,
        *,
        idempotency_key: str = "",
        pay: Pay | None = None,
        waits: bool = False,
    ) -> Job:
        """Take an order: when this returns, it is kept, and paid for or will never be.

        Args:
            job_id: ``bgone.jobs.job.new_id()``.
            dialect: Name of the dialect that took it.
            owner: Account whose job it is.
            order: What to make; uploaded pictures go into the object store first.
            notes: Kept with the job, for whoever renders it or hears of its end.
            price: Credits that it costs when it succeeds.
            idempotency_key: The client's name for this call; within 24 h the same owner's same name is the same job,
                which is answered as it stands and paid for once.
            pay: Sets the price aside.
            waits: Somebody waits for its end: where a place is free here, its work is begun in the same transaction.

        Raises:
            overloaded: Too many jobs wait, or the database is away.
            invalid_option: The key was used for another order.
            ApiError: It cannot be paid.
        """
        named = await _fingerprint(dialect, order) if idempotency_key else ""
        if idempotency_key and (earlier := await self._earlier(owner, idempotency_key, named)) is not None:
            return earlier
        await self._check_room()
        stored, kept = await self._keep(order)
        job = Job(job_id, dialect, owner, "queued", self._now(), price=price, notes=dict(notes))
        row = {**row_of(job, to_json(stored), kept), "idempotency_key": idempotency_key or None, "fingerprint": named}
        pay = pay or self._free
        places = self._making.places
        held = waits and self._works and self._queue.can_hold and not places.locked()
        if held:
            await places.acquire()
        taking = self._take_held(row, order, pay) if held else self._take_queued(row, pay)
        try:
            return await self._taken(taking, kept, job)
        except IntegrityError:
            # Somebody was faster with the same key.
            earlier = await self._earlier(owner, idempotency_key, named) if idempotency_key else None
            if earlier is None:
                raise
            return earlier

    async def _taken(self, taking: Awaitable[None], kept: Sequence[str], job: Job) -> Job:
        """The job, once it is taken, whether or not somebody still wants to know; else its pictures are removed."""

        async def take() -> None:
            try:
                await taking
            except ApiError as error:
                # Where the database was lost on the way it may have been taken: what belongs to no job is swept.
                if error.kind != "overloaded":
                    await self._endings.remove(kept)
                raise
            except Exception:
                await self._endings.remove(kept)
                raise

        await unbroken(take())
        return job

    async def _take_queued(self, row: Mapping[str, Any], pay: Pay) -> None:
        def add(connection: Connection, slip: str) -> None:
            rank = connection.execute(ADD, {**row, "slip": slip, "owner_": row["owner"]}).scalar_one()
            self._queue.enqueue(connection, row["id"], rank, row["created_at"])

        await pay(add)
        self._queue.wake()

    async def _take_held(self, row: Mapping[str, Any], order: Order, pay: Pay) -> None:
        """Take it and begin its work, in the place that is ours."""
        begun: list[Row[Any]] = []

        def add(connection: Connection, slip: str) -> None:
            values = {**row, "slip": slip, "owner_": row["owner"], "state": "running", "fence": 1, "tries": 1}
            begun[:] = [connection.execute(HELD, values).one()]
            self._queue.hold(connection, row["id"], begun[0].rank)

        try:
            await pay(add)
        except BaseException:
            self._making.places.release()
            raise
        self._held.add(row["id"])
        self._queue.perform_held(row["id"], partial(self._work_held, begun[0], order))

    async def _work_held(self, row: Row[Any], order: Order, _job_id: str) -> datetime | None:
        try:
            return await self._making.work(row, order)
        finally:
            self._held.discard(row.id)
            self._making.places.release()

    async def _free(self, also: Also) -> None:
        await self._db.write(lambda connection: also(connection, ""))

    async def _keep(self, order: Order) -> tuple[Order, Sequence[str]]:
        """The order with uploaded pictures in the object store, and their keys; all of them or none."""
        kept: list[str] = []

        async def keep(source: Source) -> Source:
            if not isinstance(source, Upload):
                return source
            key = new_key()
            kept.append(key)
            await self._objects.put(key, source.data, "application/octet-stream")
            return StoredPicture(key)

        try:
            return await with_sources(order, keep), kept
        except BaseException:
            await asyncio.shield(self._endings.remove(kept))
            raise

    async def _earlier(self, owner: str, key: str, fingerprint: str) -> Job | None:
        """The job that this key named in the last 24 h."""
        of_key = (jobs.c.owner == owner, jobs.c.idempotency_key == key)
        row = await self._db.query(lambda connection: connection.execute(select(jobs).where(*of_key)).first())
        if row is None:
            return None
        if row.created_at <= self._now() - timedelta(seconds=KEPT_KEY_S):
            await self._db.write(lambda link: link.execute(update(jobs).where(*of_key).values(idempotency_key=None)))
            return None
        if row.fingerprint != fingerprint:
            raise invalid_option("Idempotency-Key", "a name that no other order had within 24 hours", key)
        job = job_of(row)
        return job if self._is_known(row) else replace(job, state="expired", result=None)

    async def _check_room(self) -> None:
        at, waiting = self._counted
        now = asyncio.get_running_loop().time()
        if now - at > COUNT_S:
            at, waiting = now, await self._db.query(lambda link: link.execute(COUNT_WAITING).scalar_one())
        self._counted = at, waiting + 1
        if waiting >= self.limits.waiting:
            raise overloaded(10, f"jobs: {waiting} wait")

    # --- looking up ---------------------------------------------------------------------------------------------

    async def get(self, job_id: str) -> Job | None:
        """What is known of a job; None for one that never was or is forgotten."""
        row = await self._row(job_id)
        return job_of(row) if row is not None and self._is_known(row) else None

    async def find_many(self, job_ids: Iterable[str]) -> Mapping[str, Job]:
        """Those of these jobs that are known, by id."""
        ids = [*job_ids]
        parts = [select(jobs).where(jobs.c.id.in_(ids[at : at + _SOME])) for at in range(0, len(ids), _SOME)]
        rows = await self._db.query(lambda link: [row for part in parts for row in link.execute(part)])
        return {row.id: job_of(row) for row in rows if self._is_known(row)}

    async def any_open(self, job_ids: Iterable[str]) -> bool:
        """Whether one of these jobs is not over; the first are looked at first."""
        ids = [*job_ids]
        for at in range(0, len(ids), _SOME):
            some = select(jobs.c.id).where(jobs.c.id.in_(ids[at : at + _SOME]), IS_OPEN).limit(1)
            if await self._db.query(lambda link, some=some: link.execute(some).first()):  # type: ignore[misc]
                return True
        return False

    async def wait(self, job_id: str, seconds: float) -> Job:
        """A job when it is over, or as it stands after ``seconds`` (0: at once; ``inf``: no limit).

        Raises:
            KeyError: There is no such job.
        """
        with self._waiters.waiter(job_id) as over:
            if seconds <= 0 or job_id not in self._held:
                job = await self._known(job_id)
                if seconds <= 0 or job.is_over:
                    return job
            ended = None
            with suppress(TimeoutError):
                async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                    ended = await over
            return ended or await self._known(job_id)

    async def list(self, owner: str, dialect: str | None, limit: int, offset: int = 0) -> tuple[Job, ...]:
        """An owner's jobs of one dialect, or of all, newest first, ``limit`` of them from ``offset`` on."""
        page = select(jobs).where(jobs.c.owner == owner, self._all_known())
        page = page if dialect is None else page.where(jobs.c.dialect == dialect)
        page = page.order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(limit).offset(offset)
        return tuple(job_of(row) for row in await self._db.query(lambda link: link.execute(page).all()))

    async def counts(self, owner: str, dialect: str) -> Mapping[State, int]:
        """How many of an owner's jobs of one dialect are in each state; states without any are left out."""
        counted = select(jobs.c.state, func.count()).where(jobs.c.owner == owner, jobs.c.dialect == dialect)
        counted = counted.where(self._all_known()).group_by(jobs.c.state)
        rows = await self._db.query(lambda connection: connection.execute(counted).all())
        return {state: number for state, number in rows}  # noqa: C416 - a row is no pair to the type checker

    async def waiting(self) -> Waiting:
        """Jobs that nobody has begun, of all processes and everybody's."""

        def look(connection: Connection) -> Waiting:
            count = connection.execute(COUNT_WAITING).scalar_one()
            return Waiting(count, connection.execute(FIRST_WAITING).scalar() if count else None)

        return await self._db.query(look)

    @property
    def running(self) -> int:
        """Jobs being made by this process."""
        return len(self._making.under_way)

    async def _row(self, job_id: str) -> Row[Any] | None:
        if not job_id.isalnum():  # PostgreSQL has no text with NUL in it
            return None
        return await self._db.query(lambda connection: connection.execute(GET, {"id_": job_id}).first())

    async def _known(self, job_id: str) -> Job:
        job = await self.get(job_id)
        if job is None:
            raise KeyError(job_id)
        return job

    def _is_known(self, row: Row[Any]) -> bool:
        return row.finished_at is None or row.finished_at > self._endings.forgotten_before

    def _all_known(self) -> Any:
        return or_(jobs.c.finished_at.is_(None), jobs.c.finished_at > self._endings.forgotten_before)

    # --- the end ------------------------------------------------------------------------------------------------

    async def cancel(self, job_id: str) -> Job | None:
        """End a job that is not over; what it holds is given back. What is known of it, or None."""
        row = await self._row(job_id)
        if row is None or not self._is_known(row):
            return None
        if not job_of(row).is_over:
            await unbroken(self._endings.end(row, "cancelled", fenced=False))
            self._making.cancel(job_id)
        return await self.get(job_id)

    async def delete(self, owner: str, job_id: str) -> bool:
        """Forget an owner's job at once, with its pictures; one under way is cancelled. Whether there was one."""
        job = await self.get(job_id)
        if job is None or job.owner != owner:
            return False
        await self.cancel(job_id)
        row = await self._row(job_id)
        if row is not None:
            if row.close_at is not None:
                await self._endings.close(row)
            await self._endings.retire([row], keep_keys=False)
        return True

    async def sweep(self) -> None:
        """Give up what waited too long, finish what dead processes left, forget what is too old.

        To be called every few minutes; by several processes at once, if need be.
        """
        await self._endings.sweep()

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(self._pace.tidy_s)
            try:
                await self._endings.close_left()
            except Exception as error:  # noqa: BLE001 - a database or a store that is away for a while must not end it
                self._log.warning("ends not told", detail=repr(error))

    # --- tasks --------------------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended_task)

    def _ended_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._log.error("task failed", task=task.get_name(), exc_info=error)


async def _fingerprint(dialect: str, order: Order) -> str:
    """The same for the same order with the same pictures."""

    async def digest(source: Source) -> Source:
        if not isinstance(source, Upload):
            return source
        return StoredPicture(await asyncio.to_thread(lambda: hashlib.sha256(source.data).hexdigest()))

    plain = to_json(await with_sources(order, digest))
    return hashlib.sha256(f"{dialect} {plain}".encode()).hexdigest()
