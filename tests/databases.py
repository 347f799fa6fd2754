"""Databases for tests: a SQLite file, and a real PostgreSQL where there is one."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import TypeVar

import pytest
from sqlalchemy.engine import URL, make_url

from bgone.storage.database import Database

try:
    import psycopg
except ModuleNotFoundError:
    psycopg = None  # type: ignore[assignment]

KINDS = ("sqlite", "postgresql")
ASKED = "postgresql+psycopg://postgres@127.0.0.1:5432/test"
Value = TypeVar("Value")


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 31, 3, 4, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def move(self, **ago: float) -> None:
        """Forward, by words of ``timedelta``."""
        self.time += timedelta(**ago)


@cache
def postgres() -> URL | None:
    """A server that answers; a cluster of this machine is started where it rests."""
    if psycopg is None:
        return None
    url = make_url(os.environ.get("BGONE_TEST_POSTGRES", ASKED))
    tries = [url, url.set(username=None)]
    for start in (False, True):
        if start and not _start_cluster():
            return None
        for one in tries:
            with suppress(psycopg.OperationalError):
                psycopg.connect(_plain(one), connect_timeout=5).close()
                return one
    return None


def _start_cluster() -> bool:
    if shutil.which("pg_lsclusters") is None:
        return False
    listed = subprocess.run(["pg_lsclusters", "--no-header"], check=True, capture_output=True, text=True).stdout
    rests = [line.split()[:2] for line in listed.splitlines() if "down" in line]
    return bool(rests) and subprocess.run(["pg_ctlcluster", *rests[0], "start"], check=False).returncode == 0


def _plain(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def own_postgres() -> Iterator[str]:
    """The address of a database that is made for the block and dropped after it; skips the test where none can be."""
    server = postgres()
    if server is None:
        pytest.skip(f"needs psycopg and a PostgreSQL at {ASKED} (or BGONE_TEST_POSTGRES), running or startable")
    name = f"bgone_test_{secrets.token_hex(6)}"
    with psycopg.connect(_plain(server), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield server.set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def migrated_postgres() -> Iterator[str]:
    """One database with all tables for the whole session."""
    with own_postgres() as address:
        on_database(address, lambda database: database.migrate())
        yield address


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database with all tables and nothing in them, of each kind."""
    if request.param == "sqlite":
        return sqlite_address(tmp_path)
    found: str = request.getfixturevalue("migrated_postgres")
    with psycopg.connect(_plain(make_url(found)), autocommit=True) as connection:
        connection.execute("TRUNCATE accounts, keys, ledger, usage")
        connection.execute("DELETE FROM plans WHERE name NOT IN ('payg', 'metered_monthly')")
    return found


@pytest.fixture(params=KINDS)
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database without a table, of each kind."""
    if request.param == "sqlite":
        yield sqlite_address(tmp_path)
    else:
        with own_postgres() as found:
            yield found


def sqlite_address(folder: Path) -> str:
    """A file in ``folder``, not made yet."""
    return f"sqlite+aiosqlite:///{folder}/data/bgone.db"


def on_database(address: str, work: Callable[[Database], Awaitable[Value]]) -> Value:
    """Run ``work`` on an opened database, and close it."""

    async def main() -> Value:
        database = await Database.open(address)
        try:
            return await work(database)
        finally:
            await database.aclose()

    return asyncio.run(main())
