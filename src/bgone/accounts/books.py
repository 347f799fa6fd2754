"""The books: everything about accounts over one database, opened and closed together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import structlog

from bgone.accounts.accounts import Accounts
from bgone.accounts.credits import Credits
from bgone.accounts.keys import Keys
from bgone.accounts.usage import Usage
from bgone.errors import ApiError
from bgone.storage.database import Database

EXPIRE_S = 60.0  # how often holds of dead processes are looked for


@dataclass(frozen=True, slots=True)
class Books:
    """Accounts, keys, credits and usage of one database."""

    db: Database
    accounts: Accounts
    keys: Keys
    credits: Credits
    usage: Usage


@asynccontextmanager
async def open_books(address: str) -> AsyncIterator[Books]:
    """Open the database at ``address`` and write the rest at the end.

    Raises:
        StartError: It cannot be opened, or its tables are not this version's.
    """
    db = await Database.open(address)
    try:
        await db.require_current()
        books = Books(db, Accounts(db), Keys(db), Credits(db), Usage(db))
        expiring = asyncio.create_task(_expire(books), name="expire holds")
        try:
            yield books
        finally:
            expiring.cancel()
            await asyncio.gather(expiring, return_exceptions=True)
            await books.credits.aclose()
            await books.usage.aclose()
    finally:
        await db.aclose()


async def _expire(books: Books) -> None:
    log = structlog.get_logger("bgone.accounts")
    while True:
        try:
            if given_back := await books.credits.expire():
                log.info("holds given back", count=given_back)
        except ApiError as error:  # the database is away for a while
            log.warning("holds not looked at", detail=error.detail)
        await asyncio.sleep(EXPIRE_S)
