"""Credits: held before the work, charged when it is done, given back when it is not.

A hold takes its price from the balance at once, so that no race can spend it twice; a charge makes it final. Both are
committed when the call returns: charge before the first byte of an answer is sent.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, func, or_, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from bgone.accounts import settling
from bgone.accounts.accounts import NOTHING, Accounts, utc_now
from bgone.accounts.keys import Holder
from bgone.accounts.ledger import new_entry_id
from bgone.accounts.money import credits_of, micros
from bgone.accounts.settling import Close, Question, Settled, Spend
from bgone.accounts.teller import Teller
from bgone.errors import ApiError
from bgone.storage.database import Database
from bgone.storage.tables import accounts, ledger

HOLD_S = 900.0  # longer than any order's deadline

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Hold:
    """Credits that are set aside for one request.

    Attributes:
        price: Credits held; 0 for a free call and for what costs nothing.
        free_call: One of the account's free previews was taken.
        balance: Left to the account after it; None where it was not read.
        spend: The row of the ledger; None: no balance is touched (price 0, metered account, test key).
    """

    price: Decimal
    free_call: bool = False
    balance: Decimal | None = None
    spend: Spend | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """An account's credits now.

    Attributes:
        subscription: Left of this period's.
        payg: Left of those bought one by one.
        free_calls: Free previews left.
        held: Set aside for requests under way, and no longer part of the others.
    """

    subscription: Decimal
    payg: Decimal
    free_calls: int
    held: Decimal

    @property
    def credits(self) -> Decimal:
        """All that can be spent."""
        return self.subscription + self.payg


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the ledger.

    Attributes:
        id: Sorts by time.
        account_id: Whose.
        key_id: The key's, or empty.
        reason: ``hold``, ``charge``, ``released`` (given back by a later row), or why else.
        request_id: Of the request, or empty.
        dialect: Of the request, or empty.
        subscription: Added to this period's credits; less than 0: taken.
        payg: Added to those bought one by one.
        free_calls: Added to the free previews.
        balance_after: Both pots after it.
        at: When.
    """

    id: str
    account_id: str
    key_id: str
    reason: str
    request_id: str
    dialect: str
    subscription: Decimal
    payg: Decimal
    free_calls: int
    balance_after: Decimal
    at: datetime


@dataclass(frozen=True, slots=True)
class Difference:
    """An account whose balance is not the sum of its ledger: there must never be one.

    Attributes:
        account_id: Whose.
        name: Its name.
        balance: (subscription, payg, free calls) of the account.
        ledger: The same as the sum of its rows.
    """

    account_id: str
    name: str
    balance: tuple[Decimal, Decimal, int]
    ledger: tuple[Decimal, Decimal, int]


