"""The native batch endpoint, ``/batches/v1``: many pictures in one call, each a job, under one id.

Keys, options and errors are BackgroundErase's. What is asked for is read in ``batch_orders.py``, what is told is made
in ``batch_views.py``; here a request becomes jobs, and jobs become an answer.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Protocol

import orjson
import structlog
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from bgone.api.auth import NOBODY, Caller
from bgone.api.batch_orders import ARCHIVE_BYTES, DIALECT, SUBMIT, URLS_BYTES, WEBHOOK, BatchOrder, Picture, read_batch
from bgone.api.batch_views import Linker, Standing, end_event, manifest, news, page, summary
from bgone.api.desk import BASE_URL
from bgone.api.dialect import Context, Info, Submit
from bgone.api.endpoint import new_request_id
from bgone.api.gate import Call, Gate
from bgone.api.metrics import Metrics
from bgone.api.options import integer
from bgone.api.origin import OPEN, base_url_of, preflight
from bgone.api.packing import length_of, pack
from bgone.api.policy import Policy
from bgone.api.reading import has_body, headers_of, query_of, read_fields
from bgone.api.replies import EARLY_S, SLOW_LINGER_S, Reply
from bgone.api.tracing import log_fields, trace_of
from bgone.errors import ApiError, ClientGone, internal, job_not_ready, method_not_allowed, overloaded
from bgone.jobs.batches import Batch, Batches, Item
from bgone.jobs.job import Failure, Job, Stored, new_id
from bgone.pipeline.budget import Budget
from bgone.pipeline.order import Order
from bgone.storage.objects import Objects

ROOT = "/batches/v1"
POLL_S = 1.0  # how often a stream of events looks
STREAMS = 100  # of events at one time
KEEP_ALIVE_S = 15.0
RECENT = 16
STREAM_S = 900.0  # then it ends, and the client comes again
KEPT_S = 7 * 86_400.0  # jobs are forgotten sooner, and so are their results
_PRICE = Decimal(1)
# What is said to one picture is said to all that follow.
_FOR_ALL = frozenset({"key_revoked", "account_barred", "no_credits", "overloaded"})
_COMMON = (("cache-control", "no-store"), ("x-content-type-options", "nosniff"))


class Jobs(Protocol):
    """What is needed of the desk."""

    async def submit(
        self,
        does: Submit,
        order: Order,
        call: Call,
        price: Decimal,
        context: Callable[[Caller | None], Context],
        *,
        preview: bool,
    ) -> Info:
        """See ``Desk``."""

    async def find_many(self, job_ids: Sequence[str]) -> Mapping[str, Job]:
        """Those of these jobs that are known, by id."""

    async def any_open(self, job_ids: Sequence[str]) -> bool:
        """Whether one of these jobs is not over."""

    async def cancel(self, job_id: str) -> object:
        """End a job that is not over; what it holds is given back."""

    def linker(self, base_url: str) -> Linker:
        """See ``Desk``."""


class Messages(Protocol):
    """What is needed of the webhooks."""

    async def send(self, job_id: str, url: str, body: bytes, owner: str = "") -> bool:
        """See ``Webhooks``."""


class BatchRooms(Protocol):
    """What this API needs of ``scope["state"]["rooms"]``."""

    @property
    def batching(self) -> Batching:
        """It."""


@dataclass(slots=True)
class _Visit:
    """One request on its way through."""

    scope: Scope
    receive: Receive
    reply: Reply
    request_id: str
    operation: str = "none"
    caller: Caller = NOBODY
    unread: bool = False
    facts: dict[str, object] = field(default_factory=dict)

    @property
    def call(self) -> Call:
        address = (self.scope.get("client") or ("",))[0]
        return Call(self.caller, DIALECT.name, self.operation, address, self.request_id, trace_of(self.scope))

    async def tell(self, status: int, body: Mapping[str, object], *headers: tuple[str, str]) -> None:
        said = [("content-type", "application/json"), *headers]
        await self.reply.whole(status, orjson.dumps(body), said, unread_body=self.unread)


@dataclass(frozen=True, slots=True)
class Batching:
    """Answers every request below ``/batches/v1``.

    Attributes:
        jobs: The desk.
        kept: Where batches are.
        messages: Tells strangers that all of a batch is over.
        objects: Where results are.
        gate: Knows callers, counts calls, holds and charges.
        policy: The operator's word on limits and names.
        budget: Memory that requests may hold together.
        metrics: Counts.
        draining: Whether the server is about to stop: streams of events end.
        poll_s: How often a stream of events looks.
        keep_alive_s: How long it may be silent.
        streams: How many of them may be open.
        recent: Batches whose jobs have ended lately.
    """

    jobs: Jobs
    kept: Batches
    messages: Messages
    objects: Objects
    gate: Gate
    policy: Policy
    budget: Budget
    metrics: Metrics
    draining: Callable[[], bool] = lambda: False
    poll_s: float = POLL_S
    keep_alive_s: float = KEEP_ALIVE_S
    streams: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(STREAMS))
    recent: OrderedDict[str, Batch] = field(default_factory=OrderedDict)

    async def serve(self, handlers: Mapping[str, Handler], scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request.

        Args:
            handlers: Method → what it does at this path.
            scope: ASGI scope.
            receive: ASGI receive.
            send: ASGI send.
        """
        request_id, started = new_request_id(), time.perf_counter()
        opens = self.policy.allows_browsers(DIALECT)
        reply = Reply(scope, receive, send, [("x-request-id", request_id), *_COMMON, *(OPEN if opens else ())])
        visit = _Visit(scope, receive, reply, request_id, unread=has_body(scope))
        log = structlog.get_logger("bgone.batch")
        try:
            if opens and scope["method"] == "OPTIONS":
                await reply.whole(204, b"", preflight(scope, handlers), unread_body=visit.unread)
                return
            handler = handlers.get("GET" if scope["method"] == "HEAD" else scope["method"])
            if handler is None:
                raise method_not_allowed(", ".join(sorted(handlers)))
            visit.operation = handler.__name__.strip("_")
            await self._let_in(visit)
            await handler(self, visit)
        except ApiError as error:
            self.metrics.refused.labels(error.kind, DIALECT.name).inc()
            await _complain(visit, error)
        except (ClientGone, ConnectionError):
            visit.facts["gone"] = True
        except Exception as error:  # whatever went wrong, the client gets its 500
            log.error("failure", id=request_id, exc_info=error)
            await _complain(visit, internal(repr(error)))
        finally:
            seconds = time.perf_counter() - started
            self.metrics.requests.labels(DIALECT.name, visit.operation, str(reply.status)).inc()
            self.metrics.duration.labels(DIALECT.name, visit.operation).observe(seconds)
            facts = {"operation": visit.operation, "status": reply.status, "ms": round(seconds * 1000, 1)}
            trace = log_fields(scope)
            log.info("batch", id=request_id, key=visit.caller.fingerprint, **facts, **visit.facts, **trace)

    async def sweep(self) -> None:
        """Forget old batches; to be called every few minutes."""
        await self.kept.sweep(datetime.now(UTC) - timedelta(seconds=KEPT_S))

    # --- the end ------------------------------------------------------------------------------------------------

    async def ended(self, job: Job) -> None:
        """Hear of a job's end; the last one's of a batch is the batch's, and whoever asked for it is told.

        Raises:
            overloaded: The database is away; a book that outlives us asks again.
        """
        url = job.notes.get(WEBHOOK, "") if job.dialect == DIALECT.name else ""
        # Before it is kept its jobs may be over: whoever keeps it looks then.
        if url and (batch := await self._known(job.notes["batch"])) is not None:
            await self._tell_end(batch, url, job.notes.get(BASE_URL, ""))

    async def _tell_end(self, batch: Batch, url: str, base_url: str) -> None:
        ids = [item.job_id for item in reversed(batch.items) if item.job_id]  # the last are over last
        if not await self.jobs.any_open(ids):
            body = end_event(Standing(batch, await self.jobs.find_many(ids)), f"{base_url}{ROOT}/{batch.id}")
            await self.messages.send(batch.id, url, orjson.dumps(body), batch.owner)

    async def _known(self, batch_id: str) -> Batch | None:
        """A batch, which never changes: each of its jobs asks for it when it ends."""
        if batch_id not in self.recent and (batch := await self.kept.get(batch_id)) is not None:
            self.recent[batch_id] = batch
            while len(self.recent) > RECENT:
                self.recent.popitem(last=False)
        return self.recent.get(batch_id)

    async def _let_in(self, visit: _Visit) -> None:
        query = query_of(visit.scope) if self.policy.legacy_keys else {}
        visit.caller = await self.gate.caller(DIALECT.find_key(headers_of(visit.scope), query))

    # --- in -----------------------------------------------------------------------------------------------------

    async def _create(self, visit: _Visit) -> None:
        visit.caller = await self.gate.count(visit.call)
        with self.gate.place(visit.call):
            batch_id = _batch_id(visit)
            if (known := await self.kept.get(batch_id)) is None:
                known = await self._take(visit, batch_id)
        standing = await self._standing(known)
        visit.facts["pictures"] = len(known.items)
        await visit.tell(202, page(standing, self._link(visit), 100, 0), ("location", f"{ROOT}/{batch_id}"))

    async def _take(self, visit: _Visit, batch_id: str) -> Batch:
        holding = self.budget.open(10)
        try:
            is_form = headers_of(visit.scope).get("content-type", "").lower().startswith("multipart/")
            asked = await self._read(visit, ARCHIVE_BYTES if is_form else URLS_BYTES, holding.grow)
            visit.unread = False
            return await self._begin(visit, batch_id, asked)
        finally:
            holding.release()

    async def _read(self, visit: _Visit, limit_bytes: int, held: Callable[[int], None]) -> BatchOrder:
        limits = self.policy.read_limits(DIALECT)
        try:
            fields = await read_fields(visit.scope, visit.receive, replace(limits, file_bytes=limit_bytes), held)
        except ApiError as error:
            if error.kind != "too_many_bytes":
                raise
            words = f"The batch is too large: at most {limit_bytes / 1e6:g} MB are taken in one call."
            raise ApiError(error.kind, words, facts={"limit_bytes": limit_bytes}) from error
        return await read_batch(fields, limits.file_bytes)

    async def _begin(self, visit: _Visit, batch_id: str, asked: BatchOrder) -> Batch:
        """Begin a job for each picture; all are cancelled again where the batch does not come about."""
        order = replace(asked.order, limits=self.policy.photo_limits(DIALECT))
        items: list[Item] = []
        try:
            for start in range(0, len(asked.pictures), asked.at_once):
                if (said := _refusal(items)) is not None:
                    rest = enumerate(asked.pictures[start:], start)
                    items += [Item(place, picture.label, failure=said) for place, picture in rest]
                    break
                items += await self._some(visit, batch_id, order, asked.pictures, range(start, start + asked.at_once))
                first = _refusal(items)
                if first is not None and not any(item.job_id for item in items):
                    raise ApiError(first.kind, first.message, retry_after_s=10 if first.kind == "overloaded" else None)
            batch = Batch(batch_id, visit.caller.account.id, datetime.now(UTC), tuple(items))
            if await self.kept.add(batch):
                if url := order.notes.get(WEBHOOK):
                    await self._tell_end(batch, url, self._base_url(visit))
                return batch
            earlier = await self.kept.get(batch_id)  # the same Idempotency-Key was faster
        except BaseException:
            await self._undo(items)
            raise
        await self._undo(items)
        return earlier or batch

    async def _some(
        self, visit: _Visit, batch_id: str, order: Order, pictures: Sequence[Picture], places: range
    ) -> list[Item]:
        """Begin the jobs of some pictures, side by side."""
        numbered = [(place, pictures[place]) for place in places if place < len(pictures)]
        begun = await asyncio.gather(
            *(self._item(visit, batch_id, order, place, picture) for place, picture in numbered), return_exceptions=True
        )
        items = [item for item in begun if isinstance(item, Item)]
        for outcome in begun:
            if isinstance(outcome, BaseException):
                await self._undo(items)
                raise outcome
        return items

    async def _undo(self, items: Sequence[Item]) -> None:
        for item in items:
            if item.job_id:
                await self.jobs.cancel(item.job_id)

    async def _item(self, visit: _Visit, batch_id: str, order: Order, position: int, picture: Picture) -> Item:
        notes = {**order.notes, "batch": batch_id, "position": str(position), "label": picture.label}
        try:
            one = replace(order, source=await picture.read(), notes=notes)
            info = await self.jobs.submit(SUBMIT, one, visit.call, _PRICE, self._context(visit), preview=False)
        except ApiError as error:
            return Item(position, picture.label, failure=Failure(error.kind, error.message))
        return Item(position, picture.label, str(info.body["id"]))

    def _context(self, visit: _Visit) -> Callable[[Caller | None], Context]:
        base_url = self._base_url(visit)
        plain = Context(visit.request_id, visit.caller, base_url, link=self.jobs.linker(base_url))
        return lambda caller: replace(plain, caller=caller or plain.caller)

    # --- out ----------------------------------------------------------------------------------------------------

    async def _show(self, visit: _Visit) -> None:
        query = query_of(visit.scope)
        limit = integer(1, 1_000)("limit", query.get("limit", "100"))
        offset = integer(0, 1_000_000)("offset", query.get("offset", "0"))
        standing = await self._standing(await self._own(visit))
        await visit.tell(200, page(standing, self._link(visit), limit, offset))

    async def _cancel(self, visit: _Visit) -> None:
        batch = await self._own(visit)
        for job in (await self._standing(batch)).jobs.values():
            if job.state == "queued":
                await self.jobs.cancel(job.id)
        await visit.tell(200, summary(await self._standing(batch)))

    async def _manifest(self, visit: _Visit) -> None:
        standing = await self._standing(await self._own(visit))
        body = await asyncio.to_thread(manifest, standing, self._link(visit))
        await visit.reply.whole(200, body, [("content-type", "application/x-ndjson")], unread_body=visit.unread)

    async def _archive(self, visit: _Visit) -> None:
        standing = await self._standing(await self._own(visit))
        files = standing.packed()
        if not standing.is_over:
            raise job_not_ready("processing")
        if not files:
            raise ApiError("job_not_ready", "No picture of this batch has a result.")
        name = f'attachment; filename="batch-{standing.batch.id[:8]}.zip"'
        headers = [("content-type", "application/zip"), ("content-disposition", name)]
        try:
            await self._stream(visit, lambda _: pack(self.objects, files), headers, length_of(files))
        except KeyError:  # the sweep was here
            visit.reply.abort()

    async def _events(self, visit: _Visit) -> None:
        batch = await self._own(visit)
        if headers_of(visit.scope).get("last-event-id") == "finished":
            await visit.reply.whole(204, b"", [])  # the one answer after which browsers do not come again
            return
        if self.streams.locked():
            raise overloaded(30, f"{STREAMS} streams of events are open")
        headers = [("content-type", "text/event-stream"), ("x-accel-buffering", "no")]
        async with self.streams:
            await self._stream(visit, lambda gone: self._news(batch, self._link(visit), gone), headers, None)

    async def _news(self, batch: Batch, link: Linker, gone: asyncio.Future[None]) -> AsyncIterator[bytes]:
        before: Standing | None = None
        ends_at = time.monotonic() + STREAM_S
        said_at = time.monotonic()
        yield b"retry: 2000\n\n"
        while True:
            now = await self._standing(batch, before)
            for each in news(before, now, link):
                said_at = time.monotonic()
                yield each
            before = now
            if now.is_over or gone.done() or self.draining() or time.monotonic() > ends_at:
                return
            if time.monotonic() > said_at + self.keep_alive_s:
                said_at = time.monotonic()
                yield b": still here\n\n"
            await asyncio.wait({gone}, timeout=self.poll_s)

    async def _stream(
        self,
        visit: _Visit,
        pieces: Callable[[asyncio.Future[None]], AsyncIterator[bytes]],
        headers: Sequence[tuple[str, str]],
        length: int | None,
    ) -> None:
        if visit.scope["method"] == "HEAD":
            await visit.reply.whole(200, b"", headers, unread_body=visit.unread)
            return
        gone = asyncio.ensure_future(_hang_up(visit.receive))
        try:
            await visit.reply.stream(pieces(gone), headers, length, gone.done)
        finally:
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone

    # --- both ---------------------------------------------------------------------------------------------------

    async def _own(self, visit: _Visit) -> Batch:
        batch = await self.kept.get(str(visit.scope["path_params"]["id"]))
        if batch is None or batch.owner != visit.caller.account.id:
            raise ApiError("job_not_found", "There is no such batch.")
        return batch

    async def _standing(self, batch: Batch, before: Standing | None = None) -> Standing:
        """The batch as it stands; jobs that were over before are not looked up again."""
        if before is None:
            ids = [item.job_id for item in batch.items if item.job_id]
            return Standing(batch, await self.jobs.find_many(ids))
        found = await self.jobs.find_many(before.open_ids)
        over = {job_id: job for job_id, job in before.jobs.items() if job.is_over}
        return Standing(batch, {**over, **found})

    def _base_url(self, visit: _Visit) -> str:
        return self.policy.public_url or base_url_of(visit.scope)

    def _link(self, visit: _Visit) -> Linker:
        sign = self.jobs.linker(self._base_url(visit))

        def link(stored: Stored, name: str, seconds: float) -> str:
            return sign(stored, name, seconds)

        return link


