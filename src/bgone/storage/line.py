"""A line to PostgreSQL: one connection that runs single statements straight on the event loop.

For what every request waits for. No thread to hop to, no pool, no transaction around the statement, no row but the
first: about half the time that the same statement takes through an engine on a thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import psycopg
from sqlalchemy import URL, Executable
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

_DIALECT: Any = PGDialect_psycopg()  # type: ignore[no-untyped-call]


class Line:
    """Lives on one event loop; connects when it is first used, and again after it was cut.

    Args:
        url: Where the database is.
        settings: Server settings of the session, name → value.
    """

    def __init__(self, url: URL, settings: Mapping[str, str]) -> None:
        self._url = url
        self._settings = "".join(f"SET {name} TO '{value}';" for name, value in settings.items())
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._free = asyncio.Lock()
        self._compiled: dict[Executable, tuple[bytes, Mapping[str, Any]]] = {}

    async def execute(self, statement: Executable, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The statement's first row; ``values`` as the driver takes them. It is committed when this returns.

        Raises:
            IntegrityError: The statement broke a rule of the tables.
            OperationalError: The connection was lost: whether the statement was done is not known.
        """
        text, usual = self._compile(statement)
        async with self._free:
            try:
                if self._connection is None:
                    self._connection = await self._connect()
                cursor = await self._connection.execute(text, {**usual, **values})
                row: tuple[Any, ...] | None = await cursor.fetchone()
                return row
            except psycopg.IntegrityError as error:
                raise IntegrityError(text.decode(), None, error) from error
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                await self._hang_up()
                raise OperationalError(text.decode(), None, error, connection_invalidated=True) from error
            except psycopg.Error as error:
                raise DBAPIError(text.decode(), None, error) from error
            except BaseException:
                # Cancelled in the middle: what would be read next is an answer to somebody else's question.
                await self._hang_up()
                raise

    async def aclose(self) -> None:
        """Disconnect."""
        async with self._free:
            await self._hang_up()

    async def _connect(self) -> psycopg.AsyncConnection[Any]:
        arguments, options = _DIALECT.create_connect_args(self._url)
        connection = await psycopg.AsyncConnection.connect(*arguments, **options, autocommit=True)
        await connection.execute(self._settings.encode())
        return connection

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _compile(self, statement: Executable) -> tuple[bytes, Mapping[str, Any]]:
        if statement not in self._compiled:
            compiled: Any = statement.compile(dialect=_DIALECT)  # type: ignore[attr-defined]
            self._compiled[statement] = str(compiled).encode(), compiled.params
        return self._compiled[statement]
