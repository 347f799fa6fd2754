"""Results that are kept for a while, so that a tool can answer a link instead of megabytes."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field

SCHEME = "bgone://results/"
SHELF_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class Kept:
    """A result: its bytes and what they are."""

    data: bytes = field(repr=False)
    media_type: str


class Shelf:
    """The latest results; the oldest go when there are too many bytes.

    Args:
        most_bytes: Of all together; one alone always fits.
    """

    def __init__(self, most_bytes: int = SHELF_BYTES) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[str, Kept] = OrderedDict()
        self._bytes = 0

    def put(self, data: bytes, media_type: str) -> str:
        """Keep it; its address, which cannot be guessed."""
        address = SCHEME + secrets.token_hex(16)
        self._kept[address] = Kept(data, media_type)
        self._bytes += len(data)
        while self._bytes > self._most_bytes and len(self._kept) > 1:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= len(oldest.data)
        return address

    def get(self, address: str) -> Kept | None:
        """What is kept under the address, or None."""
        return self._kept.get(address)
