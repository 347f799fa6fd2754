"""An account with a key, its credits and a clock, on either database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from decimal import Decimal
from itertools import count
from typing import TypeVar

from bgone.accounts.accounts import Account, Accounts
from bgone.accounts.credits import Credits, Hold
from bgone.accounts.keys import Holder, Keys, Mode
from bgone.storage.database import Database
from tests.databases import Clock, on_database

Value = TypeVar("Value")
ONE = Decimal(1)


class Shop:
    """Everything of the accounts' room over one database."""

    def __init__(self, database: Database) -> None:
        self.clock = Clock()
        self.database = database
        self.accounts = Accounts(database, now=self.clock)
        self.keys = Keys(database, cache_s=0, now=self.clock)
        self.credits = Credits(database, now=self.clock, hold_s=60)
        self._numbers = count()

    async def open(self, given: str = "0", plan: str = "payg", mode: Mode = "live") -> Holder:
        """A new account with ``given`` credits, as its key finds it."""
        account = await self.accounts.create(f"account {next(self._numbers)}", "", plan, Decimal(given))
        return await self.key(account, mode)

    async def key(self, account: Account, mode: Mode = "live") -> Holder:
        """Another key of an account."""
        secret, _ = await self.keys.create(account.id, mode=mode)
        return await self.keys.find(secret)

    async def hold(self, holder: Holder, price: str = "1", request_id: str = "", *, preview: bool = False) -> Hold:
        """A hold for a new request, or for ``request_id``."""
        request_id = request_id or f"req_{next(self._numbers)}"
        return await self.credits.hold(holder, Decimal(price), request_id, "removebg", preview=preview)

    async def left(self, holder: Holder) -> Decimal:
        """All that can be spent."""
        return (await self.credits.balance(holder.account.id)).credits

    async def reasons(self, holder: Holder) -> list[tuple[str, Decimal, Decimal]]:
        """(reason, change, balance after) of every row of the ledger, oldest first."""
        entries = reversed(await self.credits.entries(holder.account.id, 1000))
        return [(entry.reason, entry.subscription + entry.payg, entry.balance_after) for entry in entries]


def in_shop(address: str, work: Callable[[Shop], Awaitable[Value]]) -> Value:
    """Run ``work`` in a shop; when it is over, every balance is the sum of its ledger."""

    async def main(database: Database) -> Value:
        shop = Shop(database)
        value = await work(shop)
        await shop.credits.aclose()
        assert await shop.credits.audit() == []
        return value

    return on_database(address, main)
