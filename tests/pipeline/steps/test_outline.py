"""A line around the subject."""

from __future__ import annotations

import numpy as np
import pytest

from bgone.pipeline.order import Colour, Outline
from bgone.pipeline.steps.grid import Grid, Pixels, grid_of
from bgone.pipeline.steps.outline import FAR, distances, outline_layer, with_outline
from bgone.pipeline.steps.over import Layer
from tests.pipeline.steps.scenes import Plane, block, disc

RED = Colour(230, 20, 40)


def drawn(lay: Layer, grid: Grid, *, step: int = 64) -> Pixels:
    """What the layer shows under nothing."""
    heights = [(y, min(step, grid.height - y)) for y in range(0, grid.height, step)]
    return np.vstack([lay(y, np.zeros((height, grid.width, 4), np.uint8)) for y, height in heights])


def around(x: float, y: float, grid: Grid) -> Plane:
    """How far every pixel's middle is from a point of the map, in pixels."""
    rows, columns = np.mgrid[0 : grid.height, 0 : grid.width].astype(np.float32)
    across, down = (columns + 0.5) - (x + 0.5) * grid.pitch, (rows + 0.5) - (y + 0.5) * grid.pitch
    return np.asarray(np.hypot(across, down), np.float32)


def test_distances_are_those_of_a_disc() -> None:
    """Within a quarter of a cell near the edge, on both sides, where the radius ends between cells."""
    shape = disc(200, 150, 50.3, x=99.2, y=70.6)
    rows, columns = np.mgrid[0:150, 0:200]
    expected = np.hypot(columns - 99.2, rows - 70.6) - 50.3

    wrong = np.abs(distances(shape) - expected)
    assert wrong[np.abs(expected) < 10].max() < 0.25
    assert wrong[np.abs(expected) < 2].max() < 0.15


@pytest.mark.parametrize(("level", "sign"), [(0.0, 1), (1.0, -1)])
@pytest.mark.parametrize("shape", [(40, 61), (1, 1), (1, 500)])
def test_without_an_edge_all_is_far(level: float, sign: int, shape: tuple[int, int]) -> None:
    """Outside of nothing, or inside of everything."""
    assert (distances(np.full(shape, level, np.float32)) == sign * FAR).all()


@pytest.mark.parametrize("size", [(1600, 1200), (400, 300)])
@pytest.mark.parametrize("width_px", [3, 17.5])
def test_the_line_is_as_wide_as_asked_and_crisp(size: tuple[int, int], width_px: float) -> None:
    """Around a disc it covers what it should within a quarter of a cell, and turns from all to nothing in about one."""
    grid = grid_of(*size)
    radius = 0.3 * grid.rows
    shape = disc(grid.columns, grid.rows, radius)
    pixels = drawn(outline_layer(distances(shape), grid, Outline(width_px, RED)), grid)

    away = around((grid.columns - 1) / 2, (grid.rows - 1) / 2, grid) - radius * grid.pitch
    covered, slack = pixels[..., 3], 0.25 * grid.pitch + 0.6
    assert (covered[(away > 0) & (away < width_px - slack)] == 255).all()
    assert not covered[away > width_px + slack].any()
    assert (pixels[covered > 0][:, :3] == (230, 20, 40)).all()
    row = covered[grid.height // 2, grid.width // 2 :].astype(int)
    assert ((row > 0) & (row < 255)).sum() <= 4  # two for its outer edge, two for its inner one under the subject


def test_it_is_not_under_the_subjects_middle() -> None:
    """Only under its soft edge: glass shows what is behind it, not the line's colour."""
    grid = grid_of(400, 300)
    pixels = drawn(outline_layer(distances(disc(400, 300, 100)), grid, Outline(10, RED)), grid)

    assert pixels[150, 200].tolist() == [0, 0, 0, 0]
    assert pixels[150, 301].tolist() == [230, 20, 40, 255]
    assert pixels[150, 299].tolist() == [230, 20, 40, 255]


def test_its_opacity_is_its_colours_alpha() -> None:
    """128 of 255 on nothing."""
    grid = grid_of(400, 300)
    pixels = drawn(outline_layer(distances(disc(400, 300, 100)), grid, Outline(10, Colour(1, 2, 3, 128))), grid)

    assert pixels[..., 3].max() == 128
    assert pixels[150, 305].tolist() == [1, 2, 3, 128]


def test_strips_of_any_height_meet_without_seams() -> None:
    """Bit for bit."""
    grid = grid_of(1600, 1200)
    lay = outline_layer(distances(disc(grid.columns, grid.rows, 90)), grid, Outline(12, RED))

    assert np.array_equal(drawn(lay, grid, step=37), drawn(lay, grid, step=1200))


def test_rows_without_a_line_are_not_touched() -> None:
    """Most strips of most pictures."""
    grid = grid_of(400, 300)
    rows = np.zeros((20, 400, 4), np.uint8)

    assert outline_layer(distances(disc(400, 300, 50)), grid, Outline(5))(0, rows) is rows


def test_the_subject_hides_the_line() -> None:
    """What is opaque stays as it is, bit for bit."""
    grid = grid_of(400, 300)
    subject = np.full((300, 400, 4), (10, 20, 30, 255), np.uint8)

    assert (outline_layer(distances(disc(400, 300, 50)), grid, Outline(5))(0, subject) == (10, 20, 30, 255)).all()


def test_line_and_subject_cast_one_shadow() -> None:
    """A box of 20 by 10 cells with a line of 12 pixels at 4 pixels a cell is 3 cells larger on each side."""
    shape = block(60, 40, 20, 15, 40, 25)
    grown = with_outline(shape, distances(shape), grid_of(2000, 10), Outline(12, RED))

    solid = np.argwhere(grown >= 0.5)
    assert solid.min(axis=0).tolist() == [12, 17]
    assert solid.max(axis=0).tolist() == [27, 42]
    assert (grown >= shape).all()
