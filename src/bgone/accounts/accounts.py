"""Accounts and plans: who has how many credits, for how long, and how more are added."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Literal

from sqlalchemy import Connection, Row, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from bgone.accounts.ledger import Purse, begin_period, lock, save
from bgone.accounts.money import credits_of, micros
from bgone.errors import ApiError, invalid_option
from bgone.storage.database import Database
from bgone.storage.tables import accounts, plans

Billing = Literal["credits", "metered"]
Status = Literal["active", "barred"]
NOTHING = Decimal(0)
PAYG = "payg"  # the plan without quota that every database has


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Account:
    """An account as it stood when it was read.

    Attributes:
        id: Non-secret, ``acc_`` and 96 random bits.
        name: The operator's, unique.
        email: Of the owner.
        plan: Name of its plan.
        billing: ``metered``: calls are counted and nothing is taken from a balance.
        status: ``barred``: every call is refused.
        subscription: Left of this period's credits.
        payg: Left of those bought one by one.
        free_calls: Free previews left.
        quota: Credits of a whole period.
        period_start: When this period began; None where the plan has no quota.
        period_end: When it ends.
        created_at: When it was made.
    """

    id: str
    name: str
    email: str
    plan: str
    billing: Billing
    status: Status
    subscription: Decimal
    payg: Decimal
    free_calls: int
    quota: Decimal
    period_start: datetime | None
    period_end: datetime | None
    created_at: datetime

    @property
    def balance(self) -> Decimal:
        """All that can be spent."""
        return self.subscription + self.payg


@dataclass(frozen=True, slots=True)
class Plan:
    """What accounts are given.

    Attributes:
        name: The operator's.
        billing: ``credits`` or ``metered``.
        quota: Credits of a period.
        period_months: Length of a period.
        rollover: Most that is carried into the next period; None: all.
        free_calls: Free previews of a new account.
        prices: What replaces usual prices: ``dialect`` or ``dialect.operation`` → credits.
        rates: What replaces usual limits of rate, as the limits read it.
    """

    name: str
    billing: Billing = "credits"
    quota: Decimal = NOTHING
    period_months: int = 1
    rollover: Decimal | None = NOTHING
    free_calls: int = 0
    prices: Mapping[str, Decimal] = field(default_factory=dict)
    rates: Mapping[str, Any] = field(default_factory=dict)


def no_account(name: str) -> ApiError:
    """There is none, or it is another's."""
    return ApiError("not_found", "There is no such account.", detail=f"account {name[:80]!r}")


