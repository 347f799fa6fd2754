"""Paths → the conductor: every dialect at its own paths and under its own prefix, and the server's own pages."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING

import structlog
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Message, Receive, Scope, Send

from bgone import __version__
from bgone.api import account_jobs, admin, batch_orders, batches
from bgone.api.batches import Batching
from bgone.api.choosing import Asked, Claim, choose
from bgone.api.console import front, office
from bgone.api.desk import Desk
from bgone.api.dialect import Context, Dialect, Info, Operation, Submit, Tell
from bgone.api.dialects import (
    backgrounderase,
    clipdrop,
    foner,
    jobid,
    native,
    photoroom,
    picsart,
    poof,
    poofbg,
    removebg,
    slazzer,
)
from bgone.api.endpoint import Conductor, new_request_id
from bgone.api.health import Health
from bgone.api.metrics import Metrics
from bgone.api.openapi import pages as described
from bgone.api.policy import Policy
from bgone.api.probes import METRICS_TYPE, alive, as_json, state_of
from bgone.api.reading import has_body, headers_of, query_of
from bgone.api.results import Results
from bgone.api.running import Running
from bgone.api.static import Asset
from bgone.api.tracing import log_fields
from bgone.errors import ApiError
from bgone.jobs.job import Job

# Where one has to be first: in docs, where several claim a path, and whose form errors take.
DIALECTS: tuple[Dialect, ...] = (
    backgrounderase.DIALECT,
    removebg.DIALECT,
    photoroom.DIALECT,
    clipdrop.DIALECT,
    slazzer.DIALECT,
    picsart.DIALECT,
    poof.DIALECT,
    poofbg.DIALECT,
    foner.DIALECT,
    jobid.DIALECT,
    native.DIALECT,  # last, so that the providers keep their order
)
DEFAULT = backgrounderase.DIALECT  # whose form errors take outside every dialect's paths

if TYPE_CHECKING:  # the accounts' room takes a second to import, which a server without accounts does not spend
    from bgone.accounts.books import Books

_log = structlog.get_logger("bgone.request")


@dataclass(frozen=True, slots=True)
class Rooms:
    """What a request can reach; made in the lifespan, handed over in ``scope["state"]``."""

    conductor: Conductor
    desk: Desk
    results: Results
    batching: Batching
    policy: Policy
    hosts: Mapping[str, Dialect]
    health: Health
    metrics: Metrics
    books: Books | None = None
    running: Running | None = None
    admin_key: str = ""
    page: Asset | None = None
    office: Asset | None = None
    metrics_apart: bool = False


@dataclass(frozen=True, slots=True)
class _DialectPath:
    """An ASGI endpoint: one path, and the dialects that claim it."""

    claims: tuple[Claim, ...]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rooms: Rooms = scope["state"]["rooms"]
        claim = self.claims[0]
        if len(self.claims) > 1:
            claim = await choose(self.claims, _asked(scope), rooms.hosts, rooms.policy.prefer, rooms.desk.find)
        await rooms.conductor.serve(claim.dialect, claim.operations, scope, receive, send)


@dataclass(frozen=True, slots=True)
class _Page:
    """An ASGI endpoint: one of the server's own pages, GET and HEAD."""

    read: Callable[[Rooms], Response]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rooms: Rooms = scope["state"]["rooms"]
        if scope["method"] in ("GET", "HEAD"):
            response = self.read(rooms)
            response.headers["x-request-id"] = new_request_id()
            if has_body(scope):  # nobody reads it, and it may be endless
                response.headers["connection"] = "close"
            await response(scope, receive, send)
            return
        operations = {"GET": Operation("page", "GET", (scope["path"],), Tell(lambda _: Info(200, {})), needs_key=False)}
        await rooms.conductor.serve(DEFAULT, operations, scope, receive, send)


@dataclass(frozen=True, slots=True)
class _Front:
    """An ASGI endpoint: ``/``, the page for browsers and the server's state for everybody else."""

    state: _Page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rooms: Rooms = scope["state"]["rooms"]
        if rooms.page is not None and front.asks_for_page(scope):
            await front.send_page(rooms.page, scope, receive, send)
        else:
            await self.state(scope, receive, front.varied(send))


@dataclass(frozen=True, slots=True)
class _MetricsPage:
    """An ASGI endpoint: ``/metrics``, unless it has a port of its own."""

    page: _Page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rooms: Rooms = scope["state"]["rooms"]
        await (lost if rooms.metrics_apart else self.page)(scope, receive, send)


