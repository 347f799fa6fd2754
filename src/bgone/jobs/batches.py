"""Batches: many jobs under one id, in the order in which their pictures were named."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from bgone.jobs.job import Failure


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of a batch.

    Attributes:
        position: 0, 1, 2, as it was named.
        label: What the client called it: a URL's or a file's name, printable, at most 200 characters.
        job_id: Its job; "" where none was begun.
        failure: Why none was begun.
    """

    position: int
    label: str
    job_id: str = ""
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Many jobs under one id.

    Attributes:
        id: Random: 32 hex digits.
        owner: Whose it is; others never see it.
        created_at: UTC.
        items: In order.
    """

    id: str
    owner: str
    created_at: datetime
    items: tuple[Item, ...]


class Batches(Protocol):
    """Keeps batches."""

    async def add(self, batch: Batch) -> bool:
        """Keep one; False where its id is taken."""

    async def get(self, batch_id: str) -> Batch | None:
        """The batch of this id, whosever it is."""

    async def sweep(self, before: datetime) -> int:
        """Forget those made before; how many."""


@dataclass(slots=True)
class MemoryBatches:
    """Batches of this process, gone with it.

    Attributes:
        most: Batches kept; the oldest go first.
    """

    most: int = 1_000
    _kept: OrderedDict[str, Batch] = field(default_factory=OrderedDict)  # oldest first

    async def add(self, batch: Batch) -> bool:
        """See ``Batches``."""
        if batch.id in self._kept:
            return False
        self._kept[batch.id] = batch
        while len(self._kept) > self.most:
            self._kept.popitem(last=False)
        return True

    async def get(self, batch_id: str) -> Batch | None:
        """See ``Batches``."""
        return self._kept.get(batch_id)

    async def sweep(self, before: datetime) -> int:
        """See ``Batches``."""
        old: Sequence[str] = [batch.id for batch in self._kept.values() if batch.created_at < before]
        for batch_id in old:
            del self._kept[batch_id]
        return len(old)
