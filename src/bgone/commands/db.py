"""``bgone db``: the tables under the accounts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from bgone.commands.frame import as_json, ask_database, on_database, show

if TYPE_CHECKING:
    from bgone.storage.database import Database


@click.group()
def db() -> None:
    """The database: upgrade, current, backup."""


@db.command()
@as_json
@on_database
def upgrade(as_json: bool, database_url: str | None) -> None:
    """Bring the tables to this program's version; nothing is done where they are."""
    _tell_version(database_url, upgrades=True, json=as_json)


@db.command()
@as_json
@on_database
@click.pass_context
def current(context: click.Context, as_json: bool, database_url: str | None) -> None:
    """Tell the tables' version (a SQLite file's is brought up by looking); exit status 1 where it is not ours."""
    context.exit(0 if _tell_version(database_url, upgrades=False, json=as_json) else 1)


@db.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@as_json
@on_database
def backup(file: Path, as_json: bool, database_url: str | None) -> None:
    """Copy a SQLite database to FILE, which must not be there, while servers go on working."""

    from bgone.api.admin_values import DatabaseCopy

    async def copy(database: Database) -> str:
        await database.backup(file)
        return database.address

    try:
        address = ask_database(database_url, copy)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{file} was not written: {error}.") from error
    show(DatabaseCopy(database=address, file=str(file), bytes=file.stat().st_size), json=as_json)


def _tell_version(database_url: str | None, *, upgrades: bool, json: bool) -> bool:
    from bgone.api.admin_values import TablesVersion
    from bgone.storage.database import newest_version

    async def version(database: Database) -> str:
        if upgrades:
            await database.migrate()
        return await database.version() or ""

    found, newest = ask_database(database_url, version, makes=upgrades), newest_version() or ""
    show(TablesVersion(version=found, newest=newest, current=found == newest), json=json)
    return found == newest
