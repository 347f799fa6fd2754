"""Credits: held, charged, given back; never below zero, never twice, every change a row."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from bgone.accounts import settling
from bgone.accounts.accounts import Plan
from bgone.accounts.credits import Credits, Hold
from bgone.errors import ApiError
from bgone.storage.database import Database
from tests.accounts.shop import ONE, Shop, in_shop


def cut_all(connection: Connection) -> None:
    """End every other connection to this database."""
    others = "datname = current_database() AND pid <> pg_backend_pid()"
    connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))


# --- one request ----------------------------------------------------------------------------------------------------


def test_charged_holds_are_one_row(address: str) -> None:
    """Taken at once, kept by the charge."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("3")
        hold = await shop.hold(holder, "1.25", "req_1")
        assert (hold.price, hold.balance, hold.free_call) == (Decimal("1.25"), Decimal("1.75"), False)
        assert (await shop.credits.balance(holder.account.id)).held == await shop.credits.held() == Decimal("1.25")
        assert await shop.left(holder) == Decimal("1.75")
        assert await shop.credits.charge(hold) == Decimal("1.25")
        (entry, _) = await shop.credits.entries(holder.account.id)
        assert (entry.reason, entry.request_id, entry.dialect) == ("charge", "req_1", "removebg")
        assert (entry.key_id, entry.payg, entry.balance_after) == (holder.key.id, Decimal("-1.25"), Decimal("1.75"))
        assert (await shop.credits.balance(holder.account.id)).held == 0

    in_shop(address, main)


def test_released_holds_are_given_back(address: str) -> None:
    """With a row that says why."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("3")
        await shop.credits.release(await shop.hold(holder), "unreadable_image")
        assert await shop.reasons(holder) == [
            ("opening", Decimal(3), Decimal(3)),
            ("released", Decimal(-1), Decimal(2)),
            ("given back: unreadable_image", Decimal(1), Decimal(3)),
        ]

    in_shop(address, main)


def test_lower_price_gives_the_rest_back(address: str) -> None:
    """What it costs after all."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("3")
        assert await shop.credits.charge(await shop.hold(holder), Decimal("0.25")) == Decimal("0.25")
        assert await shop.left(holder) == Decimal("2.75")
        assert await shop.credits.charge(await shop.hold(holder), Decimal(0)) == 0
        assert await shop.left(holder) == Decimal("2.75")
        hold = await shop.hold(holder)
        for price in ("1.000001", "-1"):
            with pytest.raises(ValueError):
                await shop.credits.charge(hold, Decimal(price))

    in_shop(address, main)


def test_subscription_is_spent_first_and_bought_credits_return_first(address: str) -> None:
    """What ends with the period goes before what was bought."""

    async def pots(shop: Shop, account: str) -> tuple[str, str]:
        balance = await shop.credits.balance(account)
        return str(balance.subscription), str(balance.payg)

    async def main(shop: Shop) -> None:
        await shop.accounts.put_plan(Plan("two", quota=Decimal(2)))
        holder = await shop.open("5", "two")
        name = holder.account.id
        hold = await shop.hold(holder, "3")
        assert await pots(shop, name) == ("0", "4")
        await shop.credits.charge(hold, Decimal("1.5"))
        assert await pots(shop, name) == ("0.5", "5")
        await shop.credits.release(await shop.hold(holder, "2.5"), "failed")
        assert await pots(shop, name) == ("0.5", "5")

    in_shop(address, main)


@pytest.mark.parametrize(("given", "price"), [("0", "1"), ("0.24", "0.25"), ("1", "1.000001")])
def test_too_few_credits_are_refused(address: str, given: str, price: str) -> None:
    """In numbers, and nothing is taken."""

    async def main(shop: Shop) -> None:
        holder = await shop.open(given)
        with pytest.raises(ApiError) as refused:
            await shop.hold(holder, price)
        assert (refused.value.kind, refused.value.facts) == ("no_credits", {"needed": price, "left": given})
        assert await shop.left(holder) == Decimal(given)

    in_shop(address, main)


def test_last_credit_can_be_spent(address: str) -> None:
    """To the last millionth."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("0.250001")
        await shop.credits.charge(await shop.hold(holder, "0.25"))
        await shop.credits.charge(await shop.hold(holder, "0.000001"))
        assert await shop.left(holder) == 0

    in_shop(address, main)


@pytest.mark.parametrize(
    ("plan", "mode", "price", "charged"),
    [
        ("payg", "test", "1", "0"),
        ("payg", "admin", "1", "0"),
        ("metered_monthly", "live", "1", "1"),
        ("payg", "live", "0", "0"),
    ],
)
def test_some_touch_no_balance(address: str, plan: str, mode: Any, price: str, charged: str) -> None:
    """Test keys are free, metered accounts pay later, nothing costs nothing."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("0", plan, mode)
        hold = await shop.hold(holder, price)
        assert await shop.credits.charge(hold) == Decimal(charged)
        await shop.credits.release(hold, "late")
        await shop.credits.refund(hold, "late")
        assert await shop.credits.entries(holder.account.id) == ()

    in_shop(address, main)


