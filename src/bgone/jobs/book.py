"""The job book: orders that are answered later, made one after the other while requests that wait go before.

Jobs live in this process and end with it. The functions that others call are few, because a queue in the database will
take the book's place.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import TypeVar

import structlog

from bgone.errors import ApiError, internal, overloaded
from bgone.imaging.geometry import Box
from bgone.jobs.job import Failure, Job, State, Stored, Waiting
from bgone.pipeline.order import Order, PictureGround, Upload
from bgone.storage.objects import Objects, new_key

NOTHING = Decimal(0)
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Made:
    """A picture that is being drawn.

    Attributes:
        pieces: Its bytes as they come.
        media_type: Bare media type.
        suffix: File name ending, with its dot.
        width: Pixels across.
        height: Pixels down.
        subject: The subject's box where it was measured.
    """

    pieces: AsyncIterable[bytes | memoryview]
    media_type: str
    suffix: str
    width: int
    height: int
    subject: Box | None = None


Make = Callable[[Order], AbstractAsyncContextManager[Made]]
"""Makes one picture; what it holds is given back when the context is left. Raises ``ApiError`` on the way in or out."""


@dataclass(frozen=True, slots=True)
class BookLimits:
    """How much the book takes and keeps.

    Attributes:
        running: Jobs made at one time; fewer than there are seats, so that requests that wait find one.
        waiting: Jobs that may wait; more are refused.
        waiting_bytes: Uploaded pictures that may wait in memory together.
        kept: Jobs that are over and still known.
        kept_bytes: Results that are kept together; the oldest go first.
        ttl_s: How long a job that is over, and its result, are kept.
        patience_s: How long a job tries again where the studio is overloaded.
        pause_s: Longest pause between two tries.
    """

    running: int = 1
    waiting: int = 256
    waiting_bytes: int = 256_000_000
    kept: int = 10_000
    kept_bytes: int = 2_000_000_000
    ttl_s: float = 86_400
    patience_s: float = 300
    pause_s: float = 5


@dataclass(slots=True, eq=False)
class _Entry:
    """A job on its way."""

    job: Job
    weight_bytes: int
    task: asyncio.Task[None] | None = None
    name: tuple[str, str] | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def result_bytes(self) -> int:
        return self.job.result.size_bytes if self.job.result else 0


class JobBook:
    """Every job of this process; lives on one event loop.

    Args:
        make: Makes one picture.
        objects: Where results go.
        limits: How much.
        settle: Hears of every picture that is made, before anybody can see that its job is done; what it raises is the
            job's failure, and the picture is thrown away.
        on_end: Hears of every job that is over, after its state is known to all; may take its time.
        now: The clock, UTC.
    """

    def __init__(
        self,
        make: Make,
        objects: Objects,
        limits: BookLimits | None = None,
        settle: Callable[[Job], Coroutine[None, None, None]] | None = None,
        on_end: Callable[[Job], Coroutine[None, None, None]] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.limits = limits or BookLimits()
        self._make = make
        self._objects = objects
        self._settle = settle
        self._on_end = on_end
        self._now = now
        self._entries: dict[str, _Entry] = {}  # oldest first
        self._named: dict[tuple[str, str], str] = {}  # by owner and Idempotency-Key
        self._open: dict[str, _Entry] = {}  # those that are not over
        self._ended: deque[_Entry] = deque()  # those that are, first ended first
        self._kept_bytes = 0
        self._counts: dict[tuple[str, str], Counter[State]] = {}  # by owner and dialect
        self._places = asyncio.Semaphore(self.limits.running)
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("bgone.job")

    def start(self) -> None:
        """Nothing: work begins with the first job."""

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
        pay: object = None,
        waits: bool = False,
    ) -> Job:
        """Take an order; its work begins when a place is free.

        Args:
            job_id: ``bgone.jobs.job.new_id()``.
            dialect: Name of the dialect that took it.
            owner: Account whose job it is.
            order: What to make.
            notes: Kept with the job, for whoever renders it or hears of its end.
            price: Credits that it costs when it succeeds.
            idempotency_key: The client's name for this call: as long as the job that it named is known, the same
                owner's same name is the same job.
            pay: As for ``DurableBook``; where no database is, nothing costs anything, and it is not asked.
            waits: As for ``DurableBook``; here it changes nothing.

        Raises:
            overloaded: Too many jobs, or too many bytes of them, wait.
        """
        named = self._named.get((owner, idempotency_key)) if idempotency_key else None
        if named in self._entries:
            return self._entries[named].job
        weight_bytes = _weight(order)
        waiting = sum(entry.job.state == "queued" for entry in self._open.values())
        held_bytes = sum(entry.weight_bytes for entry in self._open.values())
        if waiting >= self.limits.waiting or (self._open and held_bytes + weight_bytes > self.limits.waiting_bytes):
            raise overloaded(10, f"jobs: {waiting} wait, {held_bytes} bytes")
        job = Job(job_id, dialect, owner, "queued", self._now(), price=price, notes=notes)
        entry = self._entries[job_id] = self._open[job_id] = _Entry(job, weight_bytes)
        if idempotency_key:
            self._named[owner, idempotency_key] = job_id
            entry.name = owner, idempotency_key
        self._count(job, 1)
        entry.task = self._start(self._work(entry, order), f"job {job_id}")
        return job

    # --- looking up ---------------------------------------------------------------------------------------------

    async def get(self, job_id: str) -> Job | None:
        """What is known of a job; None for one that never was or is forgotten."""
        entry = self._entries.get(job_id)
        return entry.job if entry else None

    async def find_many(self, job_ids: Iterable[str]) -> Mapping[str, Job]:
        """Those of these jobs that are known, by id."""
        return {job_id: self._entries[job_id].job for job_id in job_ids if job_id in self._entries}

    async def any_open(self, job_ids: Iterable[str]) -> bool:
        """Whether one of these jobs is not over."""
        return any(job_id in self._open for job_id in job_ids)

    async def wait(self, job_id: str, seconds: float) -> Job:
        """A job when it is over, or as it stands after ``seconds`` (0: at once; ``inf``: no limit).

        Raises:
            KeyError: There is no such job.
        """
        entry = self._entries[job_id]
        if seconds > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(None if math.isinf(seconds) else seconds):
                    await entry.over.wait()
        return entry.job

    async def list(self, owner: str, dialect: str | None, limit: int, offset: int = 0) -> tuple[Job, ...]:
        """An owner's jobs of one dialect, or of all, newest first, ``limit`` of them from ``offset`` on."""
        jobs = (entry.job for entry in reversed(self._entries.values()))
        own = (job for job in jobs if job.owner == owner and dialect in (None, job.dialect))
        return tuple(islice(own, offset, offset + limit))

    async def counts(self, owner: str, dialect: str) -> Mapping[State, int]:
        """How many of an owner's jobs of one dialect are in each state; states without any are left out."""
        return dict(+self._counts.get((owner, dialect), Counter()))

    async def waiting(self) -> Waiting:
        """Jobs that are not begun, everybody's."""
        taken_at = [entry.job.created_at for entry in self._open.values() if entry.job.state == "queued"]
        return Waiting(len(taken_at), min(taken_at, default=None))

    @property
    def running(self) -> int:
        """Jobs being made."""
        return sum(entry.job.state == "running" for entry in self._open.values())

    # --- ending otherwise ---------------------------------------------------------------------------------------

    async def cancel(self, job_id: str) -> Job | None:
        """End a job that is not over; what is known of it, or None."""
        entry = self._entries.get(job_id)
        if entry is None:
            return None
        if not entry.job.is_over and entry.task is not None:
            entry.task.cancel()
            await asyncio.gather(entry.task, return_exceptions=True)
            if not entry.job.is_over:  # cancelled before its first step
                self._end(entry, replace(entry.job, state="cancelled", price=NOTHING))
            if self._on_end is not None:
                self._start(self._on_end(entry.job), f"end of job {job_id}")
        return entry.job

    async def delete(self, owner: str, job_id: str) -> bool:
        """Forget an owner's job at once, with its picture; one under way is cancelled. Whether there was one."""
        entry = self._entries.get(job_id)
        if entry is None or entry.job.owner != owner:
            return False
        await self.cancel(job_id)
        if entry in self._ended:
            self._ended.remove(entry)
            self._drop(entry)
        return True

    # --- the work -----------------------------------------------------------------------------------------------

    async def _work(self, entry: _Entry, order: Order) -> None:
        job = entry.job
        try:
            async with self._places:
                self._move(entry, replace(job, state="running"))
                # With the job's notes, which say more than the order's.
                result = await self._patiently(lambda: self._once(replace(order, notes=job.notes)))
            end = replace(job, state="done", result=result)
            await self._settled(end, result)
        except ApiError as error:
            self._log.info("job failed", job=job.id, error=error.kind, detail=error.detail)
            end = replace(job, state="failed", failure=Failure(error.kind, error.message), price=NOTHING)
        except asyncio.CancelledError:
            self._end(entry, replace(job, state="cancelled", price=NOTHING))
            raise
        except Exception as error:  # noqa: BLE001 - whatever went wrong, whoever polls must hear of an end
            self._log.error("job failed", job=job.id, exc_info=error)
            end = replace(job, state="failed", failure=Failure("internal", internal("").message), price=NOTHING)
        self._end(entry, end)

    async def _patiently(self, work: Callable[[], Coroutine[None, None, Value]]) -> Value:
        """Whoever is full of requests that cannot wait is asked again."""
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self.limits.patience_s
        while True:
            try:
                return await work()
            except ApiError as error:
                if error.kind != "overloaded" or loop.time() >= give_up_at:
                    raise
                await asyncio.sleep(min(self.limits.pause_s, error.retry_after_s or 1))

    async def _once(self, order: Order) -> Stored:
        """Make and store."""
        key = new_key()
        async with self._make(order) as made:
            size = await self._objects.put(key, made.pieces, made.media_type)
            return Stored(key, made.media_type, made.suffix, size, made.width, made.height, made.subject)

    async def _settled(self, end: Job, result: Stored) -> None:
        settle = self._settle
        if settle is None:
            return
        try:
            await self._patiently(lambda: settle(end))
        except Exception:
            self._start(self._objects.delete(result.key), f"forget job {end.id}")
            raise

    def _end(self, entry: _Entry, job: Job) -> None:
        self._move(entry, replace(job, finished_at=self._now()))
        entry.over.set()
        del self._open[job.id]
        self._ended.append(entry)
        self._kept_bytes += entry.result_bytes
        self._forget()
        if self._on_end is not None and job.state != "cancelled":
            self._start(self._on_end(entry.job), f"end of job {job.id}")

    def _move(self, entry: _Entry, job: Job) -> None:
        self._count(entry.job, -1)
        entry.job = job
        self._count(job, 1)

    def _count(self, job: Job, change: int) -> None:
        owner = (job.owner, job.dialect)
        states = self._counts.setdefault(owner, Counter())
        states[job.state] += change
        if not any(states.values()):
            del self._counts[owner]

    # --- forgetting ---------------------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Forget what is too old, results of earlier processes included; to be called every few minutes."""
        self._forget()
        await self._objects.sweep(self.limits.ttl_s)

    def _forget(self) -> None:
        """Forget jobs beyond their time, and the oldest beyond the numbers; the newest is always within these."""
        ended_before = self._now() - timedelta(seconds=self.limits.ttl_s)
        while self._ended:
            oldest = self._ended[0]
            beyond = len(self._ended) > self.limits.kept or self._kept_bytes > self.limits.kept_bytes
            too_old = oldest.job.finished_at is not None and oldest.job.finished_at <= ended_before
            if not (too_old or (beyond and len(self._ended) > 1)):
                return
            self._drop(self._ended.popleft())

    def _drop(self, entry: _Entry) -> None:
        self._kept_bytes -= entry.result_bytes
        del self._entries[entry.job.id]
        if entry.name is not None:
            self._named.pop(entry.name, None)
        self._count(entry.job, -1)
        if entry.job.result is not None:
            self._start(self._objects.delete(entry.job.result.key), f"forget job {entry.job.id}")

    # --- the end ------------------------------------------------------------------------------------------------

    async def aclose(self) -> None:
        """Cancel what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, work: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended_task)
        return task

    def _ended_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._log.error("task failed", task=task.get_name(), exc_info=error)


def _weight(order: Order) -> int:
    """Bytes that an order holds while it waits."""
    sources = [order.source]
    if isinstance(order.options.background, PictureGround):
        sources.append(order.options.background.source)
    return sum(len(source.data) for source in sources if isinstance(source, Upload))
