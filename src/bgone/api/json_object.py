"""JSON bodies: one object of a few options beside, perhaps, a picture in base64 that is most of it."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from bgone.api.fields import Text
from bgone.errors import malformed_body, too_many_parts

# Commas, brackets, braces or quotes: an object of 100 options needs a few hundred.
_JSON_MARKS = 10_000
# A longer string is a picture.
_LONG = 65_536
_BOM = b"\xef\xbb\xbf"


def parse_json(text: bytes, limit: int) -> dict[str, object]:
    """A JSON object, its long strings as views of ``text``; shape is counted before anything is built from it.

    Args:
        text: UTF-8, a byte order mark allowed.
        limit: Most members.

    Raises:
        malformed_body: It is no JSON object, or one of an absurd shape.
        too_many_parts: It has more members.
    """
    short, aside = _set_aside(text)
    if short.count(b",") + short.count(b"[") + short.count(b"{") > _JSON_MARKS:
        raise malformed_body("a JSON object of a few options", detail="too many marks")
    try:
        members = orjson.loads(short.removeprefix(_BOM))
    except orjson.JSONDecodeError as error:
        raise malformed_body("a JSON object", detail=str(error)) from error
    if not isinstance(members, dict):
        raise malformed_body("a JSON object", detail=f"got {type(members).__name__}")
    if len(members) > limit:
        raise too_many_parts(limit)
    return {name: aside.get(value, value) if isinstance(value, str) else value for name, value in members.items()}


def _set_aside(text: bytes) -> tuple[bytes, dict[str, memoryview]]:
    """JSON with a stand-in for each long string that has no escapes, and what the stand-ins stand for.

    A base64 picture is not checked as UTF-8 and built as text with the lock of the interpreter held: 5 times faster.
    """
    if len(text) <= _LONG:
        return text, {}
    short: list[bytes] = []
    aside: dict[str, memoryview] = {}
    opening, kept, quotes = -1, 0, 0
    quote = text.find(b'"')
    while quote >= 0:
        quotes += 1
        if quotes > _JSON_MARKS:
            raise malformed_body("a JSON object of a few options", detail="too many quotes")
        if opening < 0:
            opening = quote
        elif not _is_escaped(text, quote):
            if quote - opening > _LONG and text.find(b"\\", opening, quote) < 0:
                stand_in = f"\0{len(aside)}"
                aside[stand_in] = memoryview(text)[opening + 1 : quote]
                short += (text[kept:opening], orjson.dumps(stand_in))
                kept = quote + 1
            opening = -1
        quote = text.find(b'"', quote + 1)
    return b"".join([*short, text[kept:]]), aside


def _is_escaped(text: bytes, quote: int) -> bool:
    """Whether an odd number of backslashes stands before ``quote``."""
    width = 16
    while len(before := text[max(0, quote - width) : quote]) == width and not before.strip(b"\\"):
        width *= 8
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 1


def scalars(members: Mapping[str, object]) -> dict[str, Text]:
    """Members that are one value, as text spelled as in JSON; null and empty ones are absent."""
    texts: dict[str, Text] = {}
    for name, value in members.items():
        if isinstance(value, (str, memoryview)):
            if value:
                texts[name] = value
        elif isinstance(value, (bool, int, float)):
            texts[name] = orjson.dumps(value)
    return texts
