"""What all commands of the accounts have in common: the database they ask, and how they answer.

Whatever is heavy is imported when a command runs, so that ``bgone --help`` stays quick.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from bgone.errors import ApiError, StartError

if TYPE_CHECKING:
    from decimal import Decimal

    import msgspec

    from bgone.accounts.books import Books
    from bgone.storage.database import Database

Value = TypeVar("Value")
Command = TypeVar("Command", bound=Callable[..., object])

as_json = click.option("--json", "as_json", is_flag=True, help="Answer in JSON, as the admin API does.")
on_database = click.option(
    "--database-url", metavar="URL", help="The database.  [env BGONE_DATABASE_URL; default: SQLite in BGONE_DATA_DIR]"
)


def ask(database_url: str | None, work: Callable[[Books], Awaitable[Value]], *, makes: bool = False) -> Value:
    """Run ``work`` on the books.

    Args:
        database_url: Of the flag, or None.
        work: What to do.
        makes: It may be the first to use the database; others do not make one, for a server that finds one wants keys.

    Raises:
        StartError: There is no database, it cannot be opened, or its tables are not this program's.
        click.ClickException: What is asked cannot be done: one line.
    """
    from bgone.accounts.accounts import Accounts
    from bgone.accounts.books import Books
    from bgone.accounts.credits import Credits
    from bgone.accounts.keys import Keys
    from bgone.accounts.usage import Usage

    async def with_books(database: Database) -> Value:
        await database.require_current()
        return await work(Books(database, Accounts(database), Keys(database), Credits(database), Usage(database)))

    return ask_database(database_url, with_books, makes=makes)


def ask_database(
    database_url: str | None, work: Callable[[Database], Awaitable[Value]], *, makes: bool = False
) -> Value:
    """The same, with the database alone, whatever its tables are."""
    import asyncio  # a third of the time of `bgone --help`

    from sqlalchemy.exc import DBAPIError

    from bgone.storage.database import Database

    address = _address(database_url, makes=makes)

    async def main() -> Value:
        database = await Database.open(address)
        try:
            return await work(database)
        finally:
            await database.aclose()

    try:
        return asyncio.run(main())
    except ApiError as error:
        words = f"{error.message.rstrip('.')} ({error.detail})." if error.detail else error.message
        raise click.ClickException(words) from error
    except DBAPIError as error:  # a table that is not ours to write, a disk that is full
        raise click.ClickException(str(error.orig).strip().partition("\n")[0]) from error


def _address(database_url: str | None, *, makes: bool) -> str:
    from bgone.settings import load

    # Only what says where the database is: a server's other settings may be wrong, or still lack the keys that are
    # about to be made.
    said = {name: os.environ.get(name, "") for name in ("BGONE_DATA_DIR", "BGONE_DATABASE_URL")}
    settings = load(said, {"database_url": database_url} if database_url else {})
    if not (makes or settings.has_accounts):
        raise StartError(
            f"There are no accounts yet in {settings.data_path}: `bgone accounts create NAME` begins with them, "
            "or say where they are (BGONE_DATA_DIR, BGONE_DATABASE_URL)."
        )
    return settings.database_address


# --- what operators type --------------------------------------------------------------------------------------------


def credits_given(option: str, text: str) -> Decimal:
    """A number of credits.

    Raises:
        click.BadParameter: It is none.
    """
    from bgone.api.admin_values import amount

    try:
        return amount(option, text)
    except ApiError as error:
        raise click.BadParameter(error.message) from error


# --- what they read -------------------------------------------------------------------------------------------------


def show(value: msgspec.Struct, *, json: bool) -> None:
    """One thing: its facts, one a line."""
    if json:
        show_json(value)
        return
    names = value.__struct_fields__
    width = max(len(name) for name in names)
    for name in names:
        click.echo(f"{name:<{width}}  {_word(getattr(value, name))}")


def show_json(value: msgspec.Struct) -> None:
    """Indented; the same members as in the admin API."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


def show_table(rows: Iterable[msgspec.Struct], columns: Sequence[str]) -> None:
    """Many things: a column for each of some facts, with a head."""
    cells = [list(columns), *([_word(getattr(row, name)) for name in columns] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(columns))]
    for row in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _word(value: object) -> str:
    from datetime import datetime

    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, dict):
        import msgspec

        return msgspec.json.encode(value).decode()
    return "-" if value in (None, "") else str(value)
