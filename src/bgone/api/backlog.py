"""What waits beyond the studio: jobs, webhooks, credits that are held; asked for every few seconds, never by a scrape.

Where the database is shared, so are these numbers: every process tells the same.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from bgone.errors import ApiError
from bgone.jobs.book import JobBook
from bgone.jobs.deliveries import Deliveries
from bgone.jobs.job import Waiting

if TYPE_CHECKING:  # with the database's libraries, which a server without one does not load
    from bgone.accounts.books import Books
    from bgone.jobs.durable import DurableBook

LOOK_S = 5.0


class Backlog:
    """Lives on one event loop.

    Args:
        book: Of jobs.
        deliveries: Of webhooks.
        books: Where accounts are, or None.
    """

    def __init__(self, book: JobBook | DurableBook, deliveries: Deliveries, books: Books | None) -> None:
        self._book = book
        self._deliveries = deliveries
        self._books = books
        self._jobs: Waiting | None = None
        self._webhooks: Waiting | None = None
        self.credits_held: float | None = None

    async def watch(self) -> None:
        """Look again and again; runs until it is cancelled."""
        while True:
            try:
                await self.look()
            except ApiError:  # the database is away, which readiness tells: nothing is known
                self._jobs = self._webhooks = self.credits_held = None
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the looking for good
                structlog.get_logger("bgone.backlog").error("backlog not read", exc_info=error)
                self._jobs = self._webhooks = self.credits_held = None
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Ask once.

        Raises:
            overloaded: The database is away.
        """
        self._jobs = await self._book.waiting()
        self._webhooks = await self._deliveries.waiting()
        if self._books is not None:
            self.credits_held = float(await self._books.credits.held())

    @property
    def database_calls(self) -> float | None:
        """Calls of the database under way in this process, waiting for their turn included; None without one."""
        return self._books.db.under_way if self._books is not None else None

    @property
    def jobs_running(self) -> float:
        """Jobs being made by this process."""
        return self._book.running

    @property
    def jobs_waiting(self) -> float | None:
        """Jobs that nobody has begun."""
        return self._jobs.count if self._jobs else None

    @property
    def jobs_wait_s(self) -> float | None:
        """How long the oldest of them has waited."""
        return _since(self._jobs)

    @property
    def webhooks_waiting(self) -> float | None:
        """Webhooks that were neither delivered nor given up."""
        return self._webhooks.count if self._webhooks else None

    @property
    def webhooks_lag_s(self) -> float | None:
        """How long the first of them has been due."""
        return _since(self._webhooks)


def _since(waiting: Waiting | None) -> float | None:
    if waiting is None or waiting.since is None:
        return None if waiting is None else 0.0
    return max(0.0, (datetime.now(UTC) - waiting.since).total_seconds())
