"""Databases with nothing in them for jobs, and the engine that belongs to each."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from bgone.storage.database import Database
from tests.databases import address, migrated_postgres, on_database

__all__ = ["address", "jobs_address", "migrated_postgres"]


@pytest.fixture
def jobs_address(address: str) -> str:
    """A database of each kind, without jobs."""

    async def clear(database: Database) -> None:
        tables = (
            ("jobs", "job_queue") if database.is_sqlite else ("jobs", "procrastinate_jobs", "procrastinate_workers")
        )
        for table in tables:
            statement = text(f"DELETE FROM {table}")
            await database.write(lambda connection, statement=statement: connection.execute(statement))  # type: ignore[misc]

    on_database(address, clear)
    return address
