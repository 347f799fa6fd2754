"""Reading: from the bytes of a request to ``Fields``, within limits that hold while the bytes arrive.

Content types are claims: a body that begins like a picture is a picture, whatever the header says.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from starlette.types import Message, Receive, Scope

from bgone.api.fields import BodyKind, Fields, Text, Texts
from bgone.api.json_object import parse_json, scalars
from bgone.api.multipart import MultipartReader, header_parameters
from bgone.api.urlencoded import parse_pairs
from bgone.errors import (
    ClientGone,
    malformed_body,
    slow_body,
    too_many_bytes,
    too_many_parts,
    unsupported_body,
)
from bgone.imaging.sniff import sniff

# sniff() looks at so many bytes.
_HEAD_BYTES = 16
# From here on parsing is worth a thread.
_LONG = 65_536


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What a request may cost while it is read.

    Attributes:
        file_bytes: Most bytes of one picture. A megabyte is 1,000,000 bytes.
        parts: Most form fields, JSON members or query parameters.
        header_bytes: Most bytes of the headers of one part.
        name_bytes: Most bytes of a field name.
        patience_s: Longest silence, and what a client that sends below the floor rate gets in all.
        floor_bytes_per_s: A client slower than this on average uses up its patience.
    """

    file_bytes: int = 30_000_000
    parts: int = 100
    header_bytes: int = 8_192
    name_bytes: int = 256
    patience_s: float = 30.0
    floor_bytes_per_s: int = 10_000

    @property
    def text_bytes(self) -> int:
        """Base64 of a whole picture, with line breaks (2 in 76) and a ``data:`` prefix."""
        return self.file_bytes * 4 // 3 * 104 // 100 + 4_096

    @property
    def body_bytes(self) -> int:
        """The same, percent-encoded (2 of 64 digits grow to 3 bytes), and 1 MB for everything beside it."""
        return self.text_bytes * 110 // 100 + 1_000_000


async def read_fields(scope: Scope, receive: Receive, limits: ReadLimits, held: Callable[[int], None]) -> Fields:
    """Read a request to its end.

    Args:
        scope: ASGI HTTP scope.
        receive: ASGI receive.
        limits: What it may cost.
        held: Called before body bytes are kept, with how many more; may raise to refuse them. Called once with
            the whole length where the client says it.

    Raises:
        ClientGone: The client hung up.
        malformed_body: The body is not what its content type says, or is cut short.
        too_many_parts: It has too many fields.
        too_many_bytes: It, or one picture in it, is too large.
        unsupported_body: It is of no kind that is read here.
        slow_body: It arrives too slowly.
        broken_base64: A part that says it is base64 is not.
    """
    headers = headers_of(scope)
    query = query_of(scope, limits.parts)
    media, parameters = header_parameters(headers.get("content-type", ""))
    is_form = media == "multipart/form-data" or media == "application/x-www-form-urlencoded" or _is_json(media)
    body = _Body(receive, limits, held, limits.body_bytes if is_form else limits.file_bytes)
    body.announce(headers.get("content-length", ""))
    if headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise unsupported_body(f"{media}, content coding {headers['content-encoding'][:80]}")

    def fields(kind: BodyKind, text: Mapping[str, Text] | None = None, **more: object) -> Fields:
        return Fields(kind, Texts(text or {}), query=query, headers=headers, **more)  # type: ignore[arg-type]

    head = await body.head()
    if not head:
        return fields("none")
    if _is_picture(head):
        body.ceiling = limits.file_bytes
        body.announce(headers.get("content-length", ""))
        return fields("raw", raw=await body.rest())
    if media == "multipart/form-data":
        parts = await _read_multipart(body, parameters.get("boundary", ""), limits)
        return fields("multipart", parts.texts, files=parts.files)
    if media == "application/x-www-form-urlencoded":
        return fields("urlencoded", await _read_urlencoded(body, limits))
    if _is_json(media):
        members = await _read_json(body, limits)
        return fields("json", scalars(members), json=members)
    if media in ("", "application/octet-stream", "binary/octet-stream") or media.startswith("image/"):
        return fields("raw", raw=await body.rest())
    raise unsupported_body(media[:80])


def has_body(scope: Scope) -> bool:
    """Whether the request's headers announce a body."""
    headers = headers_of(scope)
    return "transfer-encoding" in headers or headers.get("content-length", "0").strip() not in ("", "0")


