"""The page at ``/``, for browsers alone: who does not ask for HTML (probes, programs) hears the server's state.

What the page has to know of the server, whether keys are needed and how much it takes, stands in its first tag, so that
nothing has to be asked for before it can be painted.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

from starlette.types import Message, Receive, Scope, Send

from bgone import __version__
from bgone.api.reading import headers_of
from bgone.api.static import CSP, MEDIA_TYPES, Asset, Shelf, asset, send_asset

ROOT = "/static/console/"
FOLDER = Path(__file__).parent
SHELF = Shelf(ROOT, FOLDER / "assets")

# Pages ask for nothing that a camera, a position or a payment could be; they tell nobody where they were.
PAGE_HEADERS = (
    ("content-security-policy", CSP),
    ("referrer-policy", "no-referrer"),
    (
        "permissions-policy",
        "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=(), clipboard-write=(self)",
    ),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
)
MARK = re.compile(r"\{\{(\w+)\}\}")


def front_page(*, keys_needed: bool, most_bytes: int, models: tuple[str, ...]) -> Asset:
    """The page, filled in; read from disk, so made once at the start.

    Args:
        keys_needed: Callers must show a key.
        most_bytes: Of one picture.
        models: That may be asked for, the default first.
    """
    facts = {
        "version": __version__,
        "keys": "needed" if keys_needed else "none",
        "max_bytes": str(most_bytes),
        "models": "/".join(models),  # which no name has
    }
    text = (FOLDER / "page.html").read_text(encoding="utf-8")
    return asset(MEDIA_TYPES[".html"], MARK.sub(lambda match: escape(facts[match[1]]), text).encode())


def asks_for_page(scope: Scope) -> bool:
    """Whether a browser asks to show something: ``text/html`` by name, for ``*/*`` is what probes and programs send."""
    if scope["method"] not in ("GET", "HEAD"):
        return False
    items = headers_of(scope).get("accept", "").lower().replace(" ", "").split(",")
    return any(item.split(";")[0] == "text/html" and not item.endswith((";q=0", ";q=0.0")) for item in items)


async def send_page(page: Asset, scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the page; what lies at ``/`` depends on what is accepted."""
    await send_asset(page, scope, receive, varied(send), *PAGE_HEADERS)


def varied(send: Send) -> Send:
    """``send``, with ``Accept`` in ``Vary``."""

    async def tell(message: Message) -> None:
        if message["type"] == "http.response.start":
            others = [value for name, value in message["headers"] if name.lower() == b"vary"]
            kept = [(name, value) for name, value in message["headers"] if name.lower() != b"vary"]
            message["headers"] = [*kept, (b"vary", b", ".join([b"accept", *others]))]
        await send(message)

    return tell
