"""W3C trace context: which trace a request belongs to, read from its headers and written to others'.

Source: W3C Recommendation "Trace Context", https://www.w3.org/TR/trace-context/.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

STATE_CHARS = 512  # of tracestate that are passed on; longer ones are left out whole
_PARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class TraceContext:
    """A place in a trace.

    Attributes:
        trace_id: 32 hex digits.
        span_id: 16 hex digits: the span that whoever reads this continues.
        flags: 2 hex digits; the last bit says that the trace is recorded.
        state: ``tracestate``, for the tracing systems on the way; nothing of ours.
    """

    trace_id: str
    span_id: str
    flags: str
    state: str = ""

    @property
    def parent(self) -> str:
        """The value of ``traceparent``."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"

    @property
    def headers(self) -> list[tuple[str, str]]:
        """For a request that belongs to it."""
        return [("traceparent", self.parent), *([("tracestate", self.state)] if self.state else [])]

    @property
    def text(self) -> str:
        """As it is kept with a job."""
        return f"{self.parent} {self.state}".rstrip()


def read_context(parent: str, state: str = "") -> TraceContext | None:
    """The context that two headers name; None where they name none: whoever reads it begins a trace of its own."""
    match = _PARENT.fullmatch(parent.strip())
    if match is None:
        return None
    version, trace_id, span_id, flags, more = match.groups()
    if version == "ff" or (version == "00" and more) or trace_id == "0" * 32 or span_id == "0" * 16:
        return None
    state = state.strip()
    if len(state) > STATE_CHARS or not state.isascii() or not state.isprintable():
        state = ""
    return TraceContext(trace_id, span_id, flags, state)


def read_text(text: str) -> TraceContext | None:
    """What ``TraceContext.text`` wrote."""
    parent, _, state = text.partition(" ")
    return read_context(parent, state)


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> TraceContext | None:
    """The context of a request by its raw headers, names in lower case; two ``traceparent`` are none."""
    parents, states = [], []
    for name, value in headers:
        if name == b"traceparent":
            parents.append(value)
        elif name == b"tracestate":
            states.append(value)
    if len(parents) != 1:
        return None
    return read_context(parents[0].decode("latin-1"), ",".join(state.decode("latin-1") for state in states))
