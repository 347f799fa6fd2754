"""What a batch of holds, charges and returns does to the database, in one transaction.

Ledger rows are written first, then accounts locked in the order of their ids: nobody waits in a circle. What is
decided is decided in memory under the lock, one after the other, so that the last credit goes to the first who asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Literal

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    String,
    bindparam,
    case,
    func,
    insert,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.types import BigInteger

from bgone.accounts.ledger import Purse, lock, save
from bgone.accounts.money import credits_of
from bgone.errors import ApiError, account_barred, internal, no_credits
from bgone.storage.database import Database
from bgone.storage.tables import Moment, accounts, ledger, stored

_EXPIRED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Spend:
    """Set ``price`` millionths aside, or a free call where ``preview`` and one is left, at longest ``until`` then."""

    id: str
    account_id: str
    key_id: str
    request_id: str
    dialect: str
    price: int
    preview: bool
    until: datetime


@dataclass(frozen=True, slots=True)
class Close:
    """End a hold, or give back what was charged.

    Attributes:
        spend: What was held.
        how: ``charge`` keeps ``price`` of it; ``release`` gives all back; ``refund`` all of what was charged.
        price: Millionths.
        reason: Why it is given back.
    """

    spend: Spend
    how: Literal["charge", "release", "refund"]
    price: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of it.

    Attributes:
        id: Row of the ledger; empty: nothing was found to be done.
        amount: Millionths that are held or charged.
        free_call: A free call was taken instead.
        balance: Of the account afterwards, where it was read.
    """

    id: str
    amount: int = 0
    free_call: bool = False
    balance: int | None = None


Question = Spend | Close
Answer = Settled | ApiError

# --- statements -----------------------------------------------------------------------------------------------------

_OF_ROW = (ledger.c.id, ledger.c.account_id, ledger.c.subscription, ledger.c.payg, ledger.c.free_calls)
_IDS = ledger.c.id.in_(bindparam("ids", expanding=True))
_CHARGING = update(ledger).where(ledger.c.reason == "hold").values(reason="charge", open_until=None).returning(*_OF_ROW)
_CHARGE = _CHARGING.where(_IDS)
_CHARGE_ONE = _CHARGING.where(ledger.c.id == bindparam("_id"))
_RELEASE = (
    update(ledger)
    .where(_IDS, ledger.c.reason == bindparam("was"))
    .values(reason="released", open_until=None)
    .returning(*_OF_ROW)
)
# Words of the statement, not parameters: a prepared plan can use the partial indexes.
_OPEN = text("reason = 'hold'")
_KEPT = text("reason IN ('hold', 'charge')")
_SPENT = (
    select(*_OF_ROW)
    .where(ledger.c.account_id == bindparam("account_id"), ledger.c.request_id == bindparam("request_id"))
    .where(_KEPT)
)
_SAME = (
    select(*_OF_ROW, ledger.c.request_id)
    .where(ledger.c.account_id.in_(bindparam("account_ids", expanding=True)))
    .where(ledger.c.request_id.in_(bindparam("request_ids", expanding=True)))
    .where(_KEPT)
)
_NET = select(func.sum(ledger.c.subscription), func.sum(ledger.c.payg), func.sum(ledger.c.free_calls)).where(
    ledger.c.account_id == bindparam("account_id"), ledger.c.request_id == bindparam("request_id")
)
_LEFT_OVER = (
    select(ledger.c.id)
    .where(_OPEN, ledger.c.open_until <= bindparam("now", type_=Moment))
    .limit(_EXPIRED_AT_ONCE)
    .with_for_update(skip_locked=True)
)


def _take_statement() -> Any:
    """Takes a price from an account that has it, this period's credits first, and says how much was theirs."""
    price: ColumnElement[int] = bindparam("price", type_=BigInteger)
    taken = case((accounts.c.subscription >= price, price), else_=accounts.c.subscription)
    return (
        update(accounts)
        .where(accounts.c.id == bindparam("_account_id"), accounts.c.status == "active")
        .where(accounts.c.subscription + accounts.c.payg >= price)
        .where(or_(accounts.c.period_end.is_(None), accounts.c.period_end > bindparam("_at", type_=BigInteger)))
        .values(subscription=accounts.c.subscription - taken, payg=accounts.c.payg - (price - taken), taken=taken)
        .returning(accounts.c.id, accounts.c.subscription, accounts.c.payg, accounts.c.taken)
    )


def _hold_statement() -> Any:
    """The same and the ledger's row, for databases that can write two tables in one statement."""
    spent = _TAKE.cte("spent")
    row: dict[str, ColumnElement[Any]] = {
        "id": bindparam("_id", type_=String),
        "account_id": spent.c.id,
        "key_id": bindparam("_key_id", type_=String),
        "reason": literal("hold", String),
        "request_id": bindparam("_request_id", type_=String),
        "dialect": bindparam("_dialect", type_=String),
        "subscription": -spent.c.taken,
        "payg": spent.c.taken - bindparam("price", type_=BigInteger),
        "balance_after": spent.c.subscription + spent.c.payg,
        "at": bindparam("_at", type_=BigInteger),
        "open_until": bindparam("_until", type_=BigInteger),
    }
    return insert(ledger).from_select(list(row), select(*row.values())).returning(ledger.c.balance_after)


