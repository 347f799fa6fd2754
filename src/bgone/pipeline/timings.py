"""Where an order's time went: one number of seconds per phase."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

PHASES = ("read", "fetch", "wait", "look", "predict", "maps", "draw")


@dataclass(slots=True)
class Timings:
    """Seconds per phase of ``PHASES``; a phase that did not happen is absent.

    ``wait`` is the time in the queue for a seat; ``predict`` includes waiting for the net's lane.

    Attributes:
        seconds: By phase.
        spans: (phase, beginning, end) in the order of their ends, by ``time.perf_counter``.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    spans: list[tuple[str, float, float]] = field(default_factory=list)

    @contextmanager
    def measure(self, phase: str) -> Iterator[None]:
        """Add the time spent inside to ``phase``, whatever way it ends."""
        started = time.perf_counter()
        try:
            yield
        finally:
            ended = time.perf_counter()
            self.spans.append((phase, started, ended))
            self.seconds[phase] = self.seconds.get(phase, 0.0) + ended - started

    def header(self) -> str:
        """The value of ``Server-Timing`` (W3C), milliseconds."""
        return ", ".join(f"{phase};dur={self.seconds[phase] * 1000:.1f}" for phase in PHASES if phase in self.seconds)
