"""A span per request, laid around every path but the server's own pages; who answers writes into it what it learns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bgone.traces.context import read_headers
from bgone.traces.spans import Span, Traces

UNTRACED = frozenset({"/", "/health", "/livez", "/readyz", "/metrics", "/openapi.json"})
UNTRACED_BELOW = ("/static/", "/docs", "/console")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_SPAN = "bgone.span"


class Traced:
    """An ASGI application around another.

    Args:
        app: Answers.
        traces: Where spans go.
    """

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self._app = app
        self._traces = traces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or path in UNTRACED or path.startswith(UNTRACED_BELOW):
            await self._app(scope, receive, send)
            return
        parent = read_headers(scope["headers"])
        if self._traces.records:
            method = scope["method"] if scope["method"] in _METHODS else "_OTHER"
            # No path, query, address or user agent: they may carry ids of jobs, keys, or tell who asks.
            facts = {"http.request.method": method, "url.scheme": scope["scheme"]}
            scope[_SPAN] = self._traces.begin(method, "server", parent, facts)
            await self._recorded(scope, receive, send)
            return
        if parent is not None:
            scope[_SPAN] = self._traces.begin("", "server", parent, {})
        await self._app(scope, receive, send)

    async def _recorded(self, scope: Scope, receive: Receive, send: Send) -> None:
        span = cast(Span, scope[_SPAN])

        async def heard(message: Message) -> None:
            if message["type"] == "http.response.start":
                span.facts["http.response.status_code"] = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, heard)
        finally:
            route = getattr(scope.get("route"), "path", "")
            if route:
                span.name = f"{span.name} {route}"
                span.facts["http.route"] = route
            status = int(span.facts.get("http.response.status_code", 0))
            if status >= 500 and not span.error:
                span.error = str(status)
            span.end()


def span_of(scope: Scope) -> Span | None:
    """The request's; None where it belongs to no trace."""
    return scope.get(_SPAN)


def trace_of(scope: Scope) -> str:
    """What goes on with a job of this request, as text; empty for no trace."""
    span = span_of(scope)
    return span.context.text if span is not None and span.context is not None else ""


def log_fields(scope: Scope) -> Mapping[str, str]:
    """What a line of the log says of the request's trace; without a span of ours ``span_id`` is the caller's."""
    span = span_of(scope)
    if span is None or span.context is None:
        return {}
    return {"trace_id": span.context.trace_id, "span_id": span.context.span_id}
