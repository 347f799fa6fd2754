"""Slips: a job's price is held with the job, and settled with its end, or neither happens."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection

from bgone.accounts.keys import Holder, Mode
from bgone.accounts.slips import Slips
from bgone.accounts.usage import Usage
from bgone.errors import ApiError
from tests.accounts.shop import ONE, Shop, in_shop


async def hold(shop: Shop, holder: Holder, *, preview: bool = False, job_id: str = "job") -> str:
    """The slip of a new job of one credit."""
    slips: list[str] = []

    def also(_connection: Connection, slip: str) -> None:
        slips.append(slip)

    await Slips(shop.database, now=shop.clock).hold(holder, ONE, job_id, "poofbg", also, preview=preview)
    return slips[-1]


async def settle(shop: Shop, slip: str, *, charge: bool) -> Decimal:
    slips = Slips(shop.database, now=shop.clock)

    def work(connection: Connection) -> Decimal:
        return slips.settle(connection, slip, charge=charge, reason="job failed", pixels=7)

    return await shop.database.write(work)


@pytest.mark.parametrize(("charge", "left"), [(True, 9), (False, 10)])
def test_held_then_settled(address: str, charge: bool, left: int) -> None:
    """Charged or given back; whoever settles once more, changes nothing; a week is not too long."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("10")
        slip = await hold(shop, holder)
        assert await shop.left(holder) == 9
        shop.clock.move(days=6)
        assert await shop.credits.expire() == 0
        for _ in range(2):
            assert await settle(shop, slip, charge=charge) == (ONE if charge else 0)
            assert await shop.left(holder) == left

    in_shop(address, main)


def test_what_fails_beside_is_not_held(address: str) -> None:
    """The hold and what is written with it are one transaction."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("10")

        def fail(_connection: Connection, _slip: str) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await Slips(shop.database, now=shop.clock).hold(holder, ONE, "job", "poofbg", fail)
        assert await shop.left(holder) == 10

    in_shop(address, main)


def test_what_is_not_there_is_not_held(address: str) -> None:
    """Nothing is written beside it."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("0.5")
        with pytest.raises(ApiError, match="Not enough credits"):
            await hold(shop, holder)

    in_shop(address, main)


@pytest.mark.parametrize(("plan", "mode", "charged"), [("metered_monthly", "live", 1), ("payg", "test", 0)])
def test_no_balance_is_touched(address: str, plan: str, mode: Mode, charged: int) -> None:
    """Metered accounts and test keys: the job is written all the same; usage says what it would have cost."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("10", plan, mode)
        slip = await hold(shop, holder)
        assert await settle(shop, slip, charge=True) == charged
        assert await shop.left(holder) == 10

    in_shop(address, main)


def test_jobs_are_counted(address: str) -> None:
    """A row of usage a day and key, in the transaction that ends the job."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("10")
        await settle(shop, await hold(shop, holder, job_id="one"), charge=True)
        await settle(shop, await hold(shop, holder, job_id="two"), charge=False)
        today = shop.clock.time.date()
        (day,) = await Usage(shop.database, now=shop.clock).per_day(holder.account.id, today, today)
        facts: Any = (day.dialect, day.mode, day.calls, day.failures, day.credits, day.pixels)
        assert facts == ("poofbg", "live", 2, 1, ONE, 14)

    in_shop(address, main)
