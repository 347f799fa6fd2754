"""Accounts: made, found, given credits and plans; periods that end by themselves."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from bgone.accounts.accounts import Plan
from bgone.accounts.ledger import months_after
from bgone.errors import ApiError
from tests.accounts.shop import Shop, in_shop


def test_accounts_are_found_by_id_and_name(address: str) -> None:
    """With what they were made with."""

    async def main(shop: Shop) -> None:
        made = await shop.accounts.create("Ada's shop", "ada@example.com", "payg", Decimal("12.5"))
        assert made.id.startswith("acc_")
        assert (made.balance, made.payg, made.subscription) == (Decimal("12.5"), Decimal("12.5"), Decimal(0))
        assert (made.status, made.plan, made.billing, made.created_at) == ("active", "payg", "credits", shop.clock())
        assert await shop.accounts.get(made.id) == await shop.accounts.get("Ada's shop") == made
        assert await shop.accounts.list() == (made,)
        for name in ("nobody", "", "Ada's shop'; --", "a\0b"):
            with pytest.raises(ApiError, match="no such account"):
                await shop.accounts.get(name)

    in_shop(address, main)


@pytest.mark.parametrize(
    ("name", "plan", "given", "option"),
    [
        ("taken", "payg", "0", "name"),
        ("", "payg", "0", "name"),
        ("a\nb", "payg", "0", "name"),
        ("x" * 201, "payg", "0", "name"),
        ("acc_mine", "payg", "0", "name"),
        ("new", "gold", "0", "plan"),
        ("new", "payg", "-1", "credits"),
        ("new", "payg", "0.0000001", "credits"),
    ],
)
def test_accounts_that_cannot_be(address: str, name: str, plan: str, given: str, option: str) -> None:
    """Which option, what was expected; and nothing is left behind."""

    async def main(shop: Shop) -> None:
        await shop.accounts.create("taken")
        with pytest.raises(ApiError) as refused:
            await shop.accounts.create(name, plan=plan, credits=Decimal(given))
        assert refused.value.facts["option"] == option
        assert len(await shop.accounts.list()) == 1

    in_shop(address, main)


def test_lists_are_by_name_in_pages(address: str) -> None:
    """None is shown twice."""

    async def main(shop: Shop) -> None:
        for name in "dbca":
            await shop.accounts.create(name)
        assert [account.name for account in await shop.accounts.list(3)] == ["a", "b", "c"]
        assert [account.name for account in await shop.accounts.list(3, 3)] == ["d"]

    in_shop(address, main)


def test_credits_are_added_and_taken(address: str) -> None:
    """Each change is a row that says why; below zero nothing goes."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("2")
        assert (await shop.accounts.credit(holder.account.id, Decimal("10.25"), "invoice 7")).payg == Decimal("12.25")
        assert (await shop.accounts.credit(holder.account.name, Decimal(-12))).balance == Decimal("0.25")
        for amount in ("-0.250001", "0", "0.0000001"):
            with pytest.raises(ApiError, match="amount"):
                await shop.accounts.credit(holder.account.id, Decimal(amount))
        for reason in ("charge", "", "a\nb"):
            with pytest.raises(ApiError, match="reason"):
                await shop.accounts.credit(holder.account.id, Decimal(1), reason)
        assert await shop.reasons(holder) == [
            ("opening", Decimal(2), Decimal(2)),
            ("invoice 7", Decimal("10.25"), Decimal("12.25")),
            ("credit", Decimal(-12), Decimal("0.25")),
        ]

    in_shop(address, main)


def test_bought_credits_go_first_when_some_are_taken_away(address: str) -> None:
    """Then those of the period."""

    async def main(shop: Shop) -> None:
        await shop.accounts.put_plan(Plan("ten", quota=Decimal(10)))
        holder = await shop.open("5", "ten")
        account = await shop.accounts.credit(holder.account.id, Decimal(-7))
        assert (account.subscription, account.payg) == (Decimal(8), Decimal(0))

    in_shop(address, main)