Handler = Callable[[Batching, _Visit], Awaitable[None]]
_PATHS: Mapping[str, Mapping[str, Handler]] = {
    "": {"POST": Batching._create},
    "/{id}": {"GET": Batching._show, "DELETE": Batching._cancel},
    "/{id}/events": {"GET": Batching._events},
    "/{id}/results.ndjson": {"GET": Batching._manifest},
    "/{id}/results.zip": {"GET": Batching._archive},
}


def routes() -> list[BaseRoute]:
    """Everything below ``/batches/v1``."""
    return [Route(ROOT + path, _BatchPath(handlers)) for path, handlers in _PATHS.items()]


@dataclass(frozen=True, slots=True)
class _BatchPath:
    """An ASGI endpoint: one path."""

    handlers: Mapping[str, Handler]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rooms: BatchRooms = scope["state"]["rooms"]
        await rooms.batching.serve(self.handlers, scope, receive, send)


def _batch_id(visit: _Visit) -> str:
    """Random, or the same for the same owner's same ``Idempotency-Key``."""
    key = headers_of(visit.scope).get("idempotency-key", "").strip()
    if not key:
        return new_id()
    return hashlib.sha256(f"{visit.caller.account.id} {key}".encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _refusal(items: Sequence[Item]) -> Failure | None:
    """What was said to one of them and holds for all that follow."""
    return next((item.failure for item in items if item.failure is not None and item.failure.kind in _FOR_ALL), None)


async def _hang_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _complain(visit: _Visit, error: ApiError) -> None:
    """Answer in BackgroundErase's form, or cut the connection where an answer has begun."""
    visit.facts |= {"error": error.kind, "detail": error.detail or error.message}
    if visit.reply.started:
        visit.reply.abort()
        return
    status, code = DIALECT.failures[error.kind]
    headers = [("content-type", "application/json")]
    if error.retry_after_s is not None:
        headers.append(("retry-after", str(error.retry_after_s)))
    if error.kind == "method_not_allowed":
        headers.append(("allow", str(error.facts["allowed"])))
    body = orjson.dumps(DIALECT.render_error(status, code, error, visit.request_id))
    linger_s = SLOW_LINGER_S if error.kind == "slow_body" else EARLY_S
    try:
        await visit.reply.whole(status, body, headers, unread_body=visit.unread, linger_s=linger_s)
    except (ClientGone, ConnectionError):
        visit.facts["gone"] = True
