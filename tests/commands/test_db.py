"""``bgone db``: the tables under the accounts."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bgone.errors import StartError
from bgone.storage.database import newest_version
from tests.commands.conftest import Run
from tests.databases import own_postgres

Told = Callable[..., dict[str, Any]]


def test_upgrade_makes_the_tables(told: Told, empty: str) -> None:
    """On SQLite and on PostgreSQL, once and again."""
    on = ("--database-url", empty)

    for _ in range(2):
        assert told("db", "upgrade", *on) == {"version": newest_version(), "newest": newest_version(), "current": True}
    assert told("db", "current", *on)["current"]
    assert told("accounts", "create", "shop", *on)["name"] == "shop"


def test_postgres_without_tables_says_what_to_do(bgone: Run) -> None:
    """Nobody migrates a shared database by looking at it."""
    with own_postgres() as address:
        on = ("--database-url", address)
        done = bgone("accounts", "create", "shop", *on)
        current = bgone("db", "current", *on)

    assert isinstance(done.exception, StartError)
    assert "bgone db upgrade" in str(done.exception)
    assert (current.exit_code, current.stdout.split()[:2]) == (1, ["version", "-"])


def test_backup_is_a_whole_database(told: Told, tmp_path: Path) -> None:
    """It can be opened like the one that it was made of."""
    made = told("accounts", "create", "shop", "--credits", "5")
    file = tmp_path / "copies" / "bgone.db"
    copied = told("db", "backup", str(file))

    assert (copied["file"], copied["bytes"]) == (str(file), file.stat().st_size)
    assert told("accounts", "show", "shop", "--database-url", f"sqlite+aiosqlite:///{file}") == made
    link = sqlite3.connect(file)
    assert link.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    link.close()


def test_backup_writes_over_nothing(bgone: Run, tmp_path: Path) -> None:
    """Least of all over the database itself."""
    bgone("accounts", "create", "shop")
    database = tmp_path / "state" / "bgone.db"

    for file in (database, Path("/proc/nothing/here.db")):
        done = bgone("db", "backup", str(file))
        assert done.exit_code == 1
        assert str(file) in done.stderr
    assert bgone("accounts", "show", "shop").exit_code == 0


def test_backup_of_postgres_is_its_own_tools_work(bgone: Run, migrated_postgres: str, tmp_path: Path) -> None:
    """One line that names it."""
    done = bgone("db", "backup", str(tmp_path / "x.db"), "--database-url", migrated_postgres)

    assert done.exit_code == 1
    assert "pg_dump" in done.stderr
    assert not (tmp_path / "x.db").exists()
