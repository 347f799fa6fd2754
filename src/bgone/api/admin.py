"""The admin API: accounts, keys, plans, jobs and the server over HTTP, for whoever shows an admin key.

Who asks is known before anything else is looked at, the path included. What there is to do is a table in
``admin_operations``, which is loaded with the first request: a server without accounts pays nothing for it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import orjson
import structlog
from starlette.routing import BaseRoute, Mount
from starlette.types import Receive, Scope, Send

from bgone.api.endpoint import new_request_id
from bgone.api.reading import has_body, headers_of
from bgone.api.replies import EARLY_S, SLOW_LINGER_S, Reply
from bgone.api.tracing import log_fields
from bgone.errors import ApiError, ClientGone, internal, key_missing, slow_body

if TYPE_CHECKING:
    from bgone.accounts.books import Books
    from bgone.api.admin_asks import Answer
    from bgone.api.running import Running

ROOT = "/admin/v1"
BODY_BYTES = 65_536
READ_S = 10.0  # for a whole body, which is a few hundred bytes

FAILURES = {
    "key_missing": (401, "unauthorized"),
    "key_wrong": (401, "unauthorized"),
    "key_revoked": (403, "forbidden"),
    "account_barred": (403, "forbidden"),
    "not_admin": (403, "forbidden"),
    "malformed_body": (400, "invalid_request"),
    "too_many_parts": (400, "invalid_request"),
    "invalid_option": (400, "invalid_option"),
    "unsupported_body": (415, "unsupported_media_type"),
    "too_many_bytes": (413, "body_too_large"),
    "slow_body": (408, "request_timeout"),
    "not_found": (404, "not_found"),
    "job_not_found": (404, "not_found"),
    "method_not_allowed": (405, "method_not_allowed"),
    "overloaded": (503, "unavailable"),
    "internal": (500, "internal_error"),
}

_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_COMMON = (("cache-control", "no-store"), ("x-content-type-options", "nosniff"))
_log = structlog.get_logger("bgone.admin")


class AdminRooms(Protocol):
    """What this API needs of ``scope["state"]["rooms"]``."""

    @property
    def books(self) -> Books | None:
        """Accounts, or None where the server has none."""

    @property
    def running(self) -> Running | None:
        """What runs here."""

    @property
    def admin_key(self) -> str:
        """The operator's own key beside those of mode admin; empty: none."""


def routes() -> list[BaseRoute]:
    """Everything below ``/admin/v1/``."""
    return [Mount(ROOT, _Admin())]


@dataclass(slots=True)
class _Visit:
    """One request on its way through.

    Attributes:
        scope: ASGI scope.
        receive: ASGI receive.
        request_id: Of the answer.
        reply: Sends it.
        unread: The client may still be sending.
        facts: For the log; names and values that were sent are not among them.
    """

    scope: Scope
    receive: Receive
    request_id: str
    reply: Reply
    unread: bool
    facts: dict[str, object] = field(default_factory=lambda: {"operation": "none"})


