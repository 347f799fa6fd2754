"""Probes: alive says that the loop turns, ready says that a picture would be cut now, and why not."""

from __future__ import annotations

from bgone.api.gate import Gate
from bgone.pipeline.studio import Studio


class Health:
    """What readiness looks at.

    Attributes:
        draining: The server has been told to stop: it answers what is in flight and takes no more.
    """

    def __init__(self, studio: Studio, gate: Gate) -> None:
        self._studio = studio
        self._gate = gate
        self.draining = False

    @property
    def trouble(self) -> str | None:
        """Why the server is not ready, in words, or None."""
        if self.draining:
            return "draining: the server is shutting down"
        engines = self._studio.engines
        if not engines:
            return "the model is loading"
        return next((engine.trouble for engine in engines if engine.trouble), None) or self._gate.trouble

    @property
    def notice(self) -> str | None:
        """What does not work as it should although the server is ready, or None."""
        return self._gate.notice
