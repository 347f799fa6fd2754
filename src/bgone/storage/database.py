"""The database: SQLite or PostgreSQL behind one address, and everything in which they differ.

``write`` and ``query`` hand a whole transaction to a thread, as a plain function of a connection: one hop for all its
statements, and so the way of whatever a request waits for; ``single`` is for the one statement that every request waits
for. ``begin`` and ``read`` are asynchronous and convenient. Nothing here tries again what may have been done.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, Executable, Insert, Table, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from bgone.errors import StartError, overloaded

if TYPE_CHECKING:
    from bgone.storage.line import Line

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_S = 30  # how long a locked SQLite is waited for
READERS = 4  # threads, and connections, of queries
_LOCK = 0x62676F6E65  # PostgreSQL's advisory lock of migrations: "bgone"
# libpq's: seconds for a connection, milliseconds until a dead network is noticed.
_PATIENCE = {"connect_timeout": "10", "tcp_user_timeout": "30000"}
_EXPECTED = "expected sqlite+aiosqlite:///PATH or postgresql+psycopg://USER@HOST/NAME"

T = TypeVar("T")


def _nobody(_way: str, _seconds: float) -> None:
    """Hears of calls where nobody wants to."""


class Database:
    """Connections of one process; lives on one event loop. Made by ``open``.

    Attributes:
        under_way: Calls that wait for their turn or for their answer.
        on_end: Hears of every call: by which method, seconds.
    """

    def __init__(self, url: URL) -> None:
        self.under_way = 0
        self.on_end: Callable[[str, float], None] = _nobody
        self._url = url
        self.is_sqlite = url.get_backend_name() == "sqlite"
        self._writer, self._reader = _engines(url, is_sqlite=self.is_sqlite)
        self._lines = None if self.is_sqlite else _lines(url)  # not durable, durable
        self._writing = ThreadPoolExecutor(1, "bgone-db-write")
        self._reading = ThreadPoolExecutor(READERS, "bgone-db-read")

    @classmethod
    async def open(cls, address: str) -> Database:
        """Connect. A SQLite file is made, with its folder, for its owner only, and brought to the newest tables.

        Raises:
            StartError: No such kind of database, it cannot be reached or written, or its driver is not installed.
        """
        url = _parse(address)
        try:
            if url.get_backend_name() == "sqlite":
                await asyncio.to_thread(_make_file, url)
            database = cls(url)
            try:
                await asyncio.to_thread(_ask, database._reader, _nothing)
                if database.is_sqlite and not await database.is_current():
                    if (version := await database.version()) not in (None, *known_versions()):
                        raise StartError(f"{_shown(url)} has tables of a newer bgone: {version}.")
                    await database.migrate()
            except BaseException:
                await database.aclose()
                raise
        except ModuleNotFoundError as error:
            raise StartError(f"{_shown(url)} needs a driver: pip install 'bgone[postgres]' ({error.name}).") from error
        except (OSError, DBAPIError, sqlite3.Error) as error:
            cause = str(getattr(error, "orig", error)).strip().partition("\n")[0]
            raise StartError(f"{_shown(url)} cannot be opened: {cause}.") from error
        return database

    @property
    def url(self) -> URL:
        """Where it is, with its password."""
        return self._url

    @property
    def address(self) -> str:
        """Where it is; a password is not shown."""
        return _shown(self._url)

    async def aclose(self) -> None:
        """Let what is under way end, then disconnect."""
        await asyncio.to_thread(self._writing.shutdown)
        await asyncio.to_thread(self._reading.shutdown)
        for line in self._lines or ():
            await line.aclose()
        for engine in (self._writer, self._reader):
            engine.dispose()
        if "_async_engine" in self.__dict__:
            await self._async_engine.dispose()

    # --- whole transactions on a thread -------------------------------------------------------------------------

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction, committed when this returns, one after the other in this process.

        Args:
            work: Plain code; it must not wait for anything but the database.

        Raises:
            overloaded: The database is away, or locked for 30 s.
        """
        with self._call("write"):
            return await asyncio.get_running_loop().run_in_executor(self._writing, partial(_run, self._writer, work))

    async def single(
        self, statement: Executable, values: Mapping[str, Any], *, durable: bool = True
    ) -> Sequence[Any] | None:
        """Run one statement that writes, by the shortest way; its first row.

        Args:
            statement: Always the same object: it is compiled once.
            values: Text, whole numbers and None.
            durable: Else PostgreSQL may lose it when its machine dies, unless a durable one was committed after it.

        Raises:
            IntegrityError: It broke a rule of the tables.
            overloaded: The database is away, or locked for 30 s.
        """
        if self._lines is None:
            return await self.write(lambda link: _first(link, statement, values))
        with self._call("single"):
            return await self._lines[durable].execute(statement, values)

    async def query(self, work: Callable[[Connection], T]) -> T:
        """Run ``work``, which only reads, each statement for itself; tried again after a lost connection.

        Raises:
            overloaded: The database is away.
        """
        with self._call("query"):
            return await asyncio.get_running_loop().run_in_executor(self._reading, partial(_ask, self._reader, work))

    @contextmanager
    def _call(self, way: str) -> Iterator[None]:
        started = time.perf_counter()
        self.under_way += 1
        try:
            yield
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            if getattr(getattr(error, "orig", None), "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR:
                raise  # SQLite's word for a mistake in a statement
            raise overloaded(5, f"database: {type(error).__name__}: {getattr(error, 'orig', '')}".strip()) from error
        finally:
            self.under_way -= 1
            self.on_end(way, time.perf_counter() - started)

    @property
    def joins_writes(self) -> bool:
        """Whether one statement may write two tables (``WITH x AS (UPDATE …) INSERT …``)."""
        return not self.is_sqlite

    def upsert(self, table: Table, keys: Iterable[str], added: Iterable[str]) -> Insert:
        """An INSERT that, where a row with the same ``keys`` is there, adds the columns ``added`` to it."""
        insert: sqlite.Insert | postgresql.Insert
        insert = sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)
        return insert.on_conflict_do_update(
            index_elements=[table.c[name] for name in keys],
            set_={name: table.c[name] + insert.excluded[name] for name in added},
        )

    # --- asynchronous connections -------------------------------------------------------------------------------

    @cached_property
    def _async_engine(self) -> AsyncEngine:
        if not self.is_sqlite:
            return create_async_engine(self._url, pool_size=READERS, pool_pre_ping=True, hide_parameters=True)
        engine = create_async_engine(self._url, hide_parameters=True)
        event.listen(engine.sync_engine, "connect", _settle_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """A write transaction: committed at the end of the block, undone if that raises. Keep it short.

        Raises:
            overloaded: The database is away, or locked for 30 s.
        """
        with self._call("begin"):
            async with self._async_engine.begin() as connection:
                yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection that only reads; on SQLite all statements of the block see one moment.

        Raises:
            overloaded: The database is away.
        """
        with self._call("read"):
            async with self._async_engine.connect() as connection:
                yield await connection.execution_options(bgone_reads=True)

    # --- copies -------------------------------------------------------------------------------------------------

    async def backup(self, path: Path) -> None:
        """Copy a SQLite database, of one moment, while others go on writing. PostgreSQL has ``pg_dump``.

        Raises:
            FileExistsError: Nothing is written over.
            ValueError: It is no SQLite database.
        """
        if not self.is_sqlite:
            raise ValueError("PostgreSQL is backed up by pg_dump")
        await asyncio.to_thread(_copy, str(self._url.database), path)

    # --- the tables' version ------------------------------------------------------------------------------------

    async def ping(self) -> None:
        """Ask whether it answers.

        Raises:
            overloaded: It does not.
        """
        await self.query(_nothing)

    async def migrate(self) -> None:
        """Bring the tables to the newest version; of several processes at once, one works and the others wait."""
        await asyncio.to_thread(_run, self._writer, partial(_upgrade, is_sqlite=self.is_sqlite))

    async def version(self) -> str | None:
        """The tables' revision; None where there are none."""
        return await self.query(_version)

    async def is_current(self) -> bool:
        """Whether the tables are those that this program knows."""
        return await self.version() == newest_version()

    async def require_current(self) -> None:
        """Stop a start on tables of another version.

        Raises:
            StartError: With what to do.
        """
        if not await self.is_current():
            version = await self.version()
            raise StartError(
                f"{self.address} has tables of version {version or 'none'}, this bgone needs {newest_version()}: "
                "run `bgone db upgrade`."
            )


def newest_version() -> str | None:
    """The revision that this program's tables have."""
    return ScriptDirectory(str(MIGRATIONS)).get_current_head()


def known_versions() -> tuple[str, ...]:
    """Every revision that this program can begin with."""
    return tuple(script.revision for script in ScriptDirectory(str(MIGRATIONS)).walk_revisions())


# --- addresses ------------------------------------------------------------------------------------------------------


def _parse(address: str) -> URL:
    try:
        url = make_url(address)
    except ArgumentError as error:
        raise StartError(f"BGONE_DATABASE_URL is no address of a database: {_EXPECTED}.") from error
    if url.drivername == "sqlite+aiosqlite" and url.database and url.database != ":memory:":
        return url
    if url.drivername == "postgresql+psycopg":
        return url.set(query=_PATIENCE | dict(url.query))
    raise StartError(f"{_shown(url)} is no database that bgone knows: {_EXPECTED}.")


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)


