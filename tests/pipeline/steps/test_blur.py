"""The photo out of focus, without its subject."""

from __future__ import annotations

import numpy as np
import pytest

from bgone.pipeline.steps.blur import blur_layer, out_of_focus
from bgone.pipeline.steps.grid import Pixels, grid_of
from tests.pipeline.steps.scenes import disc

GROUND = np.full((150, 200, 3), (60, 90, 120), np.uint8)


def striped() -> Pixels:
    """uint8 (150, 200, 3): black, white from column 100 on."""
    picture = np.zeros((150, 200, 3), np.uint8)
    picture[:, 100:] = 255
    return picture


@pytest.mark.parametrize("percent", [1, 20, 100])
def test_nothing_is_left_of_the_subject(percent: float) -> None:
    """A white disc with a soft edge and a glow around it, before a plain wall: the wall alone."""
    alpha = disc(200, 150, 40)
    glow = disc(200, 150, 41.5)[..., np.newaxis]
    working = (255 * glow + GROUND * (1 - glow)).astype(np.uint8)

    assert np.abs(out_of_focus(working, alpha, GROUND, percent).astype(int) - GROUND).max() <= 1


@pytest.mark.parametrize("percent", [20, 50, 100])
def test_the_blur_is_as_strong_as_asked(percent: float) -> None:
    """100 % is a standard deviation of 5 % of the longest side, 10 of 200: the slope of an edge tells it."""
    nothing = np.zeros((150, 200), np.float32)
    blurred = out_of_focus(striped(), nothing, GROUND, percent)

    steepest = np.diff(blurred[75, :, 0].astype(float)).max() / 255
    assert 1 / (steepest * np.sqrt(2 * np.pi)) == pytest.approx(percent / 100 * 10, rel=0.08)


def test_it_lies_under_all_of_the_answer() -> None:
    """Opaque to the last pixel, smooth from strip to strip, and the subject untouched on it."""
    grid = grid_of(1203, 811)
    cells = np.random.default_rng(0).integers(0, 256, (grid.rows, grid.columns, 3), np.uint8)
    lay = blur_layer(cells, grid)
    rows = np.zeros((811, 1203, 4), np.uint8)
    rows[100:200, 300:400] = (1, 2, 3, 255)

    whole = lay(0, rows.copy())
    assert (whole[..., 3] == 255).all()
    assert (whole[100:200, 300:400] == (1, 2, 3, 255)).all()
    strips = [lay(y, rows[y : y + 77].copy()) for y in range(0, 811, 77)]
    assert np.array_equal(np.vstack(strips), whole)
