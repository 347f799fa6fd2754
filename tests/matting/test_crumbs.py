"""Crumbs: what is small and unsure goes, whatever is sure stays."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from bgone.matting.crumbs import sweep
from bgone.matting.edges import Plane, fit_matte


def ellipse(matte: Plane, x: int, y: int, across: int, down: int, value: float) -> None:
    cv2.ellipse(matte, (x, y), (across, down), 0, 0, 360, value, -1)


def softened(matte: Plane) -> Plane:
    return np.asarray(cv2.GaussianBlur(matte, (0, 0), 2), np.float32)


def body() -> Plane:
    """float32 (375, 500): a subject on the left."""
    matte = np.zeros((375, 500), np.float32)
    ellipse(matte, 150, 190, 90, 120, 1)
    return matte


@pytest.mark.parametrize("haze", [0.15, 0.45])
def test_an_island_of_haze_goes(haze: float) -> None:
    """All of it, its soft rim included; the subject stays as it was, and so does what was given."""
    alone, with_haze = body(), body()
    ellipse(with_haze, 420, 100, 9, 8, haze)
    given = softened(with_haze)
    before = given.copy()

    swept = sweep(given)

    assert np.array_equal(swept[:, :300], given[:, :300])
    assert not (swept[:, 300:] > 0.001).any()
    assert np.array_equal(given, before)
    assert np.abs(swept - softened(alone)).max() < 0.001


def test_an_island_at_the_border_goes() -> None:
    """Of odd sides, to the last row and column."""
    matte = np.zeros((375, 501), np.float32)
    ellipse(matte, 150, 190, 90, 120, 1)
    matte[360:, 485:] = 0.4

    swept = sweep(matte)

    assert not swept[340:, 400:].any()


def second_subject(matte: Plane) -> None:
    ellipse(matte, 420, 100, 9, 8, 0.9)


def large_glass(matte: Plane) -> None:
    ellipse(matte, 420, 190, 30, 60, 0.4)


def strand(matte: Plane) -> None:
    cv2.line(matte, (150, 75), (215, 35), 0.35, 2)


def loose_strand(matte: Plane) -> None:
    cv2.line(matte, (246, 150), (266, 120), 0.35, 2)


def mug_handle(matte: Plane) -> None:
    ellipse(matte, 245, 190, 30, 40, 1)
    ellipse(matte, 252, 190, 9, 8, 0.02)


def faint_mug_handle(matte: Plane) -> None:
    ellipse(matte, 245, 190, 30, 40, 1)
    ellipse(matte, 252, 190, 9, 8, 0.3)


def car_window(matte: Plane) -> None:
    ellipse(matte, 150, 160, 50, 40, 0.6)


def nothing(matte: Plane) -> None:
    del matte


@pytest.mark.parametrize(
    "add",
    [second_subject, large_glass, strand, loose_strand, mug_handle, faint_mug_handle, car_window, nothing],
)
def test_what_is_sure_or_large_or_near_stays(add: Callable[[Plane], None]) -> None:
    """To the last digit."""
    matte = body()
    add(matte)
    given = softened(matte) if add is not mug_handle else matte

    assert sweep(given) is given


@pytest.mark.parametrize("doubt", [0.6, 0.85])
def test_a_faint_hole_closes(doubt: float) -> None:
    """A small patch inside that the net is merely unsure of becomes subject; the outline does not change."""
    matte = body()
    ellipse(matte, 150, 190, 9, 8, doubt)
    given = softened(matte)

    swept = sweep(given)

    assert swept[175:205, 135:165].min() > 0.9
    outside = np.ones_like(matte, np.bool_)
    outside[170:210, 130:170] = False
    assert np.array_equal(swept[outside], given[outside])


def test_weak_is_weak_beside_the_strongest() -> None:
    """Where the net is nowhere sure, what it saw is not haze."""
    matte = (body() * 0.3).astype(np.float32)
    ellipse(matte, 420, 100, 9, 8, 0.25)

    assert sweep(matte) is matte


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 7), (3, 500), (61, 40)])
@pytest.mark.parametrize("level", [0, 0.3, 1])
def test_flat_and_narrow_mattes(width: int, height: int, level: float) -> None:
    """Nothing is found in them."""
    matte = np.full((height, width), level, np.float32)

    assert np.array_equal(sweep(matte), matte)


def test_noise_stays_within_bounds() -> None:
    """Thousands of pieces are one matte more."""
    matte = np.random.default_rng(6).random((375, 500), np.float32)

    swept = sweep(matte)

    assert swept.shape == matte.shape
    assert swept.dtype == np.float32
    assert swept.min() >= 0
    assert swept.max() <= 1


def test_mattes_are_swept_where_they_are_fitted() -> None:
    """Whatever is cut has been swept."""
    matte = np.zeros((320, 320), np.float32)
    ellipse(matte, 100, 160, 60, 90, 1)
    ellipse(matte, 280, 60, 5, 5, 0.4)

    fitted = fit_matte(matte, 500, 375)

    assert fitted[:, :300].max() == 1
    assert fitted[:, 350:].max() < 0.001
