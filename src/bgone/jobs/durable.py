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
import random
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

import structlog
from sqlalchemy import Connection, Row, func, or_, select, update
from sqlalchemy.exc import IntegrityError

from bgone.errors import ApiError, internal, invalid_option, overloaded
from bgone.jobs.book import Make
from bgone.jobs.endings import KEPT_KEY_S, Endings, Settle
from bgone.jobs.job import Failure, Job, State, Stored
from bgone.jobs.orders import from_json, to_json, with_sources
from bgone.jobs.queue import Queue, utc_now
from bgone.jobs.records import ADD, BEGIN, COUNT_WAITING, GET, PUT_BACK, job_of, result_key, row_of
from bgone.pipeline.order import Order, Source, StoredPicture, Upload
from bgone.storage.database import Database
from bgone.storage.objects import Objects, new_key
from bgone.storage.tables import jobs

T = TypeVar("T")

LOOK_S = 0.2  # how often jobs that somebody waits for are looked at
COUNT_S = 1.0  # how old the number of waiting jobs may be
_SOME = 200  # ids of one question

Also = Callable[[Connection, str], None]
"""What is written with a hold, in its transaction: (connection, slip)."""
Pay = Callable[[Also], Awaitable[object]]
"""Sets a price aside, and runs what it is given in the same transaction. Raises ``ApiError`` where that cannot be."""


