"""The gate: who may ask, how often, and what it costs; the conductor asks it and knows no database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from bgone.api.auth import NOBODY, Caller, StaticKeys, caller_of
from bgone.errors import key_missing, key_wrong
from bgone.jobs.job import Job

NOTHING = Decimal(0)
# Runs what it is given, (connection, slip) → None, in the transaction that sets a price aside.
Pay = Callable[[Callable[[Any, str], None]], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Call:
    """One request as the gate sees it.

    Attributes:
        caller: Who asks.
        dialect: Name.
        operation: Name.
        address: The client's.
        request_id: Of the request, or the job's.
        trace: Which trace it belongs to, as ``TraceContext.text``, for what it causes; empty for none.
    """

    caller: Caller
    dialect: str
    operation: str
    address: str
    request_id: str
    trace: str = ""


@dataclass(frozen=True, slots=True)
class Purchase:
    """What was set aside for a call; ``slip`` is the gate's own affair."""

    call: Call
    slip: object = None


class Gate(Protocol):
    """Knows callers, counts calls, holds and charges credits."""

    @property
    def trouble(self) -> str | None:
        """Why nobody can be let in, in words, or None."""

    @property
    def notice(self) -> str | None:
        """What does not work as it should although callers are let in, or None."""

    async def caller(self, key: str | None) -> Caller:
        """Who shows ``key``.

        Raises:
            key_missing, key_wrong, key_revoked, account_barred: Nobody who may ask.
            overloaded: It cannot be found out now.
        """

    async def fresh(self, caller: Caller) -> Caller:
        """The caller with the true numbers of this moment, for account routes."""

    async def count(self, call: Call) -> Caller:
        """Count a call that arrives; the caller with its new rate.

        Raises:
            rate_limited: There is no room.
        """

    async def weigh(self, call: Call, width: int, height: int) -> Caller:
        """Count the rest of a call whose picture's size is known now.

        Raises:
            rate_limited: There is no room.
        """

    async def look(self, call: Call) -> Caller:
        """The caller with its rate, nothing counted."""

    def place(self, call: Call) -> AbstractContextManager[None]:
        """A context that counts the call among those answered at this moment.

        Raises:
            rate_limited: As many as the caller may have are being answered.
        """

    async def hold(self, call: Call, price: Decimal, *, preview: bool) -> Purchase:
        """Set the price aside.

        Raises:
            no_credits: It is not there.
        """

    async def charge(self, purchase: Purchase, price: Decimal) -> tuple[Caller, Decimal]:
        """Make it final before the first byte is sent: (the caller with what is left, what was charged).

        Raises:
            no_credits: The hold had run out, and it is not there any more.
        """

    async def give_back(self, purchase: Purchase, reason: str, *, charged: bool = False) -> None:
        """Undo a hold, or the charge that it became: no picture was delivered. Never raises."""

    def note(self, call: Call, charged: Decimal, pixels: int, *, failed: bool) -> None:
        """Count a call that has been answered, for the usage of a day."""

    def pay(self, call: Call, price: Decimal, *, preview: bool) -> Pay | None:
        """For jobs in a database: sets the price aside in the transaction that takes the job; None: nobody pays."""

    def settle(self, connection: Any, slip: str, job: Job) -> Decimal:
        """Charge or give back what such a job holds, in the transaction that ends it; what was charged."""


class OpenGate:
    """Without accounts: static keys or none, nothing costs, nothing is counted.

    Args:
        keys: Static keys.
        keys_needed: Whether callers must show one.

    Attributes:
        keys_needed: The same.
    """

    def __init__(self, keys: StaticKeys, *, keys_needed: bool) -> None:
        self._keys = keys
        self.keys_needed = keys_needed

    def knows(self, key: str) -> bool:
        """Whether it is one of the static keys."""
        return self._keys.knows(key)

    @property
    def trouble(self) -> str | None:
        """See ``Gate``."""
        return None

    @property
    def notice(self) -> str | None:
        """See ``Gate``."""
        return None

    async def caller(self, key: str | None) -> Caller:
        """See ``Gate``."""
        if not self.keys_needed:
            return caller_of(key, known=False) if key else NOBODY
        if not key:
            raise key_missing()
        if not self._keys.knows(key):
            raise key_wrong()
        return caller_of(key, known=True)

    async def fresh(self, caller: Caller) -> Caller:
        """See ``Gate``."""
        return caller

    async def count(self, call: Call) -> Caller:
        """See ``Gate``."""
        return call.caller

    async def weigh(self, call: Call, width: int, height: int) -> Caller:
        """See ``Gate``."""
        return call.caller

    async def look(self, call: Call) -> Caller:
        """See ``Gate``."""
        return call.caller

    @contextmanager
    def place(self, call: Call) -> Iterator[None]:
        """See ``Gate``."""
        yield

    async def hold(self, call: Call, price: Decimal, *, preview: bool) -> Purchase:
        """See ``Gate``."""
        return Purchase(call)

    async def charge(self, purchase: Purchase, price: Decimal) -> tuple[Caller, Decimal]:
        """See ``Gate``."""
        return purchase.call.caller, NOTHING

    async def give_back(self, purchase: Purchase, reason: str, *, charged: bool = False) -> None:
        """See ``Gate``."""

    def note(self, call: Call, charged: Decimal, pixels: int, *, failed: bool) -> None:
        """See ``Gate``."""

    def pay(self, call: Call, price: Decimal, *, preview: bool) -> Pay | None:
        """See ``Gate``."""
        return None

    def settle(self, connection: Any, slip: str, job: Job) -> Decimal:
        """See ``Gate``."""
        return NOTHING
