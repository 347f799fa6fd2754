"""W3C trace context: what is read, what is not, what is written."""

from __future__ import annotations

import pytest

from bgone.traces.context import TraceContext, read_context, read_headers, read_text

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{SPAN}-01"


def test_a_context_is_read_and_written() -> None:
    """Both headers, byte for byte."""
    read = read_headers(
        [(b"host", b"x"), (b"traceparent", PARENT.encode()), (b"tracestate", b"a=1"), (b"tracestate", b"b=2")]
    )

    assert read == TraceContext(TRACE, SPAN, "01", "a=1,b=2")
    assert read.headers == [("traceparent", PARENT), ("tracestate", "a=1,b=2")]
    assert read_text(read.text) == read


def test_a_context_without_a_state_has_one_header() -> None:
    """And is kept as that header's value."""
    read = read_context(PARENT)

    assert read is not None
    assert (read.headers, read.text, read_text(read.text)) == ([("traceparent", PARENT)], PARENT, read)


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    """What follows the flags is left out."""
    assert read_context(f"cc-{TRACE}-{SPAN}-01-what-the-future-brings") == TraceContext(TRACE, SPAN, "01")


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "00",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01.more",
        f"cc-{TRACE}-{SPAN}-01.more",
        f"00-{TRACE[:-1]}g-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0１",  # noqa: RUF001 - a digit, but none of ASCII's
    ],
)
def test_nonsense_is_no_context(parent: str) -> None:
    """Whoever reads it begins a trace of its own."""
    assert read_context(parent) is None


def test_two_parents_are_none() -> None:
    """Nobody could say which is meant."""
    assert read_headers([(b"traceparent", PARENT.encode())] * 2) is None


@pytest.mark.parametrize("state", ["a=" + "x" * 511, "a=1\x00", "a=\r\nx-evil: 1", "ä=1"])
def test_a_state_that_cannot_be_passed_on_is_left_out(state: str) -> None:
    """The context is read all the same, and no header can be smuggled in."""
    assert read_context(PARENT, state) == TraceContext(TRACE, SPAN, "01")
