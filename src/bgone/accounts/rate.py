"""Where a caller stands in the window of a rate limit."""

from __future__ import annotations

from dataclasses import dataclass

from bgone.errors import ApiError


@dataclass(frozen=True, slots=True)
class Rate:
    """Where the caller stands in its rate limit's window.

    Attributes:
        limit: Calls in a window.
        remaining: Left of them.
        reset_at: When there will be more again: the first of those counted leaves the window; unix seconds.
        reset_s: Seconds until then.
    """

    limit: int
    remaining: int
    reset_at: int
    reset_s: int


def rate_of(error: ApiError) -> Rate | None:
    """What a refusal by ``Limits`` tells of the window, for the headers of the answer."""
    told = [error.facts.get(name) for name in Rate.__slots__]
    numbers = [number for number in told if isinstance(number, int)]
    return Rate(*numbers) if error.kind == "rate_limited" and len(numbers) == len(told) else None
