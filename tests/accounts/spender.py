"""A process that spends: ``python -m tests.accounts.spender ADDRESS SECRET SEED CALLS`` or ``… leave COUNT``.

Prints one JSON object, of what it was told is charged and how many calls ended how; or waits to be killed.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter
from decimal import Decimal

from bgone.accounts.accounts import Accounts
from bgone.accounts.credits import Credits, Hold
from bgone.accounts.keys import Holder, Keys
from bgone.errors import ApiError
from bgone.storage.database import Database

CLIENTS = 50
HOLD_S = 0.02  # so short that some work outlives it
PRICES = ("1", "0.25", "2.000002", "0.1")


class Spender:
    """Makes calls that succeed, cost less after all, fail, hang up, come again or take too long."""

    def __init__(self, till: Credits, accounts: Accounts, holder: Holder, seed: int) -> None:
        self.till = till
        self.accounts = accounts
        self.holder = holder
        self.dice = random.Random(seed)
        self.seed = seed
        self.charged = Decimal(0)
        self.outcomes: Counter[str] = Counter()

    async def spend(self, calls: int) -> None:
        """Every client's calls, while holds that are older than their time are given back."""
        expiring = asyncio.create_task(self._expire())
        await asyncio.gather(*(self._calls(client, calls) for client in range(CLIENTS)))
        expiring.cancel()
        await asyncio.gather(expiring, return_exceptions=True)
        await self.till.aclose()

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(0.01)
            await self._look()

    async def _look(self) -> None:
        given_back = await self.till.expire()
        self.outcomes["expired"] += given_back

    async def _calls(self, client: int, calls: int) -> None:
        for number in range(calls):
            try:
                charged = await self._call(f"req_{self.seed}_{client}_{number}")
            except ApiError as error:
                self.outcomes[error.kind] += 1
                continue
            self.outcomes["charged" if charged else "free"] += 1
            self.charged += charged
            if (await self.accounts.get(self.holder.account.id)).balance < 0:
                raise AssertionError("below zero")

    async def _call(self, request_id: str) -> Decimal:
        """One call; credits that it was told to have cost."""
        price, fate = Decimal(self.dice.choice(PRICES)), self.dice.random()
        hold = await self._hold(price, request_id)
        await asyncio.sleep(self.dice.random() * 0.004)
        if fate < 0.2:
            await self.till.release(hold, "failed")
            return Decimal(0)
        if fate < 0.3:
            charging = asyncio.create_task(self.till.charge(hold))
            await asyncio.sleep(self.dice.random() * 0.004)
            charging.cancel()
            try:
                return await charging
            except asyncio.CancelledError:
                await self.till.release(hold, "hung up")
                return Decimal(0)
        if fate < 0.4:
            return await self.till.charge(hold, hold.price / 2)
        if fate > 0.95:
            # Slower than its hold: whoever looked has given it back.
            await asyncio.sleep(HOLD_S)
            await self._look()
        charged = await self.till.charge(hold)
        if fate < 0.5:
            # A job that is made again is not charged again.
            await self.till.charge(await self._hold(price, request_id))
        return charged

    async def _hold(self, price: Decimal, request_id: str) -> Hold:
        return await self.till.hold(self.holder, price, request_id, "removebg")


async def main() -> None:
    """As the command line says."""
    address, secret, seed, count = sys.argv[1:]
    database = await Database.open(address)
    holder = await Keys(database).find(secret)
    if seed == "leave":
        till = Credits(database, hold_s=1)
        for number in range(int(count)):
            await till.hold(holder, Decimal(1), f"left {number}", "removebg")
        print(json.dumps("held"), flush=True)
        await asyncio.sleep(60)
    spender = Spender(Credits(database, hold_s=HOLD_S), Accounts(database), holder, int(seed))
    await spender.spend(int(count))
    await database.aclose()
    print(json.dumps({"credits": str(spender.charged), **spender.outcomes}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