def test_concurrent_credits_all_count(address: str) -> None:
    """No change is lost to another."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("0")
        await asyncio.gather(*(shop.accounts.credit(holder.account.id, Decimal("0.1")) for _ in range(30)))
        assert await shop.left(holder) == Decimal(3)

    in_shop(address, main)


def test_barred_accounts_are_refused_until_unbarred(address: str) -> None:
    """By their keys, and under the lock of a hold that began before."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("5")
        assert (await shop.accounts.bar(holder.account.id)).status == "barred"
        with pytest.raises(ApiError) as refused:
            await shop.hold(holder)
        assert refused.value.kind == "account_barred"
        assert (await shop.accounts.unbar(holder.account.name)).status == "active"
        await shop.credits.charge(await shop.hold(holder))
        assert await shop.left(holder) == Decimal(4)

    in_shop(address, main)


# --- plans and periods ----------------------------------------------------------------------------------------------


def test_plans_are_kept_whole(address: str) -> None:
    """Prices, rates, an unlimited roll-over; putting one again changes it."""

    async def main(shop: Shop) -> None:
        plan = Plan(
            "big", "metered", Decimal("0.5"), 12, None, 50, {"removebg": Decimal("0.1")}, {"poof": {"minute": 9}}
        )
        await shop.accounts.put_plan(Plan("big"))
        await shop.accounts.put_plan(plan)
        assert await shop.accounts.plan("big") == plan
        assert [each.name for each in await shop.accounts.plans()] == ["big", "metered_monthly", "payg"]
        with pytest.raises(ApiError, match="plan"):
            await shop.accounts.plan("small")

    in_shop(address, main)


@pytest.mark.parametrize(
    "plan",
    [
        Plan(""),
        Plan("x", quota=Decimal(-1)),
        Plan("x", quota=Decimal("1E-7")),
        Plan("x", period_months=0),
        Plan("x", free_calls=-1),
        Plan("x", rollover=Decimal(-1)),
        Plan("x", prices={"poof": Decimal(-1)}),
        Plan("x", billing="gratis"),  # type: ignore[arg-type]
    ],
)
def test_plans_that_cannot_be(address: str, plan: Plan) -> None:
    """Are refused."""

    async def main(shop: Shop) -> None:
        with pytest.raises(ApiError) as refused:
            await shop.accounts.put_plan(plan)
        assert refused.value.kind == "invalid_option"

    in_shop(address, main)


@pytest.mark.parametrize(
    ("rollover", "used", "days", "expected"),
    [
        ("0", "4", 27, "6"),  # 31 January + 1 month is 28 February
        ("0", "4", 28, "10"),
        ("5", "4", 28, "15"),
        ("5", "8", 28, "12"),
        (None, "4", 28, "16"),
        (None, "4", 28 + 31, "26"),  # a month without a call counts too
        ("5", "4", 365, "15"),
        (None, "0", 365, "130"),
    ],
)
def test_periods_begin_by_themselves(address: str, rollover: str | None, used: str, days: int, expected: str) -> None:
    """At the first use of the new one: the quota, and what the roll-over rule carries; bought credits stay."""

    async def main(shop: Shop) -> None:
        carried = None if rollover is None else Decimal(rollover)
        await shop.accounts.put_plan(Plan("ten", quota=Decimal(10), rollover=carried))
        holder = await shop.open("3", "ten")
        if Decimal(used):
            await shop.credits.charge(await shop.hold(holder, used))
        shop.clock.move(days=days)
        # Not asked first: the hold itself begins the period.
        hold = await shop.hold(holder, "0.5")
        assert hold.balance == Decimal(expected) + Decimal("2.5")
        account = await shop.accounts.get(holder.account.id)
        assert (account.subscription, account.payg) == (Decimal(expected) - Decimal("0.5"), Decimal(3))
        assert account.period_start is not None
        assert account.period_end is not None
        assert account.period_start <= shop.clock() < account.period_end

    in_shop(address, main)