def _engines(url: URL, *, is_sqlite: bool) -> tuple[Engine, Engine]:
    """(of transactions, of statements that read); what they carry stays out of errors, and so out of the log."""
    writing: dict[str, Any] = {"pool_size": 1, "hide_parameters": True}
    reading: dict[str, Any] = {"pool_size": READERS, "hide_parameters": True, "pool_use_lifo": True}
    if not is_sqlite:
        writer = create_engine(url, **writing)
        event.listen(writer, "connect", _settle_postgresql)
        return writer, create_engine(url, **reading, isolation_level="AUTOCOMMIT")
    url = url.set(drivername="sqlite+pysqlite")
    writer, reader = create_engine(url, **writing), create_engine(url, **reading)
    for engine in (writer, reader):
        event.listen(engine, "connect", _settle_sqlite)
    event.listen(writer, "begin", _begin_sqlite)
    return writer, reader


def _lines(url: URL) -> tuple[Line, Line]:
    """PostgreSQL's, for single statements: (not durable, durable)."""
    from bgone.storage.line import Line  # its driver comes with an extra

    # The plans do not depend on the values: to plan each anew takes as long as to run it.
    usual = {"plan_cache_mode": "force_generic_plan", "lock_timeout": f"{BUSY_S}s"}
    return Line(url, {**usual, "synchronous_commit": "off"}), Line(url, {**usual, "synchronous_commit": "on"})


