"""The page at ``/console/`` for whoever runs the server: it shows and changes what ``/admin/v1`` does, with its key.

The page itself holds no secret and is open; without an admin key it can do nothing.
"""

from __future__ import annotations

from html import escape
from typing import Protocol

from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from bgone import __version__
from bgone.api.console.front import FOLDER, MARK, PAGE_HEADERS
from bgone.api.endpoint import new_request_id
from bgone.api.reading import has_body
from bgone.api.replies import Reply
from bgone.api.static import MEDIA_TYPES, Asset, Shelf, asset, send_asset

PATH = "/console/"
ROOT = "/static/console/office/"
SHELF = Shelf(ROOT, FOLDER / "office_assets")


class OfficeRooms(Protocol):
    """What is needed of ``scope["state"]["rooms"]``."""

    @property
    def office(self) -> Asset | None:
        """The page."""


def routes() -> list[BaseRoute]:
    """The page, and what it is made of."""
    return [Route(PATH, _page), Route(PATH.rstrip("/"), _nearly), Route(ROOT + "{name}", SHELF)]


def office_page(*, has_accounts: bool) -> Asset:
    """The page, filled in; read from disk, so made once at the start.

    Args:
        has_accounts: There is something to administer.
    """
    facts = {"version": __version__, "accounts": "yes" if has_accounts else "none"}
    text = (FOLDER / "office.html").read_text(encoding="utf-8")
    return asset(MEDIA_TYPES[".html"], MARK.sub(lambda match: escape(facts[match[1]]), text).encode())


class _Page:
    """An ASGI endpoint: the page."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rooms: OfficeRooms = scope["state"]["rooms"]
        await send_asset(rooms.office, scope, receive, send, *PAGE_HEADERS)


class _Nearly:
    """An ASGI endpoint: the same without its last slash, from which the page's relative addresses would lead astray."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            await _page(scope, receive, send)
            return
        reply = Reply(scope, receive, send, [("x-request-id", new_request_id())])
        # Relative, so that it also leads there below a proxy's path.
        await reply.whole(308, b"", (("location", "console/"),), unread_body=has_body(scope))


_page = _Page()
_nearly = _Nearly()
