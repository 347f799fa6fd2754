"""Batches in the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from bgone.jobs.batches import Batch, Item
from bgone.jobs.job import Failure
from bgone.storage.database import Database
from bgone.storage.tables import batch_items, batches

_SWEPT = 50  # of one transaction, a thousand rows each


class TableBatches:
    """See ``Batches``.

    Args:
        db: Where they are kept.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    async def add(self, batch: Batch) -> bool:
        """See ``Batches``."""
        rows = [
            {
                "batch_id": batch.id,
                "position": item.position,
                "label": item.label,
                "job_id": item.job_id or None,
                "failure": msgspec.json.encode(item.failure).decode() if item.failure else None,
            }
            for item in batch.items
        ]

        def write(link: Connection) -> None:
            link.execute(insert(batches), {"id": batch.id, "owner": batch.owner, "created_at": batch.created_at})
            if rows:
                link.execute(insert(batch_items), rows)

        try:
            await self._db.write(write)
        except IntegrityError:
            return False
        return True

    async def get(self, batch_id: str) -> Batch | None:
        """See ``Batches``."""
        if not batch_id.isalnum():  # PostgreSQL has no text with NUL in it
            return None
        items = select(batch_items).where(batch_items.c.batch_id == batch_id).order_by(batch_items.c.position)

        def read(link: Connection) -> Batch | None:
            row = link.execute(select(batches).where(batches.c.id == batch_id)).first()
            found = tuple(_item(each) for each in link.execute(items)) if row else ()
            return Batch(row.id, row.owner, row.created_at, found) if row else None

        return await self._db.query(read)

    async def sweep(self, before: datetime) -> int:
        """See ``Batches``."""
        old = select(batches.c.id).where(batches.c.created_at < before).limit(_SWEPT)
        gone = delete(batches).where(batches.c.id.in_(old))  # the items go with it
        swept = count = await self._db.write(lambda link: link.execute(gone).rowcount)
        while count == _SWEPT:
            count = await self._db.write(lambda link: link.execute(gone).rowcount)
            swept += count
        return swept


def _item(row: Any) -> Item:
    failure = msgspec.json.decode(row.failure, type=Failure) if row.failure else None
    return Item(row.position, row.label, row.job_id or "", failure)
