"""Answers on the wire: whole, streamed, or early, before the client has sent all of its body."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable

from starlette.types import Message, Receive, Scope, Send

from bgone.api.reading import discard
from bgone.pipeline.spool import Piece

HeaderList = Iterable[tuple[str, str]]

STALL_S = 60.0  # a client that takes nothing for so long is cut
EARLY_BYTES = 64 << 20  # after an early answer: read on so far ...
EARLY_S = 10.0  # ... or so long, so that the client sees the answer
SLOW_LINGER_S = 1.0  # the same where the client was too slow


class Reply:
    """Sends one answer and remembers what was sent.

    Attributes:
        status: Of the answer, 0 before it started.
        sent_bytes: Body bytes handed to the server.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, headers: HeaderList) -> None:
        self._scope = scope
        self._receive = receive
        self._send = send
        self._headers = list(headers)
        self._head_only = scope["method"] == "HEAD"
        self.status = 0
        self.sent_bytes = 0

    @property
    def started(self) -> bool:
        return self.status != 0

    @property
    def needs_length(self) -> bool:
        """HTTP/1.0 knows no chunks, and a body that ends with its connection would look whole when it is cut."""
        return str(self._scope.get("http_version")) == "1.0"

    async def whole(
        self,
        status: int,
        body: bytes,
        headers: HeaderList,
        *,
        unread_body: bool = False,
        linger_s: float = EARLY_S,
    ) -> None:
        """A complete answer.

        Args:
            status: HTTP status.
            body: All of it.
            headers: Beside the common ones and ``content-length``.
            unread_body: The client may still be sending: answer now, read on within bounds, then close.
            linger_s: The bound in time.
        """
        length = [("content-length", str(len(body)))]
        closing = [("connection", "close")] if unread_body else []
        await self._start(status, [*headers, *length, *closing])
        if self._head_only:
            body = b""
        await self._body(body, more=unread_body)
        if unread_body:
            # Content-Length is satisfied, so the client has the whole answer; now let it finish talking.
            await discard(self._receive, EARLY_BYTES, linger_s)
            await self._body(b"", more=False)

    async def stream(
        self, pieces: AsyncIterator[Piece], headers: HeaderList, length: int | None, gone: Callable[[], bool]
    ) -> None:
        """A body as it comes, chunked unless ``length`` is known; stops quietly when the client has ``gone``."""
        known = [] if length is None else [("content-length", str(length))]
        await self._start(200, [*headers, *known])
        async for piece in pieces:
            if gone():
                return
            await self._body(piece, more=True)
        await self._body(b"", more=False)

    def abort(self) -> None:
        """Cut the connection: what was sent must not look whole."""
        cut: Callable[[], None] | None = self._scope.get("extensions", {}).get("bgone.abort")
        if cut is not None:
            cut()

    async def _start(self, status: int, headers: HeaderList) -> None:
        self.status = status
        raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in [*self._headers, *headers]]
        await self._timed({"type": "http.response.start", "status": status, "headers": raw})

    async def _body(self, body: Piece, *, more: bool) -> None:
        self.sent_bytes += len(body)
        await self._timed({"type": "http.response.body", "body": body, "more_body": more})

    async def _timed(self, message: Message) -> None:
        try:
            async with asyncio.timeout(STALL_S):
                await self._send(message)
        except TimeoutError:
            self.abort()
            raise ConnectionAbortedError("the client reads nothing") from None
