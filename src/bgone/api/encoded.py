"""Pictures sent as base64 text: whatever clients wrap around it comes off, whatever is left must be right."""

from __future__ import annotations

import binascii

import pybase64

from bgone.api.fields import Text
from bgone.errors import broken_base64

_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_WHITESPACE = b" \t\r\n\v\f"
# "data:image/png;base64,": media types with parameters stay far below this.
_PREFIX_CHARS = 300


def decode_picture(field: str, text: Text, *, urlencoded: bool = False) -> bytes:
    """The bytes that ``text`` spells in base64; empty for a value that holds nothing but a ``data:`` prefix.

    Accepted around it: a ``data:`` prefix, white space, missing or doubled padding, the URL-safe alphabet.

    Args:
        field: Name of the field, for the complaint.
        text: As sent. Clean base64 is decoded without a copy.
        urlencoded: The value came from a urlencoded form, where a ``+`` sent raw has been read as a space.

    Raises:
        broken_base64: Something else is in it, or its end is missing.
    """
    try:
        payload = memoryview(text.encode("ascii") if isinstance(text, str) else text)
    except UnicodeEncodeError as error:
        raise broken_base64(field, detail=str(error.reason)) from error
    payload = payload[_prefix_length(bytes(payload[:_PREFIX_CHARS])) :]
    try:
        return bytes(pybase64.b64decode(payload, validate=True))
    except binascii.Error:
        return _decode_untidy(field, bytes(payload), urlencoded=urlencoded)


def _prefix_length(head: bytes) -> int:
    if head.lstrip(_WHITESPACE)[:5].lower() != b"data:":
        return 0
    return head.find(b",") + 1


def _decode_untidy(field: str, payload: bytes, *, urlencoded: bool) -> bytes:
    if urlencoded:
        payload = payload.replace(b" ", b"+")
    digits = payload.translate(_URL_SAFE, _WHITESPACE).rstrip(b"=")
    try:
        return bytes(pybase64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True))
    except binascii.Error as error:
        raise broken_base64(field, detail=str(error)) from error


def encode_picture(picture: bytes) -> str:
    """Base64 text of a picture, without line breaks."""
    return pybase64.b64encode(picture).decode("ascii")