_TAKE = _take_statement()
_TAKE_AND_WRITE = _hold_statement()
_WRITE = insert(ledger)


# --- one alone ------------------------------------------------------------------------------------------------------


def is_plain(question: Question) -> bool:
    """Whether the short way may do, if nothing stands against it: all of the price is taken, or kept."""
    if isinstance(question, Spend):
        return not question.preview
    return question.how == "charge" and question.price == question.spend.price


async def settle_plain(db: Database, question: Question, now: datetime) -> Settled | None:
    """A plain question in one statement, or two; None: nothing was changed, ``settle`` has to look closer.

    Raises:
        IntegrityError: The request has a hold or a charge; nothing was changed.
    """
    if isinstance(question, Close):
        done = await db.single(_CHARGE_ONE, {"_id": question.spend.id})
        return None if done is None else Settled(question.spend.id, question.price)
    if not db.joins_writes:
        return await db.write(partial(_hold_in_two, question, now))
    values = {
        **_taking(question, now),
        "_id": question.id,
        "_key_id": question.key_id,
        "_request_id": question.request_id,
        "_dialect": question.dialect,
        "_until": stored(question.until),
    }
    # A hold that is lost alone is given back; its charge makes it durable with itself.
    held = await db.single(_TAKE_AND_WRITE, values, durable=False)
    return None if held is None else Settled(question.id, question.price, balance=held[0])


def _taking(spend: Spend, now: datetime) -> dict[str, Any]:
    return {"price": spend.price, "_account_id": spend.account_id, "_at": stored(now)}


def _hold_in_two(spend: Spend, now: datetime, connection: Connection) -> Settled | None:
    taken = connection.execute(_TAKE, _taking(spend, now)).first()
    if taken is None:
        return None
    balance = taken.subscription + taken.payg
    row = {
        "id": spend.id,
        "account_id": spend.account_id,
        "key_id": spend.key_id,
        "reason": "hold",
        "request_id": spend.request_id,
        "dialect": spend.dialect,
        "subscription": -taken.taken,
        "payg": taken.taken - spend.price,
        "balance_after": balance,
        "at": now,
        "open_until": spend.until,
    }
    connection.execute(_WRITE, row)
    return Settled(spend.id, spend.price, balance=balance)


# --- a batch --------------------------------------------------------------------------------------------------------


def settle(questions: Sequence[Question], now: datetime, connection: Connection) -> list[Answer]:
    """Answer every question; ``ApiError`` as a value where one is refused.

    Raises:
        IntegrityError: A request was to be charged twice; nothing was changed.
    """
    closes = [question for question in questions if isinstance(question, Close)]
    rows = _close(closes, connection) if closes else {}
    late = _late(closes, rows, connection)
    ids = {row.account_id for question, row in rows.items() if _gives_back(question, row)}
    ids |= {question.account_id for question in questions if isinstance(question, Spend)}
    ids |= {question.spend.account_id for question in late}
    purses = lock(connection, ids, now) if ids else {}
    # What is given back can be spent by the others at once.
    for close, row in rows.items():
        if close.how == "refund":
            _refund(connection, purses[row.account_id], close, now)
        elif _gives_back(close, row):
            _give_back(purses[row.account_id], close, row, now)
    spends = [question for question in questions if isinstance(question, Spend)]
    # Under the lock, so that nobody can come in between: the same request has the same hold.
    found = _same(spends, connection) if spends else {}
    answers = [_answer(question, purses, rows, late, found, now) for question in questions]
    save(connection, purses.values())
    return answers


def _answer(
    question: Question,
    purses: dict[str, Purse],
    rows: dict[Close, Row[Any]],
    late: set[Close],
    found: dict[tuple[str, str], Settled],
    now: datetime,
) -> Answer:
    try:
        if isinstance(question, Spend):
            request = question.account_id, question.request_id
            if request not in found:
                found[request] = _hold(purses.get(question.account_id), question, now)
            return found[request]
        if question in late:
            return _charge_late(purses.get(question.spend.account_id), question, now)
    except ApiError as error:
        return error
    if (row := rows.get(question)) is None:
        # A charge that was made before is one; what is not held needs no release.
        return Settled(question.spend.id, question.price) if question.how == "charge" else Settled("")
    amount = min(question.price, _amount(row)) if question.how == "charge" else 0
    purse = purses.get(row.account_id)
    return Settled(row.id, amount, row.free_calls < 0, purse.balance if purse else None)


def _close(closes: Sequence[Close], connection: Connection) -> dict[Close, Row[Any]]:
    """The rows that were open and now are closed, in each of three ways."""
    closed: dict[str, Row[Any]] = {}
    for how, statement, was in (
        ("charge", _CHARGE, {}),
        ("release", _RELEASE, {"was": "hold"}),
        ("refund", _RELEASE, {"was": "charge"}),
    ):
        if ids := sorted({close.spend.id for close in closes if close.how == how}):
            closed |= {how + row.id: row for row in connection.execute(statement, {"ids": ids} | was)}
    # Of two that would close one hold, the first does.
    return {close: closed.pop(name) for close in closes if (name := close.how + close.spend.id) in closed}


