"""A colour under everything."""

from __future__ import annotations

import numpy as np

from bgone.pipeline.order import Colour
from bgone.pipeline.steps.over import Layer, Pixels, over


def colour_layer(colour: Colour) -> Layer:
    """Lay the rows on a colour; its own alpha counts.

    Args:
        colour: What is laid under.
    """
    return lambda y, rows: over(rows, filled(colour, *rows.shape[:2]))


def filled(colour: Colour, height: int, width: int) -> Pixels:
    """uint8 (height, width, 4) of one colour."""
    one = np.frombuffer(bytes((colour.red, colour.green, colour.blue, colour.alpha)), np.uint32)
    return np.full((height, width), one[0], np.uint32).view(np.uint8).reshape(height, width, 4)
