"""What can be administered: a table of operations, each a function from what is asked to what is told."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from starlette.types import Scope

from bgone.accounts.accounts import Account
from bgone.accounts.books import Books
from bgone.accounts.usage import to_csv
from bgone.api.accept import first_accepted
from bgone.api.admin_asks import Answer, Asked, Operation, Page
from bgone.api.admin_jobs import OPERATIONS as OF_JOBS
from bgone.api.admin_values import (
    AccountFacts,
    AccountList,
    AddCredits,
    Audit,
    CreateAccount,
    CreateKey,
    EntryList,
    KeyFacts,
    KeyList,
    NewKey,
    PlanFacts,
    PlanList,
    PutPlan,
    RotateKey,
    SetPlan,
    TotalTable,
    UsageTable,
    account_list,
    amount,
    audit_of,
    days_meant,
    entry_list,
    facts_of,
    key_facts,
    key_list,
    mistake_in,
    new_key,
    plan_from,
    plan_list,
    printable,
    total_table,
    usage_table,
)
from bgone.api.job_values import Deleted, JobFacts, Redelivered
from bgone.api.reading import headers_of, query_of
from bgone.errors import ApiError, invalid_option, malformed_body, method_not_allowed, not_found

if TYPE_CHECKING:
    from bgone.api.running import Running

MOST_DAYS = 366  # of usage in one answer
CSV = "text/csv"

Meta = msgspec.Meta


# --- queries --------------------------------------------------------------------------------------------------------


class AccountPage(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which accounts."""

    search: Annotated[str, Meta(max_length=200, description="Only those with this in name, address or id.")] = ""