def _settle_postgresql(connection: Any, _record: object) -> None:
    connection.execute(f"SET lock_timeout TO '{BUSY_S}s'")
    connection.commit()


# --- SQLite ---------------------------------------------------------------------------------------------------------


def _make_file(url: URL) -> None:
    path = Path(str(url.database))
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its -wal and -shm files the same mode.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    with closing(sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)) as connection:
        _use_wal(connection)


def _copy(source: str, path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with closing(sqlite3.connect(source, timeout=BUSY_S)) as database, closing(sqlite3.connect(path)) as copy:
            database.backup(copy)
    except sqlite3.Error as error:
        path.unlink()
        raise OSError(f"the copy could not be written: {error}") from error


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch the file, for good; SQLite does not wait by itself while others do the same."""
    give_up_at = time.monotonic() + BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > give_up_at:
                raise
            time.sleep(0.02)


def _settle_sqlite(connection: Any, _record: object) -> None:
    # The driver would begin transactions late, and deferred: they are begun by us.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (f"busy_timeout={BUSY_S * 1000}", "synchronous=NORMAL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later fails at once when another wrote in between, however long the
    # busy timeout: writers take the lock at their beginning.
    reads = connection.get_execution_options().get("bgone_reads")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


# --- on the threads -------------------------------------------------------------------------------------------------


def _run(engine: Engine, work: Callable[[Connection], T]) -> T:
    with engine.begin() as connection:
        return work(connection)


def _nothing(connection: Connection) -> None:
    connection.execute(text("SELECT 1"))


def _first(connection: Connection, statement: Executable, values: Mapping[str, Any]) -> Sequence[Any] | None:
    return connection.execute(statement, values).first()


def _ask(engine: Engine, work: Callable[[Connection], T]) -> T:
    try:
        return _run(engine, work)
    except DBAPIError as error:
        if not error.connection_invalidated:
            raise
    return _run(engine, work)


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _upgrade(connection: Connection, *, is_sqlite: bool) -> None:
    if not is_sqlite:
        connection.execute(text("SET LOCAL lock_timeout TO 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
