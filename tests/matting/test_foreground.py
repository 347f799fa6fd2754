"""Foreground: the colours on both sides of an edge."""

from __future__ import annotations

import numpy as np
import pytest

from bgone.matting import foreground


def test_colours_cross_the_edge() -> None:
    """On a soft edge the estimates are the two pure colours, not the mixture that is seen there."""
    ramp = np.clip((np.arange(61, dtype=np.float32) - 25) / 10, 0, 1)
    alpha = np.tile(ramp, (40, 1)).astype(np.float32)
    subject, background = np.array([0.9, 0.2, 0.1], np.float32), np.array([0.1, 0.3, 0.8], np.float32)
    pairs = zip(subject.tolist(), background.tolist(), strict=True)
    picture = [np.asarray(alpha * near + (1 - alpha) * far, np.float32) for near, far in pairs]

    front, back = foreground.estimate(picture, alpha)

    edge = (alpha > 0) & (alpha < 1)
    assert np.abs(front[edge] - subject * 255).max() < 255 * 0.12
    assert np.abs(back[edge] - background * 255).max() < 255 * 0.12


def test_colours_reach_far() -> None:
    """A pixel far from the subject still gets the subject's colour, never black."""
    alpha = np.zeros((200, 300), np.float32)
    alpha[:10, :10] = 1
    picture = [np.float32(0.2) + np.float32(0.6) * alpha] * 3

    front, back = foreground.estimate(picture, alpha)

    assert abs(int(front[199, 299, 0]) - 204) <= 2
    assert abs(int(back[0, 0, 0]) - 51) <= 2


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 500), (61, 40)])
def test_one_sided_pictures_are_estimated(level: float, width: int, height: int) -> None:
    """Where one side is missing, or nothing is sure, the estimates still have the picture's shape."""
    picture = list(np.random.default_rng(5).random((3, height, width), np.float32))

    front, back = foreground.estimate(picture, np.full((height, width), level, np.float32))

    assert front.shape == back.shape == (height, width, 3)
    assert front.dtype == back.dtype == np.uint8