class Accounts:
    """Every account of a database.

    Args:
        db: Where they are.
        now: The clock, UTC.
    """

    def __init__(self, db: Database, now: Callable[[], datetime] = utc_now) -> None:
        self._db = db
        self._now = now

    async def create(
        self,
        name: str,
        email: str = "",
        plan: str = PAYG,
        credits: Decimal = NOTHING,  # noqa: A002 - the operators' word
    ) -> Account:
        """Make an account with a plan's first period, and ``credits`` beside it.

        Raises:
            invalid_option: The name is taken or none, there is no such plan, credits below 0 or finer than a millionth.
        """
        if not name.isprintable() or not 1 <= len(name) <= 200 or name.startswith("acc_"):
            raise invalid_option("name", "1 to 200 printable characters, not beginning with acc_", name)
        if not email.isprintable() or len(email) > 320:
            raise invalid_option("email", "an address", email)
        given = _micros("credits", credits)
        if given < 0:
            raise invalid_option("credits", "0 or more", credits)
        try:
            account_id = await self._db.write(partial(_create, name, email, plan, given, self._now()))
        except IntegrityError as error:
            raise invalid_option("name", "one that is not taken", name) from error
        return await self.get(account_id)

    async def get(self, account: str) -> Account:
        """An account by id or name; where its period has ended, the new one begins.

        Raises:
            not_found: There is none.
        """
        found = account_of(await self._db.query(partial(_find, account)))
        if found.period_end is not None and found.period_end <= self._now():
            await self._db.write(partial(_touch, found.id, self._now()))
            found = account_of(await self._db.query(partial(_find, found.id)))
        return found

    async def list(self, limit: int = 100, offset: int = 0, search: str = "") -> tuple[Account, ...]:
        """Accounts by name, ``limit`` of them from ``offset`` on; only those with ``search`` in name, email or id."""
        page = select(accounts).order_by(accounts.c.name).limit(limit).offset(offset)
        if search:
            columns = (accounts.c.name, accounts.c.email, accounts.c.id)
            page = page.where(or_(*(column.icontains(search, autoescape=True) for column in columns)))
        return tuple(account_of(row) for row in await self._db.query(lambda link: link.execute(page).all()))

    async def credit(self, account: str, amount: Decimal, reason: str = "credit") -> Account:
        """Add pay-as-you-go credits; less than 0 takes some away, of the subscription's where there are no others.

        Raises:
            not_found: There is no such account.
            invalid_option: More would be taken than there is, or the amount is 0 or finer than a millionth.
        """
        change = _micros("amount", amount)
        if change == 0:
            raise invalid_option("amount", "a number of credits other than 0", amount)
        if not reason.isprintable() or not 1 <= len(reason) <= 200 or reason in ("hold", "charge", "released"):
            raise invalid_option("reason", "1 to 200 printable characters, none of the ledger's own words", reason)
        await self._change(account, partial(_credit, change, reason))
        return await self.get(account)

    async def set_plan(self, account: str, plan: str) -> Account:
        """Begin a plan's first period now; what is left of the old subscription goes over by the new plan's rule.

        Raises:
            not_found: There is no such account.
            invalid_option: There is no such plan.
        """
        await self._change(account, partial(_set_plan, plan))
        return await self.get(account)

    async def bar(self, account: str) -> Account:
        """Refuse its calls from now on (other replicas: within the key cache's age).

        Raises:
            not_found: There is no such account.
        """
        await self._change(account, partial(_set_status, "barred"))
        return await self.get(account)

    async def unbar(self, account: str) -> Account:
        """Serve it again.

        Raises:
            not_found: There is no such account.
        """
        await self._change(account, partial(_set_status, "active"))
        return await self.get(account)

    # --- plans --------------------------------------------------------------------------------------------------

    async def put_plan(self, plan: Plan) -> None:
        """Make a plan, or change it: all of it holds at once but the quota and roll-over, from the next period on.

        Raises:
            invalid_option: A value that no plan can have.
        """
        if not plan.name.isprintable() or not 1 <= len(plan.name) <= 64:
            raise invalid_option("name", "1 to 64 printable characters", plan.name)
        if plan.billing not in ("credits", "metered"):
            raise invalid_option("billing", "credits or metered", plan.billing)
        if not 1 <= plan.period_months <= 120:
            raise invalid_option("period_months", "1 to 120", plan.period_months)
        if plan.free_calls < 0:
            raise invalid_option("free_calls", "0 or more", plan.free_calls)
        for option, amount in (("quota", plan.quota), ("rollover", plan.rollover), *plan.prices.items()):
            if amount is not None and _micros(option, amount) < 0:
                raise invalid_option(option, "0 or more", amount)
        row = {
            "name": plan.name,
            "billing": plan.billing,
            "quota": micros(plan.quota),
            "period_months": plan.period_months,
            "rollover": None if plan.rollover is None else micros(plan.rollover),
            "free_calls": plan.free_calls,
            "prices": {name: str(price) for name, price in plan.prices.items()},
            "rates": dict(plan.rates),
        }
        await self._db.write(partial(_put_plan, row))

    async def plan(self, name: str) -> Plan:
        """A plan by name.

        Raises:
            invalid_option: There is none.
        """
        return plan_of(await self._db.query(partial(_plan, name)))

    async def plans(self) -> tuple[Plan, ...]:
        """Every plan, by name."""
        every = select(plans).order_by(plans.c.name)
        return tuple(plan_of(row) for row in await self._db.query(lambda link: link.execute(every).all()))

    async def _change(self, account: str, change: Callable[[Connection, Purse, datetime], None]) -> None:
        await self._db.write(partial(_change, account, change, self._now()))


# --- rows -----------------------------------------------------------------------------------------------------------