class Credits:
    """The balances of a database; lives on one event loop.

    Args:
        db: Where they are.
        now: The clock, UTC.
        hold_s: After so long a hold is given back by ``expire``, unless ``hold`` said otherwise.
    """

    def __init__(self, db: Database, now: Callable[[], datetime] = utc_now, hold_s: float = HOLD_S) -> None:
        self._db = db
        self._now = now
        self._hold_s = hold_s
        self._accounts = Accounts(db, now)
        self._teller: Teller[Question, Settled] = Teller(self._settle, _is_idle, _undo)

    async def aclose(self) -> None:
        """Finish what was asked, returns of cancelled calls included."""
        await self._teller.aclose()

    # --- spending -----------------------------------------------------------------------------------------------

    async def hold(
        self,
        holder: Holder,
        price: Decimal,
        request_id: str,
        dialect: str,
        *,
        preview: bool = False,
        hold_s: float | None = None,
    ) -> Hold:
        """Set the price aside, or take a free call for a preview.

        Args:
            holder: Who asks.
            price: Credits, 0 or more.
            request_id: A request is charged once, whoever asks again with its id (a job after a restart) gets the
                same hold; not empty.
            dialect: For the ledger.
            preview: A free call pays for it where one is left.
            hold_s: Seconds until a dead process' hold is given back.

        Raises:
            no_credits: The balance does not suffice.
            account_barred: The account is not served.
            overloaded: The database is away.
        """
        if holder.key.mode != "live":
            return Hold(NOTHING)
        if price < 0 or not request_id:
            raise ValueError("a hold needs a price of 0 or more and the id of a request")
        if price == 0 or holder.account.billing == "metered":
            return Hold(price)
        until = self._now() + timedelta(seconds=self._hold_s if hold_s is None else hold_s)
        # As far as the cache knows; the row under the lock decides.
        preview = preview and holder.account.free_calls > 0
        account_id, key_id = holder.account.id, holder.key.id
        spend = Spend(new_entry_id(), account_id, key_id, request_id, dialect, micros(price), preview, until)
        settled = await self._teller.ask(spend)
        held = replace(spend, id=settled.id, price=settled.amount, preview=settled.free_call)
        balance = None if settled.balance is None else credits_of(settled.balance)
        return Hold(credits_of(settled.amount), settled.free_call, balance, held)

    async def charge(self, hold: Hold, price: Decimal | None = None) -> Decimal:
        """Make a hold final; a hold that has run out is charged anew. Cancelled, it is given back.

        Args:
            hold: From ``hold``.
            price: What it costs after all, at most what is held; None: that. The rest is given back.

        Returns:
            Credits charged.

        Raises:
            no_credits: The hold had run out, and the balance does not suffice any more.
            overloaded: The database is away.
        """
        price = hold.price if price is None or hold.free_call else price
        if not 0 <= price <= hold.price:
            raise ValueError(f"held were {hold.price} credits, to be charged are {price}")
        if hold.spend is None:
            return price
        settled = await self._teller.ask(Close(hold.spend, "charge", micros(price)))
        return credits_of(settled.amount)

    async def release(self, hold: Hold, reason: str) -> None:
        """Give a hold back: the work failed, or nobody waits for it. What was charged or given back stays so.

        Raises:
            overloaded: The database is away; the hold runs out later.
        """
        if hold.spend is not None:
            await self._teller.ask(Close(hold.spend, "release", reason=reason))

    async def refund(self, hold: Hold, reason: str) -> None:
        """Give back what was charged, for an answer that was never begun.

        Raises:
            overloaded: The database is away.
        """
        if hold.spend is not None:
            await self._teller.ask(Close(hold.spend, "refund", reason=reason))

    async def expire(self) -> int:
        """Give back holds whose time is over; to be called every minute or so. Returns how many."""
        given_back = 0
        while some := await self._db.write(partial(settling.expire, self._now())):
            given_back += some
        return given_back

    # --- telling ------------------------------------------------------------------------------------------------

    async def balance(self, account: str) -> Balance:
        """An account's credits, by id or name; where its period has ended, the new one begins.

        Raises:
            not_found: There is no such account.
        """
        found = await self._accounts.get(account)
        held = await self._db.query(partial(_held, found.id))
        return Balance(found.subscription, found.payg, found.free_calls, credits_of(held))

    async def held(self) -> Decimal:
        """Credits set aside and not yet charged, of all accounts."""
        return credits_of(await self._db.query(_all_held))

    async def entries(self, account_id: str, limit: int = 100, offset: int = 0) -> tuple[Entry, ...]:
        """An account's ledger, newest first."""
        page = select(ledger).where(ledger.c.account_id == account_id)
        page = page.order_by(ledger.c.at.desc(), ledger.c.id.desc()).limit(limit).offset(offset)
        return tuple(_entry_of(row) for row in await self._db.query(lambda link: link.execute(page).all()))

    async def audit(self) -> list[Difference]:
        """Accounts whose balance is not the sum of their ledger, of one moment: must be empty."""
        return [_difference_of(row) for row in await self._db.query(_audit)]

    # --- the teller ---------------------------------------------------------------------------------------------

    async def _settle(self, questions: Sequence[Question]) -> Sequence[Settled | Exception]:
        if len(questions) == 1 and settling.is_plain(questions[0]):
            settled = await self._settle_plain(questions[0])
            if settled is not None:
                return [settled]
        try:
            return await _twice(partial(self._db.write, partial(settling.settle, questions, self._now())))
        except IntegrityError as error:
            # One request, from two sides at the same moment: apart, the second finds what the first did.
            if len(questions) == 1:
                return [error]
            return [answer for question in questions for answer in await self._settle([question])]

    async def _settle_plain(self, question: Question) -> Settled | None:
        """The short way, where nothing stands against it."""
        try:
            return await _twice(partial(settling.settle_plain, self._db, question, self._now()))
        except IntegrityError:
            return None


