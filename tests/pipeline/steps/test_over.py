"""One strip over another."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from bgone.pipeline.steps.over import GAP, over

Pixels = npt.NDArray[np.uint8]


def strip(seed: int, *, width: int = 301) -> Pixels:
    """uint8 (23, width, 4): every alpha in two far runs of columns; none at the left, opaque elsewhere."""
    dice = np.random.default_rng(seed)
    rows = dice.integers(0, 256, (23, width, 4), dtype=np.uint8)
    rows[:, :10, 3] = 0
    rows[:, 60 : 61 + 2 * GAP, 3] = 255
    rows[rows[..., 3] == 0] = 0
    return rows


def source_over(rows: Pixels, below: Pixels) -> npt.NDArray[np.float64]:
    """Porter and Duff's formula for straight alpha, unrounded."""
    top, under = rows[..., 3:] / 255, below[..., 3:] / 255 * (1 - rows[..., 3:] / 255)
    total = top + under
    colour = (rows[..., :3] * top + below[..., :3] * under) / np.where(total > 0, total, 1)
    return np.concatenate([colour, total * 255], axis=2)


@pytest.mark.parametrize("opaque", [True, False])
def test_it_is_source_over(opaque: bool) -> None:
    """Rounded once; half a step and what float32 loses. Where nothing covers, colour is nobody's."""
    rows, below = strip(0), strip(1)
    if opaque:
        below[..., 3] = 255
    expected = source_over(rows, below)

    assert np.abs(over(rows, below) - expected)[expected[..., 3] > 0].max() <= 0.501


def test_it_is_exact_where_one_alone_shows() -> None:
    """Alpha 0 shows what is below bit for bit, alpha 255 what is above."""
    rows, below = strip(0), strip(1)
    laid = over(rows, below.copy())

    assert np.array_equal(laid[:, :10], below[:, :10])
    solid = rows[..., 3] == 255
    assert np.array_equal(laid[solid], rows[solid])


def test_an_opaque_layer_below_leaves_nothing_transparent() -> None:
    """Every soft pixel becomes opaque."""
    below = strip(1)
    below[..., 3] = 255

    assert over(strip(0), below)[..., 3].min() == 255


def test_parts_are_laid_as_the_whole() -> None:
    """Views into wider rows, cut anywhere, give the same pixels."""
    rows, below = strip(0), strip(1)
    whole = over(rows, below.copy())

    assert np.array_equal(over(rows[3:, 7:244], below[3:, 7:244].copy()), whole[3:, 7:244])
    part = below.copy()
    over(rows[:, 20:60], part[:, 20:60])
    assert np.array_equal(part[:, 20:60], whole[:, 20:60])
    assert np.array_equal(part[:, 60:], below[:, 60:])
