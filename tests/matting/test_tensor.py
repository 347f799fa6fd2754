"""Working picture → the net's input."""

from __future__ import annotations

import numpy as np
import pytest

from bgone.matting.models import Recipe
from bgone.matting.tensor import tensor_of
from tests.pictures import scene


@pytest.mark.parametrize(("width", "height"), [(61, 40), (400, 300), (512, 20), (1, 1), (320, 320)])
def test_the_net_gets_its_own_size(width: int, height: int) -> None:
    """Larger, smaller and lopsided pictures are stretched to the recipe's width and height."""
    tensor = tensor_of(scene(width, height), Recipe(32, 48))

    assert tensor.shape == (48, 32, 3)
    assert tensor.dtype == np.uint8
    assert tensor.flags.c_contiguous


def test_shrinking_averages() -> None:
    """Each pixel of a half-size tensor is the mean of four."""
    working = scene(64, 96)
    blocks = working.reshape(48, 2, 32, 2, 3).mean(axis=(1, 3))

    assert np.abs(tensor_of(working, Recipe(32, 48)) - blocks).max() <= 0.5  # one rounding


def test_the_same_size_is_the_same_picture() -> None:
    """Nothing is lost where nothing needs to change."""
    assert np.array_equal(tensor_of(scene(32, 48), Recipe(32, 48)), scene(32, 48))