def account_of(row: Row[Any], prefix: str = "") -> Account:
    """The account of a row of which its columns are a part, their names beginning with ``prefix``."""
    facts = row._mapping
    return Account(
        id=facts[f"{prefix}id"],
        name=facts[f"{prefix}name"],
        email=facts[f"{prefix}email"],
        plan=facts[f"{prefix}plan"],
        billing=facts[f"{prefix}billing"],
        status=facts[f"{prefix}status"],
        subscription=credits_of(facts[f"{prefix}subscription"]),
        payg=credits_of(facts[f"{prefix}payg"]),
        free_calls=facts[f"{prefix}free_calls"],
        quota=credits_of(facts[f"{prefix}quota"]),
        period_start=facts[f"{prefix}period_start"],
        period_end=facts[f"{prefix}period_end"],
        created_at=facts[f"{prefix}created_at"],
    )


def plan_of(row: Row[Any], prefix: str = "") -> Plan:
    """The plan of a row, as ``account_of``."""
    facts = row._mapping
    rollover = facts[f"{prefix}rollover"]
    return Plan(
        name=facts[f"{prefix}name"],
        billing=facts[f"{prefix}billing"],
        quota=credits_of(facts[f"{prefix}quota"]),
        period_months=facts[f"{prefix}period_months"],
        rollover=None if rollover is None else credits_of(rollover),
        free_calls=facts[f"{prefix}free_calls"],
        prices={name: Decimal(price) for name, price in facts[f"{prefix}prices"].items()},
        rates=facts[f"{prefix}rates"],
    )


def _micros(option: str, amount: Decimal) -> int:
    try:
        return micros(amount)
    except ValueError as error:
        raise invalid_option(option, "credits, no finer than a millionth", amount) from error


# --- transactions ---------------------------------------------------------------------------------------------------


def _find(account: str, connection: Connection) -> Row[Any]:
    if not account.isprintable():
        raise no_account(account)  # PostgreSQL has no text with NUL in it
    row = connection.execute(select(accounts).where(or_(accounts.c.id == account, accounts.c.name == account))).first()
    if row is None:
        raise no_account(account)
    return row


def _plan(name: str, connection: Connection) -> Row[Any]:
    row = connection.execute(select(plans).where(plans.c.name == name)).first()
    if row is None:
        raise invalid_option("plan", "the name of a plan", name)
    return row


def _create(name: str, email: str, plan: str, given: int, now: datetime, connection: Connection) -> str:
    terms = _plan(plan, connection)
    account_id = f"acc_{secrets.token_hex(12)}"
    facts = {"id": account_id, "name": name, "email": email, "plan": plan, "billing": terms.billing, "created_at": now}
    connection.execute(insert(accounts), facts)
    purse = lock(connection, [account_id], now)[account_id]
    begin_period(purse, terms, now)
    if given or terms.free_calls:
        purse.add(now, "opening", payg=given, free_calls=terms.free_calls)
    save(connection, [purse], pots_only=False)
    return account_id


def _touch(account_id: str, now: datetime, connection: Connection) -> None:
    lock(connection, [account_id], now)


def _change(
    account: str, change: Callable[[Connection, Purse, datetime], None], now: datetime, connection: Connection
) -> None:
    account_id = _find(account, connection).id
    purse = lock(connection, [account_id], now)[account_id]
    change(connection, purse, now)
    save(connection, [purse], pots_only=False)


def _credit(change: int, reason: str, _connection: Connection, purse: Purse, now: datetime) -> None:
    if purse.balance + change < 0:
        raise invalid_option("amount", f"at least -{credits_of(purse.balance)}", credits_of(change))
    payg = max(change, -purse.payg)
    purse.add(now, reason, payg=payg, subscription=change - payg)


def _set_plan(plan: str, connection: Connection, purse: Purse, now: datetime) -> None:
    begin_period(purse, _plan(plan, connection), now)


def _set_status(status: Status, _connection: Connection, purse: Purse, _now: datetime) -> None:
    purse.status = status


def _put_plan(row: Mapping[str, Any], connection: Connection) -> None:
    changed = connection.execute(update(plans).where(plans.c.name == row["name"]).values(row))
    if changed.rowcount == 0:
        connection.execute(insert(plans), row)
    # Locked in the order that all lock accounts in.
    others = select(accounts.c.id).where(accounts.c.plan == row["name"], accounts.c.billing != row["billing"])
    ids = connection.execute(others.order_by(accounts.c.id).with_for_update()).scalars().all()
    connection.execute(update(accounts).where(accounts.c.id.in_(ids)).values(billing=row["billing"]))
