"""Urlencoded text, of a query or of a body: percent-decoding that a hostile or a very long value does not slow down."""

from __future__ import annotations

import io
from binascii import a2b_qp
from urllib.parse import unquote_to_bytes

from bgone.api.fields import Text
from bgone.errors import too_many_parts

# A longer value is a picture in base64.
_LONG = 65_536


def parse_pairs(encoded: bytes, limit: int) -> dict[str, Text]:
    """``a=1&b=2`` as names and undecoded values: the first of a name wins, empty ones are absent.

    Raises:
        too_many_parts: There are more than ``limit``.
    """
    if encoded.count(b"&") > limit:
        raise too_many_parts(limit)
    values: dict[str, Text] = {}
    view = memoryview(encoded)
    start = 0
    while start < len(encoded):
        end = encoded.find(b"&", start)
        end = len(encoded) if end < 0 else end
        equals = encoded.find(b"=", start, end)
        if start < equals < end - 1 and equals - start <= _LONG:
            name = _unquote(view[start:equals]).decode("utf-8", "replace")
            if name not in values:
                values[name] = _unquote(view[equals + 1 : end])
        start = end + 1
    return values


def _unquote(encoded: memoryview) -> bytes:
    if len(encoded) <= _LONG:
        return unquote_to_bytes(bytes(encoded).replace(b"+", b" "))
    # Quoted-printable is percent-encoding with another sign, and decoded in C; unquote_to_bytes makes an object of
    # every escape, gigabytes for a body full of them. Block by block, so that the lock is given back between.
    decoded = io.BytesIO()
    start = 0
    while start < len(encoded):
        block = bytes(encoded[start : start + _LONG])
        cut_escape = block.rfind(b"%", len(block) - 2)
        if cut_escape > 0 and start + len(block) < len(encoded):
            block = block[:cut_escape]
        decoded.write(a2b_qp(block.replace(b"+", b" ").replace(b"=", b"=3D").replace(b"%", b"=")))
        start += len(block)
    return decoded.getvalue()
