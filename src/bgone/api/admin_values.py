"""What the admin API and the commands tell and are told: one shape for both, amounts as decimal text, never float."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, TypeVar

import msgspec

from bgone.accounts.accounts import Account, Billing, Plan, Status
from bgone.accounts.credits import Difference, Entry
from bgone.accounts.keys import Key, Mode
from bgone.accounts.rules import Rule
from bgone.accounts.usage import Day, Total
from bgone.errors import ApiError, invalid_option

Meta = msgspec.Meta

MOST_CREDITS = Decimal(1_000_000_000)  # of one change: thousands of them still fit what the database counts in
_MOST_DIGITS = 28  # more are rounded by Decimal before anybody sees that they are too fine
MOST_OVERLAP_S = 366 * 86_400
_PRICED = r"^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)?$"

# Told as text, and read from a number as well.
Amount = Annotated[Decimal, Meta(description="Credits, no finer than a millionth; text or a number.")]
Credits = Annotated[Decimal, Meta(description="Credits, a decimal number.")]
Moment = Annotated[datetime, Meta(tz=True)]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]


# --- told -----------------------------------------------------------------------------------------------------------


class AccountFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An account as it stood when it was read."""

    id: str
    name: str
    email: str
    plan: str
    billing: Billing
    status: Annotated[Status, Meta(description="barred: every call is refused.")]
    balance: Annotated[Decimal, Meta(description="All that can be spent: subscription and payg.")]
    subscription: Annotated[Decimal, Meta(description="Left of this period's credits.")]
    payg: Annotated[Decimal, Meta(description="Left of the credits bought one by one.")]
    free_calls: Annotated[int, Meta(description="Free previews left.")]
    quota: Annotated[Decimal, Meta(description="Credits of a whole period.")]
    period_start: datetime | None
    period_end: datetime | None
    created_at: datetime


class KeyFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What may be told of a key: everything but its secret."""

    name: Annotated[str, Meta(description="How it begins, and what it is called in commands and addresses.")]
    id: str
    prefix: str
    account_id: str
    fingerprint: Annotated[str, Meta(description="Its non-secret name in logs and account routes.")]
    mode: Mode
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    replaced_by: Annotated[str, Meta(description="id of the key that it was rotated into; empty: none.")]
    last_used_at: Annotated[datetime | None, Meta(description="To five minutes.")]


class NewKey(KeyFacts, frozen=True, kw_only=True):
    """A key that was just made: the only time that it is told itself."""

    key: Annotated[str, Meta(description="What clients send; it cannot be read again.")]


class EntryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the ledger."""

    id: str
    at: datetime
    reason: Annotated[str, Meta(description="hold, charge, released (given back by a later row), or why else.")]
    subscription: Annotated[Decimal, Meta(description="Added to this period's credits; less than 0: taken.")]
    payg: Annotated[Decimal, Meta(description="Added to those bought one by one.")]
    free_calls: Annotated[int, Meta(description="Added to the free previews.")]
    balance_after: Credits
    key_id: str
    request_id: str
    dialect: str


class DayFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What one key did in one dialect on one day (UTC)."""

    day: date
    key_id: str
    dialect: str
    mode: str
    calls: Annotated[int, Meta(description="Answered, failures included.")]
    failures: int
    credits: Annotated[Decimal, Meta(description="Charged.")]
    pixels: int


class TotalFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What all keys did in one dialect on one day (UTC)."""

    day: date
    dialect: str
    calls: Annotated[int, Meta(description="Answered, failures included.")]
    failures: int
    credits: Annotated[Decimal, Meta(description="Charged.")]
    pixels: int


class PlanFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What accounts are given."""

    name: str
    billing: Billing
    quota: Credits
    period_months: int
    rollover: Annotated[
        Decimal | None, Meta(description="Most that is carried into the next period; null: everything.")
    ]
    free_calls: int
    prices: dict[str, Decimal]
    rates: dict[str, Any]


class Pots(msgspec.Struct, frozen=True, kw_only=True):
    """An account's credits, pot by pot."""

    subscription: Credits
    payg: Credits
    free_calls: int


class DifferenceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """An account whose balance is not the sum of its ledger."""

    account_id: str
    name: str
    balance: Pots
    ledger: Pots


class AccountList(msgspec.Struct, frozen=True):
    """Accounts, by name."""

    accounts: tuple[AccountFacts, ...]


class KeyList(msgspec.Struct, frozen=True):
    """Keys, newest first, the revoked ones too."""

    keys: tuple[KeyFacts, ...]


class EntryList(msgspec.Struct, frozen=True):
    """An account's ledger, newest first."""

    entries: tuple[EntryFacts, ...]


class UsageTable(msgspec.Struct, frozen=True, kw_only=True):
    """An account's usage, oldest first."""

    account_id: str
    since: date
    until: date
    days: tuple[DayFacts, ...]


class TotalTable(msgspec.Struct, frozen=True, kw_only=True):
    """All accounts' usage together, oldest first."""

    since: date
    until: date
    days: tuple[TotalFacts, ...]


class PlanList(msgspec.Struct, frozen=True):
    """Every plan, by name."""

    plans: tuple[PlanFacts, ...]


class Audit(msgspec.Struct, frozen=True, kw_only=True):
    """Whether every balance is the sum of its ledger."""

    balanced: bool
    differences: tuple[DifferenceFacts, ...]


class TablesVersion(msgspec.Struct, frozen=True, kw_only=True):
    """What the tables are, and what this program needs."""

    version: str
    newest: str
    current: bool


