"""Sizes and boxes in whole pixels."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgone.imaging.geometry import NO_CAP, Box, Length, SizeCap

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


def test_a_length_is_pixels_or_a_part_of_a_side() -> None:
    """30 px are 30 px whatever the side; 30 % of 61 px are 18.3."""
    assert Length(30).pixels(61) == 30
    assert Length(30, "%").pixels(61) == pytest.approx(18.3)


def test_a_box_moves_with_its_size() -> None:
    """Across and down."""
    assert Box(1, 2, 4, 7).moved(10, -2) == Box(11, 0, 14, 5)


@pytest.mark.parametrize(
    ("other", "common"),
    [
        (Box(0, 0, 9, 9), Box(2, 3, 6, 8)),
        (Box(4, 0, 9, 5), Box(4, 3, 6, 5)),
        (Box(6, 3, 9, 9), None),
        (Box(0, 8, 9, 9), None),
    ],
)
def test_the_part_inside_another_box(other: Box, common: Box | None) -> None:
    """Boxes that only touch have no pixel in common; the order does not matter."""
    box = Box(2, 3, 6, 8)

    assert box.inside(other) == common
    assert other.inside(box) == common


def test_the_box_around_two() -> None:
    """Around nothing else it is itself."""
    assert Box(2, 3, 6, 8).around(Box(0, 5, 4, 9)) == Box(0, 3, 6, 9)
    assert Box(2, 3, 6, 8).around(None) == Box(2, 3, 6, 8)
