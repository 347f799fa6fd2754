"""``bgone plans``: what accounts are given."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from bgone.commands.frame import as_json, ask, on_database, show, show_json, show_table
from bgone.errors import ApiError

if TYPE_CHECKING:
    from bgone.accounts.accounts import Plan
    from bgone.accounts.books import Books

_SHOWN = ("name", "billing", "quota", "period_months", "rollover", "free_calls")


@click.group()
def plans() -> None:
    """Plans: list, put."""


@plans.command(name="list")
@as_json
@on_database
def show_all(as_json: bool, database_url: str | None) -> None:
    """Show every plan, by name."""
    from bgone.api.admin_values import plan_list

    told = plan_list(ask(database_url, lambda books: books.accounts.plans()))
    if as_json:
        show_json(told)
    else:
        show_table(told.plans, _SHOWN)


@plans.command()
@click.argument("name")
@click.option("--billing", type=click.Choice(["credits", "metered"]), help="metered: counted, and nothing is taken.")
@click.option("--quota", metavar="N", help="Credits of a period.")
@click.option("--months", "period_months", type=click.IntRange(1, 120), help="Length of a period.")
@click.option("--rollover", metavar="N|all", help="Most that is carried into the next period.")
@click.option("--free-calls", type=click.IntRange(0, 1_000_000_000), help="Free previews of a new account.")
@click.option(
    "--price", "prices", multiple=True, metavar="DIALECT[.OPERATION]=N", help="Instead of the usual price; may repeat."
)
@click.option("--rates", metavar="JSON", help='Instead of the usual limits: {"DIALECT": [{"per": "minute", ...}]}.')
@as_json
@on_database
def put(name: str, as_json: bool, database_url: str | None, **said: Any) -> None:
    """Make a plan, or change what is said of it; quota and roll-over hold from an account's next period on."""
    from bgone.api.admin_values import PlanFacts, facts_of

    changes = _changes({option: value for option, value in said.items() if value not in (None, ())})

    async def change(books: Books) -> Plan:
        plan = await _plan(books, name)
        await books.accounts.put_plan(replace(plan, **changes))
        return await books.accounts.plan(name)

    show(facts_of(ask(database_url, change, makes=True), PlanFacts), json=as_json)


async def _plan(books: Books, name: str) -> Plan:
    from bgone.accounts.accounts import Plan

    known = {plan.name: plan for plan in await books.accounts.plans()}
    return known.get(name, Plan(name))


def _changes(said: dict[str, Any]) -> dict[str, Any]:
    """Options as members of a plan.

    Raises:
        click.BadParameter: A value that no plan can have.
    """
    import msgspec

    from bgone.api.admin_values import PutPlan, mistake_in, plan_from

    body = dict(said)
    if body.get("rollover") == "all":
        body["rollover"] = None
    if "prices" in body:
        body["prices"] = dict(pair.rpartition("=")[::2] for pair in body["prices"])
    try:
        if "rates" in body:
            body["rates"] = msgspec.json.decode(body["rates"])
        plan = plan_from("", msgspec.convert(body, PutPlan))
    except ApiError as error:
        raise click.BadParameter(error.message) from error
    except msgspec.ValidationError as error:
        raise click.BadParameter(mistake_in(error).message) from error
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"--rates: expected JSON, got {said['rates']!r}.") from error
    return {name: getattr(plan, name) for name in body}
