"""How much is looked at for which net."""

from __future__ import annotations

import numpy as np
import pytest

from bgone.imaging.geometry import Box
from bgone.imaging.photo import Look
from bgone.matting.models import EMBEDDED, MODELS, Recipe
from bgone.pipeline.sight import MOST_WORKING_SIDE, seat_bytes, settled, settled_side, working_side
from tests.pictures import scene

LARGE, SMALL, SMALLEST = Box(0, 0, 4000, 3000), Box(0, 0, 1000, 800), Box(0, 0, 400, 500)


@pytest.mark.parametrize(
    ("recipe", "large", "small"),
    [
        (None, 500, 384),
        (MODELS[EMBEDDED].recipe, 500, 384),
        (Recipe(500, 500), 500, 384),
        (Recipe(1024, 1024), 1024, 1024),
        (Recipe(2048, 2048), 2048, 2048),
        (Recipe(512, 512, fit="shortest"), 1024, 1024),
    ],
)
def test_a_net_is_shown_no_less_than_it_sees(recipe: Recipe | None, large: int, small: int) -> None:
    """Small nets leave the sizes that the edges were tuned for."""
    assert (working_side(LARGE, recipe), working_side(SMALL, recipe)) == (large, small)
    assert working_side(SMALLEST, recipe) >= 500  # not shrunk


def test_the_look_is_settled_for_the_edges() -> None:
    """Picture and own transparency alike, in their aspect; a look that is small enough is the very same."""
    alpha = np.full((900, 1800), 200, np.uint8)
    seen = Look(scene(1800, 900), None, LARGE, alpha, opaque=False)

    small = settled(seen)
    assert small.working.shape == (512, MOST_WORKING_SIDE, 3)
    assert settled_side(MODELS[EMBEDDED].recipe, fine=True) == 500
    assert settled_side(MODELS[EMBEDDED].recipe, fine=False) == settled_side(None, fine=True) == MOST_WORKING_SIDE
    assert settled_side(Recipe(640, 640), fine=True) == 640
    assert settled_side(Recipe(2048, 2048), fine=True) == MOST_WORKING_SIDE
    assert small.alpha is not None
    assert small.alpha.shape == (512, MOST_WORKING_SIDE)
    assert (small.alpha == 200).all()
    assert (small.region, small.opaque) == (LARGE, False)
    assert settled(small) is small
    assert settled(Look(scene(1800, 900), None, LARGE)).alpha is None


def test_what_a_seat_takes_is_bounded() -> None:
    """Little for the embedded net, nothing for smaller ones; input, matte and maps of the large ones."""
    assert 0 < seat_bytes(MODELS[EMBEDDED].recipe) < 3_000_000
    assert seat_bytes(Recipe(320, 320)) == 0
    assert seat_bytes(Recipe(640, 640)) == 640**2 * (4 + 9 * 7) + 1280**2 * 63 - 500**2 * 180
    assert seat_bytes(MODELS["birefnet-general"].recipe) == 1024**2 * (3 + 16 + 180)
    assert seat_bytes(MODELS["birefnet-hr-general"].recipe) == 2048**2 * (3 + 16) + 1024**2 * 180
