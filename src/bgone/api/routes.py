"""Paths → the conductor: every dialect at its own paths and under its own prefix, and the server's own pages."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import orjson
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from bgone import __version__
from bgone.api.dialect import Dialect, Operation
from bgone.api.dialects import backgrounderase
from bgone.api.endpoint import Conductor, new_request_id
from bgone.api.health import Health
from bgone.api.metrics import Metrics
from bgone.api.reading import has_body

DIALECTS: tuple[Dialect, ...] = (backgrounderase.DIALECT,)
DEFAULT = backgrounderase.DIALECT  # whose form errors take outside every dialect's paths


@dataclass(frozen=True, slots=True)
class Rooms:
    """What a request can reach; made in the lifespan, handed over in ``scope["state"]``."""

    conductor: Conductor
    health: Health
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class _DialectRoute:
    """An ASGI endpoint: one path of one dialect."""

    dialect: Dialect
    operations: dict[str, Operation]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rooms: Rooms = scope["state"]["rooms"]
        await rooms.conductor.serve(self.dialect, self.operations, scope, receive, send)


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
        operations = {"GET": Operation("page", "GET", (scope["path"],), needs_key=False)}
        await rooms.conductor.serve(DEFAULT, operations, scope, receive, send)


async def lost(scope: Scope, receive: Receive, send: Send) -> None:
    """The endpoint of every other path: 404 in the form of the dialect with the longest matching path."""
    if scope["type"] != "http":  # a WebSocket: refused before it opens
        await send({"type": "websocket.close", "code": 1000})
        return
    rooms: Rooms = scope["state"]["rooms"]
    await rooms.conductor.serve(_dialect_near(scope["path"]), {}, scope, receive, send)


def routes() -> list[BaseRoute]:
    """Every path that is served."""
    return [*_pages(), *_dialect_routes(DIALECTS)]


def _dialect_routes(dialects: Iterable[Dialect]) -> list[BaseRoute]:
    found: dict[tuple[str, str], dict[str, Operation]] = defaultdict(dict)
    owners: dict[str, Dialect] = {}
    for dialect in dialects:
        owners[dialect.name] = dialect
        for operation in dialect.operations:
            for path in operation.paths:
                found[path, dialect.name][operation.method] = operation
                found[f"/{dialect.name}{path}", dialect.name][operation.method] = operation
    return [Route(path, _DialectRoute(owners[name], methods)) for (path, name), methods in found.items()]


def _dialect_near(path: str) -> Dialect:
    def reach(dialect: Dialect) -> int:
        own = f"/{dialect.name}/"
        candidates = [own, *(spelling for operation in dialect.operations for spelling in operation.paths)]
        return max((len(start) for start in candidates if path.startswith(start)), default=0)

    nearest = max(DIALECTS, key=reach)
    return nearest if reach(nearest) else DEFAULT


def _pages() -> list[BaseRoute]:
    pages: dict[str, Callable[[Rooms], Response]] = {
        "/": _root,
        "/health": lambda rooms: _state(rooms, "ok", "unavailable"),
        "/livez": lambda rooms: _json(200, {"status": "alive"}),
        "/readyz": lambda rooms: _state(rooms, "ready", "not ready"),
        "/metrics": lambda rooms: Response(rooms.metrics.text(), media_type="text/plain; version=0.0.4"),
    }
    return [Route(path, _Page(read)) for path, read in pages.items()]


def _root(rooms: Rooms) -> Response:
    status = 200 if rooms.health.trouble is None else 503
    return _json(status, {"status": "ok" if status == 200 else "unavailable", "name": "bgone", "version": __version__})


def _state(rooms: Rooms, well: str, ill: str) -> Response:
    trouble = rooms.health.trouble
    return _json(200, {"status": well}) if trouble is None else _json(503, {"status": ill, "reason": trouble})


def _json(status: int, body: dict[str, str]) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")
