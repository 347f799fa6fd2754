"""How late the event loop is: a clock that should strike every quarter of a second, and when it did."""

from __future__ import annotations

import asyncio
import time

TICK_S = 0.25
WINDOW_S = 15.0  # about the pause between two scrapes


class Lag:
    """Lives on the loop that it watches."""

    def __init__(self) -> None:
        self._now_s = self._before_s = 0.0  # the worst of this window, and of the one before
        self._ends_at = 0.0

    @property
    def worst_s(self) -> float:
        """Seconds that a strike came too late, at worst, in the last one to two windows."""
        return max(self._now_s, self._before_s)

    async def watch(self) -> None:
        """Until it is cancelled."""
        while True:
            due = time.monotonic() + TICK_S
            await asyncio.sleep(TICK_S)
            self.note(time.monotonic() - due, due)

    def note(self, late_s: float, now: float) -> None:
        """A strike came ``late_s`` too late, at ``now`` (monotonic)."""
        if now >= self._ends_at:
            self._before_s, self._now_s = self._now_s, 0.0
            self._ends_at = now + WINDOW_S
        self._now_s = max(self._now_s, late_s)
