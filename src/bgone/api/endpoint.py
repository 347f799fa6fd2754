"""The one conductor: the only place where a request becomes an answer, for all dialects.

Who asks is known from the headers, then the body is read, parsed, made and rendered; every failure becomes the
dialect's own error, and nothing after ``parse`` sees the HTTP request. What needs a job or the object store is the
desk's (``api/desk.py``).
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, TypeVar, cast

import orjson
import structlog
from starlette.types import Receive, Scope, Send

from bgone.accounts.rate import rate_of
from bgone.api.auth import NOBODY, Caller
from bgone.api.desk import Desk
from bgone.api.dialect import (
    Action,
    Context,
    Cut,
    Delivery,
    Dialect,
    Download,
    Forget,
    Info,
    Keep,
    Operation,
    Show,
    ShowAll,
    Submit,
    Take,
    Tell,
)
from bgone.api.fields import Fields
from bgone.api.gate import NOTHING, Call, Gate, Purchase
from bgone.api.health import Health
from bgone.api.metrics import Metrics
from bgone.api.origin import OPEN, base_url_of, preflight
from bgone.api.policy import Policy
from bgone.api.reading import has_body, headers_of, query_of, read_fields
from bgone.api.replies import EARLY_S, SLOW_LINGER_S, Reply
from bgone.api.tracing import log_fields, span_of, trace_of
from bgone.errors import ApiError, ClientGone, internal, method_not_allowed, not_found, too_many_bytes
from bgone.pipeline.budget import Holding
from bgone.pipeline.order import Order, PictureGround, Upload
from bgone.pipeline.studio import Result, Studio
from bgone.pipeline.timings import Timings
from bgone.traces.spans import Fact

_INLINE_BYTES = 256 << 10  # larger text is parsed on a thread: the loop must not decode megabytes
Value = TypeVar("Value")
Render = Callable[[Order, Result, Context], Delivery]
CLIENT_GONE = 499  # nginx's status for a client that hung up: in the log only


@dataclass(slots=True)
class _Visit:
    """One request on its way through: what the log line, the error and the dialect's functions need to know."""

    dialect: Dialect
    scope: Scope
    receive: Receive
    request_id: str
    reply: Reply
    headers: Mapping[str, str]
    operation: Operation | None = None
    caller: Caller = NOBODY
    let_in: bool = False
    charged: Decimal = NOTHING
    timings: Timings = field(default_factory=Timings)
    started: float = field(default_factory=time.perf_counter)
    body_read: bool = False
    received_bytes: int = 0
    facts: dict[str, object] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return time.perf_counter() - self.started

    @property
    def call(self) -> Call:
        name = self.operation.name if self.operation else "none"
        address = (self.scope.get("client") or ("",))[0]
        return Call(self.caller, self.dialect.name, name, address, self.request_id, trace_of(self.scope))