def headers_of(scope: Scope) -> dict[str, str]:
    """Request headers: names in lower case, the first of a name wins."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
    return headers


def query_of(scope: Scope, limit: int = 100) -> dict[str, str]:
    """Query parameters: the first of a name wins, empty ones are absent.

    Raises:
        too_many_parts: There are more than ``limit``.
    """
    return dict(Texts(parse_pairs(scope.get("query_string", b""), limit)))


async def discard(receive: Receive, limit_bytes: int, limit_s: float) -> None:
    """After an early answer: read on, so that the client comes to read it, but no more than this."""
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            while limit_bytes > 0:
                message = await receive()
                limit_bytes -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    return


class _Body:
    """A body while it arrives: counts bytes and time.

    Time is a bucket of ``patience_s``: waiting drains it, bytes fill it again at the floor rate. So silence is cut
    after ``patience_s``, a drip soon after, even behind a fast start, and a slow but honest line lives.
    """

    def __init__(self, receive: Receive, limits: ReadLimits, held: Callable[[int], None], ceiling: int) -> None:
        self.ceiling = ceiling
        self._receive = receive
        self._limits = limits
        self._held = held
        self._patience_s = limits.patience_s
        self._announced = 0
        self._received = 0
        self._head = b""
        self._ended = False

    def announce(self, content_length: str) -> None:
        """Believe a ``Content-Length`` as far as it says too much; an empty one says nothing."""
        if not content_length:
            return
        if not (content_length.isascii() and content_length.isdigit() and len(content_length) < 20):
            raise malformed_body("a Content-Length that is a number")
        length = int(content_length)
        if length > self.ceiling:
            raise too_many_bytes(self._limits.file_bytes)
        if length > self._announced:
            self._held(length - self._announced)
            self._announced = length

    async def head(self) -> bytes:
        """The first bytes, enough to sniff at unless the body is shorter; they will be read again."""
        head = b""
        while len(head) < _HEAD_BYTES and (piece := await self._next()):
            head += piece
        self._head = head
        return head[:_HEAD_BYTES]

    async def read(self) -> bytes:
        """The next piece; empty at the end."""
        if self._head:
            piece, self._head = self._head, b""
            return piece
        return await self._next()

    async def rest(self) -> bytes:
        """All that is left."""
        # BytesIO grows in place and hands over its buffer: half the memory of a joined list.
        whole = io.BytesIO()
        while piece := await self.read():
            whole.write(piece)
        return whole.getvalue()

    async def _next(self) -> bytes:
        while not self._ended:
            message = await self._wait()
            if message["type"] == "http.disconnect":
                raise ClientGone
            self._ended = not message.get("more_body", False)
            if piece := message.get("body", b""):
                self._count(len(piece))
                return bytes(piece)
        return b""

    async def _wait(self) -> Message:
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._patience_s):
                message = await self._receive()
        except TimeoutError:
            raise slow_body() from None
        earned = len(message.get("body", b"")) / self._limits.floor_bytes_per_s
        left = self._patience_s - (time.monotonic() - started) + earned
        self._patience_s = min(self._limits.patience_s, left)
        return message

    def _count(self, more: int) -> None:
        self._received += more
        if self._received > self.ceiling:
            raise too_many_bytes(self._limits.file_bytes)
        if self._received > self._announced:
            self._held(self._received - self._announced)
            self._announced = self._received


def _is_json(media: str) -> bool:
    return media in ("application/json", "text/json") or media.endswith("+json")


def _is_picture(head: bytes) -> bool:
    # BM begins field names too; a BMP header has zeros in its size and reserved words, a form has none.
    return sniff(head) is not None and (not head.startswith(b"BM") or b"\0" in head)


async def _read_multipart(body: _Body, boundary: str, limits: ReadLimits) -> MultipartReader:
    parts = MultipartReader(
        boundary,
        parts=limits.parts,
        file_bytes=limits.file_bytes,
        text_bytes=limits.text_bytes,
        header_bytes=limits.header_bytes,
        name_bytes=limits.name_bytes,
    )
    while piece := await body.read():
        parts.feed(piece)
    parts.finish()
    return parts


async def _read_urlencoded(body: _Body, limits: ReadLimits) -> dict[str, Text]:
    whole = io.BytesIO()
    ampersands = 0
    while piece := await body.read():
        ampersands += piece.count(b"&")
        if ampersands > limits.parts:
            raise too_many_parts(limits.parts)
        whole.write(piece)
    if whole.tell() > _LONG:
        values = await asyncio.to_thread(parse_pairs, whole.getvalue(), limits.parts)
    else:
        values = parse_pairs(whole.getvalue(), limits.parts)
    if any(len(value) > limits.text_bytes for value in values.values()):
        raise too_many_bytes(limits.file_bytes)
    return values


async def _read_json(body: _Body, limits: ReadLimits) -> dict[str, object]:
    whole = await body.rest()
    if len(whole) > _LONG:
        return await asyncio.to_thread(parse_json, whole, limits.parts)
    return parse_json(whole, limits.parts)
