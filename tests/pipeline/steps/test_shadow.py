"""Shadows: where they are dark, and that they are nowhere else."""

from __future__ import annotations

import numpy as np
import pytest

from bgone.pipeline.order import Shadow
from bgone.pipeline.steps.grid import grid_of
from bgone.pipeline.steps.shadow import _KINDS, cast, shadow_layer
from tests.pipeline.steps.scenes import Plane, block, disc

KINDS = ("drop", "3D", "car", "offset")
WIDTH, HEIGHT = 301, 203


def bottle() -> Plane:
    """A narrow block that stands on row 160."""
    return block(WIDTH, HEIGHT, 120, 40, 170, 160)


def car() -> Plane:
    """A body on two wheels of radius 15, their lowest points at row 150, and nothing between them below row 131."""
    body = block(WIDTH, HEIGHT, 50, 90, 250, 131)
    wheels = [disc(WIDTH, HEIGHT, 15, x=x, y=135) for x in (90, 210)]
    return np.asarray(np.maximum.reduce([body, *wheels]), np.float32)


def centre(plane: Plane) -> tuple[float, float]:
    """(x, y) of the centre of mass."""
    down, across = np.indices(plane.shape)
    return float((plane * across).sum() / plane.sum()), float((plane * down).sum() / plane.sum())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), (1, 1), (500, 1), (2, 3)])
def test_nothing_casts_no_shadow(kind: str, size: tuple[int, int]) -> None:
    """Not an error either."""
    assert not cast(np.zeros(size[::-1], np.float32), Shadow(kind), 1).any()  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(WIDTH, HEIGHT), (1, 1), (500, 1), (2, 3)])
def test_a_subject_without_edges_is_no_error(kind: str, size: tuple[int, int]) -> None:
    """A frame that is all subject, of any size."""
    shade = cast(np.ones(size[::-1], np.float32), Shadow(kind), 1)  # type: ignore[arg-type]

    assert np.isfinite(shade).all()
    assert shade.min() >= 0
    assert shade.max() <= 0.5 + 1e-6


@pytest.mark.parametrize("kind", KINDS)
def test_opacity_scales_the_shadow(kind: str) -> None:
    """Never darker than asked, in proportion to it."""
    full, half = (cast(bottle(), Shadow(kind, opacity), 1) for opacity in (100, 50))  # type: ignore[arg-type]

    assert 0.3 < full.max() <= 1 + 1e-6
    assert np.allclose(full, 2 * half, atol=1e-6)


