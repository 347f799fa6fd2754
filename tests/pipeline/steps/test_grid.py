"""Small maps in the answer's frame."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bgone.imaging.geometry import Box
from bgone.pipeline.order import RenderOptions
from bgone.pipeline.plan import Plan
from bgone.pipeline.steps.grid import MAP_SIDE, Grid, Plane, grid_of, lay_out


def planned(
    width: int, height: int, *, scaled: tuple[int, int], source: Box | None = None, left: int = 0, top: int = 0
) -> Plan:
    source = source or Box(0, 0, *scaled)
    region = Box(0, 0, 640, 480)
    return Plan(RenderOptions(), "png", 4, width, height, region, *scaled, source, left, top, None)


def values(grid: Grid, *, bands: int = 0) -> Plane:
    shape = (grid.rows, grid.columns, bands) if bands else (grid.rows, grid.columns)
    return np.random.default_rng(0).random(shape, np.float32)


@pytest.mark.parametrize("size", [(4000, 3000), (3000, 4000), (501, 333), (500, 500), (61, 40), (1, 1), (1, 6001)])
def test_a_map_is_small_and_covers_the_answer(size: tuple[int, int]) -> None:
    """At most MAP_SIDE cells a side, no pixel outside."""
    grid = grid_of(*size)

    assert max(grid.columns, grid.rows) <= MAP_SIDE
    assert grid.columns * grid.pitch >= size[0] > (grid.columns - 1) * grid.pitch
    assert grid.rows * grid.pitch >= size[1] > (grid.rows - 1) * grid.pitch


@pytest.mark.parametrize("bands", [0, 3])
@pytest.mark.parametrize("size", [(2999, 2003), (333, 120), (1, 6001)])
def test_any_rectangle_is_part_of_the_whole(size: tuple[int, int], bands: int) -> None:
    """Bit for bit, wherever strips and columns begin and end."""
    grid = grid_of(*size)
    cells = values(grid, bands=bands)
    whole = grid.enlarge(cells, 0, grid.height, 0, grid.width)

    assert whole.shape == (grid.height, grid.width, *cells.shape[2:])
    for y, height, left, width in [(0, 1, 0, 1), (37, 64, 0, grid.width), (grid.height - 5, 5, grid.width // 3, 99)]:
        part = grid.enlarge(cells, y, height, left, min(width, grid.width - left))
        assert np.array_equal(part, whole[y : y + height, left : left + width])


def test_enlarging_is_linear_between_the_middles_of_cells() -> None:
    """A ramp stays a ramp: cell i is the mean of the pixels that it covers."""
    grid = grid_of(4000, 8)
    ramp = np.tile(np.arange(grid.columns, dtype=np.float32), (grid.rows, 1))
    pixels = grid.enlarge(ramp, 0, 8, 0, 4000)

    middles = (np.arange(4000) + 0.5) / 8 - 0.5
    assert np.abs(pixels[3] - np.clip(middles, 0, grid.columns - 1)).max() < 1e-3


def test_a_span_holds_all_that_shows() -> None:
    """Outside of it nothing enlarges to more than 0, and it is not much wider than it must be."""
    grid = grid_of(3000, 2000)
    cells = np.zeros((grid.rows, grid.columns), np.float32)
    cells[100:110, 200:230] = 0.5

    for y in (0, 580, 640, 700):
        left, width = grid.span(cells, y, 64)
        shown = np.flatnonzero(grid.enlarge(cells, y, 64, 0, 3000).any(axis=0))
        assert (width == 0) == (shown.size == 0)
        if width:
            assert left <= shown[0]
            assert shown[-1] < left + width <= shown[-1] + 3 * grid.pitch


@pytest.mark.parametrize("size", [(2000, 1500), (400, 300), (97, 73)])
def test_a_map_is_laid_out_where_the_photo_is(size: tuple[int, int]) -> None:
    """A disc of the working picture comes to lie at its place in the answer, larger or smaller."""
    rows, columns = np.mgrid[0:300, 0:400].astype(np.float32)
    disc = np.clip(60.5 - np.hypot(columns - 129.5, rows - 99.5), 0, 1)
    grid = grid_of(*size)
    laid = lay_out(disc, grid, planned(*size, scaled=size), cv2.BORDER_REPLICATE)

    scale = grid.columns / 400
    weight = laid / laid.sum()
    down, across = np.indices(laid.shape)
    assert (weight * across).sum() == pytest.approx(130 * size[0] / 400 / grid.pitch - 0.5, abs=0.3)
    assert (weight * down).sum() == pytest.approx(100 * size[1] / 300 / grid.pitch - 0.5, abs=0.3)
    assert laid.sum() == pytest.approx(np.pi * 60**2 * scale**2, rel=0.03)


def test_a_moved_part_is_laid_out_moved() -> None:
    """What the plan cuts away and where it puts the rest is where the map goes."""
    ramp = np.tile(np.arange(400, dtype=np.float32), (300, 1))
    plan = planned(500, 200, scaled=(800, 600), source=Box(100, 50, 500, 250), left=30, top=10)
    laid = lay_out(ramp, grid_of(500, 200), plan, cv2.BORDER_REPLICATE)

    # Pixel 130 of the answer is pixel 200 of the scaled region, which lies at 99.75 of the working picture.
    assert laid[20, 130] == pytest.approx(99.75, abs=0.05)
    assert laid[20, 131] - laid[20, 130] == pytest.approx(0.5, abs=0.05)
