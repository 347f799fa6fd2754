"""From where a request comes and where it was sent: the base URL, and what browsers are told (CORS)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from starlette.types import Scope

from bgone.api.reading import headers_of

OPEN = (("access-control-allow-origin", "*"), ("access-control-expose-headers", "*"))
_NAMES = re.compile(r"[A-Za-z0-9_-]{1,80}(?: ?, ?[A-Za-z0-9_-]{1,80}){0,30}")
_HOST = re.compile(r"[A-Za-z0-9._-]{1,253}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")


def base_url_of(scope: Scope) -> str:
    """Scheme and host that the client used; the socket's own address where ``Host`` is no host."""
    host = headers_of(scope).get("host", "")
    if not _HOST.fullmatch(host):
        address, port = scope.get("server") or ("127.0.0.1", 80)
        host = f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"
    return f"{scope.get('scheme', 'http')}://{host}"


def preflight(scope: Scope, methods: Iterable[str]) -> list[tuple[str, str]]:
    """Headers that let a browser send what it asks for (Fetch, CORS protocol); no credentials, so all are named."""
    asked = headers_of(scope).get("access-control-request-headers", "")
    return [
        ("access-control-allow-methods", ", ".join(sorted({*methods, "OPTIONS"}))),
        ("access-control-allow-headers", asked if _NAMES.fullmatch(asked) else "accept, content-type, x-api-key"),
        ("access-control-max-age", "86400"),
        ("vary", "access-control-request-headers"),
    ]