def test_nameless_and_negative_holds_are_mistakes_of_ours(address: str) -> None:
    """They would be free, or a gift."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("3")
        with pytest.raises(ValueError):
            await shop.credits.hold(holder, ONE, "", "removebg")
        with pytest.raises(ValueError):
            await shop.hold(holder, "-1")

    in_shop(address, main)


# --- free previews --------------------------------------------------------------------------------------------------


def test_free_calls_go_before_credits(address: str) -> None:
    """For previews only, while there are some; a failed one is given back."""

    async def main(shop: Shop) -> None:
        await shop.accounts.put_plan(Plan("free", free_calls=2))
        account = (await shop.open("1", "free")).account
        assert account.free_calls == 2
        holder = await shop.key(account)
        first = await shop.hold(holder, "0.25", preview=True)
        assert (first.price, first.free_call, first.balance) == (Decimal(0), True, Decimal(1))
        await shop.credits.release(first, "failed")
        for _ in range(2):
            assert await shop.credits.charge(await shop.hold(holder, "0.25", preview=True), Decimal("0.25")) == 0
        assert (await shop.credits.balance(account.id)).free_calls == 0
        # The cache still believes in two.
        assert await shop.credits.charge(await shop.hold(holder, "0.25", preview=True)) == Decimal("0.25")
        assert await shop.credits.charge(await shop.hold(holder, "0.25")) == Decimal("0.25")
        assert await shop.left(holder) == Decimal("0.5")

    in_shop(address, main)


def test_free_calls_are_not_for_whole_pictures(address: str) -> None:
    """They cost credits."""

    async def main(shop: Shop) -> None:
        await shop.accounts.put_plan(Plan("free", free_calls=2))
        holder = await shop.open("0", "free")
        with pytest.raises(ApiError) as refused:
            await shop.hold(holder)
        assert refused.value.kind == "no_credits"

    in_shop(address, main)


# --- again and too late ---------------------------------------------------------------------------------------------


def test_charging_again_charges_once(address: str) -> None:
    """Also at the same time; releasing afterwards gives nothing back."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("3")
        hold = await shop.hold(holder)
        charges = [shop.credits.charge(hold, Decimal(price)) for price in ("1", "0.5", "1", "0.25")]
        await asyncio.gather(*charges)
        await shop.credits.charge(hold)
        left = await shop.left(holder)
        await shop.credits.release(hold, "too late")
        assert left == await shop.left(holder) == Decimal(2)

    in_shop(address, main)


def test_releasing_again_gives_back_once(address: str) -> None:
    """Also at the same time."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("3")
        hold = await shop.hold(holder)
        await asyncio.gather(*(shop.credits.release(hold, f"reason {number}") for number in range(5)))
        await shop.credits.release(hold, "again")
        assert await shop.left(holder) == Decimal(3)

    in_shop(address, main)


@pytest.mark.parametrize("after", ["hold", "charge", "release"])
def test_same_request_is_charged_once(address: str, after: str) -> None:
    """A job that is made again after a restart asks with the same id: it finds its hold, or its charge."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("3")
        hold = await shop.hold(holder, "1", "req_job")
        if after == "charge":
            await shop.credits.charge(hold)
        elif after == "release":
            await shop.credits.release(hold, "failed")
        again = await Shop(shop.database).credits.hold(holder, ONE, "req_job", "removebg")
        assert again.price == ONE
        assert await shop.left(holder) == Decimal(2)
        assert await shop.credits.charge(again) == ONE
        assert await shop.credits.charge(again) == ONE
        assert await shop.left(holder) == Decimal(2)

    in_shop(address, main)


def test_same_request_among_others_harms_nobody(address: str) -> None:
    """The batch is taken apart, and the others are held."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("9")
        await shop.credits.charge(await shop.hold(holder, "1", "req_x"))
        holds = await asyncio.gather(*(shop.hold(holder, "1", name) for name in ("req_a", "req_x", "req_b", "req_x")))
        for hold in holds:
            await shop.credits.charge(hold)
        assert await shop.left(holder) == Decimal(6)

    in_shop(address, main)


def test_other_accounts_may_have_the_same_request_id(address: str) -> None:
    """Only one's own request is the same."""

    async def main(shop: Shop) -> None:
        holders = [await shop.open("3") for _ in range(2)]
        for holder in holders:
            await shop.credits.charge(await shop.hold(holder, "1", "req_same"))
        assert [await shop.left(holder) for holder in holders] == [Decimal(2)] * 2

    in_shop(address, main)


