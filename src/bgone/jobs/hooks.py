"""Hooks: what signs an account's webhooks, and where the ends of all its jobs are told.

Signatures are those of Standard Webhooks (https://www.standardwebhooks.com, read 2026-11-21): HMAC-SHA-256 over
``id.timestamp.body``, so that receivers verify with libraries that they have.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Protocol

from bgone.errors import StartError

PREFIX = "whsec_"
SECRET_BYTES = 32  # the specification allows 24 to 64


def new_secret() -> str:
    """A fresh secret: ``whsec_`` and base64 of 32 random bytes."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The bytes of a secret.

    Raises:
        ValueError: It is none, or shorter than 24 or longer than 64 bytes.
    """
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error as error:
        raise ValueError("expected whsec_ and base64") from error
    if not secret.startswith(PREFIX) or not 24 <= len(key) <= 64:
        raise ValueError("expected whsec_ and base64 of 24 to 64 bytes")
    return key


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """The value of ``webhook-signature``.

    Args:
        secret: ``whsec_...``.
        message_id: The value of ``webhook-id``.
        timestamp: The value of ``webhook-timestamp``, unix seconds.
        body: As it is sent.
    """
    digest = hmac.digest(key_of(secret), f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


@dataclass(frozen=True, slots=True)
class Hook:
    """An account's webhooks.

    Attributes:
        owner: The account.
        secret: ``whsec_...``.
        url: Where the ends of all its jobs are told; None: nowhere.
    """

    owner: str
    secret: str
    url: str | None = None


class Hooks(Protocol):
    """Knows every account's hook."""

    async def of(self, owner: str) -> Hook:
        """The account's; its secret is made when it is first asked for."""


@dataclass(frozen=True, slots=True)
class OneHook:
    """One secret for everybody: that of a server without accounts.

    Attributes:
        secret: ``whsec_...``.
        url: Where the ends of all jobs are told.

    Raises:
        StartError: The secret is none.
    """

    secret: str
    url: str | None = None

    def __post_init__(self) -> None:
        try:
            key_of(self.secret)
        except ValueError as error:
            raise StartError(f"The secret of webhooks cannot be used: {error}.") from error

    async def of(self, owner: str) -> Hook:
        """See ``Hooks``."""
        return Hook(owner, self.secret, self.url)