def test_period_begins_once_for_many_callers(address: str) -> None:
    """However many come at the moment it ends."""

    async def main(shop: Shop) -> None:
        await shop.accounts.put_plan(Plan("ten", quota=Decimal(10)))
        holder = await shop.open("0", "ten")
        shop.clock.move(days=40)
        others = [Shop(shop.database) for _ in range(4)]
        for other in others:
            other.clock.time = shop.clock.time
        holds = [other.hold(holder, "1", f"req {n} {m}") for m in range(5) for n, other in enumerate(others)]
        done = await asyncio.gather(*holds, return_exceptions=True)
        refused = [each for each in done if isinstance(each, ApiError)]
        assert [each.kind for each in refused] == ["no_credits"] * 10
        assert await shop.left(holder) == 0
        assert [reason for reason, *_ in await shop.reasons(holder)].count("period") == 2

    in_shop(address, main)


def test_billing_of_a_plan_changes_at_once(address: str) -> None:
    """For all its accounts and no others; nothing is taken from them any more."""

    async def main(shop: Shop) -> None:
        await shop.accounts.put_plan(Plan("mine"))
        holders = [await shop.open("1", plan) for plan in ("mine", "payg", "mine")]
        await shop.accounts.put_plan(Plan("mine", billing="metered"))
        accounts = [await shop.accounts.get(holder.account.id) for holder in holders]
        assert [account.billing for account in accounts] == ["metered", "credits", "metered"]
        await shop.credits.charge(await shop.hold(await shop.key(accounts[0]), "5"))
        assert await shop.left(holders[0]) == Decimal(1)

    in_shop(address, main)


def test_forfeited_credits_have_their_row(address: str) -> None:
    """The ledger shows what ended with a period and what began."""

    async def main(shop: Shop) -> None:
        await shop.accounts.put_plan(Plan("ten", quota=Decimal(10), rollover=Decimal(2)))
        holder = await shop.open("0", "ten")
        shop.clock.move(days=30)
        assert await shop.left(holder) == Decimal(12)
        assert await shop.reasons(holder) == [
            ("period", Decimal(10), Decimal(10)),
            ("period ended", Decimal(-8), Decimal(2)),
            ("period", Decimal(10), Decimal(12)),
        ]

    in_shop(address, main)


def test_changed_plans_hold_from_the_next_period(address: str) -> None:
    """Quota and roll-over; a new plan of an account begins at once."""

    async def main(shop: Shop) -> None:
        await shop.accounts.put_plan(Plan("ten", quota=Decimal(10)))
        holder = await shop.open("1", "ten")
        await shop.accounts.put_plan(Plan("ten", quota=Decimal(20), rollover=None))
        assert await shop.left(holder) == Decimal(11)
        shop.clock.move(days=30)
        assert await shop.left(holder) == Decimal(31)
        await shop.accounts.put_plan(Plan("yearly", quota=Decimal(100), period_months=12, rollover=Decimal(5)))
        account = await shop.accounts.set_plan(holder.account.id, "yearly")
        assert (account.subscription, account.payg, account.quota) == (Decimal(105), Decimal(1), Decimal(100))
        assert account.period_end == months_after(shop.clock(), 12)
        # Whoever ends a subscription keeps what he has paid for.
        account = await shop.accounts.set_plan(holder.account.id, "payg")
        assert (account.subscription, account.payg, account.period_end) == (Decimal(105), Decimal(1), None)
        with pytest.raises(ApiError, match="plan"):
            await shop.accounts.set_plan(holder.account.id, "gold")

    in_shop(address, main)


@pytest.mark.parametrize(
    ("months", "expected"),
    [(0, (2026, 1, 31)), (1, (2026, 2, 28)), (2, (2026, 3, 31)), (11, (2026, 12, 31)), (25, (2028, 2, 29))],
)
def test_months_end_where_they_end(months: int, expected: tuple[int, int, int]) -> None:
    """The 31st's month later is the last of February, and the 31st again after that."""
    assert months_after(datetime(2026, 1, 31, 5, tzinfo=UTC), months) == datetime(*expected, 5, tzinfo=UTC)
