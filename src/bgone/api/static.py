"""Packaged web assets: pages, scripts and styles that travel in the package, packed once and told apart by ``ETag``.

Browsers ask again each time and mostly hear 304: nothing stale survives an upgrade, and no file needs a version in
its name.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

import orjson
from starlette.types import Receive, Scope, Send

from bgone.api.endpoint import new_request_id
from bgone.api.reading import has_body, headers_of
from bgone.api.replies import Reply

# No host but this one, nothing inline, no frames, no forms that leave the page.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data: blob:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
MEDIA_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".webp": "image/webp",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
}
_WORTH_PACKING = ("text/", "application/json", "image/svg")


@dataclass(frozen=True, slots=True)
class Asset:
    """Something small that stays as it is while the server runs.

    Attributes:
        media_type: Its content type.
        body: Its bytes.
        packed: The same, gzipped; empty where that gains nothing.
        tag: Of the bytes, without quotes.
    """

    media_type: str
    body: bytes
    packed: bytes
    tag: str


def asset(media_type: str, body: bytes) -> Asset:
    """Pack ``body``; milliseconds for 100 KB."""
    packed = gzip.compress(body, mtime=0) if media_type.startswith(_WORTH_PACKING) else b""
    tag = hashlib.sha256(body).hexdigest()[:20]
    return Asset(media_type, body, packed if len(packed) < len(body) else b"", tag)


async def send_asset(
    found: Asset | None, scope: Scope, receive: Receive, send: Send, *headers: tuple[str, str]
) -> None:
    """Answer a request with an asset: whole, gzipped, or 304; 404 where there is none, 405 to all but GET and HEAD.

    Args:
        found: It, or None.
        scope: ASGI scope.
        receive: ASGI receive.
        send: ASGI send.
        headers: Beside those of every asset; a policy for pages, say.
    """
    common = [("x-request-id", new_request_id()), ("x-content-type-options", "nosniff"), *headers]
    reply = Reply(scope, receive, send, common)
    unread = has_body(scope)
    if found is None:
        await reply.whole(404, _error(404, "not_found", "There is nothing at this address."), _JSON, unread_body=unread)
        return
    if scope["method"] not in ("GET", "HEAD"):
        words = _error(405, "method_not_allowed", "This address answers GET only.")
        await reply.whole(405, words, (*_JSON, ("allow", "GET, HEAD")), unread_body=unread)
        return
    asked = headers_of(scope)
    is_packed = bool(found.packed) and _takes_gzip(asked.get("accept-encoding", ""))
    tag = f'"{found.tag}-gz"' if is_packed else f'"{found.tag}"'
    told = [("etag", tag), ("cache-control", "no-cache"), ("vary", "accept-encoding")]
    if tag in (one.strip().removeprefix("W/") for one in asked.get("if-none-match", "").split(",")):
        # Without a length: a 304 has none, or that of the body it stands for.
        raw = [(name.encode(), value.encode()) for name, value in [*common, *told]]
        await send({"type": "http.response.start", "status": 304, "headers": raw})
        await send({"type": "http.response.body", "body": b""})
        return
    coding = [("content-encoding", "gzip")] if is_packed else []
    body = found.packed if is_packed else found.body
    await reply.whole(200, body, [("content-type", found.media_type), *told, *coding], unread_body=unread)


class Shelf:
    """A folder of assets; as an ASGI application to be mounted, its files by name.

    Args:
        root: The path it is mounted at; files are below it.
        folder: Where the files are. What is not there when it is first asked is never there.
        policy: Content-Security-Policy of every answer.
    """

    def __init__(self, root: str, folder: Path, policy: str = CSP) -> None:
        self._root = root
        self._folder = folder
        self._headers = (
            ("content-security-policy", policy),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-resource-policy", "same-origin"),
        )
        self._assets: dict[str, Asset] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The file that the path names."""
        await self.send(str(scope["path"]).removeprefix(self._root).lstrip("/"), scope, receive, send)

    async def send(self, name: str, scope: Scope, receive: Receive, send: Send) -> None:
        """One file, at whatever path: ``await shelf.send("index.html", scope, receive, send)``."""
        if not self._assets:
            self._assets = await asyncio.to_thread(self._read)
        await send_asset(self._assets.get(name), scope, receive, send, *self._headers)

    def _read(self) -> dict[str, Asset]:
        paths = [path for path in sorted(self._folder.rglob("*")) if path.suffix in MEDIA_TYPES and path.is_file()]
        return {
            path.relative_to(self._folder).as_posix(): asset(MEDIA_TYPES[path.suffix], path.read_bytes())
            for path in paths
        }


_JSON = (("content-type", "application/json"), ("cache-control", "no-store"))


def _error(status: int, code: str, message: str) -> bytes:
    return orjson.dumps({"error": {"code": code, "message": message, "status": status, "details": {}}})


def _takes_gzip(accept_encoding: str) -> bool:
    for item in accept_encoding.lower().split(","):
        coding, _, weight = item.replace(" ", "").partition(";q=")
        if coding in ("gzip", "*"):
            return weight not in ("0", "0.0", "0.00", "0.000")
    return False
