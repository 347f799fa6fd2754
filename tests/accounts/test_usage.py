"""Usage: counted in memory, added up in the database."""

from __future__ import annotations

import asyncio
import csv
import io
from datetime import date, timedelta
from decimal import Decimal

import pytest

from bgone.accounts.usage import Day, Usage, to_csv
from bgone.errors import ApiError, overloaded
from tests.accounts.shop import Shop, in_shop

TODAY = date(2026, 1, 31)


def test_counts_add_up(address: str) -> None:
    """Of several processes, dialects and keys; test keys apart."""

    async def main(shop: Shop) -> None:
        live = await shop.open("5")
        test = await shop.key(live.account, "test")
        replicas = [Usage(shop.database, now=shop.clock) for _ in range(2)]
        for usage in replicas:
            usage.count(live, "removebg", Decimal("0.25"), 1000)
            usage.count(live, "removebg", failed=True)
            usage.count(live, "poof", Decimal(1), 7)
            usage.count(test, "removebg", pixels=5)
        await asyncio.gather(*(usage.aclose() for usage in replicas))
        account, key = live.account.id, live.key.id
        expected = {
            Day(TODAY, account, key, "removebg", "live", 4, 2, Decimal("0.5"), 2000),
            Day(TODAY, account, key, "poof", "live", 2, 0, Decimal(2), 14),
            Day(TODAY, account, test.key.id, "removebg", "test", 2, 0, Decimal(0), 10),
        }
        days = await replicas[0].per_day(account, TODAY, TODAY)
        assert (set(days), len(days)) == (expected, 3)

    in_shop(address, main)


def test_counts_are_written_by_themselves(address: str) -> None:
    """Within the second or so that a crash may lose."""

    async def main(shop: Shop) -> None:
        holder = await shop.open()
        usage = Usage(shop.database, flush_s=0.01, now=shop.clock)
        for calls in (1, 2):
            usage.count(holder, "removebg")
            async with asyncio.timeout(10):
                while not any(day.calls == calls for day in await usage.per_day(holder.account.id, TODAY, TODAY)):
                    await asyncio.sleep(0.005)
        await usage.aclose()

    in_shop(address, main)


def test_counts_wait_for_a_database_that_is_away(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is lost, nothing counted twice."""

    async def main(shop: Shop) -> None:
        holder = await shop.open()
        usage = Usage(shop.database, flush_s=3600, now=shop.clock)

        async def away(*_work: object, **_options: object) -> None:
            usage.count(holder, "removebg")
            raise overloaded(5, "away")

        usage.count(holder, "removebg")
        with monkeypatch.context() as patch:
            patch.setattr(shop.database, "write", away)
            with pytest.raises(ApiError):
                await usage.flush()
        await usage.flush()
        await usage.aclose()
        (day,) = await usage.per_day(holder.account.id, TODAY, TODAY)
        assert day.calls == 2

    in_shop(address, main)


def test_days_are_a_range_of_ones_own(address: str) -> None:
    """Both ends included, oldest first; nobody else's."""

    async def main(shop: Shop) -> None:
        holder, other = await shop.open(), await shop.open()
        usage = Usage(shop.database, now=shop.clock)
        for _ in range(5):
            for each in (holder, other):
                usage.count(each, "removebg")
            shop.clock.move(days=1)
        await usage.aclose()
        since, until = TODAY + timedelta(days=1), TODAY + timedelta(days=3)
        days = await usage.per_day(holder.account.id, since, until)
        assert [day.day for day in days] == [since, date(2026, 2, 2), until]

    in_shop(address, main)


def test_csv_is_read_by_others() -> None:
    """A head and a line for each day; credits without an exponent."""
    day = Day(TODAY, "acc_1", "key", 'a,"b"', "live", 3, 1, Decimal("0.25"), 61 * 40)

    (row,) = csv.DictReader(io.StringIO(to_csv([day]), newline=""))
    assert row == {
        "day": "2026-01-31",
        "account_id": "acc_1",
        "key_id": "key",
        "dialect": 'a,"b"',
        "mode": "live",
        "calls": "3",
        "failures": "1",
        "credits": "0.25",
        "pixels": "2440",
    }