class KeyPage(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which keys."""

    account: Annotated[str, Meta(description="Only this account's, by name or id.")] = ""


class Period(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which days, both included, UTC."""

    since: Annotated[date | None, Meta(description="First day; 30 days before the last by default.")] = None
    until: Annotated[date | None, Meta(description="Last day; today by default.")] = None


# --- accounts -------------------------------------------------------------------------------------------------------


async def _create_account(asked: Asked) -> AccountFacts:
    body: CreateAccount = asked.body
    given, plan = amount("credits", body.credits), printable("plan", body.plan)
    return _account(await asked.books.accounts.create(body.name, body.email, plan, given))


async def _list_accounts(asked: Asked) -> AccountList:
    page: AccountPage = asked.query
    search = printable("search", page.search)
    return account_list(await asked.books.accounts.list(page.limit, page.offset, search))


async def _show_account(asked: Asked) -> AccountFacts:
    return _account(await asked.books.accounts.get(asked.name))


async def _credit(asked: Asked) -> AccountFacts:
    body: AddCredits = asked.body
    change = amount("amount", body.amount)
    return _account(await asked.books.accounts.credit(asked.name, change, body.reason))


async def _set_plan(asked: Asked) -> AccountFacts:
    body: SetPlan = asked.body
    return _account(await asked.books.accounts.set_plan(asked.name, printable("plan", body.plan)))


async def _bar(asked: Asked) -> AccountFacts:
    return _account(await asked.books.accounts.bar(asked.name))


async def _unbar(asked: Asked) -> AccountFacts:
    return _account(await asked.books.accounts.unbar(asked.name))


async def _list_entries(asked: Asked) -> EntryList:
    page: Page = asked.query
    account = await asked.books.accounts.get(asked.name)
    return entry_list(await asked.books.credits.entries(account.id, page.limit, page.offset))


async def _show_usage(asked: Asked) -> UsageTable | str:
    if first_accepted(asked.accept, ("application/json", CSV)) == CSV:
        return await _show_usage_csv(asked)
    account, first, last = await _whose_days(asked)
    return usage_table(account.id, first, last, await asked.books.usage.per_day(account.id, first, last))


async def _show_usage_csv(asked: Asked) -> str:
    account, first, last = await _whose_days(asked)
    return to_csv(await asked.books.usage.per_day(account.id, first, last))


async def _show_totals(asked: Asked) -> TotalTable:
    first, last = _days(asked.query)
    return total_table(first, last, await asked.books.usage.totals(first, last))


async def _whose_days(asked: Asked) -> tuple[Account, date, date]:
    first, last = _days(asked.query)
    return await asked.books.accounts.get(asked.name), first, last


def _days(period: Period) -> tuple[date, date]:
    first, last = days_meant(period.since, period.until)
    if (last - first).days >= MOST_DAYS:
        raise invalid_option("since", f"at most {MOST_DAYS} days", f"{first} to {last}")
    return first, last


async def _audit(asked: Asked) -> Audit:
    return audit_of(await asked.books.credits.audit())


def _account(account: Account) -> AccountFacts:
    return facts_of(account, AccountFacts)


# --- keys -----------------------------------------------------------------------------------------------------------


async def _create_key(asked: Asked) -> NewKey:
    body: CreateKey = asked.body
    if body.expires_at is not None and body.expires_at <= datetime.now(UTC):
        raise invalid_option("expires_at", "a moment in the future", body.expires_at.isoformat())
    account = await asked.books.accounts.get(asked.name)
    keys = asked.books.keys
    return new_key(await keys.create(account.id, prefix=body.prefix, mode=body.mode, expires_at=body.expires_at))


async def _list_keys(asked: Asked) -> KeyList:
    page: KeyPage = asked.query
    account_id = (await asked.books.accounts.get(page.account)).id if page.account else ""
    return key_list(await asked.books.keys.list(account_id, page.limit, page.offset))


async def _list_keys_of(asked: Asked) -> KeyList:
    page: Page = asked.query
    account = await asked.books.accounts.get(asked.name)
    return key_list(await asked.books.keys.list(account.id, page.limit, page.offset))


async def _show_key(asked: Asked) -> KeyFacts:
    return key_facts(await asked.books.keys.get(asked.name))


async def _rotate(asked: Asked) -> NewKey:
    body: RotateKey = asked.body
    return new_key(await asked.books.keys.rotate(asked.name, body.overlap_s))


async def _revoke(asked: Asked) -> KeyFacts:
    return key_facts(await asked.books.keys.revoke(asked.name))


# --- plans ----------------------------------------------------------------------------------------------------------


async def _list_plans(asked: Asked) -> PlanList:
    return plan_list(await asked.books.accounts.plans())


async def _show_plan(asked: Asked) -> PlanFacts:
    for plan in await asked.books.accounts.plans():
        if plan.name == asked.name:
            return facts_of(plan, PlanFacts)
    raise ApiError("not_found", "There is no such plan.")


async def _put_plan(asked: Asked) -> PlanFacts:
    plan = plan_from(asked.name, asked.body)
    await asked.books.accounts.put_plan(plan)
    return facts_of(await asked.books.accounts.plan(plan.name), PlanFacts)


# --- the document ---------------------------------------------------------------------------------------------------


class Document(msgspec.Struct, frozen=True):
    """An OpenAPI 3.1 document."""

    openapi: str
    info: dict[str, Any]
    servers: list[dict[str, Any]]
    security: list[dict[str, Any]]
    paths: dict[str, Any]
    components: dict[str, Any]


async def _describe(_asked: Asked) -> Document:
    from bgone.api.admin_openapi import document

    return msgspec.convert(document(), Document)


_ACCOUNT = "/accounts/{account}"
_KEY = "/keys/{key}"
OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "createAccount",
        "POST",
        "/accounts",
        "Make an account.",
        _create_account,
        AccountFacts,
        CreateAccount,
        status=201,
    ),
    Operation("listAccounts", "GET", "/accounts", "Accounts by name.", _list_accounts, AccountList, query=AccountPage),
    Operation("showAccount", "GET", _ACCOUNT, "An account, by name or id.", _show_account, AccountFacts),
    Operation(
        "addCredits", "POST", f"{_ACCOUNT}/credit", "Add credits, or take some away.", _credit, AccountFacts, AddCredits
    ),
    Operation(
        "setPlan", "POST", f"{_ACCOUNT}/plan", "Begin a plan's first period now.", _set_plan, AccountFacts, SetPlan
    ),
    Operation("bar", "POST", f"{_ACCOUNT}/bar", "Refuse every call, within seconds.", _bar, AccountFacts),
    Operation("unbar", "POST", f"{_ACCOUNT}/unbar", "Serve it again.", _unbar, AccountFacts),
    Operation(
        "listEntries", "GET", f"{_ACCOUNT}/ledger", "How its balance came about.", _list_entries, EntryList, query=Page
    ),
    Operation(
        "showUsage",
        "GET",
        f"{_ACCOUNT}/usage",
        "What its keys did, day by day.",
        _show_usage,
        UsageTable,
        query=Period,
        csv=True,
    ),
    Operation(
        "showUsageCsv",
        "GET",
        f"{_ACCOUNT}/usage.csv",
        "The same, always CSV.",
        _show_usage_csv,
        UsageTable,
        query=Period,
        csv=True,
    ),
    Operation(
        "createKey",
        "POST",
        f"{_ACCOUNT}/keys",
        "Make a key; its secret is told this once.",
        _create_key,
        NewKey,
        CreateKey,
        status=201,
    ),
    Operation("listKeysOf", "GET", f"{_ACCOUNT}/keys", "An account's keys.", _list_keys_of, KeyList, query=Page),
    Operation("listKeys", "GET", "/keys", "Keys, newest first.", _list_keys, KeyList, query=KeyPage),
    Operation("showKey", "GET", _KEY, "A key, by its beginning.", _show_key, KeyFacts),
    Operation(
        "rotateKey",
        "POST",
        f"{_KEY}/rotate",
        "Make a key like it, and end it after a while.",
        _rotate,
        NewKey,
        RotateKey,
        status=201,
    ),
    Operation("revokeKey", "DELETE", _KEY, "End a key, within seconds.", _revoke, KeyFacts),
    Operation("listPlans", "GET", "/plans", "Every plan.", _list_plans, PlanList),
    Operation("showPlan", "GET", "/plans/{plan}", "A plan.", _show_plan, PlanFacts),
    Operation("putPlan", "PUT", "/plans/{plan}", "Make a plan, or replace it.", _put_plan, PlanFacts, PutPlan),
    Operation(
        "showTotals",
        "GET",
        "/usage",
        "What all accounts' keys did, day by day.",
        _show_totals,
        TotalTable,
        query=Period,
    ),
    *OF_JOBS,
    Operation("audit", "GET", "/audit", "Whether every balance is the sum of its ledger.", _audit, Audit),
    Operation("describe", "GET", "/openapi.json", "This API as an OpenAPI 3.1 document.", _describe, Document),
)

