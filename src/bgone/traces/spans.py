"""Spans: pieces of work that are told when they end. What they are told to is behind one protocol.

Nothing of a picture's path depends on this: phases are taken from its ``Timings`` when it is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from bgone.traces.context import TraceContext

Kind = Literal["server", "client", "consumer"]
Fact = str | int | float | bool
Phase = tuple[str, float, float]
"""Name, beginning and end by ``time.perf_counter``."""


def _nowhere(_span: Span) -> None:
    """Where spans go that nobody records."""


@dataclass(slots=True)
class Span:
    """A piece of work under way; whoever does it writes what it learns.

    Attributes:
        context: What is passed on to whatever this work causes; None where there is no trace.
        name: Of few values.
        facts: Of OpenTelemetry's names, or ``bgone.…``; never a key, an address with a secret, or a client's words.
        error: Kind of the failure that is ours; empty for none.
        phases: Its parts.
    """

    context: TraceContext | None
    name: str
    facts: dict[str, Fact] = field(default_factory=dict)
    error: str = ""
    phases: Sequence[Phase] = ()
    _tell: Callable[[Span], None] = _nowhere

    def end(self) -> None:
        """It is over, now."""
        self._tell(self)


class Traces(Protocol):
    """Where spans are told."""

    @property
    def records(self) -> bool:
        """Whether anybody hears of them."""

    def begin(self, name: str, kind: Kind, parent: TraceContext | None, facts: Mapping[str, Fact]) -> Span:
        """A span that begins now, in the trace of ``parent`` or in one of its own."""

    def close(self) -> None:
        """Send what was not sent; seconds at most. Blocks."""


class Passing:
    """Records nothing: whoever asked hands its context on through us, unchanged."""

    records = False

    def begin(self, name: str, kind: Kind, parent: TraceContext | None, facts: Mapping[str, Fact]) -> Span:
        """See ``Traces``."""
        return Span(parent, name)

    def close(self) -> None:
        """See ``Traces``."""
