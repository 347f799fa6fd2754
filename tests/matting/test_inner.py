"""Insides that are partly transparent."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bgone.matting.edges import Plane
from bgone.matting.inner import close_inside


def car(window: float) -> Plane:
    """float32 (60, 90): a soft-edged body with a window of that matte."""
    matte = np.zeros((60, 90), np.float32)
    matte[10:50, 10:80] = 1
    matte[20:30, 30:60] = window
    return np.asarray(cv2.GaussianBlur(matte, (0, 0), 1.2), np.float32)


@pytest.mark.parametrize("window", [0.2, 0.5, 0.85])
def test_a_window_becomes_opaque(window: float) -> None:
    """With its own soft edge; the body's edge stays as it was."""
    matte = car(window)
    before = matte.copy()

    closed = close_inside(matte)

    assert (closed[17:33, 27:63] > 0.9).all()
    outside = np.ones_like(matte, np.bool_)
    outside[17:33, 27:63] = False
    assert np.array_equal(closed[outside], before[outside])
    assert np.array_equal(matte, before)


def test_a_hole_stays_a_hole() -> None:
    """What shows the background itself is no window."""
    matte = car(0)

    assert np.array_equal(close_inside(matte), matte)


@pytest.mark.parametrize("level", [0, 0.5, 1])
def test_flat_mattes(level: float) -> None:
    """Nothing stays nothing, all of it subject stays so, and what is nowhere background is inside."""
    assert (close_inside(np.full((7, 9), level, np.float32)) == (0 if level == 0 else 1)).all()
