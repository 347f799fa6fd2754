"""Links to results: absolute, signed, expiring, ending in a file name; whoever has one needs no key."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from math import ceil
from urllib.parse import quote, urlencode

import orjson
from starlette.types import Message, Receive, Scope, Send

from bgone.api.reading import has_body, headers_of, query_of
from bgone.api.replies import STALL_S, Reply
from bgone.errors import ApiError
from bgone.jobs.job import Stored
from bgone.storage.objects import Objects

_RANGE = re.compile(r"bytes=(?:(?P<first>[0-9]{1,18})-(?P<to>[0-9]{0,18})|-(?P<last>[0-9]{1,18}))")
_COMMON = (("access-control-allow-origin", "*"), ("x-content-type-options", "nosniff"))


class Signer:
    """Signs links and knows its own again.

    Args:
        secret: Bytes that nobody else knows; the same in every process that serves the links.
        now: The clock, unix seconds.
    """

    def __init__(self, secret: bytes, now: Callable[[], float] = time.time) -> None:
        self._secret = secret
        self.now = now

    def sign(self, base_url: str, stored: Stored, name: str, seconds: float) -> str:
        """A link to a picture.

        Args:
            base_url: Scheme and host, no slash at the end.
            stored: What it leads to.
            name: File name at the path's end, as ``curl -O`` keeps it.
            seconds: How long it works.
        """
        expires = str(ceil(self.now() + seconds))
        signature = self._signature(stored.key, name, stored.media_type, expires)
        query = urlencode({"expires": expires, "type": stored.media_type, "signature": signature}, safe="/")
        return f"{base_url}/results/{stored.key}/{quote(name, safe='')}?{query}"

    def knows(self, key: str, name: str, query: Mapping[str, str]) -> bool:
        """Whether this is a link of ours, and still works."""
        media_type, expires = query.get("type", ""), query.get("expires", "")
        expected = self._signature(key, name, media_type, expires)
        shown = query.get("signature", "").encode("utf-8", "surrogateescape")
        return hmac.compare_digest(expected.encode(), shown) and self.now() < int(expires)

    def _signature(self, *parts: str) -> str:
        # A length before each part: no two links have the same text.
        text = "".join(f"{len(part)}:{part}" for part in ("results", *parts))
        digest = hmac.digest(self._secret, text.encode("utf-8", "surrogateescape"), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Results:
    """Serves what links lead to, with ranges and ``ETag``; what is under a link never changes.

    Attributes:
        objects: Where the pictures are.
        signer: Knows the links.
    """

    objects: Objects
    signer: Signer

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request to ``/results/{key}/{name}``, as an ASGI endpoint."""
        reply = Reply(scope, receive, send, _COMMON)
        try:
            start, pieces = await self._find(scope)
        except _Refused as refused:
            error = {"code": refused.code, "message": str(refused), "status": refused.status, "details": {}}
            headers = [("content-type", "application/json"), ("cache-control", "no-store"), *refused.headers]
            body = orjson.dumps({"error": error})
            await reply.whole(refused.status, body, headers, unread_body=has_body(scope))
            return
        await _send(start, pieces, scope, send)

    async def _find(self, scope: Scope) -> tuple[Message, AsyncIterator[bytes]]:
        """Head and pieces of the answer.

        Raises:
            _Refused: There is none.
        """
        if scope["method"] not in ("GET", "HEAD"):
            raise _Refused(405, "method_not_allowed", "This address answers GET only.", ("allow", "GET, HEAD"))
        key, name = scope["path"].rsplit("/", 2)[1:]
        query = _query(scope)
        if not self.signer.knows(key, name, query):
            raise _Refused(403, "forbidden", "This link is not valid, or its time is over.")
        try:
            size = await self.objects.head(key)
        except KeyError:
            raise _Refused(404, "not_found", "This result is no longer kept.") from None
        headers = headers_of(scope)
        tag = f'"{key}"'
        kept = [
            ("etag", tag),
            ("cache-control", f"private, max-age={int(query['expires']) - int(self.signer.now())}"),
            *_COMMON,
        ]
        if has_body(scope):  # nobody reads it, and it may be endless
            kept.append(("connection", "close"))
        if headers.get("if-none-match", "") in (tag, "*"):
            return _start(304, kept), _nothing()
        whole = scope["method"] == "HEAD" or headers.get("if-range", tag) != tag
        chosen = None if whole else _range(headers.get("range", ""), size)
        start, end = chosen or (0, size)
        kept += [
            ("content-type", query["type"]),
            ("content-length", str(end - start)),
            ("accept-ranges", "bytes"),
        ]
        pieces = _nothing() if scope["method"] == "HEAD" else self.objects.stream(key, start, end)
        if chosen is None:
            return _start(200, kept), pieces
        return _start(206, [*kept, ("content-range", f"bytes {start}-{end - 1}/{size}")]), pieces


class _Refused(Exception):  # noqa: N818 - an answer, not an error
    """No picture: a status, a code, words for the client, further headers."""

    def __init__(self, status: int, code: str, message: str, *headers: tuple[str, str]) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers


def _query(scope: Scope) -> dict[str, str]:
    try:
        return query_of(scope)
    except ApiError:  # more parameters than any link of ours
        return {}


def _range(text: str, size: int) -> tuple[int, int] | None:
    """The first byte and the one after the last that ``Range`` asks for; None: everything.

    What is no single range of bytes is ignored, as RFC 9110 (14.2) allows.

    Raises:
        _Refused: No byte of it is there.
    """
    match = _RANGE.fullmatch(text.strip())
    if match is None:
        return None
    if match["last"]:
        start, end = max(0, size - int(match["last"])), size
    else:
        start, end = int(match["first"]), min(size, int(match["to"] or size) + 1)
        if match["to"] and int(match["to"]) < start:
            return None
    if start >= size:
        raise _Refused(416, "range_not_satisfiable", f"There are {size} bytes.", ("content-range", f"bytes */{size}"))
    return start, end


def _start(status: int, headers: list[tuple[str, str]]) -> Message:
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    return {"type": "http.response.start", "status": status, "headers": raw}


async def _nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def _send(start: Message, pieces: AsyncIterator[bytes], scope: Scope, send: Send) -> None:
    """Send an answer; one that breaks off is cut, never ended as if whole."""

    async def timed(message: Message) -> None:
        async with asyncio.timeout(STALL_S):
            await send(message)

    try:
        await timed(start)
        async for piece in pieces:
            await timed({"type": "http.response.body", "body": piece, "more_body": True})
    except (TimeoutError, KeyError):  # the client reads nothing, or the sweep was here
        cut = scope.get("extensions", {}).get("bgone.abort")
        if cut is not None:
            cut()
        return
    await timed({"type": "http.response.body", "body": b"", "more_body": False})