class DatabaseCopy(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that was made."""

    database: str
    file: str
    bytes: int


Facts = TypeVar("Facts", bound=msgspec.Struct)


def facts_of(value: object, kind: type[Facts]) -> Facts:
    """A value of the accounts in the shape that is told."""
    return msgspec.convert(value, kind, from_attributes=True)


def account_list(accounts: Iterable[Account]) -> AccountList:
    """Accounts as they are told."""
    return AccountList(tuple(facts_of(account, AccountFacts) for account in accounts))


def key_facts(key: Key) -> KeyFacts:
    """A key as it is told."""
    return KeyFacts(**_told(key))


def key_list(keys: Iterable[Key]) -> KeyList:
    """Keys as they are told."""
    return KeyList(tuple(key_facts(key) for key in keys))


def new_key(made: tuple[str, Key]) -> NewKey:
    """(secret, key) as it is told, once."""
    secret, key = made
    return NewKey(key=secret, **_told(key))


def _told(key: Key) -> dict[str, Any]:
    names = [name for name in KeyFacts.__struct_fields__ if name != "name"]
    return {"name": key.shown, **{name: getattr(key, name) for name in names}}


def entry_list(entries: Iterable[Entry]) -> EntryList:
    """A ledger as it is told."""
    return EntryList(tuple(facts_of(entry, EntryFacts) for entry in entries))


def usage_table(account_id: str, since: date, until: date, days: Iterable[Day]) -> UsageTable:
    """Usage as it is told."""
    rows = tuple(facts_of(day, DayFacts) for day in days)
    return UsageTable(account_id=account_id, since=since, until=until, days=rows)


def total_table(since: date, until: date, days: Iterable[Total]) -> TotalTable:
    """All accounts' usage as it is told."""
    return TotalTable(since=since, until=until, days=tuple(facts_of(day, TotalFacts) for day in days))


def plan_list(plans: Iterable[Plan]) -> PlanList:
    """Plans as they are told."""
    return PlanList(tuple(facts_of(plan, PlanFacts) for plan in plans))


def audit_of(differences: Iterable[Difference]) -> Audit:
    """What an audit found, as it is told."""

    def pots(three: tuple[Decimal, Decimal, int]) -> Pots:
        return Pots(subscription=three[0], payg=three[1], free_calls=three[2])

    found = tuple(
        DifferenceFacts(
            account_id=each.account_id, name=each.name, balance=pots(each.balance), ledger=pots(each.ledger)
        )
        for each in differences
    )
    return Audit(balanced=not found, differences=found)


# --- asked ----------------------------------------------------------------------------------------------------------


class CreateAccount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new account."""

    name: Annotated[str, Meta(min_length=1, max_length=200, description="Unique; not beginning with acc_.")]
    email: Annotated[str, Meta(max_length=320)] = ""
    plan: Annotated[str, Meta(max_length=64)] = "payg"
    credits: Amount = Decimal(0)


class AddCredits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Credits to add; less than 0 takes some away."""

    amount: Amount
    reason: Annotated[str, Meta(min_length=1, max_length=200, description="For the ledger.")] = "credit"


class SetPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A plan whose first period begins now."""

    plan: Annotated[str, Meta(min_length=1, max_length=64)]


class CreateKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new key."""

    prefix: Annotated[
        str,
        Meta(
            max_length=32,
            pattern="^([a-z0-9]+_)*$",
            description="What the key begins with: words, each with its underscore.",
        ),
    ] = ""
    mode: Mode = "live"
    expires_at: Moment | None = None


class RotateKey(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How long the old key stays valid beside the new one."""

    overlap_s: Annotated[int, Meta(ge=0, le=MOST_OVERLAP_S)] = 86_400


class PutPlan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of a plan: what is left out has its default."""

    billing: Annotated[Billing, Meta(description="metered: calls are counted, and nothing is taken.")] = "credits"
    quota: Amount = Decimal(0)
    period_months: Annotated[int, Meta(ge=1, le=120)] = 1
    rollover: Amount | None = Decimal(0)
    free_calls: Annotated[Count, Meta(description="Free previews of a new account.")] = 0
    prices: Annotated[
        dict[Annotated[str, Meta(pattern=_PRICED)], Amount],
        Meta(description="dialect or dialect.operation → credits instead of the usual."),
    ] = {}
    rates: Annotated[
        dict[str, tuple[Rule, ...]],
        Meta(description="dialect, or * for all together → its limits instead of the usual."),
    ] = {}


def plan_from(name: str, asked: PutPlan) -> Plan:
    """The plan that ``asked`` describes.

    Raises:
        invalid_option: An amount that is no number of credits.
    """
    return Plan(
        name=printable("name", name),
        billing=asked.billing,
        quota=amount("quota", asked.quota),
        period_months=asked.period_months,
        rollover=None if asked.rollover is None else amount("rollover", asked.rollover),
        free_calls=asked.free_calls,
        prices={what: amount(f"prices.{what}", price) for what, price in asked.prices.items()},
        rates=msgspec.to_builtins(asked.rates),
    )


def amount(option: str, given: Decimal | str) -> Decimal:
    """A number of credits that can be counted with.

    Raises:
        invalid_option: It is none.
    """
    try:
        number = Decimal(given)
    except InvalidOperation:
        number = Decimal("NaN")
    _, digits, exponent = number.as_tuple()
    # Arithmetic with 1e999999999 overflows, and int() of 1e-999999999 takes minutes: their exponents are looked at.
    if not isinstance(exponent, int) or exponent > _MOST_DIGITS or number.copy_abs() > MOST_CREDITS:
        raise invalid_option(option, f"a decimal number of credits, at most {MOST_CREDITS:,}", given)
    if exponent < -_MOST_DIGITS or len(digits) > _MOST_DIGITS:
        raise invalid_option(option, "credits, no finer than a millionth", given)
    return number


def days_meant(since: date | None, until: date | None) -> tuple[date, date]:
    """The days asked for, both included, UTC; by default the last 31.

    Raises:
        invalid_option: The first is after the last.
    """
    last = until or datetime.now(UTC).date()
    first = since or last - min(timedelta(days=30), last - date.min)
    if first > last:
        raise invalid_option("since", f"a day not after {last}", first)
    return first, last


def printable(option: str, text: str) -> str:
    """``text``, which a database can be asked for.

    Raises:
        invalid_option: There is something in it that cannot be seen.
    """
    if not text.isprintable():
        raise invalid_option(option, "printable characters", text)
    return text


def mistake_in(error: msgspec.ValidationError) -> ApiError:
    """What msgspec found wrong, in our words: ``$.amount`` becomes ``amount``."""
    words, _, where = str(error).partition(" - at `")
    place = where.rstrip("`").removeprefix("$").lstrip(".") or "body"
    return ApiError("invalid_option", f"{place[:80]}: {words[:200]}.", facts={"option": place[:80]})
