"""Laying the cutout on a colour."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from bgone.pipeline.order import WHITE, Colour
from bgone.pipeline.steps.background import lay_on

Pixels = npt.NDArray[np.uint8]
GROUND = Colour(10, 200, 30)


def cutout(seed: int = 0) -> Pixels:
    """uint8 (23, 61, 4): every alpha, colour 0 under alpha 0."""
    dice = np.random.default_rng(seed)
    rows = dice.integers(0, 256, (23, 61, 4), dtype=np.uint8)
    rows[:, :10, 3] = 0
    rows[:, 50:, 3] = 255
    rows[rows[..., 3] == 0] = 0
    return rows


def over(rows: Pixels, ground: Colour) -> npt.NDArray[np.float64]:
    alpha = rows[..., 3:] / 255
    return np.asarray(rows[..., :3] * alpha + np.array([ground.red, ground.green, ground.blue]) * (1 - alpha))


@pytest.mark.parametrize("ground", [GROUND, WHITE, Colour(0, 0, 0)])
def test_an_opaque_ground_is_source_over(ground: Colour) -> None:
    """Within the roundings of two products; exact where alpha is 0 or 255."""
    rows = cutout()
    laid = lay_on(rows, ground, opaque=True)

    assert laid.shape == (23, 61, 3)
    assert np.abs(laid - over(rows, ground)).max() <= 1.0
    assert (laid[:, :10] == (ground.red, ground.green, ground.blue)).all()
    assert np.array_equal(laid[:, 50:], rows[:, 50:, :3])


@pytest.mark.parametrize("alpha", [0, 255])
def test_rows_without_soft_pixels_are_exact(alpha: int) -> None:
    """All ground, or all subject."""
    rows = cutout()
    rows[..., 3] = alpha
    laid = lay_on(rows, GROUND, opaque=True)

    assert np.array_equal(laid, rows[..., :3] if alpha else np.broadcast_to([10, 200, 30], laid.shape))


def test_opaque_ignores_the_grounds_own_alpha() -> None:
    """A format without alpha shows the colour itself."""
    half = Colour(10, 200, 30, 128)

    assert np.array_equal(lay_on(cutout(), half, opaque=True), lay_on(cutout(), GROUND, opaque=True))


def test_a_transparent_ground_keeps_its_alpha() -> None:
    """Alpha of both together, colour weighted by what shows (Porter and Duff), straight."""
    rows = cutout()
    laid = lay_on(rows, Colour(10, 200, 30, 128), opaque=False)
    top = rows[..., 3] / 255
    total = top + (1 - top) * 128 / 255

    assert np.abs(laid[..., 3] - total * 255).max() <= 0.51
    assert (laid[:, :10] == (10, 200, 30, 128)).all()
    assert np.array_equal(laid[:, 50:], rows[:, 50:])
    share = (top / total)[..., None]
    assert np.abs(laid[..., :3] - (rows[..., :3] * share + np.array([10, 200, 30]) * (1 - share))).max() <= 0.51


def test_a_ground_of_alpha_0_changes_no_alpha() -> None:
    """The subject stays as it is."""
    rows = cutout()

    assert np.array_equal(lay_on(rows, Colour(9, 9, 9, 0), opaque=False)[..., 3], rows[..., 3])


def test_part_of_a_strip_is_laid_as_the_whole() -> None:
    """Rows cut out of a wider strip, as a crop gives them."""
    rows = cutout()

    assert np.array_equal(lay_on(rows[3:, 7:44], GROUND, opaque=True), lay_on(rows, GROUND, opaque=True)[3:, 7:44])
