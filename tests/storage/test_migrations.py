"""Migrations: from nothing to the tables that the program knows, however many start at once."""

from __future__ import annotations

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect, text

from bgone.errors import StartError
from bgone.storage.database import Database, newest_version
from bgone.storage.tables import metadata
from tests.databases import on_database


def is_ours(_table: object, name: str | None, *_facts: object) -> bool:
    """Not one of the queue's, whose library keeps its own tables."""
    return not str(name).startswith("procrastinate_")


def test_migrated_tables_are_the_programs(empty: str) -> None:
    """Columns, types, indexes and keys are those of tables.py."""

    def compare(connection: Connection) -> object:
        options = {"compare_type": True, "include_object": is_ours}
        return compare_metadata(MigrationContext.configure(connection, opts=options), metadata)

    async def main(database: Database) -> None:
        await database.migrate()
        assert await database.query(compare) == []

    on_database(empty, main)


def test_migrated_checks_are_the_programs(empty: str) -> None:
    """Balances below zero are refused by the database itself: Alembic does not compare these."""

    def checks(connection: Connection) -> set[tuple[str, str]]:
        look = inspect(connection)
        return {(name, str(each["name"])) for name in metadata.tables for each in look.get_check_constraints(name)}

    async def main(database: Database) -> None:
        await database.migrate()
        assert await database.query(checks) == {("accounts", "ck_accounts_balance"), ("plans", "ck_plans_quota")}

    on_database(empty, main)


def test_migrating_twice_changes_nothing(empty: str) -> None:
    """The second time there is nothing to do."""

    async def main(database: Database) -> None:
        assert await database.is_current() is database.is_sqlite
        await database.migrate()
        await database.migrate()
        assert (await database.version(), await database.is_current()) == (newest_version(), True)
        await database.require_current()

    on_database(empty, main)


def test_many_migrate_at_once(empty: str) -> None:
    """Replicas that start together: one works, the others find it done."""

    async def main() -> None:
        opened = [await Database.open(empty) for _ in range(4)]
        await asyncio.gather(*(each.migrate() for each in opened))
        for each in opened:
            assert await each.is_current()
            await each.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("version", [None, "0000"])
def test_other_tables_stop_the_start(address: str, version: str | None) -> None:
    """With the command that helps, and both versions."""
    change = f"UPDATE alembic_version SET version_num = '{version}'" if version else "DELETE FROM alembic_version"

    async def main(database: Database) -> None:
        await database.write(lambda link: link.execute(text(change)))
        assert not await database.is_current()
        with pytest.raises(StartError, match="bgone db upgrade") as stopped:
            await database.require_current()
        assert (version or "none") in str(stopped.value)
        back = f"INSERT INTO alembic_version VALUES ('{newest_version()}')"
        await database.write(lambda link: link.execute(text("DELETE FROM alembic_version")))
        await database.write(lambda link: link.execute(text(back)))

    on_database(address, main)
