"""A job: one order that is answered later, and what is known of it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from bgone.imaging.geometry import Box

TRACE = "trace"  # a job's note: which trace it belongs to
State = Literal["queued", "running", "done", "failed", "cancelled", "expired"]


@dataclass(frozen=True, slots=True)
class Stored:
    """A picture in the object store.

    Attributes:
        key: Its name there; random, so that it also cannot be guessed.
        media_type: Bare media type.
        suffix: File name ending, with its dot.
        size_bytes: Length of the file.
        width: Pixels across.
        height: Pixels down.
        subject: The subject's box where it was measured.
    """

    key: str
    media_type: str
    suffix: str
    size_bytes: int
    width: int
    height: int
    subject: Box | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a job failed: a kind of ``bgone.errors`` and its public words."""

    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """How many wait, and since when the first of them does; None: nobody."""

    count: int
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """One order that is answered later.

    Attributes:
        id: Random, without a prefix: 32 hex digits; dialects spell it their way.
        dialect: Name of the dialect that took it.
        owner: Whose it is; others never see it.
        state: ``queued`` → ``running`` → ``done`` or ``failed``; ``cancelled`` and ``expired`` end it as well.
        created_at: UTC.
        finished_at: UTC, or None while it is under way.
        result: Where its picture is, when it is done.
        failure: Why there is none.
        price: Credits that were or will be charged for it; 0 where it failed.
        notes: The order's notes.
    """

    id: str
    dialect: str
    owner: str
    state: State
    created_at: datetime
    finished_at: datetime | None = None
    result: Stored | None = None
    failure: Failure | None = None
    price: Decimal = Decimal(1)
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_over(self) -> bool:
        """Nothing will change any more."""
        return self.state not in ("queued", "running")


def read_id(text: str) -> str:
    """Our id of a job as any dialect spells it: the last 32 hex digits, whatever stands before or between."""
    return text.replace("-", "")[-32:].lower()


def new_id() -> str:
    """A new job's id: 128 random bits, 32 hex digits."""
    return secrets.token_hex(16)
