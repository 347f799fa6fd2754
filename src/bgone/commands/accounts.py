"""``bgone accounts``: who may ask, and with how many credits."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

import click

from bgone.commands.frame import as_json, ask, credits_given, on_database, show, show_json, show_table
from bgone.errors import ApiError

if TYPE_CHECKING:
    from bgone.accounts.accounts import Account
    from bgone.accounts.books import Books

PAGE = 1000  # rows read at once
_SHOWN = ("name", "id", "plan", "status", "balance")
_DAY = click.DateTime(["%Y-%m-%d"])


@click.group()
def accounts() -> None:
    """Accounts: create, show, credit, bar, audit."""


@accounts.command()
@click.argument("name")
@click.option("--credits", "given", default="0", metavar="N", help="Credits to begin with.  [default: 0]")
@click.option("--email", default="", metavar="ADDRESS", help="Of the owner.")
@click.option("--plan", default="payg", metavar="PLAN", help="Its plan.  [default: payg]")
@as_json
@on_database
def create(name: str, given: str, email: str, plan: str, as_json: bool, database_url: str | None) -> None:
    """Make an account; the first one makes the database as well."""
    credits = credits_given("--credits", given)  # noqa: A001 - the operators' word
    made = ask(database_url, lambda books: books.accounts.create(name, email, plan, credits), makes=True)
    _show(made, json=as_json)


@accounts.command(name="show")
@click.argument("name")
@as_json
@on_database
def show_one(name: str, as_json: bool, database_url: str | None) -> None:
    """Show an account, by name or id."""
    _show(ask(database_url, lambda books: books.accounts.get(name)), json=as_json)


@accounts.command(name="list")
@as_json
@on_database
def show_all(as_json: bool, database_url: str | None) -> None:
    """Show every account, by name."""
    from bgone.api.admin_values import account_list

    async def every(books: Books) -> list[Account]:
        found: list[Account] = []
        while page := await books.accounts.list(PAGE, len(found)):
            found += page
        return found

    told = account_list(ask(database_url, every))
    if as_json:
        show_json(told)
    else:
        show_table(told.accounts, _SHOWN)


@accounts.command(context_settings={"ignore_unknown_options": True})
@click.argument("name")
@click.argument("amount", metavar="N")
@click.option("--reason", default="credit", help="For the ledger.  [default: credit]")
@as_json
@on_database
def credit(name: str, amount: str, reason: str, as_json: bool, database_url: str | None) -> None:
    """Add N credits to an account; less than 0 takes some away."""
    change = credits_given("N", amount)
    _show(ask(database_url, lambda books: books.accounts.credit(name, change, reason)), json=as_json)


@accounts.command()
@click.argument("name")
@click.argument("plan")
@as_json
@on_database
def plan(name: str, plan: str, as_json: bool, database_url: str | None) -> None:
    """Give an account another plan, whose first period begins now."""
    _show(ask(database_url, lambda books: books.accounts.set_plan(name, plan)), json=as_json)


@accounts.command()
@click.argument("name")
@as_json
@on_database
def bar(name: str, as_json: bool, database_url: str | None) -> None:
    """Refuse every call of an account, within seconds."""
    _show(ask(database_url, lambda books: books.accounts.bar(name)), json=as_json)


@accounts.command()
@click.argument("name")
@as_json
@on_database
def unbar(name: str, as_json: bool, database_url: str | None) -> None:
    """Serve an account again."""
    _show(ask(database_url, lambda books: books.accounts.unbar(name)), json=as_json)


@accounts.command()
@as_json
@on_database
@click.pass_context
def audit(context: click.Context, as_json: bool, database_url: str | None) -> None:
    """Compare every balance with the sum of its ledger; exit status 1 where one differs."""
    from bgone.api.admin_values import audit_of

    found = audit_of(ask(database_url, lambda books: books.credits.audit()))
    if as_json:
        show_json(found)
    elif found.balanced:
        click.echo("Every balance is the sum of its ledger.")
    else:
        for each in found.differences:
            click.echo(f"{each.name} ({each.account_id}): balance {_pots(each.balance)}, ledger {_pots(each.ledger)}")
    context.exit(0 if found.balanced else 1)


@accounts.command()
@click.argument("name")
@click.option("--limit", type=click.IntRange(1, PAGE), default=100, help="Most rows.  [default: 100]")
@as_json
@on_database
def ledger(name: str, limit: int, as_json: bool, database_url: str | None) -> None:
    """Show how an account's balance came about, newest first."""
    from bgone.api.admin_values import EntryList, entry_list

    async def rows(books: Books) -> EntryList:
        account = await books.accounts.get(name)
        return entry_list(await books.credits.entries(account.id, limit))

    told = ask(database_url, rows)
    if as_json:
        show_json(told)
    else:
        show_table(told.entries, ("at", "reason", "subscription", "payg", "free_calls", "balance_after", "dialect"))


@accounts.command()
@click.argument("name")
@click.option("--since", type=_DAY, metavar="DAY", help="First day, UTC.  [default: 30 days before the last]")
@click.option("--until", type=_DAY, metavar="DAY", help="Last day, UTC.  [default: today]")
@click.option("--csv", "as_csv", is_flag=True, help="Answer in CSV.")
@as_json
@on_database
def usage(
    name: str,
    since: datetime | None,
    until: datetime | None,
    as_csv: bool,
    as_json: bool,
    database_url: str | None,
) -> None:
    """Show what an account's keys did, day by day."""
    from bgone.accounts.usage import Day, to_csv
    from bgone.api.admin_values import days_meant, usage_table

    if as_csv and as_json:
        raise click.UsageError("--csv or --json, not both.")
    try:
        first, last = days_meant(since and since.date(), until and until.date())
    except ApiError as error:
        raise click.UsageError(error.message) from error

    async def counted(books: Books) -> tuple[str, list[Day]]:
        account = await books.accounts.get(name)
        return account.id, await books.usage.per_day(account.id, first, last)

    account_id, days = ask(database_url, counted)
    told = usage_table(account_id, first, last, days)
    if as_csv:
        click.echo(to_csv(days), nl=False)
    elif as_json:
        show_json(told)
    else:
        show_table(told.days, ("day", "key_id", "dialect", "mode", "calls", "failures", "credits", "pixels"))


def _show(account: Account, *, json: bool) -> None:
    from bgone.api.admin_values import AccountFacts, facts_of

    show(facts_of(account, AccountFacts), json=json)


def _pots(pots: object) -> str:
    return " + ".join(f"{getattr(pots, name)} {name}" for name in ("subscription", "payg", "free_calls"))