@dataclass(frozen=True, slots=True)
class DurableLimits:
    """How much is taken, tried and kept.

    Attributes:
        running: Jobs made at one time by this process.
        waiting: Jobs that may wait, all processes' together; more are refused.
        ttl_s: How long a job that is over, and its result, are kept.
        expire_s: A job that was not begun after so long is given up.
        tries: How often work that fails by accident, or takes its process along, is begun.
        patience_s: How long a job holds its place while the studio is overloaded; then it goes back to the queue.
        pause_s: Longest pause between two tries meanwhile.
        again_s: Before the second try; doubled for each further one, each shortened by up to a half by chance.
    """

    running: int = 1
    waiting: int = 100_000
    ttl_s: float = 86_400
    expire_s: float = 86_400
    tries: int = 3
    patience_s: float = 300
    pause_s: float = 5
    again_s: float = 2


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
    ) -> None:
        self.limits = limits or DurableLimits()
        self._db = db
        self._queue = queue
        self._make = make
        self._objects = objects
        self._now = now
        self._works = works
        self._making: dict[str, asyncio.Task[Stored]] = {}
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self._counted = (-math.inf, 0)  # when, how many wait
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("bgone.job")
        self._endings = Endings(
            db,
            queue,
            objects,
            settle,
            on_end,
            over=self._is_over,
            start=self._start,
            now=now,
            ttl_s=self.limits.ttl_s,
            expire_s=self.limits.expire_s,
        )

    def start(self) -> None:
        """Begin to work, and to hear of jobs that end elsewhere."""
        if self._works:
            self._start(self._queue.work(self._perform, self.limits.running), "jobs")
        self._start(self._queue.listen(self._is_over), "listen for jobs")
        self._start(self._look(), "look for jobs")

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

        Raises:
            overloaded: Too many jobs wait, or the database is away.
            invalid_option: The key was used for another order.
            ApiError: It cannot be paid.
        """
        named = await _fingerprint(dialect, order) if idempotency_key else ""
        if idempotency_key and (earlier := await self._earlier(owner, idempotency_key, named)) is not None:
            return earlier
        await self._check_room()
        order, kept = await self._keep(order)
        job = Job(job_id, dialect, owner, "queued", self._now(), price=price, notes=dict(notes))
        row = {
            **row_of(job, to_json(order), kept),
            "idempotency_key": idempotency_key or None,
            "fingerprint": named,
        }
        try:
            await _unbroken((pay or self._free)(partial(self._take, row)))
        except IntegrityError:
            await self._endings.remove(kept)
            # Somebody was faster with the same key.
            earlier = await self._earlier(owner, idempotency_key, named) if idempotency_key else None
            if earlier is None:
                raise
            return earlier
        except Exception:
            await self._endings.remove(kept)
            raise
        # Whoever was cancelled meanwhile does not come here: the job may have been taken, and its end tidies up.
        self._queue.wake()
        return job

    def _take(self, row: Mapping[str, Any], connection: Connection, slip: str) -> None:
        rank = connection.execute(ADD, {**row, "slip": slip, "owner_": row["owner"]}).scalar_one()
        self._queue.enqueue(connection, row["id"], rank, row["created_at"])

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
        row = await self._db.query(lambda connection: connection.execute(GET, {"id_": job_id}).first())
        return job_of(row) if row is not None and self._is_known(row) else None

    async def find_many(self, job_ids: Iterable[str]) -> Mapping[str, Job]:
        """Those of these jobs that are known, by id."""
        ids = [*job_ids]
        parts = [select(jobs).where(jobs.c.id.in_(ids[at : at + _SOME])) for at in range(0, len(ids), _SOME)]
        rows = await self._db.query(lambda link: [row for part in parts for row in link.execute(part)])
        return {row.id: job_of(row) for row in rows if self._is_known(row)}

    async def wait(self, job_id: str, seconds: float) -> Job:
        """A job when it is over, or as it stands after ``seconds`` (0: at once; ``inf``: no limit).

        Raises:
            KeyError: There is no such job.
        """
        over = asyncio.Event()
        self._waiters.setdefault(job_id, set()).add(over)
        try:
            job = await self._known(job_id)
            if seconds > 0 and not job.is_over:
                with suppress(TimeoutError):
                    async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                        await over.wait()
                job = await self._known(job_id)
            return job
        finally:
            waiters = self._waiters[job_id]
            waiters.discard(over)
            if not waiters:
                del self._waiters[job_id]

    async def list(self, owner: str, dialect: str, limit: int, offset: int = 0) -> tuple[Job, ...]:
        """An owner's jobs of one dialect, newest first, ``limit`` of them from ``offset`` on."""
        page = select(jobs).where(jobs.c.owner == owner, jobs.c.dialect == dialect, self._all_known())
        page = page.order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(limit).offset(offset)
        return tuple(job_of(row) for row in await self._db.query(lambda link: link.execute(page).all()))

    async def counts(self, owner: str, dialect: str) -> Mapping[State, int]:
        """How many of an owner's jobs of one dialect are in each state; states without any are left out."""
        counted = select(jobs.c.state, func.count()).where(jobs.c.owner == owner, jobs.c.dialect == dialect)
        counted = counted.where(self._all_known()).group_by(jobs.c.state)
        rows = await self._db.query(lambda connection: connection.execute(counted).all())
        return {state: number for state, number in rows}  # noqa: C416 - a row is no pair to the type checker

    async def _known(self, job_id: str) -> Job:
        job = await self.get(job_id)
        if job is None:
            raise KeyError(job_id)
        return job

    def _is_known(self, row: Row[Any]) -> bool:
        return row.finished_at is None or row.finished_at > self._endings.forgotten_before

    def _all_known(self) -> Any:
        return or_(jobs.c.finished_at.is_(None), jobs.c.finished_at > self._endings.forgotten_before)

    def _is_over(self, job_id: str) -> None:
        for waiter in self._waiters.get(job_id, ()):
            waiter.set()

    async def _look(self) -> None:
        """Find jobs that somebody here waits for and that ended elsewhere, whatever was or was not announced."""
        while True:
            await asyncio.sleep(LOOK_S)
            if ids := [job_id for job_id, waiters in self._waiters.items() if waiters]:
                ended = select(jobs.c.id).where(jobs.c.id.in_(ids), jobs.c.finished_at.is_not(None))
                with suppress(ApiError):  # the database is away: the next look
                    for job_id in await self._db.query(lambda link, ended=ended: link.execute(ended).scalars().all()):  # type: ignore[misc]
                        self._is_over(job_id)

    # --- the work -----------------------------------------------------------------------------------------------

    async def _perform(self, job_id: str) -> datetime | None:
        """What the queue hands out ids for: see ``Perform``."""
        beginning = asyncio.ensure_future(self._begin(job_id))
        try:
            row = await asyncio.shield(beginning)
        except asyncio.CancelledError:
            if (row := await beginning) is not None:
                await self._put_back(row, row.tries - 1)
            raise
        if row is None:
            return None
        if row.created_at <= self._now() - timedelta(seconds=self.limits.expire_s):
            await self._endings.end(row, "expired")
            return None
        if row.tries > self.limits.tries:
            self._log.error("job took its workers along", job=job_id, tries=row.tries - 1)
            await self._endings.end(row, "failed", failure=_accident())
            return None
        making = self._making[job_id] = asyncio.create_task(self._made(row), name=f"make {job_id}")
        try:
            result = await making
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                return None  # by ``cancel``: the job is over
            await _unbroken(self._put_back(row, row.tries - 1))
            raise
        except ApiError as error:
            return await self._failed(row, error)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, whoever polls must hear of an end
            return await self._stumbled(row, error)
        finally:
            if self._making.get(job_id) is making:
                del self._making[job_id]
        await _unbroken(self._endings.end(row, "done", result))
        return None

    async def _begin(self, job_id: str) -> Row[Any] | None:
        return await self._db.write(lambda connection: connection.execute(BEGIN, {"id_": job_id}).first())

    async def _made(self, row: Row[Any]) -> Stored:
        """Make and store; a studio that is full of requests that cannot wait is asked again."""
        order = await with_sources(from_json(row.recipe), self._fetch)
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self.limits.patience_s
        key = result_key(row.secret, row.fence)
        while True:
            try:
                async with self._make(order) as made:
                    size = await self._objects.put(key, made.pieces, made.media_type)
                    return Stored(key, made.media_type, made.suffix, size, made.width, made.height, made.subject)
            except ApiError as error:
                if error.kind != "overloaded" or loop.time() >= give_up_at:
                    raise
                await asyncio.sleep(_jittered(min(self.limits.pause_s, error.retry_after_s or 1)))

    async def _fetch(self, source: Source) -> Source:
        return Upload(await self._objects.get(source.key)) if isinstance(source, StoredPicture) else source

    async def _failed(self, row: Row[Any], error: ApiError) -> datetime | None:
        if error.kind == "internal":
            return await self._stumbled(row, error)
        if error.kind == "overloaded":
            # Not the picture's fault: as often as it takes, until the job expires.
            return await self._again(row, row.tries - 1, self.limits.patience_s / 10)
        self._log.info("job failed", job=row.id, error=error.kind, detail=error.detail)
        await self._endings.end(row, "failed", failure=Failure(error.kind, error.message))
        return None

    async def _stumbled(self, row: Row[Any], error: Exception) -> datetime | None:
        self._log.error("job failed", job=row.id, tries=row.tries, exc_info=error)
        if row.tries < self.limits.tries:
            return await self._again(row, row.tries, self.limits.again_s * 2 ** (row.tries - 1))
        await self._endings.end(row, "failed", failure=_accident())
        return None

    async def _again(self, row: Row[Any], tries: int, pause_s: float) -> datetime | None:
        at = self._now() + timedelta(seconds=_jittered(pause_s))
        return at if await self._put_back(row, tries) else None

    async def _put_back(self, row: Row[Any], tries: int) -> bool:
        """Whether the job was still ours."""
        values = {"id_": row.id, "fence_": row.fence, "tries_": tries}
        return (await self._endings.insist(lambda connection: connection.execute(PUT_BACK, values).rowcount)) == 1

    # --- the end ------------------------------------------------------------------------------------------------

    async def cancel(self, job_id: str) -> Job | None:
        """End a job that is not over; what it holds is given back. What is known of it, or None."""
        row = await self._db.query(lambda connection: connection.execute(GET, {"id_": job_id}).first())
        if row is None or not self._is_known(row):
            return None
        if not job_of(row).is_over:
            await _unbroken(self._endings.end(row, "cancelled", fenced=False))
            if making := self._making.get(job_id):
                making.cancel()
        return await self.get(job_id)

    async def delete(self, owner: str, job_id: str) -> bool:
        """Forget an owner's job at once, with its pictures; one under way is cancelled. Whether there was one."""
        job = await self.get(job_id)
        if job is None or job.owner != owner:
            return False
        await self.cancel(job_id)
        row = await self._db.query(lambda connection: connection.execute(GET, {"id_": job_id}).first())
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

    # --- tasks --------------------------------------------------------------------------------------------------

    def _start(self, work: Coroutine[None, None, None], name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended_task)

    def _ended_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._log.error("task failed", task=task.get_name(), exc_info=error)


def _accident() -> Failure:
    return Failure("internal", internal("").message)


async def _fingerprint(dialect: str, order: Order) -> str:
    """The same for the same order with the same pictures."""

    async def digest(source: Source) -> Source:
        if not isinstance(source, Upload):
            return source
        return StoredPicture(await asyncio.to_thread(lambda: hashlib.sha256(source.data).hexdigest()))

    plain = to_json(await with_sources(order, digest))
    return hashlib.sha256(f"{dialect} {plain}".encode()).hexdigest()


def _jittered(pause_s: float) -> float:
    return pause_s * random.uniform(0.5, 1)  # noqa: S311 - so that not all come back at once


async def _unbroken(work: Awaitable[T]) -> T:
    """Wait for ``work`` to end, cancelled or not."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(Exception):
            await task
        raise
