"""Probes and metrics on a port of their own: apart from what strangers reach, and for workers, which have no other."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

import orjson
import uvicorn
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bgone.api.health import Health
from bgone.api.metrics import Metrics
from bgone.api.protocol import guarded_protocol
from bgone.api.reading import has_body
from bgone.errors import StartError

METRICS_TYPE = "text/plain; version=0.0.4"


def state_of(health: Health, well: str, ill: str) -> Response:
    """200 or 503, with the reason."""
    trouble, notice = health.trouble, health.notice
    if trouble is not None:
        return as_json(503, {"status": ill, "reason": trouble})
    return as_json(200, {"status": well} if notice is None else {"status": well, "notice": notice})


def alive() -> Response:
    """200: the loop turns."""
    return as_json(200, {"status": "alive"})


def as_json(status: int, body: dict[str, str]) -> Response:
    """One of our own pages."""
    return Response(orjson.dumps(body), status, media_type="application/json")


class Probes:
    """An ASGI application: ``/livez``, ``/readyz``, ``/metrics``; ``/health`` is ``/readyz``."""

    def __init__(self, health: Health, metrics: Metrics) -> None:
        self._pages: dict[str, Callable[[], Response]] = {
            "/livez": alive,
            "/readyz": lambda: state_of(health, "ready", "not ready"),
            "/health": lambda: state_of(health, "ok", "unavailable"),
            "/metrics": lambda: Response(metrics.text(), media_type=METRICS_TYPE),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        read = self._pages.get(scope["path"])
        if read is None:
            response = as_json(404, {"status": "not found", "pages": " ".join(self._pages)})
        elif scope["method"] not in ("GET", "HEAD"):
            response = as_json(405, {"status": "method not allowed"})
        else:
            response = read()
        if has_body(scope):  # nobody reads it, and it may be endless
            response.headers["connection"] = "close"
        await response(scope, receive, send)


class _Beside(uvicorn.Server):
    """A server beside another on the same loop: signals are the other's."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


@asynccontextmanager
async def open_probes(host: str, port: int, head_s: float, probes: Probes) -> AsyncIterator[None]:
    """Serve ``probes`` while the context lasts; 0: nowhere.

    Raises:
        StartError: The port cannot be taken.
    """
    if port == 0:
        yield
        return
    config = uvicorn.Config(
        probes,
        http=guarded_protocol(head_s),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=1,
        limit_concurrency=64,
    )
    server = _Beside(config)
    taken = _take(host, port)
    serving = asyncio.create_task(server.serve(sockets=[taken]), name="probes")
    try:
        yield
    finally:
        server.should_exit = True
        await asyncio.gather(serving, return_exceptions=True)
        taken.close()


def _take(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=64)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise StartError(f"--metrics-port (BGONE_METRICS_PORT): {host} port {port} cannot be taken: {why}.") from error
