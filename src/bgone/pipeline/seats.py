"""Seats and the queue before them: so many orders are worked on, so many wait, the rest is refused at once."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from math import ceil

from bgone.errors import overloaded

LONGEST_RETRY_S = 60


class Seat:
    """A place among the orders being worked on; left once, however often ``leave`` is called."""

    def __init__(self, leave: Callable[[], None]) -> None:
        self._leave: Callable[[], None] | None = leave

    def leave(self) -> None:
        """Give the seat to the next in the queue."""
        if self._leave is not None:
            leave, self._leave = self._leave, None
            leave()


class Seats:
    """First come, first served; event loop only.

    Args:
        count: Orders being worked on at one time.
        queue: Orders that may wait; more are refused.
    """

    def __init__(self, count: int, queue: int) -> None:
        self.count = count
        self._most_waiting = queue
        self._free = count
        self._queue: deque[tuple[asyncio.Future[None], float]] = deque()
        self._left_at = time.monotonic()
        self._pace_s = 0.5  # mean seconds between orders that end while others wait; starts as a guess

    @property
    def waiting(self) -> int:
        """Orders in the queue."""
        return len(self._queue)

    @property
    def busy(self) -> int:
        """Orders being worked on."""
        return self.count - self._free

    @property
    def oldest_wait_s(self) -> float:
        """Seconds that the first in the queue has waited."""
        return time.monotonic() - self._queue[0][1] if self._queue else 0.0

    def retry_after_s(self) -> int:
        """Whole seconds after which a refused caller should find a place: queue times pace, with jitter."""
        expected = (self.waiting + 1) * self._pace_s
        jitter = random.uniform(1.0, 1.5)  # noqa: S311 - not a secret
        return min(LONGEST_RETRY_S, max(1, ceil(expected * jitter)))

    async def take(self) -> Seat:
        """A seat, at once or after those who came earlier.

        Raises:
            overloaded: The queue is full.
        """
        if self._free > 0:
            self._free -= 1
            return Seat(self._leave)
        if len(self._queue) >= self._most_waiting:
            raise overloaded(self.retry_after_s(), f"queue: {len(self._queue)} orders wait")
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((place, time.monotonic()))
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self._leave()  # the seat came in the same moment as the hang-up
            self._queue = deque(waiting for waiting in self._queue if waiting[0] is not place)
            raise
        return Seat(self._leave)

    def _leave(self) -> None:
        now = time.monotonic()
        while self._queue:
            place, _ = self._queue.popleft()
            if not place.done():
                # Measured only while orders wait: idle time says nothing about the pace.
                self._pace_s += 0.1 * (min(now - self._left_at, 30.0) - self._pace_s)
                self._left_at = now
                place.set_result(None)
                return
        self._left_at = now
        self._free += 1
