"""uvicorn's HTTP protocol with a clock and a scale on request heads, and a way to cut a connection.

uvicorn times only the pause between requests: a connection that never finishes its first request head would stay for
ever, and a head may be endless.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 << 10

_BODY = (
    b'{"error":{"code":"headers_too_large","message":"The request headers are larger than 64 KiB.",'
    b'"status":431,"request_id":"","details":{}}}'
)
_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"content-length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
)


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    head_s = 15.0  # from the first byte that may belong to a head until its end

    _head_clock: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._start_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head:
            self._head_bytes += len(data)
        # The head's end resets the count, so a body that came in the same piece is not weighed.
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES:
            self._refuse_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        if self._head_clock is None:
            self._start_head()
        extensions: dict[str, Any] = {"bgone.abort": self.transport.abort}
        self.scope["extensions"] = extensions

    def on_headers_complete(self) -> None:
        self._stop_clock()
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        super().on_message_complete()

    def _start_head(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        self._head_clock = asyncio.get_running_loop().call_later(self.head_s, self._cut)

    def _stop_clock(self) -> None:
        if self._head_clock is not None:
            self._head_clock.cancel()
            self._head_clock = None

    def _cut(self) -> None:
        self._head_clock = None
        self.transport.abort()

    def _refuse_head(self) -> None:
        self._stop_clock()
        if not self.transport.is_closing():
            self.transport.write(_TOO_LARGE)
            self.transport.close()


def guarded_protocol(head_s: float) -> type[GuardedProtocol]:
    """The protocol with another clock; uvicorn makes one object of the class per connection."""
    return type("GuardedProtocol", (GuardedProtocol,), {"head_s": head_s})