class _ResultPath:
    """An ASGI endpoint: where signed links lead; told in the log like any request, without the link's signature."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rooms: Rooms = scope["state"]["rooms"]
        request_id, started, told = new_request_id(), time.perf_counter(), {"status": 0}

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                told["status"] = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            await rooms.results.serve(scope, receive, named)
        finally:
            rooms.metrics.requests.labels("results", "download", str(told["status"])).inc()
            ms = round((time.perf_counter() - started) * 1000, 1)
            _log.info(
                "request", id=request_id, dialect="results", operation="download", ms=ms, **told, **log_fields(scope)
            )


async def lost(scope: Scope, receive: Receive, send: Send) -> None:
    """The endpoint of every other path: 404 in the form of the dialect that is named by the host or nearest by path."""
    if scope["type"] != "http":  # a WebSocket: refused before it opens
        await send({"type": "websocket.close", "code": 1000})
        return
    rooms: Rooms = scope["state"]["rooms"]
    named = rooms.hosts.get(_host(scope))
    await rooms.conductor.serve(_dialect_near(scope["path"]) or named or DEFAULT, {}, scope, receive, send)


def routes() -> list[BaseRoute]:
    """Every path that is served."""
    return [
        *_pages(),
        *admin.routes(),
        *batches.routes(),
        *_own_routes(account_jobs.DIALECT),
        *described.routes(DIALECTS),
        Route("/results/{key}/{name}", _ResultPath()),
        *_dialect_routes(DIALECTS),
    ]


def webhook_of(name: str) -> Callable[[Job, Context], Mapping[str, object]] | None:
    """What a dialect's webhooks say of a job that is over; None where it has none."""
    known = {dialect.name: dialect.operations for dialect in DIALECTS}
    submits = [operation.does for operation in known.get(name, ()) if isinstance(operation.does, Submit)]
    if name == batch_orders.DIALECT.name:
        submits = [batch_orders.SUBMIT]
    return next((does.webhook for does in submits if does.webhook is not None), None)


def host_map(named: Mapping[str, str]) -> dict[str, Dialect]:
    """Host name → dialect: the providers' own and the operator's, which win."""
    known = {dialect.name: dialect for dialect in DIALECTS}
    own = {host: dialect for dialect in DIALECTS for host in dialect.hosts}
    return own | {host: known[name] for host, name in named.items()}


def _dialect_routes(dialects: Iterable[Dialect]) -> list[BaseRoute]:
    found: dict[str, list[Claim]] = defaultdict(list)
    for dialect in dialects:
        own: dict[str, dict[str, Operation]] = defaultdict(dict)
        for operation in dialect.operations:
            for path in operation.paths:
                own[path][operation.method] = operation
        for path, methods in own.items():
            found[path].append(Claim(dialect, methods))
            found[f"/{dialect.name}{path}"].append(Claim(dialect, methods))
    return [Route(path, _DialectPath(tuple(claims))) for path, claims in found.items()]


def _own_routes(dialect: Dialect) -> list[BaseRoute]:
    """The paths of one that shares none."""
    found: dict[str, dict[str, Operation]] = defaultdict(dict)
    for operation in dialect.operations:
        for path in operation.paths:
            found[path][operation.method] = operation
    return [Route(path, _DialectPath((Claim(dialect, methods),))) for path, methods in found.items()]


def _asked(scope: Scope) -> Asked:
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    try:
        query = query_of(scope)
    except ApiError:  # too many parameters: refused later, in somebody's form
        query = {}
    identity = str(scope.get("path_params", {}).get("id", ""))
    return Asked(method, _host(scope), headers_of(scope), query, identity)


def _host(scope: Scope) -> str:
    return headers_of(scope).get("host", "").lower().rpartition(":")[0] or headers_of(scope).get("host", "").lower()


def _dialect_near(path: str) -> Dialect | None:
    """The dialect whose path, or prefix, shares most whole parts with ``path``; None where none shares the first."""
    asked = path.strip("/").split("/")

    def reach(dialect: Dialect) -> int:
        known = [f"/{dialect.name}", *(spelling for operation in dialect.operations for spelling in operation.paths)]
        return max(_shared(asked, spelling.strip("/").split("/")) for spelling in known)

    nearest = max(DIALECTS, key=reach)
    return nearest if reach(nearest) else None


def _shared(asked: list[str], known: list[str]) -> int:
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(asked, known, strict=False)))


def _pages() -> list[BaseRoute]:
    pages: dict[str, Callable[[Rooms], Response]] = {
        "/health": lambda rooms: state_of(rooms.health, "ok", "unavailable"),
        "/livez": lambda rooms: alive(),
        "/readyz": lambda rooms: state_of(rooms.health, "ready", "not ready"),
    }
    counted = _Page(lambda rooms: Response(rooms.metrics.text(), media_type=METRICS_TYPE))
    return [
        Route("/", _Front(_Page(_root))),
        Route(front.ROOT + "{name}", front.SHELF),
        *office.routes(),
        *(Route(path, _Page(read)) for path, read in pages.items()),
        Route("/metrics", _MetricsPage(counted)),
    ]


def _root(rooms: Rooms) -> Response:
    status = 200 if rooms.health.trouble is None else 503
    return as_json(
        status, {"status": "ok" if status == 200 else "unavailable", "name": "bgone", "version": __version__}
    )
