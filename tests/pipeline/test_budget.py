"""The memory that orders may hold together."""

from __future__ import annotations

import pytest

from bgone.errors import ApiError
from bgone.pipeline.budget import Budget


def test_what_fits_is_held_and_given_back() -> None:
    """Growing adds up; releasing gives all of it back, and once only."""
    budget = Budget(100)
    one, two = budget.open(), budget.open()
    one.grow(30)
    one.grow(20)
    two.grow(50)
    assert budget.held_bytes == 100

    one.release()
    one.release()
    assert (budget.held_bytes, one.held_bytes) == (50, 0)


def test_what_does_not_fit_is_refused_at_once() -> None:
    """503 with its seconds; the refused bytes are not held, the earlier ones still are."""
    budget = Budget(100)
    budget.open().grow(60)
    late = budget.open(retry_after_s=7)
    late.grow(40)

    with pytest.raises(ApiError) as caught:
        late.grow(1)
    assert (caught.value.kind, caught.value.retry_after_s) == ("overloaded", 7)
    assert (budget.held_bytes, late.held_bytes) == (100, 40)


def test_an_order_alone_always_fits() -> None:
    """A picture larger than the whole budget is worked on, by itself."""
    budget = Budget(100)
    large, small = budget.open(), budget.open()
    large.grow(80)
    large.grow(500)

    with pytest.raises(ApiError):
        small.grow(1)
    large.release()
    small.grow(1)
    assert budget.held_bytes == 1
