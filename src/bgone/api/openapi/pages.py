"""Where the description is read: ``/openapi.json``, one dialect's alone, and a page for people at ``/docs``."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import orjson
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from bgone.api.dialect import Dialect
from bgone.api.policy import Policy
from bgone.api.static import Asset, Shelf, asset, send_asset

_ROOT = "/static/docs/"
_SHELF = Shelf(_ROOT, Path(__file__).parent / "viewer")


class DescribedRooms(Protocol):
    """What is needed of ``scope["state"]["rooms"]``."""

    @property
    def policy(self) -> Policy:
        """Says where clients reach the server."""


def routes(dialects: Sequence[Dialect]) -> list[BaseRoute]:
    """The description of ``dialects``, and its page with what that is made of."""
    described = _Description(dialects)
    return [
        Route("/openapi.json", described),
        Route("/openapi/{dialect}.json", described),
        Route("/docs", _viewer),
        Route(_ROOT + "{name}", _SHELF),
    ]


class _Description:
    """An ASGI endpoint: made when it is first asked for, packed, and kept."""

    def __init__(self, dialects: Sequence[Dialect]) -> None:
        self._dialects = dialects
        self._made: dict[str, Asset] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        rooms: DescribedRooms = scope["state"]["rooms"]
        only = str(scope["path_params"].get("dialect", ""))
        if only and only not in [dialect.name for dialect in self._dialects]:
            await send_asset(None, scope, receive, send)
            return
        if only not in self._made:
            self._made[only] = await asyncio.to_thread(self._make, rooms.policy.public_url or "/", only)
        await send_asset(self._made[only], scope, receive, send)

    def _make(self, server_url: str, only: str) -> Asset:
        # A sixth of a second and megabytes of modules that most servers never need.
        from bgone.api.openapi.document import document

        return asset("application/json", orjson.dumps(document(self._dialects, server_url, only)))


class _Viewer:
    """An ASGI endpoint: the page."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await _SHELF.send("index.html", scope, receive, send)


_viewer = _Viewer()