_PATTERNS = [
    # Escaping a path with braces escapes them too; a name has no slash in it.
    (re.compile(re.sub(r"\\\{\w+\\\}", "([^/]+)", re.escape(operation.path))), operation)
    for operation in OPERATIONS
]


def find(method: str, path: str) -> tuple[Operation, str]:
    """(the operation, what its path names).

    Raises:
        not_found: No operation has this path.
        method_not_allowed: Others have it.
    """
    matches = [(operation, match) for pattern, operation in _PATTERNS if (match := pattern.fullmatch(path))]
    wanted = "GET" if method == "HEAD" else method
    for operation, match in matches:
        if operation.method == wanted:
            return operation, match[1] if match.re.groups else ""
    if not matches:
        raise not_found()
    raise method_not_allowed(", ".join(sorted({operation.method for operation, _ in matches})))


async def perform(
    operation: Operation, name: str, scope: Scope, body: bytes, books: Books, running: Running | None
) -> Answer:
    """Do it.

    Raises:
        ApiError: What was sent means nothing here, or cannot be done.
    """
    query = _query(operation.query, query_of(scope))
    sent = None if operation.body is None else _body(operation.body, body)
    told = await operation.does(Asked(books, running, name, query, sent, headers_of(scope).get("accept", "")))
    vary = (("vary", "accept"),) if operation.csv else ()
    if isinstance(told, str):
        naming = ("content-disposition", 'attachment; filename="usage.csv"')
        return Answer(operation.status, told.encode(), (("content-type", f"{CSV}; charset=utf-8"), naming, *vary))
    headers = (("content-type", "application/json"), *vary)
    return Answer(operation.status, msgspec.json.encode(told), headers, _target(told))


def _query(kind: type[msgspec.Struct], given: Mapping[str, str]) -> msgspec.Struct:
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        raise mistake_in(error) from error


def _body(kind: type[msgspec.Struct], text: bytes) -> msgspec.Struct:
    try:
        return msgspec.json.decode(text or b"{}", type=kind)
    except msgspec.ValidationError as error:
        raise mistake_in(error) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise malformed_body("a JSON object", detail=str(error)) from error


def _target(told: msgspec.Struct) -> str:
    if isinstance(told, Redelivered | Deleted):
        return told.job_id
    return told.id if isinstance(told, AccountFacts | KeyFacts | JobFacts) else ""