async def _twice(work: Callable[[], Awaitable[T]]) -> T:
    """Once more after a lost connection: whatever had been committed is found done."""
    try:
        return await work()
    except ApiError as error:
        if not (isinstance(error.__cause__, DBAPIError) and error.__cause__.connection_invalidated):
            raise
    return await work()


def _is_idle(question: Question) -> bool:
    # What is to be given back must be, whoever has gone.
    return isinstance(question, Spend) or question.how == "charge"


def _undo(question: Question, settled: Settled) -> Question | None:
    if isinstance(question, Spend):
        return Close(replace(question, id=settled.id), "release", reason="cancelled")
    if question.how == "charge":
        return Close(replace(question.spend, id=settled.id), "refund", reason="cancelled")
    return None


# --- questions to the database --------------------------------------------------------------------------------------


def _held(account_id: str, connection: Connection) -> int:
    held = func.coalesce(func.sum(-ledger.c.subscription - ledger.c.payg), 0)
    return int(connection.execute(select(held).where(*_holds_of(account_id))).scalar_one())


def _all_held(connection: Connection) -> int:
    held = func.coalesce(func.sum(-ledger.c.subscription - ledger.c.payg), 0)
    return int(connection.execute(select(held).where(text("reason = 'hold'"))).scalar_one())


def _holds_of(account_id: str) -> tuple[Any, Any]:
    return ledger.c.account_id == account_id, ledger.c.reason == "hold"


def _audit(connection: Connection) -> Sequence[Row[Any]]:
    pots = ("subscription", "payg", "free_calls")
    sums = select(ledger.c.account_id, *(func.sum(ledger.c[pot]).label(pot) for pot in pots))
    sums = sums.group_by(ledger.c.account_id)
    of_rows = sums.subquery("of_rows")
    booked = [func.coalesce(of_rows.c[pot], 0) for pot in pots]
    differing = (
        select(
            accounts.c.id,
            accounts.c.name,
            *(accounts.c[pot] for pot in pots),
            *(column.label(f"booked_{pot}") for column, pot in zip(booked, pots, strict=True)),
        )
        .outerjoin(of_rows, of_rows.c.account_id == accounts.c.id)
        .where(or_(*(accounts.c[pot] != column for pot, column in zip(pots, booked, strict=True))))
        .order_by(accounts.c.name)
    )
    return connection.execute(differing).all()


def _difference_of(row: Row[Any]) -> Difference:
    return Difference(
        row.id,
        row.name,
        (credits_of(row.subscription), credits_of(row.payg), row.free_calls),
        (credits_of(int(row.booked_subscription)), credits_of(int(row.booked_payg)), int(row.booked_free_calls)),
    )


def _entry_of(row: Row[Any]) -> Entry:
    return Entry(
        id=row.id,
        account_id=row.account_id,
        key_id=row.key_id,
        reason=row.reason,
        request_id=row.request_id,
        dialect=row.dialect,
        subscription=credits_of(row.subscription),
        payg=credits_of(row.payg),
        free_calls=row.free_calls,
        balance_after=credits_of(row.balance_after),
        at=row.at,
    )
