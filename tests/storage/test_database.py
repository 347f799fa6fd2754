"""The database: opened by address, written in short transactions, never with a locked file as an error."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import Connection, Float, bindparam, insert, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, IntegrityError

from bgone.errors import ApiError, StartError
from bgone.storage import database as module
from bgone.storage.database import Database
from bgone.storage.tables import plans
from tests.databases import on_database, own_postgres, sqlite_address


def put(name: str, connection: Connection) -> None:
    connection.execute(insert(plans), {"name": name})


def names(connection: Connection) -> list[str]:
    return list(connection.execute(select(plans.c.name).order_by(plans.c.name)).scalars())


async def wait_for(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 10)


# --- opening --------------------------------------------------------------------------------------------------------


def test_sqlite_is_made_for_its_owner_only(tmp_path: Path) -> None:
    """File, log and folder: nobody else on the machine reads keys' digests or accounts."""

    async def main(database: Database) -> None:
        await database.write(lambda link: put("mine", link))
        for path in (tmp_path / "data").iterdir():
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name
        assert len(list((tmp_path / "data").iterdir())) == 3

    on_database(sqlite_address(tmp_path), main)
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


@pytest.mark.parametrize("way", ["write", "query", "begin", "read"])
def test_sqlite_is_set_up_on_every_connection(tmp_path: Path, way: str) -> None:
    """WAL, patience, foreign keys, and a sync that survives a crash of ours."""
    asked = ("journal_mode", "busy_timeout", "foreign_keys", "synchronous")

    def ask(connection: Connection) -> list[object]:
        return [connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in asked]

    async def main(database: Database) -> list[object]:
        if way in ("write", "query"):
            return await (database.write if way == "write" else database.query)(ask)
        async with database.begin() if way == "begin" else database.read() as connection:
            return await connection.run_sync(ask)

    assert on_database(sqlite_address(tmp_path), main) == ["wal", 30_000, 1, 1]


def test_many_open_a_new_file_at_once(tmp_path: Path) -> None:
    """Processes that start together make one file with all tables."""

    async def main() -> list[str | None]:
        opened = await asyncio.gather(*(Database.open(sqlite_address(tmp_path)) for _ in range(5)))
        versions = [await each.version() for each in opened]
        for each in opened:
            await each.aclose()
        return versions

    assert asyncio.run(main()) == [module.newest_version()] * 5


@pytest.mark.parametrize(
    "address",
    [
        "",
        "nonsense",
        "mysql://host/x",
        "sqlite:///x.db",
        "sqlite+aiosqlite://",
        "sqlite+aiosqlite:///:memory:",
        "postgresql://localhost/test",
        "postgresql+psycopg://u:hush@127.0.0.1:9/test",
        "sqlite+aiosqlite:////proc/none/x.db",
    ],
)
def test_addresses_that_cannot_be_opened_stop_the_start(address: str) -> None:
    """In one line, without a password."""
    with pytest.raises(StartError) as stopped:
        asyncio.run(Database.open(address))

    assert "\n" not in str(stopped.value)
    assert "hush" not in str(stopped.value)


def test_file_that_is_no_database_stops_the_start(tmp_path: Path) -> None:
    """And is left as it was."""
    path = tmp_path / "data" / "bgone.db"
    path.parent.mkdir()
    path.write_bytes(b"holiday" * 1000)

    with pytest.raises(StartError, match="not a database"):
        asyncio.run(Database.open(sqlite_address(tmp_path)))
    assert path.read_bytes() == b"holiday" * 1000


def test_address_hides_the_password() -> None:
    """What is shown in logs and errors."""
    assert Database(make_url("postgresql+psycopg://u:hush@h/d")).address == "postgresql+psycopg://u:***@h/d"


# --- reading and writing --------------------------------------------------------------------------------------------


def test_what_is_written_can_be_read(address: str) -> None:
    """By all ways in, as soon as the call is back."""

    async def main(database: Database) -> None:
        await database.write(lambda link: put("a", link))
        statement = insert(plans).values(name=bindparam("_name")).returning(plans.c.quota, plans.c.name)
        for name, durable in (("b", True), ("c", False)):
            assert list(await database.single(statement, {"_name": name}, durable=durable) or ()) == [0, name]
        async with database.begin() as connection:
            await connection.run_sync(lambda link: put("d", link))
        expected = ["a", "b", "c", "d", "metered_monthly", "payg"]
        assert await database.query(names) == expected
        async with database.read() as connection:
            assert await connection.run_sync(names) == expected
        await database.ping()

    on_database(address, main)


def test_failed_transactions_leave_nothing(address: str) -> None:
    """Whatever was raised, of ours or the database's, reaches the caller, and nothing is half done."""

    def fail(connection: Connection) -> None:
        put("half", connection)
        raise KeyError("no")

    async def main(database: Database) -> None:
        with pytest.raises(KeyError):
            await database.write(fail)
        with pytest.raises(KeyError):
            async with database.begin() as connection:
                await connection.run_sync(fail)
        assert await database.query(names) == ["metered_monthly", "payg"]

    on_database(address, main)


