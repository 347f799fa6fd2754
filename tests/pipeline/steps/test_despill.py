"""Weakening green spill."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bgone.pipeline.steps.despill import despill

Pixels = npt.NDArray[np.uint8]
REC_709 = np.array([0.2126, 0.7152, 0.0722])


def cutout(low: int = 0, high: int = 256) -> Pixels:
    """uint8 (37, 61, 4): colours from ``low`` to below ``high``, alpha of all kinds, colour 0 under alpha 0."""
    dice = np.random.default_rng(2)
    rows = dice.integers(low, high, (37, 61, 4), dtype=np.uint8)
    rows[..., 3] = dice.choice(np.array([0, 1, 128, 254, 255], np.uint8), (37, 61))
    rows[rows[..., 3] == 0] = 0
    return rows


def luma(rows: Pixels) -> npt.NDArray[np.float64]:
    return np.asarray(rows[..., :3] @ REC_709)


def test_luma_stays_where_nothing_clips() -> None:
    """Three roundings by at most a half each weigh 0.5 together; colours up to 120 cannot clip."""
    rows = cutout(0, 120)
    clean = despill(rows)

    assert (clean != rows).any()
    assert np.abs(luma(clean) - luma(rows)).max() <= 0.5 + 1e-9


def test_green_is_at_most_the_mean_of_red_and_blue() -> None:
    """The average limit of chroma keying, to within roundings."""
    clean = despill(cutout(0, 120)).astype(int)

    assert (clean[..., 1] - (clean[..., 0] + clean[..., 2]) / 2).max() <= 1


def test_what_is_not_green_is_left_alone() -> None:
    """Bit for bit, beside pixels that are green."""
    rows = cutout()
    calm = rows[..., 1] <= (rows[..., 0].astype(int) + rows[..., 2]) / 2

    assert np.array_equal(despill(rows)[calm], rows[calm])
    assert (despill(rows)[~calm] != rows[~calm]).any()


def test_rows_without_green_are_not_copied() -> None:
    """Most strips of most pictures."""
    rows = cutout()
    rows[..., 1] = 0

    assert despill(rows) is rows


def test_alpha_stays_and_nothing_shows_under_0() -> None:
    """Neither invented transparency nor hidden colour."""
    rows = cutout()
    clean = despill(rows)

    assert np.array_equal(clean[..., 3], rows[..., 3])
    assert not clean[rows[..., 3] == 0].any()


def test_bright_spill_clips_and_does_not_wrap() -> None:
    """255 is the most there is."""
    rows = np.full((2, 2, 4), 255, np.uint8)
    rows[..., 0] = 250
    rows[..., 2] = 200

    assert despill(rows)[0, 0].tolist() == [255, 246, 221, 255]
