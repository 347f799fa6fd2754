"""What the ``Accept`` header says, as far as answers depend on it."""

from __future__ import annotations


def wants_json(accept: str) -> bool:
    """JSON is named and neither ``*/*`` nor any picture is: axios names JSON first in every request."""
    types = {name for name, quality in _types(accept) if quality > 0}
    return "application/json" in types and "*/*" not in types and not any(name.startswith("image/") for name in types)


def first_accepted(accept: str, offered: tuple[str, ...]) -> str | None:
    """The offered media type that ``accept`` likes best, by quality and then by its own order (RFC 9110, 12.5.1).

    ``*/*``, ``image/*`` and no header at all mean the first that is offered; None when nothing fits.
    """
    if not accept.strip():
        return offered[0]
    types = _types(accept)
    refused = {name for name, quality in types if quality <= 0}
    for name, _ in sorted((pair for pair in types if pair[1] > 0), key=lambda pair: -pair[1]):
        for one in offered:
            if name in (one, "*/*", one.partition("/")[0] + "/*") and one not in refused:
                return one
    return None


def _types(accept: str) -> list[tuple[str, float]]:
    types = []
    for item in accept.lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        types.append((name, quality))
    return types
