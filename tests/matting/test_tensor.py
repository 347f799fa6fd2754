"""Working picture → the net's input."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from bgone.matting.models import Recipe
from bgone.matting.tensor import feed_of, matte_of, mattes_of, size_of, tensor_of
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


def test_a_shorter_side_is_stretched_as_in_training() -> None:
    """By area, as models/training/validate.py shows photographs: a landscape of the net's width, each row twice."""
    working = np.random.default_rng(4).integers(0, 256, (4, 8, 3), np.uint8)

    assert np.array_equal(tensor_of(working, Recipe(8, 8)), working.repeat(2, axis=0))


def test_the_same_size_is_the_same_picture() -> None:
    """Nothing is lost where nothing needs to change."""
    assert np.array_equal(tensor_of(scene(32, 48), Recipe(32, 48)), scene(32, 48))


@pytest.mark.parametrize(
    ("width", "height", "place", "left", "top"),
    [(40, 20, "middle", 0, 12), (40, 20, "corner", 0, 0), (20, 40, "middle", 12, 0), (1, 100, "middle", 23, 0)],
)
def test_a_letterbox_lies_where_the_recipe_says(
    width: int, height: int, place: Literal["middle", "corner"], left: int, top: int
) -> None:
    """White on a fill of its own: the picture's aspect, and nothing of it outside."""
    recipe = Recipe(48, 48, fit="letterbox", place=place, fill=(9, 8, 7))
    tensor = tensor_of(np.full((height, width, 3), 255, np.uint8), recipe)

    rows, columns = np.nonzero((tensor == 255).all(axis=2))
    scale = 48 / max(width, height)
    assert [columns.min(), rows.min()] == [left, top]
    assert [np.ptp(columns) + 1, np.ptp(rows) + 1] == [max(1, round(width * scale)), max(1, round(height * scale))]
    assert (tensor[(tensor != 255).any(axis=2)] == (9, 8, 7)).all()


def test_a_smaller_answer_is_cut_like_the_letterbox() -> None:
    """A net that answers at half its input's size: the same part of it, by proportion."""
    recipe = Recipe(48, 48, fit="letterbox")
    matte = np.zeros((24, 24), np.float32)
    matte[6:18] = 1

    assert matte_of(matte, recipe, 40, 20).tolist() == [[1.0] * 24] * 12


def test_other_fits_give_the_answer_whole() -> None:
    """The very array."""
    matte = np.zeros((24, 24), np.float32)

    assert matte_of(matte, Recipe(24, 24), 40, 20) is matte


@pytest.mark.parametrize(
    ("width", "height", "expected"),
    [(512, 512, (512, 512)), (640, 480, (672, 512)), (4000, 3000, (672, 512)), (100, 5000, (512, 1024))],
)
def test_the_short_side_is_the_recipes(width: int, height: int, expected: tuple[int, int]) -> None:
    """Both are multiples; the long side ends at twice the short one."""
    assert size_of(Recipe(512, 512, fit="shortest", multiple=32), width, height) == expected


def test_nets_of_bytes_are_fed_the_bytes_themselves() -> None:
    """No copy on the embedded net's way."""
    batch = scene(32, 48)[None]

    assert feed_of(batch, Recipe(32, 48)) is batch


def test_bytes_may_lie_channels_first() -> None:
    """The layout holds for bytes too."""
    batch = scene(32, 48)[None]

    assert np.array_equal(feed_of(batch, Recipe(32, 48, layout="nchw")), batch.transpose(0, 3, 1, 2))


def test_a_flat_answer_is_not_stretched() -> None:
    """A picture without a subject: nearly nothing everywhere stays nearly nothing."""
    answer = np.full((1, 1, 4, 6), 0.01, np.float32)
    answer[0, 0, 0, 0] = 0.0105
    recipe = Recipe(6, 4, activation="minmax")

    assert mattes_of(answer, (1, 4, 6), recipe).max() < 0.02


def test_large_logits_do_not_overflow() -> None:
    """0 and 1 without a warning."""
    answer = np.array([[[-1e30, -90, 90, 1e30]]], np.float32)

    (matte,) = mattes_of(answer, (1, 1, 4), Recipe(4, 1, activation="sigmoid"))
    assert np.allclose(matte, [[0, 0, 1, 1]])
