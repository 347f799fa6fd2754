"""How durable jobs end: state, result and price in one transaction, and what follows it whoever dies in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import msgspec
import structlog
from sqlalchemy import Connection, Row, delete, or_, select, text, update

from bgone.errors import ApiError
from bgone.jobs.book import NOTHING
from bgone.jobs.job import Failure, Job, State, Stored
from bgone.jobs.queue import Queue
from bgone.jobs.records import CLOSE, GET, IS_OPEN, IS_QUEUED, IS_RUNNING, as_json, job_of, result_key
from bgone.storage.database import Database
from bgone.storage.objects import Objects
from bgone.storage.tables import jobs

T = TypeVar("T")

KEPT_KEY_S = 86_400.0  # how long an Idempotency-Key is honoured
_SOME = 200  # rows of one step of a sweep
_PAUSES_S = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)  # while the database is away and a job wants to end

Settle = Callable[[Connection, str, Job], object]
"""Charges or gives back by a slip, for a job that is over, in the transaction that ends it. May raise ``ApiError``."""


_log = structlog.get_logger("bgone.job")


class _Refused(Exception):  # noqa: N818 - carries an ApiError through a transaction, to undo it
    def __init__(self, error: ApiError) -> None:
        super().__init__(error)
        self.error = error


@dataclass(frozen=True, slots=True)
class Endings:
    """Ends jobs, and forgets them.

    Attributes:
        db: Where jobs are.
        queue: Forgets those that are over.
        objects: Where their pictures are.
        settle: Charges or gives back what a job holds.
        on_end: Hears of every job that is over.
        over: Hears at once: for those who wait.
        start: Runs something beside.
        now: The clock, UTC.
        ttl_s: How long a job that is over is kept.
        expire_s: How long one may wait.
        close_s: After so long somebody else does what follows an end.
    """

    db: Database
    queue: Queue
    objects: Objects
    settle: Settle | None
    on_end: Callable[[Job], Coroutine[None, None, None]] | None
    over: Callable[[Job], None]
    start: Callable[[Coroutine[None, None, None], str], None]
    now: Callable[[], datetime]
    ttl_s: float
    expire_s: float
    close_s: float

    @property
    def forgotten_before(self) -> datetime:
        """Jobs that ended by then are not known any more."""
        return self.now() - timedelta(seconds=self.ttl_s)

    async def end(
        self,
        row: Row[Any],
        state: State,
        result: Stored | None = None,
        failure: Failure | None = None,
        *,
        fenced: bool = True,
    ) -> None:
        """Book the end and what it costs, then do what follows; what somebody else has ended stays as it is.

        Args:
            row: Of the job, as it was when its work was begun or as it was found.
            state: How it ends.
            result: Of one that is done.
            failure: Of one that failed.
            fenced: Only whoever began its work last may end it so; else whoever comes first.

        Raises:
            overloaded: The database stays away.
        """
        try:
            ended = await self.insist(partial(self._book, row, state, result, failure, fenced=fenced))
        except _Refused as refused:
            # The hold had run out, and the credits are gone: nothing is delivered that nobody paid for.
            _log.warning("job not paid", job=row.id, error=refused.error.kind)
            failure = Failure(refused.error.kind, refused.error.message)
            ended = await self.insist(partial(self._book, row, "failed", None, failure, fenced=fenced))
        if ended is not None:
            self.over(job_of(ended))
            self.start(self.close(ended), f"end of job {row.id}")
        elif result is not None:
            await self.remove([result.key])

    def _book(
        self,
        row: Row[Any],
        state: State,
        result: Stored | None,
        failure: Failure | None,
        connection: Connection,
        *,
        fenced: bool,
    ) -> Row[Any] | None:
        """The row as it is after the end; None where the job was not ours to end any more."""
        whose = (
            (jobs.c.id == row.id, IS_RUNNING, jobs.c.fence == row.fence) if fenced else (jobs.c.id == row.id, IS_OPEN)
        )
        now = self.now()
        end = {
            "state": state,
            "finished_at": now,
            "result": as_json(result),
            "failure": as_json(failure),
            "price": row.price if state == "done" else str(NOTHING),
            "close_at": now + timedelta(seconds=self.close_s),
        }
        ended = connection.execute(update(jobs).where(*whose).values(end).returning(*jobs.c)).first()
        if ended is None:
            return self._booked_before(connection, row, result)
        if row.slip and self.settle is not None:
            try:
                self.settle(connection, row.slip, job_of(ended))
            except ApiError as error:
                raise _Refused(error) from error
        self.queue.forget(connection, row.id)
        self.queue.announce(connection, row.id)
        return ended

    def _booked_before(self, connection: Connection, row: Row[Any], result: Stored | None) -> Row[Any] | None:
        """The row where it was this very call that ended it: the connection was lost after the commit."""
        found = connection.execute(GET, {"id_": row.id}).first()
        mine = found is not None and result is not None and found.result == as_json(result)
        return found if mine else None

    async def close(self, row: Row[Any]) -> None:
        """Do what follows an end: no source stays, nor what others have stored; whoever listens is told."""
        winner = row.fence if row.result is not None else 0
        dead = [result_key(row.secret, fence) for fence in range(1, row.fence + 1) if fence != winner]
        await self.remove([*msgspec.json.decode(row.sources), *dead])
        if self.on_end is not None:
            await self.on_end(job_of(row))
        await self.db.write(lambda connection: connection.execute(CLOSE, {"id_": row.id}))

    async def insist(self, work: Callable[[Connection], T]) -> T:
        """Write, and try for a while where the database is away: a picture has been made."""
        for pause_s in _PAUSES_S:
            try:
                return await self.db.write(work)
            except ApiError as error:
                _log.warning("job not booked", detail=error.detail)
            await asyncio.sleep(pause_s)
        return await self.db.write(work)

    # --- forgetting ---------------------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Give up what waited too long, finish what dead processes left, forget what is too old.

        To be called every few minutes; by several processes at once, if need be.
        """
        await self._expire()
        await self.close_left()
        await self._forget()
        await self.objects.sweep(self.ttl_s, keep=await self.db.query(self._in_use))

    async def _expire(self) -> None:
        before = self.now() - timedelta(seconds=self.expire_s)
        old = select(jobs).where(IS_QUEUED, jobs.c.created_at <= before).limit(_SOME)
        while rows := await self.db.query(lambda connection: connection.execute(old).all()):
            for row in rows:
                await self.end(row, "expired", fenced=False)

    async def close_left(self) -> None:
        """Tell of ends, and tidy up behind them, where the process that should have done so has died."""
        while rows := await self.db.write(self._claim_unclosed):
            for row in rows:
                try:
                    await self.close(row)
                except Exception as error:  # noqa: BLE001 - one listener that fails keeps nobody else waiting
                    _log.error("end of job not told", job=row.id, exc_info=error)

    def _claim_unclosed(self, connection: Connection) -> Sequence[Row[Any]]:
        now = self.now()
        left = select(jobs.c.id).where(text("close_at IS NOT NULL"), jobs.c.close_at <= now).limit(_SOME)
        ids = connection.execute(left.with_for_update(skip_locked=True)).scalars().all()
        claimed = update(jobs).where(jobs.c.id.in_(ids), jobs.c.close_at <= now)
        claimed = claimed.values(close_at=now + timedelta(seconds=self.close_s))
        return connection.execute(claimed.returning(*jobs.c)).all() if ids else ()

    async def _forget(self) -> None:
        honoured = self.now() - timedelta(seconds=KEPT_KEY_S)
        old = select(jobs).where(
            jobs.c.finished_at <= self.forgotten_before,
            jobs.c.close_at.is_(None),
            or_(jobs.c.result.is_not(None), jobs.c.idempotency_key.is_(None), jobs.c.created_at <= honoured),
        )
        while rows := await self.db.query(lambda connection: connection.execute(old.limit(_SOME)).all()):
            await self.retire(rows)

    async def retire(self, rows: Sequence[Row[Any]], *, keep_keys: bool = True) -> None:
        """Remove results, then rows; of a row whose Idempotency-Key is still honoured the name stays."""
        await self.remove([result_key(row.secret, row.fence) for row in rows if row.result is not None])
        honoured = self.now() - timedelta(seconds=KEPT_KEY_S)
        names = {row.id for row in rows if keep_keys and row.idempotency_key and row.created_at > honoured}
        gone = [row.id for row in rows if row.id not in names]

        def write(connection: Connection) -> None:
            connection.execute(delete(jobs).where(jobs.c.id.in_(gone)))
            connection.execute(update(jobs).where(jobs.c.id.in_(names)).values(result=None, notes="{}"))

        await self.db.write(write)

    def _in_use(self, connection: Connection) -> set[str]:
        """Keys in the object store that jobs older than the limit of age still need."""
        before = self.forgotten_before
        old = select(jobs.c.secret, jobs.c.fence, jobs.c.result, jobs.c.sources).where(
            jobs.c.created_at <= before, or_(jobs.c.finished_at.is_(None), jobs.c.finished_at > before)
        )
        keys: set[str] = set()
        for row in connection.execute(old):
            keys.update(msgspec.json.decode(row.sources))
            keys.add(result_key(row.secret, row.fence))
        return keys

    async def remove(self, keys: Sequence[str]) -> None:
        """Remove pictures; those that are not there are no error."""
        for key in keys:
            await self.objects.delete(key)
