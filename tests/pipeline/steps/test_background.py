"""A colour under everything."""

from __future__ import annotations

import numpy as np

from bgone.pipeline.order import Colour
from bgone.pipeline.steps.background import colour_layer, filled

GROUND = Colour(10, 200, 30)


def test_a_fill_is_of_that_colour() -> None:
    """Red, green, blue and alpha stand in this order, on every machine."""
    rows = filled(Colour(1, 2, 3, 4), 5, 7)

    assert rows.shape == (5, 7, 4)
    assert (rows == (1, 2, 3, 4)).all()


def test_rows_lie_on_the_colour() -> None:
    """Nothing shows the colour, all hides it, half mixes."""
    rows = np.zeros((1, 3, 4), np.uint8)
    rows[0, 1] = (250, 100, 50, 255)
    rows[0, 2] = (250, 100, 50, 51)
    laid = colour_layer(GROUND)(0, rows)

    assert laid[0].tolist() == [[10, 200, 30, 255], [250, 100, 50, 255], [58, 180, 34, 255]]


def test_the_colours_own_alpha_counts() -> None:
    """A half transparent colour stays half transparent where nothing lies on it."""
    laid = colour_layer(Colour(10, 200, 30, 128))(0, np.zeros((2, 2, 4), np.uint8))

    assert (laid == (10, 200, 30, 128)).all()
