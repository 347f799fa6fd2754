"""How the work of a durable job is done: begun, made, stored, tried again where an accident befell it.

Each time that the work is begun the row's fence rises; only whoever holds the newest may end the job. A call that waits
for its job does not wait for the queue where a place is free: the process that takes the job begins it at once.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import msgspec
import structlog
from sqlalchemy import Row

from bgone.errors import ApiError, internal
from bgone.jobs.book import Make
from bgone.jobs.endings import Endings
from bgone.jobs.job import Failure, Stored
from bgone.jobs.orders import from_json, with_sources
from bgone.jobs.records import BEGIN, PUT_BACK, result_key
from bgone.pipeline.order import Order, Source, StoredPicture, Upload
from bgone.storage.database import Database
from bgone.storage.objects import Objects

T = TypeVar("T")

_log = structlog.get_logger("bgone.job")


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


@dataclass(frozen=True, slots=True)
class Making:
    """Does the work of one process; lives on one event loop.

    Attributes:
        db: Where jobs are.
        make: Makes one picture.
        objects: Where sources and results are.
        endings: Ends jobs.
        limits: How much.
        now: The clock, UTC.
        places: As many as jobs may be made at one time.
        under_way: Id → the task that makes its picture.
    """

    db: Database
    make: Make
    objects: Objects
    endings: Endings
    limits: DurableLimits
    now: Callable[[], datetime]
    places: asyncio.Semaphore
    under_way: dict[str, asyncio.Task[Stored]] = field(default_factory=dict)

    async def in_turn(self, job_id: str) -> datetime | None:
        """What the queue hands out ids for, when a place is free: see ``Perform``."""
        async with self.places:
            return await self.perform(job_id)

    async def perform(self, job_id: str) -> datetime | None:
        """Begin a job and do its work; see ``Perform``."""
        beginning = asyncio.ensure_future(self._begin(job_id))
        try:
            row = await asyncio.shield(beginning)
        except asyncio.CancelledError:
            if (row := await beginning) is not None:
                await self._put_back(row, row.tries - 1)
            raise
        return None if row is None else await self.work(row)

    async def work(self, row: Row[Any], order: Order | None = None) -> datetime | None:
        """Make a job that was begun, and end it; see ``Perform``.

        Args:
            row: As it was when it was begun.
            order: What the row says, where it is still in memory.
        """
        job_id = row.id
        if row.created_at <= self.now() - timedelta(seconds=self.limits.expire_s):
            await self.endings.end(row, "expired")
            return None
        if row.tries > self.limits.tries:
            _log.error("job took its workers along", job=job_id, tries=row.tries - 1)
            await self.endings.end(row, "failed", failure=_accident())
            return None
        making = self.under_way[job_id] = asyncio.create_task(self._made(row, order), name=f"make {job_id}")
        try:
            result = await making
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or not task.cancelling():
                return None  # by ``cancel``: the job is over
            await unbroken(self._put_back(row, row.tries - 1))
            raise
        except ApiError as error:
            return await self._failed(row, error)
        except Exception as error:  # noqa: BLE001 - whatever went wrong, whoever polls must hear of an end
            return await self._stumbled(row, error)
        finally:
            if self.under_way.get(job_id) is making:
                del self.under_way[job_id]
        await unbroken(self.endings.end(row, "done", result))
        return None

    def cancel(self, job_id: str) -> None:
        """Leave the work of a job that is over."""
        if making := self.under_way.get(job_id):
            making.cancel()

    async def _begin(self, job_id: str) -> Row[Any] | None:
        return await self.db.write(lambda connection: connection.execute(BEGIN, {"id_": job_id}).first())

    async def _made(self, row: Row[Any], order: Order | None) -> Stored:
        """Make and store; a studio that is full of requests that cannot wait is asked again."""
        order = await with_sources(order or from_json(row.recipe), self._fetch)
        order = replace(order, notes=msgspec.json.decode(row.notes))  # the job's: with what is no part of its recipe
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self.limits.patience_s
        key = result_key(row.secret, row.fence)
        while True:
            try:
                async with self.make(order) as made:
                    size = await self.objects.put(key, made.pieces, made.media_type)
                    return Stored(key, made.media_type, made.suffix, size, made.width, made.height, made.subject)
            except ApiError as error:
                if error.kind != "overloaded" or loop.time() >= give_up_at:
                    raise
                await asyncio.sleep(_jittered(min(self.limits.pause_s, error.retry_after_s or 1)))

    async def _fetch(self, source: Source) -> Source:
        return Upload(await self.objects.get(source.key)) if isinstance(source, StoredPicture) else source

    async def _failed(self, row: Row[Any], error: ApiError) -> datetime | None:
        if error.kind == "internal":
            return await self._stumbled(row, error)
        if error.kind == "overloaded":
            # Not the picture's fault: as often as it takes, until the job expires.
            return await self._again(row, row.tries - 1, self.limits.patience_s / 10)
        _log.info("job failed", job=row.id, error=error.kind, detail=error.detail)
        await self.endings.end(row, "failed", failure=Failure(error.kind, error.message))
        return None

    async def _stumbled(self, row: Row[Any], error: Exception) -> datetime | None:
        _log.error("job failed", job=row.id, tries=row.tries, exc_info=error)
        if row.tries < self.limits.tries:
            return await self._again(row, row.tries, self.limits.again_s * 2 ** (row.tries - 1))
        await self.endings.end(row, "failed", failure=_accident())
        return None

    async def _again(self, row: Row[Any], tries: int, pause_s: float) -> datetime | None:
        at = self.now() + timedelta(seconds=_jittered(pause_s))
        return at if await self._put_back(row, tries) else None

    async def _put_back(self, row: Row[Any], tries: int) -> bool:
        """Whether the job was still ours."""
        values = {"id_": row.id, "fence_": row.fence, "tries_": tries}
        return (await self.endings.insist(lambda connection: connection.execute(PUT_BACK, values).rowcount)) == 1


def _accident() -> Failure:
    return Failure("internal", internal("").message)


def _jittered(pause_s: float) -> float:
    return pause_s * random.uniform(0.5, 1)  # noqa: S311 - so that not all come back at once


async def unbroken(work: Awaitable[T]) -> T:
    """Wait for ``work`` to end, cancelled or not."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        with suppress(Exception):
            await task
        raise
