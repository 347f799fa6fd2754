"""The subject's alpha in the answer's frame."""

from __future__ import annotations

import numpy as np
import pytest

from bgone.imaging.geometry import Box
from bgone.imaging.photo import PhotoLimits, look, open_photo
from bgone.matting.compose import cut, uncut
from bgone.pipeline.drawing import Drawing
from bgone.pipeline.order import RenderOptions
from bgone.pipeline.plan import Plan
from bgone.pipeline.steps.grid import Plane, grid_of
from bgone.pipeline.steps.silhouette import alpha_of, box_of, silhouette
from tests.pictures import encode, scene
from tests.pipeline.steps.scenes import block, disc


def drawing(own_alpha: int | None = None, *, as_is: bool = False) -> Drawing:
    """The disc of ``scene``, radius 60 in 301 x 203, which the net has found."""
    picture = scene(301, 203)
    if own_alpha is not None:
        picture = np.dstack([picture, np.full((203, 301), own_alpha, np.uint8)])
    photo = open_photo(encode(picture, "PNG"), PhotoLimits())
    seen = look(photo, 500)
    maps = uncut(seen.working, seen.alpha) if as_is else cut(seen.working, disc(301, 203, 60.9))
    return Drawing(photo, seen, maps, lambda: None, as_is=as_is)


def planned(width: int, height: int, source: Box, left: int = 0, top: int = 0) -> Plan:
    return Plan(RenderOptions(), "png", 4, width, height, Box(0, 0, 301, 203), 301, 203, source, left, top, None)


def test_alpha_is_the_one_that_is_drawn() -> None:
    """The disc, to a step of its edge."""
    alpha = alpha_of(drawing())

    assert alpha.min() >= 0
    assert alpha.max() <= 1
    assert ((alpha > 0.5) != (disc(301, 203, 60.9) > 0.5)).mean() < 0.002


def test_the_photos_own_alpha_multiplies() -> None:
    """A subject that is half transparent in the file casts half a shadow."""
    assert alpha_of(drawing(128))[100, 150] == pytest.approx(128 / 255, abs=0.01)


def test_of_a_photo_as_it_is_its_own_alpha_counts_once() -> None:
    """The net was not asked; the maps hold it already."""
    assert alpha_of(drawing(128, as_is=True)) == pytest.approx(128 / 255, abs=0.01)


def test_beyond_what_is_drawn_there_is_nothing() -> None:
    """A photo that is all subject, cut to a part and laid into a larger answer: exactly that part, to the pixel."""
    grid = grid_of(1007, 803)
    plan = planned(1007, 803, Box(10, 20, 211, 150), left=101, top=303)
    shape = silhouette(np.ones((203, 301), np.float32), grid, plan)

    assert grid.pitch == 3
    assert shape.sum() * 9 == pytest.approx(201 * 130, rel=1e-4)
    down, across = np.nonzero(shape)
    assert (across.min(), across.max()) == (101 // 3, (101 + 201 - 1) // 3)
    assert (down.min(), down.max()) == (303 // 3, (303 + 130 - 1) // 3)


def test_a_subject_at_the_answers_sides_is_whole_there() -> None:
    """Also where the last cell reaches beyond the answer."""
    plan = planned(301, 203, Box(0, 0, 301, 203))
    whole = silhouette(np.ones((203, 301), np.float32), grid_of(301, 203), plan)
    large = Plan(RenderOptions(), "png", 4, 1003, 677, plan.region, 1003, 677, Box(0, 0, 1003, 677), 0, 0, None)

    assert (whole == 1).all()
    assert (silhouette(np.ones((203, 301), np.float32), grid_of(1003, 677), large) == 1).all()


@pytest.mark.parametrize(
    ("shape", "box"),
    [
        (block(61, 40, 7, 3, 50, 39), Box(7, 3, 50, 39)),
        (0.4 * block(61, 40, 7, 3, 50, 39), None),
        (np.zeros((1, 1), np.float32), None),
    ],
)
def test_the_box_is_of_what_is_solid(shape: Plane, box: Box | None) -> None:
    """Half and more."""
    assert box_of(shape) == box
