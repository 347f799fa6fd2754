"""Who may ask, decided from the headers before any body is read."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from decimal import Decimal

from bgone.accounts.rate import Rate

_PLENTY, _NONE = Decimal(1_000_000), Decimal(0)


@dataclass(frozen=True, slots=True)
class Account:
    """What account routes tell of whoever owns the key; credits are those of a server that counts none.

    Attributes:
        id: Non-secret name; jobs and results belong to it.
        email: Of the owner.
        plan: In the operator's words.
        subscription_credits: Left of this period's.
        payg_credits: Left of those that were bought one by one.
        free_calls: Left of the free previews.
        quota_credits: Credits of a whole period.
    """

    id: str = "self-hosted"
    email: str = "owner@localhost"
    plan: str = "Self-hosted"
    subscription_credits: Decimal = _PLENTY
    payg_credits: Decimal = _NONE
    free_calls: int = 0
    quota_credits: Decimal = _PLENTY

    @property
    def credits(self) -> Decimal:
        """All that can be spent."""
        return self.subscription_credits + self.payg_credits


SELF_HOSTED = Account()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks.

    Attributes:
        fingerprint: Non-secret name of the key for logs and account routes; empty where no key is needed.
        account: Whose key it is.
        rate: None where no limit is set.
        known: The key was found to be right; any may be shown where none is needed.
        mode: Of the key: ``live``, ``test`` or ``admin``.
        holder: What the books know of the key; None without accounts. The gate's own affair.
    """

    fingerprint: str = ""
    account: Account = SELF_HOSTED
    rate: Rate | None = None
    known: bool = False
    mode: str = "live"
    holder: object = None


NOBODY = Caller()


class StaticKeys:
    """Keys from the settings, kept as digests.

    Args:
        keys: The keys in clear text.
    """

    def __init__(self, keys: tuple[str, ...]) -> None:
        self._digests = tuple(_digest(key) for key in keys)

    def knows(self, key: str) -> bool:
        """Whether it is one of ours; every digest is compared, in constant time: the delay tells nothing."""
        shown = _digest(key)
        return sum(hmac.compare_digest(shown, known) for known in self._digests) > 0


def caller_of(key: str, *, known: bool) -> Caller:
    """Who shows ``key`` where keys belong to no accounts: each is its own, so that nobody sees another key's jobs."""
    shown = fingerprint(key)
    return Caller(shown, Account(id=shown), known=known)


def fingerprint(key: str) -> str:
    """A non-secret name of a key: 48 bits of its SHA-256."""
    return f"tok_fp_{_digest(key).hex()[:12]}"


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
