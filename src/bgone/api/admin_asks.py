"""What an operation of the admin API is, what it is asked with, and what it answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from bgone.accounts.books import Books

if TYPE_CHECKING:
    from bgone.api.running import Running

Meta = msgspec.Meta


# --- queries --------------------------------------------------------------------------------------------------------


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class Page(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which part of a long list."""

    limit: Annotated[int, Meta(ge=1, le=1000, description="Most of them.")] = 100
    offset: Annotated[int, Meta(ge=0, le=1_000_000_000, description="How many to leave out before them.")] = 0


# --- the values -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, read.

    Attributes:
        books: Where it is done.
        running: The server that does it; None where only its accounts are there.
        name: What the path names: an account, a key, a plan or a job.
        query: Of the operation's kind of query.
        body: Of its kind of body; None where it has none.
        accept: The header.
    """

    books: Books
    running: Running | None
    name: str
    query: Any
    body: Any
    accept: str


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, written.

    Attributes:
        status: HTTP status.
        body: All of it.
        headers: Beside the common ones.
        target: Non-secret id of what was made or changed, for the log; may be empty.
    """

    status: int
    body: bytes
    headers: tuple[tuple[str, str], ...]
    target: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked for.

    Attributes:
        name: Unique; in logs and in the OpenAPI document.
        method: HTTP method.
        path: Below ``/admin/v1``; at most one part in braces.
        words: What it does, in a line.
        does: The work; a string is CSV.
        tells: What ``does`` returns.
        body: What is sent, or None.
        query: What may stand in the query.
        status: Of success.
        csv: It can be told as CSV.
    """

    name: str
    method: str
    path: str
    words: str
    does: Callable[[Asked], Awaitable[msgspec.Struct | str]]
    tells: type[msgspec.Struct]
    body: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] = Nothing
    status: int = 200
    csv: bool = False