@pytest.mark.parametrize("way", ["write", "begin"])
def test_locked_sqlite_waits(tmp_path: Path, way: str) -> None:
    """Who comes while another process writes is served after it, not refused."""
    locked, served = threading.Event(), []

    def hold_lock() -> None:
        other = sqlite3.connect(tmp_path / "data" / "bgone.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        locked.set()
        time.sleep(0.3)
        served.append("other")
        other.execute("COMMIT")
        other.close()

    async def main(database: Database) -> None:
        thread = threading.Thread(target=hold_lock)
        thread.start()
        await wait_for(locked)
        if way == "write":
            await database.write(lambda link: put("late", link))
        else:
            async with database.begin() as connection:
                await connection.run_sync(lambda link: put("late", link))
        served.append("us")
        thread.join()

    on_database(sqlite_address(tmp_path), main)
    assert served == ["other", "us"]


def test_sqlite_that_stays_locked_is_overload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After all patience clients are told to come again; nothing breaks."""
    monkeypatch.setattr(module, "BUSY_S", 0)

    async def main(database: Database) -> None:
        other = sqlite3.connect(tmp_path / "data" / "bgone.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(ApiError) as refused:
            await database.write(lambda link: put("x", link))
        assert (refused.value.kind, refused.value.retry_after_s) == ("overloaded", 5)
        assert "locked" in refused.value.detail
        assert "locked" not in refused.value.message
        assert await database.query(names) == ["metered_monthly", "payg"]
        other.execute("COMMIT")
        other.close()
        await database.write(lambda link: put("x", link))

    on_database(sqlite_address(tmp_path), main)


def test_lost_connections_are_replaced() -> None:
    """After PostgreSQL was started anew reads go on; a write is told so once, as it may have been done."""

    def cut(connection: Connection) -> None:
        others = "datname = current_database() AND pid <> pg_backend_pid()"
        connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))

    async def main(database: Database) -> None:
        await database.migrate()
        async with database.begin() as connection:
            await connection.run_sync(names)
        other = await Database.open(address)
        await other.query(cut)
        await other.aclose()
        assert await database.query(names) == ["metered_monthly", "payg"]
        with pytest.raises(ApiError) as refused:
            await database.write(lambda link: put("x", link))
        assert refused.value.kind == "overloaded"
        await database.write(lambda link: put("x", link))
        async with database.begin() as connection:
            assert await connection.run_sync(names) == ["metered_monthly", "payg", "x"]

    with own_postgres() as address:
        on_database(address, main)


@pytest.mark.parametrize("way", ["write", "single", "query", "begin", "read", "ping"])
def test_database_that_is_gone_is_overload(way: str) -> None:
    """Whatever is asked: come again later; not a word of the database for the client."""

    async def ask(database: Database) -> None:
        if way in ("write", "query"):
            await (database.write if way == "write" else database.query)(names)
        elif way == "single":
            await database.single(statement, {"_name": "y"})
        elif way == "ping":
            await database.ping()
        else:
            async with database.begin() if way == "begin" else database.read() as connection:
                await connection.run_sync(names)

    async def main(address: str, drop: Callable[[], None]) -> None:
        database = await Database.open(address)
        await database.migrate()
        await database.single(statement, {"_name": "x"})
        drop()
        with pytest.raises(ApiError) as refused:
            await ask(database)
        assert (refused.value.kind, "database" in refused.value.message) == ("overloaded", False)
        await database.aclose()

    statement = insert(plans).values(name=bindparam("_name")).returning(plans.c.name)
    with ExitStack() as stack:
        asyncio.run(main(stack.enter_context(own_postgres()), stack.close))


def test_statement_that_is_wrong_is_no_overload(address: str) -> None:
    """A mistake of ours is told as one, and the next statement is served."""
    wrong = text("INSERT INTO nowhere VALUES (1) RETURNING 1")
    statement = insert(plans).values(name=bindparam("_name")).returning(plans.c.name)

    async def main(database: Database) -> None:
        with pytest.raises(DBAPIError):
            await database.single(wrong, {})
        await database.single(statement, {"_name": "x"})
        with pytest.raises(IntegrityError):
            await database.single(statement, {"_name": "x"})
        assert await database.query(names) == ["metered_monthly", "payg", "x"]

    on_database(address, main)


def test_cancelled_statement_leaves_a_clean_line(migrated_postgres: str) -> None:
    """The next answer is not that of the question before."""
    sleep = text("SELECT 'slept' FROM pg_sleep(:_seconds)").bindparams(bindparam("_seconds", type_=Float))
    echo = text("SELECT CAST(:_word AS TEXT)")

    async def main(database: Database) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await database.single(sleep, {"_seconds": 5.0})
        words = await asyncio.gather(*(database.single(echo, {"_word": word}) for word in ("a", "b", "c")))
        assert [list(word or ()) for word in words] == [["a"], ["b"], ["c"]]

    on_database(migrated_postgres, main)


# --- backup ---------------------------------------------------------------------------------------------------------


def test_sqlite_is_backed_up_while_it_is_written(tmp_path: Path) -> None:
    """The copy is whole, of one moment, for its owner only, and opens like any other."""
    copy = tmp_path / "copies" / "bgone.db"

    async def main(database: Database) -> None:
        writing = [asyncio.create_task(database.write(partial(put, f"p{n:03}"))) for n in range(200)]
        await writing[20]
        await database.backup(copy)
        await asyncio.gather(*writing)
        with pytest.raises(FileExistsError):
            await database.backup(copy)

    on_database(sqlite_address(tmp_path), main)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600

    async def look(database: Database) -> list[str]:
        return await database.query(names)

    found = on_database(f"sqlite+aiosqlite:///{copy}", look)
    written = [name for name in found if name[0] == "p" and name != "payg"]
    assert len(written) >= 21
    assert written == [f"p{n:03}" for n in range(len(written))]


def test_a_newer_bgones_database_is_left_alone(tmp_path: Path) -> None:
    """One line, not a traceback; nothing is changed in it."""
    address = sqlite_address(tmp_path)
    on_database(address, lambda database: database.ping())
    with closing(sqlite3.connect(tmp_path / "data" / "bgone.db")) as file:
        file.execute("UPDATE alembic_version SET version_num = '9999'")
        file.commit()

    with pytest.raises(StartError, match="tables of a newer bgone: 9999"):
        on_database(address, lambda database: database.ping())
