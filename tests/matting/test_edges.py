"""Edges: the fitted lines follow the picture where it has an edge, and only there."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bgone.matting import edges
from bgone.matting.edges import Plane, Planes


def disc(width: int, height: int, radius: float) -> Plane:
    """float32 (height, width): a disc in the middle with an edge of one pixel."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    distance = np.hypot(columns - (width - 1) / 2, rows - (height - 1) / 2)
    return np.asarray(np.clip(radius - distance + 0.5, 0, 1), np.float32)


def painted(alpha: Plane, subject: tuple[float, ...], background: tuple[float, ...]) -> Planes:
    pairs = zip(subject, background, strict=True)
    return [np.asarray(alpha * front + (1 - alpha) * back, np.float32) for front, back in pairs]


def noise(seed: int, width: int, height: int) -> Planes:
    return list(np.random.default_rng(seed).random((3, height, width), np.float32))


def blurred(alpha: Plane, sigma: float = 3) -> Plane:
    return np.asarray(cv2.GaussianBlur(alpha, (0, 0), sigma), np.float32)


@pytest.mark.parametrize(("width", "height"), [(61, 40), (1, 1), (3, 500), (640, 2)])
def test_matte_is_fitted_to_any_size(width: int, height: int) -> None:
    """A matte comes out in the size asked for and stays within 0..1."""
    matte = np.random.default_rng(1).random((320, 320), np.float32).round()

    fitted = edges.fit_matte(matte, width, height)

    assert fitted.shape == (height, width)
    assert fitted.dtype == np.float32
    assert fitted.min() >= 0
    assert fitted.max() <= 1


def test_faint_doubt_is_settled() -> None:
    """What the net leaves at 2 % or 98 % becomes exactly nothing or all."""
    settled = edges.settle(np.array([[0, 0.02, 0.5, 0.98, 1]], np.float32))

    assert settled.tolist() == [[0, 0, 0.5, 1, 1]]


def test_blurred_matte_becomes_the_pictures_edge() -> None:
    """A matte blurred over a dozen pixels ends as sharp as the picture."""
    alpha = disc(256, 192, 60)
    picture = painted(alpha, (0.8, 0.3, 0.2), (0.2, 0.4, 0.6))

    line, _ = edges.guide(picture, edges.settle(blurred(alpha)))

    assert np.abs(edges.apply(line, picture) - alpha).mean() < 0.1 * np.abs(blurred(alpha) - alpha).mean()


def test_what_is_out_of_focus_stays_so() -> None:
    """The same matte on a picture as blurred as it: the edge is the lens's, and stays; noise does not hide that."""
    alpha = blurred(disc(256, 192, 60))
    picture = painted(alpha, (0.8, 0.3, 0.2), (0.2, 0.4, 0.6))
    grain = [(plane - np.float32(0.5)) * np.float32(0.015) for plane in noise(2, 256, 192)]
    picture = [plane + rough for plane, rough in zip(picture, grain, strict=True)]

    line, _ = edges.guide(picture, edges.settle(alpha))

    assert np.abs(edges.apply(line, picture) - alpha).max() < 0.15


def test_the_nets_indecision_ends() -> None:
    """Half a matte's answer that nothing in the picture explains does not come out as haze, its outline stays."""
    hesitant = blurred(disc(256, 192, 60), 20)

    line, _ = edges.guide([np.full_like(hesitant, 0.5)] * 3, edges.settle(hesitant))

    alpha = edges.apply(line, [np.full_like(hesitant, 0.5)] * 3)
    hazy, was = ((matte > 0.05) & (matte < 0.95) for matte in (alpha, hesitant))
    assert hazy.sum() < 0.35 * was.sum()
    assert ((alpha > 0.5) == (hesitant > 0.5)).mean() > 0.99


def test_strands_stay_soft() -> None:
    """A fringe that is half subject everywhere, by its colours and by the matte, is not cut into all or nothing."""
    fringe = np.zeros((192, 256), np.float32)
    fringe[:, :80], fringe[:, 80:176] = 1, np.random.default_rng(3).uniform(0.25, 0.75, (192, 96))
    picture = painted(fringe, (0.8, 0.3, 0.2), (0.2, 0.4, 0.6))

    line, _ = edges.guide(picture, blurred(fringe, 2))

    inside = np.s_[:, 96:160]
    assert np.abs(edges.apply(line, picture)[inside] - fringe[inside]).mean() < 0.1


def test_matte_stays_where_the_picture_has_no_edge() -> None:
    """Without any contrast the matte's own outline is kept, about where it was and not softer."""
    alpha = disc(256, 192, 60)
    flat = painted(alpha, (0.5,) * 3, (0.5,) * 3)

    line, _ = edges.guide(flat, edges.settle(blurred(alpha)))
    result = edges.apply(line, flat)

    assert ((result > 0.5) != (alpha > 0.5)).mean() < 0.008  # less than a pixel along the outline
    assert np.abs(result - alpha).mean() < np.abs(blurred(alpha) - alpha).mean()


@pytest.mark.parametrize("level", [0, 1])
def test_sure_mattes_give_no_slope(level: int) -> None:
    """Where the matte says nothing or all, no colour can change it."""
    picture = noise(2, 61, 40)

    line, alpha = edges.guide(picture, np.full((40, 61), level, np.float32))

    assert not np.any(line[:3])
    assert (edges.apply(line, picture) == level).all()
    assert (alpha == level).all()


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 7), (3, 500), (61, 40)])
def test_lines_are_finite_at_any_size(width: int, height: int) -> None:
    """Small and narrow pictures, and flat ones, are fitted without division by nothing."""
    for picture in (noise(3, width, height), [np.zeros((height, width), np.float32)] * 3):
        line, _ = edges.guide(picture, noise(4, width, height)[0])

        assert [plane.shape for plane in line] == [(height, width)] * 4
        assert np.isfinite(line).all()


def test_solving_agrees_with_numpy() -> None:
    """The elimination gives what numpy's solver gives."""
    generator = np.random.default_rng(4)
    root = generator.normal(size=(50, 3, 5))
    spread = (root @ root.transpose(0, 2, 1)).astype(np.float32)
    target = generator.normal(size=(50, 3)).astype(np.float32)
    expected = np.linalg.solve(spread + edges.EPSILON * np.eye(3), target[..., None])[..., 0]

    solved = edges._solve([[spread[:, i, j] for j in range(i + 1)] for i in range(3)], list(target.T))

    assert np.allclose(np.stack(solved, axis=1), expected, rtol=1e-2, atol=1e-3)
