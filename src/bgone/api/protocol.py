"""uvicorn's HTTP protocol with a clock and a scale on all that is not a body, and a way to cut a connection.

uvicorn times only the pause between requests: a connection that never finishes a request head would stay for ever,
and a head, a chunk's extension or a trailer may be endless.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from bgone.api.endpoint import new_request_id

HEAD_BYTES = 64 << 10
MOST_PIPELINED = 64  # requests that wait behind the one being answered; browsers and proxies send none
CLOSE_S = 30.0  # what a closed connection gets to take the rest of its answer


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    head_s = 15.0  # from the first byte that may belong to a head until its end

    _head_clock: asyncio.TimerHandle | None = None  # of the head, or of the close
    _in_head = True
    _overhead_bytes = 0  # since the last piece of a body or the last end of a message
    _running: RequestResponseCycle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)
        # uvicorn tells only the newest of pipelined requests; the one that is being answered must hear it.
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def data_received(self, data: bytes) -> None:
        # Empty lines between requests begin no message, but they stop uvicorn's clock.
        if self._in_head and self._head_clock is None and not self._answering:
            self._start_clock()
        self._overhead_bytes += len(data)
        super().data_received(data)
        if self._overhead_bytes > HEAD_BYTES:
            self._complain(431, "headers_too_large", "The request headers are larger than 64 KiB.")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head_clock is None:
            self._start_clock()
        extensions: dict[str, Any] = {"bgone.abort": self.transport.abort}
        self.scope["extensions"] = extensions

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # trailers are dropped: they come too late to mean anything
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MOST_PIPELINED:
            # Each answer makes uvicorn read on, so the queue would grow by thousands a read.
            raise httptools.HttpParserError(
                "too many pipelined requests"
            )  # stops the parser; send_400_response follows
        self._stop_clock()
        self._in_head = False
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._overhead_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_head = True
        self._overhead_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._close()

    def timeout_keep_alive_handler(self) -> None:
        self.transport.abort()

    def send_400_response(self, msg: str) -> None:
        self._complain(400, "invalid_request", "This is not a valid HTTP request.")

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    @property
    def _answering(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _start_clock(self) -> None:
        self._head_clock = self.loop.call_later(self.head_s, self._cut)

    def _stop_clock(self) -> None:
        if self._head_clock is not None:
            self._head_clock.cancel()
            self._head_clock = None

    def _cut(self) -> None:
        self._head_clock = None
        if self._answering:  # a pipelined head: uvicorn may have stopped reading it
            self._start_clock()
        else:
            self.transport.abort()

    def _complain(self, status: int, code: str, message: str) -> None:
        """Answer what never became a request, then close."""
        self._stop_clock()
        if self._running is not None and self._running.response_started and self._answering:
            self.transport.abort()  # two answers must not mix
            return
        if self.transport.is_closing():
            return
        request_id = new_request_id()
        error = {"code": code, "message": message, "status": status, "request_id": request_id, "details": {}}
        body = orjson.dumps({"error": error})
        phrase = {400: b"Bad Request", 431: b"Request Header Fields Too Large"}[status]
        self.transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\nconnection: close\r\nx-request-id: %b\r\n"
            b"content-length: %d\r\n\r\n%b" % (status, phrase, request_id.encode(), len(body), body)
        )
        self._close()

    def _close(self) -> None:
        """Close, and cut later: a transport waits for ever for a client that does not read."""
        self.transport.close()
        self._stop_clock()
        self._head_clock = self.loop.call_later(CLOSE_S, self.transport.abort)


def guarded_protocol(head_s: float) -> type[GuardedProtocol]:
    """The protocol with another clock; uvicorn makes one object of the class per connection."""
    return type("GuardedProtocol", (GuardedProtocol,), {"head_s": head_s})