class _Admin:
    """An ASGI endpoint: the whole API."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id, started = new_request_id(), time.perf_counter()
        reply = Reply(scope, receive, send, [("x-request-id", request_id), *_COMMON])
        visit = _Visit(scope, receive, request_id, reply, unread=has_body(scope))
        try:
            answer = await _answer(visit)
            await reply.whole(answer.status, answer.body, answer.headers, unread_body=visit.unread)
        except ApiError as error:
            await _complain(visit, error)
        except (ClientGone, ConnectionError):
            visit.facts["gone"] = True
        except Exception as error:  # noqa: BLE001 - whatever went wrong, the client gets its 500
            _log.error("failure", id=request_id, exc_info=error)
            await _complain(visit, internal(repr(error)))
        finally:
            milliseconds = round((time.perf_counter() - started) * 1000, 1)
            method = scope["method"] if scope["method"] in _METHODS else "other"
            facts = {**visit.facts, **log_fields(scope)}
            _log.info("admin", id=request_id, method=method, status=reply.status, ms=milliseconds, **facts)


async def _answer(visit: _Visit) -> Answer:
    rooms: AdminRooms = visit.scope["state"]["rooms"]
    books, headers = rooms.books, headers_of(visit.scope)
    if books is None:
        raise ApiError(
            "not_found",
            "This server has no accounts to administer: begin with `bgone accounts create NAME` or set "
            "BGONE_DATABASE_URL, leave BGONE_AUTH=none out, and start it again.",
        )
    visit.facts["key"] = await _admit(headers, rooms.admin_key, books)

    from bgone.api.admin_operations import find, perform

    operation, name = find(visit.scope["method"], str(visit.scope["path"]).removeprefix(ROOT))
    visit.facts["operation"] = operation.name
    if operation.method != "GET":
        _require_json(visit.scope)
    body = b""
    if operation.body is not None and visit.unread:
        body = await _read(headers, visit.receive)
        visit.unread = False
    answer = await perform(operation, name, visit.scope, body, books, rooms.running)
    if answer.target:
        visit.facts["target"] = answer.target
    return answer


# --- who ------------------------------------------------------------------------------------------------------------


async def _admit(headers: dict[str, str], admin_key: str, books: Books) -> str:
    """Who asks, for the log.

    Raises:
        key_missing, key_wrong, key_revoked, account_barred: Nobody who may ask for anything.
        not_admin: The key is another kind's.
        overloaded: The database is away.
    """
    shown = headers.get("x-api-key", "").strip()
    if not shown:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        shown = token.strip() if scheme.lower() == "bearer" else ""
    if not shown:
        raise key_missing()
    # Digests are of one length, and tell nothing of how much of a key was right.
    if hmac.compare_digest(_digest(shown.encode("latin-1")), _digest(admin_key.encode())) and admin_key:
        return "static"
    holder = await books.keys.find(shown)
    if holder.key.mode != "admin":
        raise ApiError("not_admin", "This key is not an admin key.")
    return holder.key.fingerprint


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()


# --- what was sent --------------------------------------------------------------------------------------------------


def _require_json(scope: Scope) -> None:
    """Refuse what forms of a browser can send.

    Raises:
        unsupported_body: The body says that it is not JSON.
    """
    headers = headers_of(scope)
    media = headers.get("content-type", "").partition(";")[0].strip().lower()
    is_plain = headers.get("content-encoding", "identity").lower() == "identity"
    # Where nothing is sent nothing needs to be said of it.
    if not is_plain or (media != "application/json" and (media or has_body(scope))):
        raise ApiError("unsupported_body", "The body must be application/json, not compressed.", detail=media[:80])


async def _read(headers: dict[str, str], receive: Receive) -> bytes:
    """The whole body.

    Raises:
        too_many_bytes: It is longer than any that means something.
        slow_body: It does not come.
        ClientGone: The client hung up.
    """
    announced = headers.get("content-length", "")
    if announced.isdigit() and (len(announced) > 9 or int(announced) > BODY_BYTES):
        raise _too_long()
    body, more = b"", True
    try:
        async with asyncio.timeout(READ_S):
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > BODY_BYTES:
                    raise _too_long()
    except TimeoutError:
        raise slow_body() from None
    return body


def _too_long() -> ApiError:
    return ApiError("too_many_bytes", f"At most {BODY_BYTES:,} bytes are read.", facts={"limit_bytes": BODY_BYTES})


# --- what went wrong ------------------------------------------------------------------------------------------------


async def _complain(visit: _Visit, error: ApiError) -> None:
    """Answer in BackgroundErase's form, or cut the connection where an answer has begun."""
    visit.facts["error"] = error.kind
    if error.kind in ("overloaded", "internal"):
        visit.facts["detail"] = error.detail
    if visit.reply.started:
        visit.reply.abort()
        return
    status, code = FAILURES[error.kind]
    told = {
        "code": code,
        "message": error.message,
        "status": status,
        "request_id": visit.request_id,
        "details": error.facts,
    }
    headers = [("content-type", "application/json")]
    if error.retry_after_s is not None:
        headers.append(("retry-after", str(error.retry_after_s)))
    if status == 401:
        headers.append(("www-authenticate", "Bearer"))
    if status == 405:
        headers.append(("allow", str(error.facts["allowed"])))
    # Who sends too slowly has had its time.
    linger_s = SLOW_LINGER_S if error.kind == "slow_body" else EARLY_S
    try:
        body = orjson.dumps({"error": told})
        await visit.reply.whole(status, body, headers, unread_body=visit.unread, linger_s=linger_s)
    except (ClientGone, ConnectionError):
        visit.facts["gone"] = True
