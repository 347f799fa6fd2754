"""Who may ask, decided from the headers before any body is read."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from bgone.errors import key_missing, key_wrong


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        fingerprint: Non-secret name of the key for logs and account routes; empty where no key is needed.
    """

    fingerprint: str = ""


class StaticKeys:
    """Keys from the settings, kept as digests.

    Args:
        keys: The keys in clear text; none means that anybody may ask.
    """

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    def caller(self, key: str | None) -> Caller:
        """The caller of a request that showed ``key``.

        Raises:
            key_missing: A key is needed and none was shown.
            key_wrong: It is not one of ours.
        """
        if not self._digests:
            return Caller(fingerprint(key) if key else "")
        if not key:
            raise key_missing()
        shown = _digest(key)
        # Every digest is compared, in constant time: the answer's delay tells nothing.
        matches = [hmac.compare_digest(shown, known) for known in self._digests]
        if not any(matches):
            raise key_wrong()
        return Caller(fingerprint(key))


def fingerprint(key: str) -> str:
    """A non-secret name of a key: 48 bits of its SHA-256."""
    return f"tok_fp_{_digest(key).hex()[:12]}"


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
