"""Writing the ledger: an account's row is locked, changed in memory with an entry for each change, and saved once.

Whoever locks several accounts does it in the order of their ids, and ledger rows before accounts: so nobody waits in
a circle.
"""

from __future__ import annotations

import secrets
import time
from calendar import monthrange
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from bgone.storage.tables import accounts, ledger, plans


def new_entry_id() -> str:
    """Sorts by time (nanoseconds), and is unlike any other (64 random bits)."""
    return f"{time.time_ns():016x}{secrets.token_hex(8)}"


@dataclass(slots=True)
class Purse:
    """An account's money while its row is locked; credits in millionths.

    Attributes:
        id: Of the account.
        status: ``active`` or ``barred``.
        billing: ``credits`` or ``metered``.
        plan: Name of the plan.
        subscription: Left of this period's credits.
        payg: Left of those bought one by one.
        free_calls: Free previews left.
        quota: Credits of a period.
        period_anchor: When the first period began.
        period_start: When this one did.
        period_end: When it ends; None: no periods.
        entries: Rows of the ledger that say how it came to this.
    """

    id: str
    status: str
    billing: str
    plan: str
    subscription: int
    payg: int
    free_calls: int
    quota: int
    period_anchor: datetime | None
    period_start: datetime | None
    period_end: datetime | None
    entries: list[dict[str, Any]] = field(default_factory=list)

    @property
    def balance(self) -> int:
        """All that can be spent."""
        return self.subscription + self.payg

    def add(
        self, at: datetime, reason: str, *, subscription: int = 0, payg: int = 0, free_calls: int = 0, **facts: Any
    ) -> dict[str, Any]:
        """Change the pots, with an entry; ``facts`` are further columns of it."""
        self.subscription += subscription
        self.payg += payg
        self.free_calls += free_calls
        entry = {
            "id": new_entry_id(),
            "account_id": self.id,
            "key_id": "",
            "reason": reason,
            "request_id": "",
            "dialect": "",
            "subscription": subscription,
            "payg": payg,
            "free_calls": free_calls,
            "balance_after": self.balance,
            "at": at,
            "open_until": None,
        } | facts
        self.entries.append(entry)
        return entry


_PURSE = ("id", "status", "billing", "plan", "subscription", "payg", "free_calls", "quota")
_PERIOD = ("period_anchor", "period_start", "period_end")
_LOCK = (
    select(*(accounts.c[name] for name in (*_PURSE, *_PERIOD)))
    .where(accounts.c.id.in_(bindparam("ids", expanding=True)))
    .order_by(accounts.c.id)
    .with_for_update()  # SQLite's transactions have the whole file to themselves and take no notice
)
_CHANGING = ("status", "billing", "plan", "subscription", "payg", "free_calls", "quota", *_PERIOD)
_SAVE = update(accounts).where(accounts.c.id == bindparam("_id")).values({name: bindparam(name) for name in _CHANGING})
_SAVE_POTS = (
    update(accounts)
    .where(accounts.c.id == bindparam("_id"))
    .values({name: bindparam(name) for name in ("subscription", "payg", "free_calls")})
)
_WRITE = insert(ledger)


def lock(connection: Connection, ids: Collection[str], now: datetime) -> dict[str, Purse]:
    """Lock accounts until the end of the transaction; those whose period has ended begin a new one.

    Returns:
        By id; accounts that are not there are left out.
    """
    purses = {row.id: Purse(*row) for row in connection.execute(_LOCK, {"ids": sorted(ids)})}
    due = [purse for purse in purses.values() if purse.period_end is not None and purse.period_end <= now]
    for purse in due:
        _renew(connection, purse, now)
    if due:
        save(connection, due, pots_only=False)
    return purses


def save(connection: Connection, purses: Iterable[Purse], *, pots_only: bool = True) -> None:
    """Write what has changed, and its entries."""
    changed = [purse for purse in purses if purse.entries or not pots_only]
    names = ("subscription", "payg", "free_calls") if pots_only else _CHANGING
    rows = [{"_id": purse.id} | {name: getattr(purse, name) for name in names} for purse in changed]
    entries = [entry for purse in changed for entry in purse.entries]
    if rows:
        connection.execute(_SAVE_POTS if pots_only else _SAVE, _one_or_many(rows))
    if entries:
        connection.execute(_WRITE, _one_or_many(entries))
    for purse in changed:
        purse.entries = []


def _one_or_many(rows: list[dict[str, Any]]) -> Any:
    # One row alone goes without the driver's machinery for many.
    return rows[0] if len(rows) == 1 else rows


# --- periods --------------------------------------------------------------------------------------------------------


def months_after(moment: datetime, months: int) -> datetime:
    """The same day and hour so many months later; the last of the month where it has no such day."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, monthrange(year, month + 1)[1]))


def carried(left: int, rollover: int | None) -> int:
    """What goes over into the next period; ``rollover`` None: all of it."""
    return left if rollover is None else min(left, rollover)


def begin_period(purse: Purse, plan: Any, now: datetime) -> None:
    """Begin the first period of a plan now: what is left of the old one goes over by the new plan's rule."""
    _move_on(purse, now, carried(purse.subscription, plan.rollover), plan.quota)
    purse.plan, purse.billing, purse.quota = plan.name, plan.billing, plan.quota
    purse.period_anchor = purse.period_start = now if plan.quota else None
    purse.period_end = months_after(now, plan.period_months) if plan.quota else None


def _renew(connection: Connection, purse: Purse, now: datetime) -> None:
    """Begin the period that ``now`` is in, by what the plan says today; periods without a call count as well."""
    plan = connection.execute(select(plans).where(plans.c.name == purse.plan)).one()
    anchor, start, end = purse.period_anchor, purse.period_start, purse.period_end
    assert anchor is not None
    assert end is not None
    left, kept, months = purse.subscription, purse.subscription, 0
    while end is not None and end <= now:
        kept = min(kept, carried(left, plan.rollover))
        left = carried(left, plan.rollover) + plan.quota
        start = end
        while end <= start:
            months += plan.period_months
            end = months_after(anchor, months)
    _move_on(purse, now, kept, left - kept)
    purse.quota, purse.billing, purse.period_start = plan.quota, plan.billing, start
    purse.period_end = end if plan.quota else None


def _move_on(purse: Purse, now: datetime, kept: int, granted: int) -> None:
    if kept != purse.subscription:
        purse.add(now, "period ended", subscription=kept - purse.subscription)
    if granted:
        purse.add(now, "period", subscription=granted)
