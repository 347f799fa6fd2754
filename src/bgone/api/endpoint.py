"""The one conductor: the only place where a request becomes an answer, for all dialects.

Who asks is known from the headers, then the body is read, parsed, made and rendered; every failure becomes the
dialect's own error, and nothing after ``parse`` sees the HTTP request.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog
from starlette.types import Receive, Scope, Send

from bgone.api.auth import Caller, StaticKeys
from bgone.api.dialect import Delivery, Dialect, Operation
from bgone.api.health import Health
from bgone.api.metrics import Metrics
from bgone.api.reading import ReadLimits, has_body, headers_of, query_of, read_fields
from bgone.api.replies import EARLY_S, SLOW_LINGER_S, Reply
from bgone.errors import ApiError, ClientGone, internal, method_not_allowed, not_found, too_many_bytes
from bgone.pipeline.budget import Holding
from bgone.pipeline.order import Order, Upload
from bgone.pipeline.studio import Result, Studio
from bgone.pipeline.timings import Timings

_INLINE_BYTES = 256 << 10  # larger text is parsed on a thread: the loop must not decode megabytes
CLIENT_GONE = 499  # nginx's status for a client that hung up: in the log only


@dataclass(slots=True)
class _Visit:
    """One request on its way through: what the log line and the error need to know."""

    dialect: Dialect
    operation: str
    request_id: str
    reply: Reply
    timings: Timings = field(default_factory=Timings)
    started: float = field(default_factory=time.perf_counter)
    body_read: bool = False
    received_bytes: int = 0
    facts: dict[str, object] = field(default_factory=dict)


class Conductor:
    """Answers every request of every dialect.

    Args:
        studio: Makes pictures.
        keys: Knows callers.
        health: Knows whether we are ready.
        metrics: Counts.
        limits: Bounds of reading, per dialect made from its ``file_bytes``.
    """

    def __init__(
        self,
        studio: Studio,
        keys: StaticKeys,
        health: Health,
        metrics: Metrics,
        limits: Callable[[Dialect], ReadLimits],
    ) -> None:
        self._studio = studio
        self._keys = keys
        self._health = health
        self._metrics = metrics
        self._limits = limits
        self._log = structlog.get_logger("bgone.request")

    async def serve(
        self, dialect: Dialect, operations: dict[str, Operation], scope: Scope, receive: Receive, send: Send
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
        reply = Reply(scope, receive, send, [("x-request-id", request_id)])
        visit = _Visit(dialect, "none", request_id, reply, body_read=not has_body(scope))
        self._metrics.in_flight.inc()
        try:
            await self._answer(visit, operations, scope, receive)
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

    async def _answer(self, visit: _Visit, operations: dict[str, Operation], scope: Scope, receive: Receive) -> None:
        if not operations:
            raise not_found()
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        operation = operations.get(method)
        if operation is None:
            raise method_not_allowed(", ".join(sorted(operations)))
        visit.operation = operation.name
        caller = self._caller(visit.dialect, operation, scope)
        visit.facts["key"] = caller.fingerprint
        if operation.inform is not None:
            info = operation.inform(caller, self._health.trouble)
            headers = [("content-type", "application/json")]
            body = orjson.dumps(info.body)
            await visit.reply.whole(info.status, body, headers, unread_body=not visit.body_read)
            return
        with_body = self._studio.budget.open(self._studio.seats.retry_after_s())
        try:
            await self._cut(visit, operation, scope, receive, with_body)
        finally:
            with_body.release()

    def _caller(self, dialect: Dialect, operation: Operation, scope: Scope) -> Caller:
        if not operation.needs_key:
            return Caller()
        return self._keys.caller(dialect.find_key(headers_of(scope), query_of(scope)))

    async def _cut(self, visit: _Visit, operation: Operation, scope: Scope, receive: Receive, holding: Holding) -> None:
        assert operation.parse is not None
        assert operation.render is not None
        limits = self._limits(visit.dialect)
        with visit.timings.measure("read"):
            fields = await read_fields(scope, receive, limits, holding.grow)
        visit.body_read = True
        visit.received_bytes = holding.held_bytes
        if holding.held_bytes > _INLINE_BYTES and not fields.files:
            order = await asyncio.to_thread(operation.parse, fields)  # base64 of a whole picture is decoded there
        else:
            order = operation.parse(fields)
        _check_bytes(order, limits.file_bytes)
        del fields
        gone = asyncio.ensure_future(_hang_up(receive))
        try:
            result = await _unless(gone, self._studio.make(order, holding, visit.timings))
            try:
                await self._deliver(visit, order, result, operation.render(order, result), gone)
            finally:
                result.spool.close()
        finally:
            gone.cancel()

    async def _deliver(
        self, visit: _Visit, order: Order, result: Result, delivery: Delivery, gone: asyncio.Future[None]
    ) -> None:
        visit.facts["pixels"] = result.photo_width * result.photo_height
        visit.facts["size"] = f"{result.width}x{result.height}"
        visit.facts["format"] = result.format
        spool = result.spool
        if delivery.wrap is not None:
            whole = await _unless(gone, spool.read())
            body = await asyncio.to_thread(delivery.wrap, whole)
            await visit.reply.whole(200, body, self._picture_headers(visit, delivery))
            return
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
        if gone.done():
            raise ClientGone

    def _picture_headers(self, visit: _Visit, delivery: Delivery) -> list[tuple[str, str]]:
        return [
            ("content-type", delivery.media_type),
            ("cache-control", "no-store"),
            ("server-timing", visit.timings.header()),
            *delivery.headers,
        ]

    async def _complain(self, visit: _Visit, error: ApiError) -> None:
        """Answer in the dialect's form, or cut the connection where an answer has begun."""
        visit.facts["error"] = error.kind
        visit.facts["detail"] = error.detail
        self._metrics.refused.labels(error.kind).inc()
        if visit.reply.started:
            visit.reply.abort()
            return
        dialect = visit.dialect
        status, code = dialect.failures.get(error.kind, dialect.failures["internal"])
        body = orjson.dumps(dialect.render_error(status, code, error, visit.request_id))
        headers = [("content-type", "application/json")]
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
        seconds = time.perf_counter() - visit.started
        status = CLIENT_GONE if visit.facts.get("gone") else visit.reply.status
        metrics, dialect = self._metrics, visit.dialect.name
        metrics.requests.labels(dialect, visit.operation, str(status)).inc()
        metrics.duration.labels(dialect, visit.operation).observe(seconds)
        metrics.received.inc(visit.received_bytes)
        metrics.sent.inc(visit.reply.sent_bytes)
        metrics.pixels.inc(int(str(visit.facts.get("pixels", 0))))
        for stage, spent in visit.timings.seconds.items():
            metrics.stage.labels(stage).observe(spent)
        phases = {f"{stage}_ms": round(spent * 1000, 1) for stage, spent in visit.timings.seconds.items()}
        level = self._log.error if status >= 500 and status != 503 else self._log.info
        level(
            "request",
            id=visit.request_id,
            dialect=dialect,
            operation=visit.operation,
            status=status,
            ms=round(seconds * 1000, 1),
            received_bytes=visit.received_bytes,
            sent_bytes=visit.reply.sent_bytes,
            **phases,
            **{name: value for name, value in visit.facts.items() if value not in ("", None)},
        )


def new_request_id() -> str:
    """A fresh id for an answer's ``x-request-id``; the contract wants it to start with ``req_``."""
    return f"req_{secrets.token_hex(12)}"


def _check_bytes(order: Order, limit_bytes: int) -> None:
    if isinstance(order.source, Upload) and len(order.source.data) > limit_bytes:
        raise too_many_bytes(limit_bytes)


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
