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


def test_soft_pixels_tell_their_own_colour() -> None:
    """Hair of another colour than the head, soft everywhere: what is estimated there is the hair's, not the head's."""
    alpha = np.zeros((120, 160), np.float32)
    alpha[:, :40], alpha[:, 40:100] = 1, 0.5
    head, hair, ground = (
        np.array(colour, np.float32) for colour in ((0.9, 0.2, 0.1), (0.5, 0.6, 0.1), (0.1, 0.3, 0.8))
    )
    subject = np.where(np.arange(160)[:, None] < 40, head, hair)
    mixed = alpha[..., None] * subject + (1 - alpha[..., None]) * ground
    front, _ = foreground.estimate(
        [np.ascontiguousarray(mixed[..., channel], np.float32) for channel in range(3)], alpha
    )

    away = np.abs(front[:, 50:90] - 255 * hair).mean()  # half the way; drawing at full size goes half of the rest
    assert away < 0.52 * np.abs(255 * head - 255 * hair).mean()


def test_a_mixture_gives_nothing_and_another_colour_its_part() -> None:
    """Twice alpha, at most the whole difference."""
    front, back = np.float32(0.8), np.float32(0.2)
    alpha = np.array([[0, 0.25, 0.5, 0.75, 1]], np.float32)
    mixture = alpha * front + (1 - alpha) * back
    planes = np.full_like(alpha, front), np.full_like(alpha, back), alpha

    assert foreground.regain(mixture, *planes) == pytest.approx(np.full_like(alpha, front))
    assert foreground.regain(mixture - np.float32(0.1), *planes)[0] == pytest.approx([0.8, 0.75, 0.7, 0.7, 0.7])


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