def test_left_over_holds_are_given_back(address: str) -> None:
    """After their time, by anybody, once; those that were charged stay so."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("3")
        await shop.credits.charge(await shop.hold(holder))
        for _ in range(2):
            await shop.hold(holder)
        shop.clock.move(seconds=59)
        assert await shop.credits.expire() == 0
        shop.clock.move(seconds=1)
        others = [Credits(shop.database, now=shop.clock) for _ in range(3)]
        assert sum(await asyncio.gather(*(each.expire() for each in others))) == 2
        assert await shop.left(holder) == Decimal(2)
        assert (await shop.credits.entries(holder.account.id))[0].reason == "given back: expired"

    in_shop(address, main)


def test_late_charges_are_charged_anew(address: str) -> None:
    """Work that outlived its hold is not free; where nothing is left it is refused."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("1")
        hold = await shop.hold(holder)
        shop.clock.move(seconds=61)
        assert await shop.credits.expire() == 1
        for _ in range(2):
            assert await shop.credits.charge(hold) == ONE
        assert await shop.left(holder) == 0
        await shop.accounts.credit(holder.account.id, ONE)
        poor = await shop.hold(holder)
        shop.clock.move(seconds=61)
        assert await shop.credits.expire() == 1
        await shop.accounts.credit(holder.account.id, Decimal("-0.5"))
        with pytest.raises(ApiError) as refused:
            await shop.credits.charge(poor)
        assert refused.value.kind == "no_credits"

    in_shop(address, main)


def test_late_charges_take_over_the_same_requests_hold(address: str) -> None:
    """A worker thought dead and the one that took its job over: who is done first charges, the other cannot undo it."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("3")
        slow = await shop.hold(holder, "1", "req_job")
        shop.clock.move(seconds=61)
        assert await shop.credits.expire() == 1
        new = await shop.hold(holder, "1", "req_job")
        assert await shop.credits.charge(slow, Decimal("0.75")) == Decimal("0.75")
        await shop.credits.release(new, "failed")
        assert await shop.left(holder) == Decimal("2.25")

    in_shop(address, main)


@pytest.mark.parametrize("order", ["charge first", "hold first", "two charges"])
def test_late_charge_meets_the_same_request(address: str, order: str) -> None:
    """In one batch, with somebody else's call: charged once, and the other is served."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("5")
        slow = await shop.hold(holder, "1", "req_job")
        shop.clock.move(seconds=61)
        assert await shop.credits.expire() == 1
        calls = [shop.credits.charge(slow), shop.hold(holder, "1", "req_job"), shop.hold(holder, "0.5")]
        if order == "hold first":
            calls[:2] = calls[1::-1]
        elif order == "two charges":
            calls[1].close()
            calls[1] = shop.credits.charge(slow)
        await asyncio.gather(*calls)
        assert await shop.left(holder) == Decimal("3.5")

    in_shop(address, main)


@pytest.mark.parametrize("price", ["1", "0.25"])
def test_refunds_give_back_what_was_charged(address: str, price: str) -> None:
    """All of it, and once; the request may be charged again."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("3")
        hold = await shop.hold(holder, "1", "req_r")
        await shop.credits.charge(hold, Decimal(price))
        for _ in range(2):
            await shop.credits.refund(hold, "disconnected")
        assert await shop.left(holder) == Decimal(3)
        await shop.credits.charge(await shop.hold(holder, "1", "req_r"))
        assert await shop.left(holder) == Decimal(2)

    in_shop(address, main)


# --- callers who leave ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", range(6))
def test_cancelled_holds_take_nothing(address: str, turns: int) -> None:
    """Whenever the client hangs up: not asked yet, on its way, or done."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("3")
        task = asyncio.create_task(shop.hold(holder))
        for _ in range(turns):
            await asyncio.sleep(0.0005 if turns > 3 else 0)
        task.cancel()
        (hold,) = await asyncio.gather(task, return_exceptions=True)
        await shop.credits.aclose()
        if isinstance(hold, Hold):
            await shop.credits.release(hold, "done before")
        assert await shop.left(holder) == Decimal(3)

    in_shop(address, main)


