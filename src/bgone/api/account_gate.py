"""The gate of a server with accounts or limits: keys and credits from the books, calls counted by plans' rules."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import structlog

from bgone.accounts.books import Books
from bgone.accounts.credits import Hold
from bgone.accounts.keys import Holder
from bgone.accounts.limits import Limits
from bgone.accounts.rate import Rate
from bgone.accounts.rules import weight_of
from bgone.accounts.slips import Slips
from bgone.api.auth import Account, Caller
from bgone.api.gate import NOTHING, Call, OpenGate, Pay, Purchase
from bgone.errors import ApiError, account_barred, key_missing
from bgone.jobs.job import Job

WATCH_S = 2.0  # how often the database is asked whether it is there
PLENTY = Decimal(1_000_000)  # what accounts without a balance show, to clients that look before they ask


class AccountGate:
    """See ``Gate``.

    Args:
        static: Knows static keys, which belong to no account.
        books: None where there are limits and no accounts.
        limits: None where calls are not counted.
        fails_closed: Nobody is let in while calls cannot be counted.
    """

    def __init__(self, static: OpenGate, books: Books | None, limits: Limits | None, *, fails_closed: bool) -> None:
        self._static = static
        self._books = books
        self._slips = Slips(books.db) if books is not None else None
        self._limits = limits
        self._fails_closed = fails_closed
        self._database_trouble: str | None = None
        self._log = structlog.get_logger("bgone.gate")

    async def watch(self) -> None:
        """Look again and again; runs until it is cancelled."""
        while self._books is not None:
            await self.look_around()
            await asyncio.sleep(WATCH_S)

    async def look_around(self) -> None:
        """Know whether the database is there, and which limits its plans have: before the first call is let in."""
        if self._books is None:
            return
        try:
            async with asyncio.timeout(WATCH_S):
                plans = await self._books.accounts.plans()
            self._database_trouble = None
            if self._limits is not None:
                self._limits.set_plans({plan.name: plan.rates for plan in plans if plan.rates})
        except (ApiError, TimeoutError, OSError):
            self._database_trouble = "the database does not answer"

    @property
    def trouble(self) -> str | None:
        """See ``Gate``."""
        counting = self._limits.trouble if self._limits is not None and self._fails_closed else None
        return self._database_trouble or counting

    @property
    def notice(self) -> str | None:
        """See ``Gate``."""
        return self._limits.trouble if self._limits is not None else None

    # --- who ----------------------------------------------------------------------------------------------------

    async def caller(self, key: str | None) -> Caller:
        """See ``Gate``."""
        if self._books is None or (key and self._static.knows(key)):
            return await self._static.caller(key)
        if not key:
            if self._static.keys_needed:
                raise key_missing()
            return await self._static.caller(None)
        return _caller(await self._books.keys.find(key))

    async def fresh(self, caller: Caller) -> Caller:
        """See ``Gate``."""
        holder = caller.holder
        if self._books is None or not isinstance(holder, Holder):
            return caller
        account = await self._books.accounts.get(holder.account.id)
        if account.status == "barred":
            raise account_barred()
        return replace(_caller(replace(holder, account=account)), rate=caller.rate)

    # --- how often ----------------------------------------------------------------------------------------------

    async def count(self, call: Call) -> Caller:
        """See ``Gate``."""
        if self._limits is None:
            return call.caller
        return _with_rate(call.caller, await self._limits.hit(*_counted(call)))

    async def weigh(self, call: Call, width: int, height: int) -> Caller:
        """See ``Gate``."""
        if self._limits is None:
            return call.caller
        rate = await self._limits.add(*_counted(call), weight=weight_of(width, height))
        return _with_rate(call.caller, rate)

    async def look(self, call: Call) -> Caller:
        """See ``Gate``."""
        if self._limits is None:
            return call.caller
        try:
            return _with_rate(call.caller, await self._limits.peek(*_counted(call)))
        except ApiError:  # the store is away: an answer that does not count goes on without its headers
            return call.caller

    @contextmanager
    def place(self, call: Call) -> Iterator[None]:
        """See ``Gate``."""
        if self._limits is None:
            yield
        else:
            with self._limits.hold(*_counted(call)):
                yield

    # --- what it costs ------------------------------------------------------------------------------------------

    async def hold(self, call: Call, price: Decimal, *, preview: bool) -> Purchase:
        """See ``Gate``."""
        holder = call.caller.holder
        if self._books is None or not isinstance(holder, Holder):
            return Purchase(call)
        price = _price(holder, call, price)
        slip = await self._books.credits.hold(holder, price, call.request_id, call.dialect, preview=preview)
        return Purchase(call, slip)

    async def charge(self, purchase: Purchase, price: Decimal) -> tuple[Caller, Decimal]:
        """See ``Gate``."""
        slip, caller = purchase.slip, purchase.call.caller
        if self._books is None or not isinstance(slip, Hold) or not isinstance(caller.holder, Holder):
            return caller, NOTHING
        price = min(_price(caller.holder, purchase.call, price), slip.price)
        charged = await self._books.credits.charge(slip, price)
        if slip.balance is not None:
            # What was held and not charged went back.
            left = replace(
                caller.account, subscription_credits=slip.balance + slip.price - charged, payg_credits=NOTHING
            )
            caller = replace(caller, account=left)
        return caller, charged

    async def give_back(self, purchase: Purchase, reason: str, *, charged: bool = False) -> None:
        """See ``Gate``."""
        if self._books is None or not isinstance(purchase.slip, Hold):
            return
        try:
            undo = self._books.credits.refund if charged else self._books.credits.release
            await undo(purchase.slip, reason)
        except ApiError as error:  # the hold runs out by itself
            self._log.warning("not given back", id=purchase.call.request_id, detail=error.detail)

    def note(self, call: Call, charged: Decimal, pixels: int, *, failed: bool) -> None:
        """See ``Gate``."""
        holder = call.caller.holder
        if self._books is not None and isinstance(holder, Holder):
            with suppress(RuntimeError):  # the loop is closing
                self._books.usage.count(holder, call.dialect, charged, pixels, failed=failed)

    def pay(self, call: Call, price: Decimal, *, preview: bool) -> Pay | None:
        """See ``Gate``."""
        holder = call.caller.holder
        if self._slips is None or not isinstance(holder, Holder):
            return None
        price = _price(holder, call, price)
        hold = self._slips.hold
        return lambda also: hold(holder, price, call.request_id, call.dialect, also, preview=preview)

    def settle(self, connection: Any, slip: str, job: Job) -> Decimal:
        """See ``Gate``."""
        if self._slips is None or not slip:
            return NOTHING
        pixels = job.result.width * job.result.height if job.result else 0
        done = job.state == "done"
        return self._slips.settle(connection, slip, charge=done, reason=f"job {job.state}", pixels=pixels)


def _caller(holder: Holder) -> Caller:
    account, key = holder.account, holder.key
    metered = account.billing == "metered"
    shown = Account(
        id=account.id,
        email=account.email or f"{account.name}@localhost",
        plan=account.plan,
        subscription_credits=PLENTY if metered else account.subscription,
        payg_credits=NOTHING if metered else account.payg,
        free_calls=account.free_calls,
        quota_credits=PLENTY if metered else account.quota,
    )
    return Caller(key.fingerprint, shown, known=True, mode=key.mode, holder=holder)


def _price(holder: Holder, call: Call, price: Decimal) -> Decimal:
    """The plan's own price of the operation or of the dialect, else the usual one."""
    prices = holder.plan.prices
    return prices.get(f"{call.dialect}.{call.operation}", prices.get(call.dialect, price))


def _counted(call: Call) -> tuple[str, str, str, str, str]:
    holder = call.caller.holder
    plan = holder.account.plan if isinstance(holder, Holder) else ""
    key = call.caller.fingerprint if call.caller.known else ""
    return call.dialect, call.caller.account.id, key, call.address, plan


def _with_rate(caller: Caller, rate: Rate | None) -> Caller:
    return caller if rate is None else replace(caller, rate=rate)