class Conductor:
    """Answers every request of every dialect.

    Args:
        studio: Makes pictures.
        desk: Keeps jobs and results.
        gate: Knows callers, counts calls, holds and charges credits.
        health: Knows whether we are ready.
        metrics: Counts.
        policy: The operator's word on limits, names and prices.
    """

    def __init__(
        self, studio: Studio, desk: Desk, gate: Gate, health: Health, metrics: Metrics, policy: Policy
    ) -> None:
        self._studio = studio
        self._desk = desk
        self._gate = gate
        self._health = health
        self._metrics = metrics
        self._policy = policy
        self._log = structlog.get_logger("bgone.request")

    async def serve(
        self, dialect: Dialect, operations: Mapping[str, Operation], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer one request.

        Args:
            dialect: Whose form the answer takes.
            operations: Method → operation at this path; empty where nothing is.
            scope: ASGI scope.
            receive: ASGI receive.
            send: ASGI send.
        """
        request_id = new_request_id()
        opens = self._policy.allows_browsers(dialect)
        reply = Reply(scope, receive, send, [("x-request-id", request_id), *(OPEN if opens else ())])
        headers = headers_of(scope)
        visit = _Visit(dialect, scope, receive, request_id, reply, headers, body_read=not has_body(scope))
        self._metrics.in_flight.inc()
        try:
            if opens and scope["method"] == "OPTIONS" and operations:
                await reply.whole(204, b"", preflight(scope, operations), unread_body=not visit.body_read)
            else:
                await self._answer(visit, operations)
        except ApiError as error:
            await self._complain(visit, error)
        except (ClientGone, ConnectionError):
            visit.facts["gone"] = True
        except asyncio.CancelledError:
            visit.facts["gone"] = True
            raise
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the client gets its dialect's 500
            self._log.error("failure", id=request_id, exc_info=error)
            await self._complain(visit, internal(repr(error)))
        finally:
            self._metrics.in_flight.dec()
            self._note(visit)

    async def _answer(self, visit: _Visit, operations: Mapping[str, Operation]) -> None:
        if not operations:
            raise not_found()
        method = "GET" if visit.scope["method"] == "HEAD" else visit.scope["method"]
        operation = operations.get(method)
        if operation is None:
            raise method_not_allowed(", ".join(sorted(operations)))
        visit.operation = operation
        query = query_of(visit.scope) if self._policy.legacy_keys else {}
        key = visit.dialect.find_key(visit.headers, query)
        does = operation.does
        if operation.needs_key and not key and self._asks_the_body(visit, does):
            await self._work(visit, does)
            return
        if operation.needs_key:
            await self._let_in(visit, key)
        if isinstance(does, Cut | Submit | Keep):
            visit.caller = await self._gate.count(visit.call)
            with self._gate.place(visit.call):
                await self._work(visit, does)
        else:
            if operation.needs_key:
                visit.caller = await self._gate.look(visit.call)
            await self._work(visit, does)

    def _asks_the_body(self, visit: _Visit, does: Action) -> bool:
        """Whether the key may stand in the body, which has to be read before anybody is let in."""
        if isinstance(does, Take):
            return bool(does.key_field)
        may_be = self._policy.legacy_keys and bool(visit.dialect.json_keys) and isinstance(does, Cut)
        return may_be and "json" in visit.headers.get("content-type", "").lower()

    async def _let_in(self, visit: _Visit, key: str | None) -> None:
        visit.caller = await self._gate.caller(key)
        visit.let_in = True
        visit.facts["key"] = visit.caller.fingerprint

    async def _work(self, visit: _Visit, does: Action) -> None:
        identity = str(visit.scope.get("path_params", {}).get("id", ""))
        if isinstance(does, Tell):
            visit.caller = await self._gate.fresh(visit.caller)
            context = self._context(visit)
            if does.counts_jobs:
                counts = await self._desk.counts(visit.caller.account.id, visit.dialect.name)
                context = replace(context, job_counts=counts)
            await self._tell(visit, does.answer(context))
        elif isinstance(does, Show):
            await self._tell(visit, await self._desk.show(does, identity, self._context(visit)))
        elif isinstance(does, Forget):
            await self._tell(visit, await self._desk.forget(does, identity, self._context(visit)))
        elif isinstance(does, ShowAll):
            await self._tell(visit, await self._desk.show_all(does, visit.dialect.name, self._context(visit)))
        else:
            holding = self._studio.budget.open(self._studio.seats.retry_after_s())
            try:
                if isinstance(does, Download):
                    order = await self._desk.download(does, identity, self._context(visit))
                    await self._make(visit, order, holding, _plain, free=True)
                else:
                    await self._with_body(visit, does, holding)
            finally:
                self._metrics.estimate.observe(holding.held_bytes)
                holding.release()

    async def _with_body(self, visit: _Visit, does: Cut | Take | Submit | Keep, holding: Holding) -> None:
        with visit.timings.measure("read"):
            fields = await read_fields(
                visit.scope, visit.receive, self._policy.read_limits(visit.dialect), holding.grow
            )
        visit.body_read = True
        visit.received_bytes = holding.held_bytes
        if visit.operation is not None and visit.operation.needs_key and not visit.let_in:
            names = (does.key_field,) if isinstance(does, Take) else visit.dialect.json_keys
            await self._let_in(visit, next((fields.text[name] for name in names if fields.text.get(name)), None))
            if isinstance(does, Cut):
                visit.caller = await self._gate.count(visit.call)
        if isinstance(does, Take):
            visit.caller = await self._gate.fresh(visit.caller)
            await self._tell(visit, await _apart(visit, fields, lambda: does.answer(fields, self._context(visit))))
        elif isinstance(does, Keep):
            source = await _apart(visit, fields, lambda: does.parse(fields))
            order = self._limited(visit, Order(source))
            await self._tell(visit, await self._desk.keep(does, order, self._context(visit)))
        else:
            order = self._limited(visit, await _apart(visit, fields, lambda: does.parse(fields)))
            del fields
            if isinstance(does, Cut):
                await self._make(visit, await self._desk.resolve(order), holding, does.render)
            else:
                await self._submit(visit, does, order)

    async def _submit(self, visit: _Visit, does: Submit, order: Order) -> None:
        price, preview = self._price(visit, order)

        def context(caller: Caller | None = None) -> Context:
            visit.caller = caller or visit.caller
            return self._context(visit)

        gone = asyncio.ensure_future(_hang_up(visit.receive))
        try:
            key = visit.headers.get("idempotency-key", "")
            work = self._desk.submit(does, order, visit.call, price, context, preview=preview, idempotency_key=key)
            info = await _unless(gone, work)
        finally:
            gone.cancel()
        await self._tell(visit, info)

    def _price(self, visit: _Visit, order: Order) -> tuple[Decimal, bool]:
        """What is held for an order, and whether it is a preview: one whose price is the preview's."""
        price = visit.dialect.price
        held = price(order, None, self._policy.preview_price)
        return held, price(order, None, NOTHING) != price(order, None, Decimal(1))

    def _limited(self, visit: _Visit, order: Order) -> Order:
        limit_bytes = self._policy.read_limits(visit.dialect).file_bytes
        ground = order.options.background
        for source in (order.source, ground.source if isinstance(ground, PictureGround) else None):
            if isinstance(source, Upload) and len(source.data) > limit_bytes:
                raise too_many_bytes(limit_bytes)
        limits = self._policy.photo_limits(visit.dialect)
        kinds = self._policy.kinds or order.limits.kinds or limits.kinds
        return replace(order, limits=replace(limits, kinds=kinds))

    async def _make(self, visit: _Visit, order: Order, holding: Holding, render: Render, *, free: bool = False) -> None:
        """Cut, charge, deliver; what is not delivered is not paid for."""
        order, purchase = (order, Purchase(visit.call)) if free else await self._hold(visit, order)
        gone = asyncio.ensure_future(_hang_up(visit.receive))
        delivered = charged = False

        async def weigh(width: int, height: int) -> None:
            visit.caller = await self._gate.weigh(visit.call, width, height)

        try:
            made = self._studio.make(order, holding, visit.timings, None if free else weigh)
            result = await _unless(gone, made)
            visit.facts["model"] = order.model  # one of ours, by now
            try:
                if not free:
                    await self._charge(visit, purchase, visit.dialect.price(order, result, self._policy.preview_price))
                    charged = True
                delivered = await self._deliver(visit, result, render(order, result, self._context(visit)), gone)
            finally:
                result.spool.close()
        finally:
            gone.cancel()
            if not delivered and (visit.reply.sent_bytes == 0 or visit.facts.get("cut")):
                visit.charged = NOTHING
                await asyncio.shield(self._gate.give_back(purchase, "not delivered", charged=charged))
        if not delivered and gone.done():
            raise ClientGone

    async def _hold(self, visit: _Visit, order: Order) -> tuple[Order, Purchase]:
        """Hold the price of an order, or of what its dialect makes of it where the balance does not suffice."""
        price, preview = self._price(visit, order)
        try:
            return order, await self._gate.hold(visit.call, price, preview=preview)
        except ApiError as error:
            cheaper = visit.dialect.cheaper(order) if error.kind == "no_credits" else None
            if cheaper is None:
                raise
        price, preview = self._price(visit, cheaper)
        return cheaper, await self._gate.hold(visit.call, price, preview=preview)

    async def _charge(self, visit: _Visit, purchase: Purchase, price: Decimal) -> None:
        # The caller of the hold has its balance, that of the visit the rate it was weighed to.
        paid, visit.charged = await self._gate.charge(purchase, price)
        visit.caller = replace(paid, rate=visit.caller.rate)

    async def _tell(self, visit: _Visit, info: Info) -> None:
        headers = [("content-type", "application/json"), *self._common(visit), *info.headers]
        await visit.reply.whole(info.status, orjson.dumps(info.body), headers, unread_body=not visit.body_read)

    def _common(self, visit: _Visit) -> tuple[tuple[str, str], ...]:
        return visit.dialect.headers(self._context(visit))

    def _context(self, visit: _Visit) -> Context:
        try:
            query = query_of(visit.scope)
        except ApiError:  # what the request is refused for
            query = {}
        base_url = self._policy.public_url or base_url_of(visit.scope)
        return Context(
            request_id=visit.request_id,
            caller=visit.caller,
            base_url=base_url,
            trouble=self._health.trouble,
            headers=visit.headers,
            query=query,
            seconds=visit.seconds,
            preview_price=self._policy.preview_price,
            link=self._desk.linker(base_url),
        )

    async def _deliver(self, visit: _Visit, result: Result, delivery: Delivery, gone: asyncio.Future[None]) -> bool:
        """Whether all of it was handed over."""
        visit.facts["pixels"] = result.photo_width * result.photo_height
        visit.facts["size"] = f"{result.width}x{result.height}"
        visit.facts["format"] = result.format
        spool = result.spool
        if delivery.wrap is not None:
            whole = await _unless(gone, spool.read())
            body = await asyncio.to_thread(delivery.wrap, whole)
            await visit.reply.whole(200, body, self._picture_headers(visit, delivery))
            return True
        if visit.reply.needs_length:
            await _unless(gone, spool.ended())
        length = spool.written if spool.finished else None
        try:
            await visit.reply.stream(spool.pieces(), self._picture_headers(visit, delivery), length, gone.done)
        except ApiError as error:
            # After the first byte there is no status left to send: the connection is cut, never ended as if whole.
            visit.facts["cut"] = error.kind
            visit.facts["detail"] = error.detail
            visit.reply.abort()
            return False
        return not gone.done()

    def _picture_headers(self, visit: _Visit, delivery: Delivery) -> list[tuple[str, str]]:
        return [
            ("content-type", delivery.media_type),
            ("cache-control", "no-store"),
            ("server-timing", visit.timings.header()),
            *self._common(visit),
            *delivery.headers,
        ]

    async def _complain(self, visit: _Visit, error: ApiError) -> None:
        """Answer in the dialect's form, or cut the connection where an answer has begun."""
        visit.facts["error"] = error.kind
        if (rate := rate_of(error)) is not None:
            visit.caller = replace(visit.caller, rate=rate)
        visit.facts["detail"] = error.detail or error.message  # some dialects' words are fixed: the log tells more
        self._metrics.refused.labels(error.kind, visit.dialect.name).inc()
        if visit.reply.started:
            visit.reply.abort()
            return
        dialect = visit.dialect
        status, code = dialect.failures[error.kind]
        own = visit.operation.render_error if visit.operation else None
        body = orjson.dumps((own or dialect.render_error)(status, code, error, visit.request_id))
        headers = [("content-type", dialect.error_media_type), *self._common(visit)]
        if error.retry_after_s is not None:
            headers.append(("retry-after", str(error.retry_after_s)))
        if error.kind == "method_not_allowed":
            headers.append(("allow", str(error.facts["allowed"])))
        # Who sends too slowly has had its time.
        linger_s = SLOW_LINGER_S if error.kind == "slow_body" else EARLY_S
        try:
            await visit.reply.whole(status, body, headers, unread_body=not visit.body_read, linger_s=linger_s)
        except (ClientGone, ConnectionError):
            visit.facts["gone"] = True

    def _note(self, visit: _Visit) -> None:
        seconds = visit.seconds
        operation = visit.operation.name if visit.operation else "none"
        status = CLIENT_GONE if visit.facts.get("gone") else visit.reply.status
        metrics, dialect = self._metrics, visit.dialect.name
        metrics.requests.labels(dialect, operation, str(status)).inc()
        metrics.duration.labels(dialect, operation).observe(seconds)
        metrics.received.inc(visit.received_bytes)
        metrics.sent.inc(visit.reply.sent_bytes)
        pixels = int(str(visit.facts.get("pixels", 0)))
        metrics.pixels.inc(pixels)
        metrics.credits.labels(dialect).inc(float(visit.charged))
        if visit.operation is not None and isinstance(visit.operation.does, Cut):
            self._gate.note(visit.call, visit.charged, pixels, failed=status != 200)
        metrics.phases(visit.timings.seconds)
        phases = {f"{stage}_ms": round(spent * 1000, 1) for stage, spent in visit.timings.seconds.items()}
        level = self._log.error if status >= 500 and status != 503 else self._log.info
        level(
            "request",
            id=visit.request_id,
            dialect=dialect,
            operation=operation,
            status=status,
            ms=round(seconds * 1000, 1),
            received_bytes=visit.received_bytes,
            sent_bytes=visit.reply.sent_bytes,
            **phases,
            **{name: value for name, value in visit.facts.items() if value not in ("", None)},
            **log_fields(visit.scope),
        )
        if (span := span_of(visit.scope)) is not None:
            span.phases = visit.timings.spans
            span.facts |= {"bgone.dialect": dialect, "bgone.operation": operation, "bgone.request_id": visit.request_id}
            told = ("pixels", "size", "format", "error", "gone", "cut")
            span.facts |= {f"bgone.{name}": cast(Fact, visit.facts[name]) for name in told if name in visit.facts}
            if status >= 500 or "cut" in visit.facts:
                span.error = str(visit.facts.get("cut") or visit.facts.get("error"))


def new_request_id() -> str:
    """A fresh id for an answer's ``x-request-id``; the contract wants it to start with ``req_``."""
    return f"req_{secrets.token_hex(12)}"


async def _apart(visit: _Visit, fields: Fields, work: Callable[[], Value]) -> Value:
    """``work`` on a thread where it has megabytes of base64 to decode, else at once."""
    if visit.received_bytes > _INLINE_BYTES and not fields.files:
        return await asyncio.to_thread(work)
    return work()


def _plain(_order: Order, result: Result, _context: Context) -> Delivery:
    return Delivery(result.media_type)


async def _hang_up(receive: Receive) -> None:
    """Returns when the client has hung up; the body has been read, so nothing else can come."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def _unless(gone: asyncio.Future[None], work: Awaitable[Any]) -> Any:
    """The result of ``work``, which is cancelled when the client hangs up first.

    Raises:
        ClientGone: It did.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        task.cancel()
        raise
    if task.done():
        return task.result()
    task.cancel()
    outcomes: tuple[Any] = await asyncio.gather(task, return_exceptions=True)
    if isinstance(outcome := outcomes[0], Result):  # ready in the same moment: nobody will read it
        outcome.spool.close()
    raise ClientGone