def _late(closes: Sequence[Close], rows: dict[Close, Row[Any]], connection: Connection) -> set[Close]:
    """Charges whose hold has run out and was given back; what the request was charged, or held again, is found."""
    late = set()
    for close in closes:
        if close.how != "charge" or close in rows:
            continue
        of_request = {"account_id": close.spend.account_id, "request_id": close.spend.request_id}
        kept = connection.execute(_SPENT, of_request).first()
        if kept is None:
            late.add(close)
        elif (row := connection.execute(_CHARGE_ONE, {"_id": kept.id}).first()) is not None:
            rows[close] = row
    return late


def _same(spends: Sequence[Spend], connection: Connection) -> dict[tuple[str, str], Settled]:
    """What these requests have held or been charged already, by account and request."""
    wanted = {
        "account_ids": sorted({spend.account_id for spend in spends}),
        "request_ids": sorted({spend.request_id for spend in spends}),
    }
    return {
        (row.account_id, row.request_id): Settled(row.id, _amount(row), row.free_calls < 0)
        for row in connection.execute(_SAME, wanted)
    }


def _hold(purse: Purse | None, spend: Spend, now: datetime) -> Settled:
    if purse is None:
        raise internal(f"no account {spend.account_id}")
    return _take(purse, spend, spend.price, now, "hold", spend.until)


def _charge_late(purse: Purse | None, close: Close, now: datetime) -> Settled:
    if purse is None:
        raise internal(f"no account {close.spend.account_id}")
    return _take(purse, close.spend, close.price, now, "charge", None)


def _take(purse: Purse, spend: Spend, price: int, now: datetime, reason: str, until: datetime | None) -> Settled:
    if purse.status != "active":
        raise account_barred()
    facts: dict[str, Any] = {
        "key_id": spend.key_id,
        "request_id": spend.request_id,
        "dialect": spend.dialect,
        "open_until": until,
    }
    if reason == "hold":
        facts["id"] = spend.id
    if spend.preview and purse.free_calls > 0:
        entry = purse.add(now, reason, free_calls=-1, **facts)
        return Settled(entry["id"], 0, free_call=True, balance=purse.balance)
    if purse.balance < price:
        raise no_credits(str(credits_of(price)), str(credits_of(purse.balance)))
    taken = min(purse.subscription, price)
    entry = purse.add(now, reason, subscription=-taken, payg=taken - price, **facts)
    return Settled(entry["id"], price, balance=purse.balance)


def _amount(row: Any) -> int:
    return -int(row.subscription + row.payg)


def _gives_back(close: Close, row: Row[Any]) -> bool:
    return close.how != "charge" or close.price < _amount(row)


def _give_back(purse: Purse, close: Close, row: Row[Any], now: datetime) -> None:
    """All of a hold, or what the price leaves of it: bought credits first, as they were taken last."""
    back = _amount(row) - (close.price if close.how == "charge" else 0)
    payg = min(back, -row.payg)
    free_calls = -row.free_calls if close.how == "release" else 0
    reason = "given back: " + (close.reason if close.how == "release" else "price")
    _return(purse, close.spend, now, reason, (back - payg, payg, free_calls))


def _refund(connection: Connection, purse: Purse, close: Close, now: datetime) -> None:
    """What a request has cost in all, whatever was given back of it before."""
    of_request = {"account_id": purse.id, "request_id": close.spend.request_id}
    subscription, payg, free_calls = connection.execute(_NET, of_request).one()
    pots = (-int(subscription), -int(payg), -int(free_calls))
    _return(purse, close.spend, now, f"given back: {close.reason}", pots)


def _return(purse: Purse, spend: Spend, now: datetime, reason: str, pots: tuple[int, int, int]) -> None:
    subscription, payg, free_calls = pots
    facts = {"key_id": spend.key_id, "request_id": spend.request_id, "dialect": spend.dialect}
    purse.add(now, reason[:200], subscription=subscription, payg=payg, free_calls=free_calls, **facts)


# --- what dead processes left ---------------------------------------------------------------------------------------


def expire(now: datetime, connection: Connection) -> int:
    """Give back holds whose time is over, at most 1,000; returns how many."""
    ids = list(connection.execute(_LEFT_OVER, {"now": now}).scalars())
    if not ids:
        return 0
    rows = connection.execute(
        update(ledger)
        .where(_IDS, ledger.c.reason == "hold")
        .values(reason="released", open_until=None)
        .returning(*_OF_ROW, ledger.c.key_id, ledger.c.request_id, ledger.c.dialect),
        {"ids": ids},
    ).all()
    purses = lock(connection, {row.account_id for row in rows}, now)
    for row in rows:
        facts = {"key_id": row.key_id, "request_id": row.request_id, "dialect": row.dialect}
        pots = {"subscription": -row.subscription, "payg": -row.payg, "free_calls": -row.free_calls}
        purses[row.account_id].add(now, "given back: expired", **pots, **facts)
    save(connection, purses.values())
    return len(rows)
