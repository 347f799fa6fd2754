"""The benchmark of edges: scenes whose truth is true, errors as their papers define them, ways that can be run."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from benchmarks.edges import OURS, Cutout, Photo, bilinear, judge, ours, table
from benchmarks.edges_metrics import Plane, alpha_errors, colour_errors, connectivity_error, gradient_error
from benchmarks.edges_scenes import NET_SIDE, NOISE, SCENES, draw, seen_by_net

WIDTH, HEIGHT = 161, 120


def half(edge: float) -> Plane:
    """float32 (40, 61): 0 on the left, 1 on the right of ``edge``."""
    row = np.clip(np.arange(61, dtype=np.float32) - edge + 0.5, 0, 1)
    return np.tile(row, (40, 1)).astype(np.float32)


def photo(name: str) -> Photo:
    scene = draw(name, WIDTH, HEIGHT)
    data = cv2.imencode(".png", cv2.cvtColor(scene.photo, cv2.COLOR_RGB2BGR))[1].tobytes()
    return Photo(scene, data, scene.photo, seen_by_net(scene.alpha))


@pytest.mark.parametrize("name", SCENES)
def test_scenes_are_the_same_every_time(name: str) -> None:
    """Photo and truth, with something soft and something clear in them."""
    first, second = draw(name, WIDTH, HEIGHT), draw(name, WIDTH, HEIGHT)

    assert np.array_equal(first.photo, second.photo)
    assert np.array_equal(first.alpha, second.alpha)
    assert first.photo.shape == first.subject.shape == (HEIGHT, WIDTH, 3)
    assert first.alpha.min() == 0
    assert ((first.alpha > 0.02) & (first.alpha < 0.98)).any()


@pytest.mark.parametrize("name", SCENES)
def test_the_subject_shows_where_it_is_opaque(name: str) -> None:
    """There the photo is the subject's colour and a camera's noise."""
    scene = draw(name, WIDTH, HEIGHT)
    opaque = scene.alpha > 0.999

    apart = scene.photo[opaque].astype(np.float32) - scene.subject[opaque]

    assert opaque.any() == (name != "glass")
    assert not apart.size or np.abs(apart).mean() < 2 * NOISE


def test_the_imitated_net_sees_the_subject_roughly() -> None:
    """Where it is, not its strands."""
    alpha = draw("hair", WIDTH, HEIGHT).alpha
    small = cv2.resize(alpha, (NET_SIDE, NET_SIDE), interpolation=cv2.INTER_AREA)

    matte = seen_by_net(alpha)

    assert matte.shape == (NET_SIDE, NET_SIDE)
    assert 0.01 < np.abs(matte - small).mean() < 0.1


def test_nothing_is_wrong_with_the_truth() -> None:
    """Every error of it is 0."""
    true = half(30.3)

    errors = alpha_errors(true, true)

    assert (errors.sad, errors.mse, errors.connectivity) == (0, 0, 0)
    assert errors.gradient == pytest.approx(0, abs=1e-9)


def test_errors_are_those_of_their_definitions() -> None:
    """An outline two pixels aside is two columns of SAD and MSE."""
    errors = alpha_errors(half(32.5), half(30.5))

    assert errors.sad == pytest.approx(2 * 40 / 1000)
    assert errors.mse == pytest.approx(2 / 61 * 1000)


def test_gradients_are_those_of_a_gaussian() -> None:
    """Against a flat plane, a ramp has its own slope at every pixel."""
    ramp = np.tile(np.arange(61, dtype=np.float32) / 100, (40, 1)).astype(np.float32)

    inner = gradient_error(np.pad(ramp, 0), np.zeros_like(ramp))

    assert inner == pytest.approx(40 * 61 * 0.01**2 / 1000, rel=0.1)


def test_what_hangs_in_the_air_is_not_connected() -> None:
    """An island that should not be there counts with all its alpha; a soft outline hardly counts."""
    true = half(30)
    island, softer = true.copy(), np.asarray(cv2.GaussianBlur(true, (0, 0), 1), np.float32)
    island[10:14, 5:10] = 0.8

    assert connectivity_error(island, true) == pytest.approx(20 * 0.8 / 1000)
    assert connectivity_error(softer, true) < np.abs(softer - true).sum() / 1000


def test_colour_errors_know_alphas_from_colours() -> None:
    """Wrong colours show on every ground alike; wrong alpha shows where subject and ground differ."""
    true = np.full((4, 5), 0.5, np.float32)
    subject = np.full((4, 5, 3), 100, np.uint8)

    wrong_colour = colour_errors(subject + np.uint8(20), true, subject, true)
    wrong_alpha = colour_errors(subject, true + np.float32(0.1), subject, true)

    assert wrong_colour.colour == wrong_colour.white == pytest.approx(10)
    assert wrong_colour.saturated == wrong_colour.black == pytest.approx(10)
    assert wrong_alpha.colour == 0
    assert wrong_alpha.white == pytest.approx(15.5, abs=0.01)
    assert wrong_alpha.black == pytest.approx(10, abs=0.01)


@pytest.mark.parametrize("way", [bilinear, ours])
def test_ways_cut_a_scene(way: object) -> None:
    """Alpha near the truth's, and what it cost."""
    given = photo("lace")
    assert callable(way)

    cutout = way(given)

    assert cutout.alpha.shape == (HEIGHT, WIDTH)
    assert np.abs(cutout.alpha - given.scene.alpha).mean() < 0.1
    assert cutout.cpu_s > 0


def test_a_way_that_gave_up_says_so_in_the_table() -> None:
    """And is in no mean."""
    scene = draw("hair", WIDTH, HEIGHT)
    row = judge(Cutout(scene.photo, scene.alpha, 1, 0), scene)
    figures = {"1mp/bilinear/hair": row, f"1mp/{OURS}/hair": {"failed": "gave up"}}

    lines = table(figures, "1mp", ["hair"])

    assert any("gave up" in line for line in lines)
    assert [line for line in lines if "mean" in line and OURS in line] == []
    assert len({line.count(" |") for line in lines if "---" not in line}) == 1