@pytest.mark.parametrize("turns", range(6))
def test_cancelled_charges_charge_nothing(address: str, turns: int) -> None:
    """Whoever was not told that it is charged has sent no byte: with the release that follows all is given back."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("3")
        hold = await shop.hold(holder)
        task = asyncio.create_task(shop.credits.charge(hold))
        for _ in range(turns):
            await asyncio.sleep(0.0005 if turns > 3 else 0)
        task.cancel()
        (charged,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(charged, BaseException):
            await shop.credits.release(hold, "cancelled")
        await shop.credits.aclose()
        assert await shop.left(holder) == Decimal(2 if isinstance(charged, Decimal) else 3)

    in_shop(address, main)


# --- the ledger -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pot", ["subscription", "payg", "free_calls"])
def test_audit_finds_what_does_not_balance(address: str, pot: str) -> None:
    """By account and pot, to the last millionth."""

    async def main(shop: Shop) -> None:
        holder = await shop.open("3")
        await shop.open("4")
        assert await shop.credits.audit() == []
        await shop.database.write(
            lambda link: link.execute(text(f"UPDATE accounts SET {pot} = {pot} + 1 WHERE name = 'account 0'"))
        )
        (found,) = await shop.credits.audit()
        assert (found.account_id, found.name) == (holder.account.id, "account 0")
        assert list(found.ledger) == [0, 3, 0]
        steps = {"subscription": ("0.000001", "3", "0"), "payg": ("0", "3.000001", "0"), "free_calls": ("0", "3", "1")}
        assert [str(number) for number in found.balance] == list(steps[pot])
        await shop.database.write(
            lambda link: link.execute(text(f"UPDATE accounts SET {pot} = {pot} - 1 WHERE name = 'account 0'"))
        )

    in_shop(address, main)


def test_database_itself_refuses_to_go_below_zero(address: str) -> None:
    """The last guard, should all others fail."""

    async def main(shop: Shop) -> None:
        await shop.open("3")
        with pytest.raises(IntegrityError):
            await shop.database.write(lambda link: link.execute(text("UPDATE accounts SET payg = payg - 3000001")))

    in_shop(address, main)


def test_ledgers_are_read_newest_first_in_pages(address: str) -> None:
    """One's own only."""

    async def main(shop: Shop) -> None:
        holder, other = await shop.open("9"), await shop.open("9")
        for each in (holder, other, holder, holder):
            shop.clock.move(seconds=1)
            await shop.hold(each)
        pages = [await shop.credits.entries(holder.account.id, 2, offset) for offset in (0, 2, 4)]
        assert [entry.balance_after for page in pages for entry in page] == [6, 7, 8, 9]

    in_shop(address, main)


# --- the two ways to write ------------------------------------------------------------------------------------------


def test_one_statement_does_what_the_careful_way_does(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rows and balances with and without it."""

    async def spend(shop: Shop) -> list[tuple[str, Decimal, Decimal, Decimal]]:
        holder = await shop.open("3", "two")
        for price in ("0.5", "1.75", "0.25"):
            await shop.credits.charge(await shop.hold(holder, price))
        for price in ("2.500001", "5"):
            with pytest.raises(ApiError, match="credits"):
                await shop.hold(holder, price)
        await shop.credits.charge(await shop.hold(holder, "2.5"))
        shop.clock.move(days=40)
        await shop.credits.charge(await shop.hold(holder, "1"))
        entries = reversed(await shop.credits.entries(holder.account.id))
        return [(entry.reason, entry.subscription, entry.payg, entry.balance_after) for entry in entries]

    async def main(shop: Shop) -> None:
        await shop.accounts.put_plan(Plan("two", quota=Decimal(2)))
        plain = await spend(shop)
        assert [tuple(map(str, row[1:])) for row in plain[2:6]] == [
            ("-0.5", "0", "4.5"),
            ("-1.5", "-0.25", "2.75"),
            ("0", "-0.25", "2.5"),
            ("0", "-2.5", "0"),
        ]
        monkeypatch.setattr(settling, "is_plain", lambda _question: False)
        assert await spend(shop) == plain

    in_shop(address, main)


def test_lost_connections_cost_nobody_anything(migrated_postgres: str) -> None:
    """PostgreSQL is started anew in the middle: what was asked is asked again, and charged once."""

    async def main(shop: Shop) -> None:
        other = await Database.open(migrated_postgres)
        holder = await shop.key(await shop.accounts.create("cut off", credits=Decimal(50)))
        for _ in range(5):
            hold = await shop.hold(holder)
            await other.query(cut_all)
            await shop.credits.charge(hold)
            await other.query(cut_all)
        assert await shop.left(holder) == Decimal(45)
        await other.aclose()

    in_shop(migrated_postgres, main)
