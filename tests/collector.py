"""An OpenTelemetry collector for tests: takes OTLP over HTTP, and webhooks beside it, and keeps what came."""

from __future__ import annotations

import contextlib
import gzip
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span

ENOUGH_S = 60.0
SENDS: dict[str, str] = {"OTEL_BSP_SCHEDULE_DELAY": "100"}  # milliseconds; else tests would wait for five seconds


@dataclass(frozen=True, slots=True)
class Asked:
    """Any other request that came; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Collector:
    """What came.

    Attributes:
        url: Where it listens, without a path.
        bodies: Of exports, as they were sent.
        asked: Everything that was no export.
        pages: What is served by GET: path without its query → body.
    """

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    pages: dict[str, bytes] = field(default_factory=dict)

    @property
    def exports(self) -> list[ExportTraceServiceRequest]:
        """Decoded."""
        return [ExportTraceServiceRequest.FromString(body) for body in list(self.bodies)]

    @property
    def spans(self) -> list[Span]:
        """Every span so far."""
        return [
            span
            for export in self.exports
            for resource in export.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]

    def wait_for(self, name: str, count: int = 1) -> list[Span]:
        """The spans of a name, once there are so many."""
        self.wait(lambda: len(self._named(name)) >= count)
        return self._named(name)

    def wait(self, until: Callable[[], bool]) -> None:
        """Wait until something of what came is as it should be."""
        give_up_at = time.monotonic() + ENOUGH_S
        while not until():
            heard = [span.name for span in self.spans], [one.path for one in self.asked]
            assert time.monotonic() < give_up_at, heard
            time.sleep(0.02)

    def children(self, span: Span) -> list[Span]:
        """What happened within it, first begun first."""
        found = [one for one in self.spans if one.parent_span_id == span.span_id]
        return sorted(found, key=lambda one: one.start_time_unix_nano)

    def _named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]


@contextlib.contextmanager
def collector() -> Iterator[Collector]:
    """One on a free port of loopback."""
    kept = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            answer = b""
            if self.path == "/v1/traces":
                kept.bodies.append(gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
                answer = ExportTraceServiceResponse().SerializeToString()
            else:
                self._keep(body)
            self._answer(200, answer)

        def do_GET(self) -> None:
            self._keep(b"")
            page = kept.pages.get(self.path.partition("?")[0])
            self._answer(404 if page is None else 200, page or b"")

        def _keep(self, body: bytes) -> None:
            kept.asked.append(Asked(self.path, {name.lower(): text for name, text in self.headers.items()}, body))

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def facts_of(span: Span) -> dict[str, Any]:
    """Attributes of a span: name → value."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}