def test_every_kind_is_tested() -> None:
    """A new row of the table is."""
    assert set(KINDS) == set(_KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_a_shadow_grows_with_its_subject(kind: str) -> None:
    """The same scene at twice as many cells looks the same."""
    shadow = Shadow(kind, blur_percent=100, offset_x_px=8, offset_y_px=4)  # type: ignore[arg-type]
    small, large = disc(200, 150, 40), disc(400, 300, 80)
    # Offsets are in pixels: half as many to a cell make as many cells.
    shades = cast(small, shadow, 2), cast(large, shadow, 1)
    mean = shades[1].reshape(150, 2, 200, 2).mean(axis=(1, 3))

    outside = small < 0.01
    assert np.abs(mean - shades[0])[outside].mean() < 0.004
    assert np.abs(mean - shades[0])[outside].max() < 0.12


def test_a_drop_shadow_is_below_and_soft() -> None:
    """Dark just under the subject, nothing above it, and no edge anywhere."""
    shape = bottle()
    shade = cast(shape, Shadow("drop", 100), 1)

    assert shade[161, 145] > 0.5
    assert shade[175, 145] < 0.05
    assert shade[30, 145] < 0.01
    assert centre(shade)[0] > centre(shape)[0]
    assert np.abs(np.diff(shade, axis=0)).max() < 0.2


def test_a_cast_shadow_leans_flat_on_the_ground() -> None:
    """It begins at the base, goes up to the right to less than half the height, fades and softens on its way."""
    shade = cast(bottle(), Shadow("3D", 100), 1)
    beside = shade[:, 172:]

    assert beside[150:160].max() > 0.5
    assert not (shade[:85] > 0.01).any()  # 120 high, shown at 0.42 of it: up to row 110, and its blur
    assert beside[112:120].max() < 0.5 * beside[145:155].max()
    assert centre(shade[:, :118])[1] > 140  # on the left there is the contact shadow alone
    steps = np.abs(np.diff(shade[:, 172:], axis=1))
    assert steps[112:120].max() < steps[150:158].max()


def test_a_cast_shadow_of_a_tight_crop_ends() -> None:
    """A subject that touches the frame's upper side is no taller than it shows."""
    shade = cast(block(WIDTH, HEIGHT, 60, 0, 110, 200), Shadow("3D", 100), 1)

    assert shade[120:200, 112:].max() > 0.5
    assert not (shade[:75] > 0.02).any()  # 200 high, shown at 0.42 of it: up to row 116, and its blur


def test_a_contact_shadow_is_under_wheels_and_body() -> None:
    """Dark at the wheels, dark between them on the ground, flat, and gone a wheel's height below."""
    shade = cast(car(), Shadow("car", 100), 1)

    assert shade[151, 90] > 0.6
    assert shade[151, 210] > 0.6
    assert shade[148, 150] > 0.4  # the ground under the body, whose edge is at row 131
    assert shade[165].max() < 0.05
    assert not (shade[:105] > 0.02).any()
    assert shade[151, 90] > 1.2 * shade[156, 90]


def test_a_contact_shadow_follows_slanting_ground() -> None:
    """Two wheels at different heights, as seen from the front corner: the dark line joins them."""
    body = block(WIDTH, HEIGHT, 50, 70, 250, 110)
    shape = np.maximum.reduce([body, disc(WIDTH, HEIGHT, 14, x=90, y=116), disc(WIDTH, HEIGHT, 14, x=210, y=126)])
    shade = cast(shape, Shadow("car", 100), 1)

    lowest = [np.flatnonzero(shade[:, x] > 0.3)[-1] for x in (90, 150, 210)]
    assert lowest[0] < lowest[1] < lowest[2]


def test_an_offset_shadow_is_the_silhouette_moved() -> None:
    """Without blur it is the very shape, 12 pixels to the right and 6 up at 2 pixels a cell."""
    shape = disc(WIDTH, HEIGHT, 40)
    shade = cast(shape, Shadow("offset", 100, blur_percent=0, offset_x_px=12, offset_y_px=-6), 2)

    assert np.allclose(shade[: HEIGHT - 3, 6:], shape[3:, :-6], atol=1e-6)


def test_an_offset_shadow_is_as_soft_as_asked() -> None:
    """100 % is a standard deviation of 2 % of the longest side: of a long edge, its slope tells."""
    shape = block(WIDTH, HEIGHT, 0, 0, 150, HEIGHT)  # 203 cells high
    shade = cast(shape, Shadow("offset", 100, blur_percent=100), 1)

    steepest = np.abs(np.diff(shade[100])).max()
    assert 1 / (steepest * np.sqrt(2 * np.pi)) == pytest.approx(0.02 * 203, rel=0.03)


def test_a_subject_that_the_frame_cuts_goes_on() -> None:
    """A portrait cut by the lower side: its shadow does not fade towards that side."""
    shape = block(WIDTH, HEIGHT, 100, 80, 200, HEIGHT)
    shade = cast(shape, Shadow("drop", 100), 1)

    assert np.allclose(shade[-1, 190:220], shade[150, 190:220], atol=0.01)


@pytest.mark.parametrize("kind", KINDS)
def test_strips_of_any_height_meet_without_seams(kind: str) -> None:
    """Bit for bit, black everywhere, as dark as the map says."""
    grid = grid_of(1203, 811)
    shape = disc(grid.columns, grid.rows, 80)
    darkness = cast(shape, Shadow(kind), grid.pitch)  # type: ignore[arg-type]
    lay = shadow_layer(darkness, grid)

    def drawn(step: int) -> np.ndarray:
        heights = [(y, min(step, 811 - y)) for y in range(0, 811, step)]
        return np.vstack([lay(y, np.zeros((height, 1203, 4), np.uint8)) for y, height in heights])

    whole = drawn(811)
    assert np.array_equal(drawn(53), whole)
    assert not whole[..., :3].any()
    assert np.abs(whole[..., 3] - 255 * grid.enlarge(darkness, 0, 811, 0, 1203)).max() <= 1.01


def test_the_subject_hides_its_shadow() -> None:
    """What is opaque stays as it is; a half transparent edge lies on it."""
    grid = grid_of(WIDTH, HEIGHT)
    lay = shadow_layer(cast(bottle(), Shadow("drop", 100), 1), grid)
    rows = np.full((HEIGHT, WIDTH, 4), (10, 20, 30, 255), np.uint8)
    rows[:, 150:] = (200, 100, 0, 128)
    laid = lay(0, rows.copy())

    assert np.array_equal(laid[:, :150], rows[:, :150])
    assert laid[158, 165, 3] > 200
    assert laid[158, 165, 0] < 150
    assert laid[10, 290].tolist() == [200, 100, 0, 128]
