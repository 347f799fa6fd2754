"""Sizes and boxes in whole pixels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgone.imaging.geometry import NO_CAP, Box, SizeCap

SIDES = st.integers(1, 65_535)


def test_a_box_knows_its_size() -> None:
    """Left and top are inside, right and bottom outside."""
    box = Box(2, 3, 10, 7)

    assert (box.width, box.height) == (8, 4)


@pytest.mark.parametrize(
    ("cap", "expected"),
    [
        (NO_CAP, (4000, 3000)),
        (SizeCap(pixels=12_000_000), (4000, 3000)),
        (SizeCap(pixels=250_000), (577, 433)),
        (SizeCap(longest=1000), (1000, 750)),
        (SizeCap(longest=9000), (4000, 3000)),
        (SizeCap(pixels=250_000, longest=400), (400, 300)),
        (SizeCap(pixels=30_000, longest=400), (200, 150)),
    ],
)
def test_pictures_shrink_in_proportion(cap: SizeCap, expected: tuple[int, int]) -> None:
    """4000 x 3000 under several caps; the stricter of two wins."""
    assert cap.fit(4000, 3000) == expected


@given(width=SIDES, height=SIDES, pixels=st.integers(1, 10**8))
def test_a_cap_of_pixels_holds_and_never_enlarges(width: int, height: int, pixels: int) -> None:
    """At least 1 x 1 remains, which a very long and thin picture may need beyond the cap's own proportions."""
    fitted = SizeCap(pixels=pixels).fit(width, height)

    assert 1 <= fitted[0] <= width
    assert 1 <= fitted[1] <= height
    assert fitted[0] * fitted[1] <= pixels or 1 in fitted


@given(width=SIDES, height=SIDES, longest=st.integers(1, 70_000))
def test_a_longest_side_holds_and_never_enlarges(width: int, height: int, longest: int) -> None:
    """The longer side becomes exactly the longest allowed where it was longer."""
    fitted = SizeCap(longest=longest).fit(width, height)

    assert max(fitted) == min(longest, max(width, height))
    assert min(fitted) >= 1
