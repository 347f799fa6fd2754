"""What the server reaches out for: its port, its data folder, the database, the object store, Redis."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sqlite3
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TypeVar

from obstore.exceptions import BaseError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from bgone.accounts.windows import open_windows
from bgone.commands.checkup.finding import Finding, ok, problem, warning
from bgone.errors import ApiError, StartError
from bgone.settings import Settings
from bgone.storage.database import Database, known_versions, newest_version
from bgone.storage.objects import Objects, new_key

PATIENCE_S = 15.0
Value = TypeVar("Value")


def places(settings: Settings) -> Iterator[Finding]:
    """Everything outside the process; nothing is made that was not there, but for a probe that is removed."""
    yield _port(settings)
    yield _data_dir(settings)
    yield _database(settings)
    yield _objects(settings)
    yield _limits(settings)


def _port(settings: Settings) -> Finding:
    address = f"{settings.host}:{settings.port}"
    if settings.port == 0:
        return ok("port", "a free one is taken at the start")
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            settings.host or None, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except PermissionError:
        return problem("port", f"{address} needs privileges", "take a port above 1023, or put a proxy before it")
    except OSError as error:
        words = (
            f"{address} is taken, by a bgone that runs or by another program"
            if error.errno == errno.EADDRINUSE
            else str(error)
        )
        return warning("port", words, f"stop it, or say --port; `ss -ltnp sport = :{settings.port}` names it")
    return ok("port", f"{address} is free")


def _data_dir(settings: Settings) -> Finding:
    path = settings.data_path
    if path.exists() and not path.is_dir():
        return problem("data folder", f"{path} is no folder", "set BGONE_DATA_DIR")
    there = next(folder for folder in (path, *path.resolve().parents) if folder.is_dir())
    try:
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as error:
        return problem(
            "data folder", f"{there} cannot be written: {error.strerror}", "set BGONE_DATA_DIR, or its owner"
        )
    return ok("data folder", f"{path}{'' if there == path else ', not yet there'}, can be written")


def _database(settings: Settings) -> Finding:
    if not settings.has_accounts:
        return ok("database", "none: no accounts; `bgone accounts create NAME` begins with them")
    try:
        address, version = _version(settings.database_address)
    except (StartError, ApiError, SQLAlchemyError, sqlite3.Error, OSError, TimeoutError) as error:
        detail = error.detail if isinstance(error, ApiError) else ""
        return problem("database", f"{detail or error}".partition("\n")[0], "check BGONE_DATABASE_URL")
    words = f"{address}, tables of version {version or 'none'}"
    if version == newest_version():
        return ok("database", words)
    if version is not None and version not in known_versions():
        return problem("database", f"{words}: of a newer bgone", "install that, or restore a backup")
    return problem("database", f"{words}, this bgone needs {newest_version()}", "bgone db upgrade")


def _version(address: str) -> tuple[str, str | None]:
    """Where it is, and the version of its tables; a SQLite file is not changed by looking."""
    url = make_url(address)
    if url.get_backend_name() == "sqlite":
        path = Path(str(url.database))
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5)) as link:
            named = link.execute("SELECT name FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
            row = link.execute("SELECT version_num FROM alembic_version").fetchone() if named else None
        if not os.access(path, os.W_OK):
            raise StartError(f"{path} cannot be written by this user")
        return str(path), row[0] if row else None

    async def ask() -> tuple[str, str | None]:
        database = await Database.open(address)
        try:
            return database.address, await database.version()
        finally:
            await database.aclose()

    return _in_time(ask)


def _objects(settings: Settings) -> Finding:
    address = settings.objects_url
    if not address:
        kept = f"{settings.data_path / 'objects'}" if settings.has_accounts else "a folder that ends with the process"
        return ok("object store", f"none named: results go to {kept}")

    async def probe() -> None:
        objects, key = Objects(address), new_key()
        try:
            await objects.put(key, b"bgone doctor", "text/plain")
            if await objects.get(key) != b"bgone doctor":
                raise StartError("what was stored is not what came back")
            await objects.delete(key)
        finally:
            await objects.aclose()

    try:
        _in_time(probe)
    except TimeoutError:
        return problem("object store", f"{address} does not answer within {PATIENCE_S:g} s", "check the AWS_ENDPOINT")
    except (StartError, BaseError, KeyError, OSError) as error:
        cure = "check BGONE_OBJECTS_URL, the AWS_* variables and the rights to put, get and delete"
        return problem("object store", f"{address}: {str(error).strip().partition(chr(10))[0]}", cure)
    return ok("object store", f"{address}: a probe was stored, read and removed")


def _limits(settings: Settings) -> Finding:
    if not settings.counts_calls:
        return ok("rate limits", "off")
    if settings.limits_url.removeprefix("async+").startswith("memory:"):
        return ok("rate limits", "counted in the process; several replicas need Redis (BGONE_LIMITS_URL)")

    async def look() -> None:
        windows = open_windows(settings.limits_url, prefix="bgone", timeout_s=2)
        try:
            await windows.look("doctor", 1, 1)
        finally:
            await windows.aclose()

    try:
        _in_time(look)
    except StartError as error:
        return problem("rate limits", str(error))
    except (OSError, TimeoutError, _redis_error()) as error:
        state = warning if settings.limits_outage == "open" else problem
        return state("rate limits", f"Redis does not answer: {error}", "check BGONE_LIMITS_URL")
    return ok("rate limits", "counted in Redis, which answers")


def _redis_error() -> type[Exception]:
    try:
        from redis.exceptions import RedisError
    except ImportError:
        return OSError
    return RedisError


def _in_time(work: Callable[[], Awaitable[Value]]) -> Value:
    async def bounded() -> Value:
        return await asyncio.wait_for(work(), PATIENCE_S)

    return asyncio.run(bounded())
