"""What orders took lately, phase by phase: for eyes on a page, where a histogram since the start says too little."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

from bgone.pipeline.timings import PHASES

WINDOW_S = 300.0
MOST = 1_000  # orders that are remembered: a busy server looks back less far; 2 ms to sort them


@dataclass(frozen=True, slots=True)
class Pace:
    """One phase.

    Attributes:
        phase: One of ``PHASES``, or ``all``: everything together.
        count: Orders that went through it.
        p50_s: Half of them took no longer.
        p95_s: 95 of 100 took no longer.
    """

    phase: str
    count: int
    p50_s: float
    p95_s: float


class Recent:
    """Orders of the last minutes; event loop only.

    Args:
        window_s: How long one is remembered.
        most: How many are.
        clock: Seconds, monotonic.
    """

    def __init__(
        self, window_s: float = WINDOW_S, most: int = MOST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.window_s = window_s
        self._clock = clock
        self._orders: deque[tuple[float, Mapping[str, float]]] = deque(maxlen=most)

    def add(self, seconds: Mapping[str, float]) -> None:
        """An order was drawn to its end; those that were not say nothing of how long one takes."""
        if "draw" in seconds:
            self._orders.append((self._clock(), dict(seconds)))

    def paces(self) -> list[Pace]:
        """Each phase that happened, in the order that an order goes through them; ``all`` is the last."""
        oldest = self._clock() - self.window_s
        while self._orders and self._orders[0][0] < oldest:
            self._orders.popleft()
        spent: dict[str, list[float]] = {phase: [] for phase in (*PHASES, "all")}
        for _, seconds in self._orders:
            for phase, value in seconds.items():
                spent[phase].append(value)
            spent["all"].append(sum(seconds.values()))
        return [_pace(phase, sorted(values)) for phase, values in spent.items() if values]


def _pace(phase: str, ordered: list[float]) -> Pace:
    def at(share: float) -> float:
        return ordered[ceil(len(ordered) * share) - 1]  # nearest rank

    return Pace(phase, len(ordered), at(0.50), at(0.95))
