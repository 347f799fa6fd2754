"""Tiles: where they lie, how much of a say they have, and what their answers change."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from bgone.imaging.geometry import Box
from bgone.matting.edges import Plane, resize_matte
from bgone.matting.model import Recipe
from bgone.matting.tiles import MOST_TILES, cover, merge, tensor_at, unsure
from tests.pictures import scene

SIDE = 160
RECIPE = Recipe(SIDE, SIDE)
WIDTH, HEIGHT = 321, 240


def disc(width: int = SIDE, height: int = SIDE, blur: float = 1.5, *, x: float = 0.5, radius: float = 0.3) -> Plane:
    """A round subject, float32 (height, width), 0..1, its edge as soft as said."""
    across = np.linspace(0, 1, width, dtype=np.float32)[None] - x
    down = np.linspace(0, 1, height, dtype=np.float32)[:, None] - 0.5
    distance = np.sqrt(across**2 + down**2)
    return np.asarray(np.clip((radius - distance) * max(width, height) / (2 * blur) + 0.5, 0, 1), np.float32)


def answers(truth: Plane, boxes: list[Box]) -> list[Plane]:
    """What a net would say that knows the truth, of each tile at its own size."""
    parts = [truth[box.top : box.bottom, box.left : box.right] for box in boxes]
    return [np.asarray(cv2.resize(part, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR), np.float32) for part in parts]


# --- how much of a say ----------------------------------------------------------------------------------------------


def test_tiles_have_a_say_along_the_outline_alone() -> None:
    """1 where the edge runs, 0 inside and outside, and between them never beyond."""
    matte = disc()
    say = unsure(matte)

    assert say.dtype == np.float32
    assert say.shape == matte.shape
    assert (say[np.abs(matte - 0.5) < 0.4] > 0.5).all()
    assert say[80, 80] == say[0, 0] == say[159, 159] == 0
    assert say.min() >= 0
    assert say.max() <= 1


@pytest.mark.parametrize(
    "matte",
    [
        np.zeros((80, 80), np.float32),
        np.ones((80, 80), np.float32),
        np.full((80, 80), 0.5, np.float32),
        disc(blur=40),
    ],
    ids=["no subject", "nothing else", "undecided", "fog"],
)
def test_what_has_no_two_sure_sides_is_no_edge(matte: Plane) -> None:
    """A wide patch of doubt is the net's to decide, from all of the picture."""
    assert not unsure(matte).any()
    assert cover(unsure(matte), WIDTH, HEIGHT) == []


def test_among_strands_tiles_say_nothing() -> None:
    """Little is sure there, so that nothing would tell whether a tile understood what it saw."""
    x = np.arange(160)
    stripes = np.broadcast_to(0.5 + 0.45 * np.sin(x * 1.1), (160, 160)).astype(np.float32)

    assert not unsure(stripes).any()


# --- where they lie -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height"), [(640, 640), (640, 427), (427, 640), (641, 401), (640, 90), (90, 640), (3, 2), (1, 1)]
)
def test_tiles_cover_the_picture_and_are_few(width: int, height: int) -> None:
    """Squares of half the longest side, inside of the picture, overlapping by half; no more than are promised."""
    boxes = cover(np.ones((80, 80), np.float32), width, height)

    side = -(-max(width, height) // 2)
    covered = np.zeros((height, width), np.uint8)
    for box in boxes:
        covered[box.top : box.bottom, box.left : box.right] += 1
        assert (box.width, box.height) == (min(side, width), min(side, height))
        assert box.inside(Box(0, 0, width, height)) == box
    assert covered.min() >= 1
    assert len(boxes) == len(set(boxes)) <= MOST_TILES


def test_tiles_without_an_edge_are_left_out() -> None:
    """A subject in the left half needs none of the right."""
    boxes = cover(unsure(disc(x=0.2, radius=0.12)), 640, 640)

    assert boxes
    assert all(box.left == 0 for box in boxes)


def test_every_edge_is_in_the_part_of_a_tile_that_is_nearest_to_it() -> None:
    """One cell anywhere brings the tile whose middle is nearest, its rim is not relied upon."""
    for row, column in ((0, 0), (0, 79), (40, 40), (79, 30), (20, 60)):
        say = np.zeros((80, 80), np.float32)
        say[row, column] = 1
        (box, *others) = cover(say, 640, 480)
        x, y = (column + 0.5) * 8, (row + 0.5) * 6
        for one in (box, *others):
            assert one.left <= x < one.right
            assert one.top <= y < one.bottom
        assert len(others) <= 3  # a cell may lie across a border of two or four


def test_a_tile_is_shown_to_the_net_at_its_size() -> None:
    """Whatever the net's shape is; the pixels are the picture's own where nothing has to be scaled."""
    working = scene(WIDTH, HEIGHT)

    shown = tensor_at(working, Box(10, 20, 90, 100), Recipe(80, 80))
    assert shown.dtype == np.uint8
    assert shown.shape == (80, 80, 3)
    assert shown.flags.c_contiguous
    assert np.array_equal(shown, working[20:100, 10:90])
    assert tensor_at(working, Box(0, 0, 80, 80), Recipe(48, 32)).shape == (32, 48, 3)


# --- what they change -----------------------------------------------------------------------------------------------


def merged(coarse: Plane, tiles: Plane, recipe: Recipe = RECIPE) -> tuple[Plane, Plane, Plane]:
    """The first matte enlarged, the merged one and the say at that size; tiles are answered from a picture's truth."""
    say = unsure(coarse)
    boxes = cover(say, WIDTH, HEIGHT)
    large = resize_matte(coarse, WIDTH, HEIGHT)
    fine = merge(large, say, boxes, answers(tiles, boxes), recipe)
    return large, fine, np.asarray(cv2.resize(say, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR), np.float32)


def test_an_edge_becomes_finer_and_nothing_else_changes() -> None:
    """Half of the error at least is gone; where tiles have no say the matte is the same to the last bit."""
    truth = disc(WIDTH, HEIGHT, 0.5)
    coarse = np.asarray(
        cv2.GaussianBlur(cv2.resize(truth, (SIDE, SIDE), interpolation=cv2.INTER_AREA), (0, 0), 1.2), np.float32
    )
    large, fine, say = merged(coarse, truth)

    assert fine.dtype == np.float32
    assert fine.shape == (HEIGHT, WIDTH)
    assert np.abs(fine - truth).sum() < np.abs(large - truth).sum() / 2
    assert np.array_equal(fine[say == 0], large[say == 0])
    assert (say == 0).mean() > 0.5
    assert fine.min() >= 0
    assert fine.max() <= 1


@pytest.mark.parametrize(
    "answer", [np.zeros((HEIGHT, WIDTH), np.float32), np.ones((HEIGHT, WIDTH), np.float32), 1 - disc(WIDTH, HEIGHT)],
    ids=["nothing", "everything", "the opposite"],
)  # fmt: skip
def test_a_tile_that_lost_its_way_is_not_heard(answer: Plane) -> None:
    """It contradicts what was sure around the edge, so the first matte stands."""
    large, fine, _ = merged(disc(), np.asarray(answer, np.float32))

    assert np.abs(fine - large).max() < 0.02


def test_a_tile_that_cannot_decide_is_not_heard() -> None:
    """A half says nothing of the edge."""
    truth = disc(WIDTH, HEIGHT, 0.5)
    doubtful = np.where((truth > 0.02) & (truth < 0.98), np.float32(0.5), truth)
    large, fine, _ = merged(disc(), np.asarray(doubtful, np.float32))

    on_edge = doubtful == 0.5
    assert np.abs(fine - large)[on_edge].mean() < np.abs(truth - large)[on_edge].mean()


def test_without_tiles_the_matte_stands() -> None:
    """As the edges' own way would enlarge it."""
    coarse = np.full((SIDE, SIDE), 0.5, np.float32)
    large = resize_matte(coarse, WIDTH, HEIGHT)

    assert np.array_equal(merge(large, unsure(coarse), [], [], RECIPE), large)


def test_a_letterbox_does_not_shift_a_tile() -> None:
    """The edges that fill a net's input around a tile that is no square are cut off."""
    box = Box(0, 0, 80, 40)
    coarse = np.zeros((40, 80), np.float32)
    coarse[18:22], coarse[22:] = 0.5, 1
    answer = np.zeros((80, 80), np.float32)
    answer[:20], answer[40:60] = 1, 1  # above and below the picture the net says anything
    fine = merge(coarse, np.ones((40, 80), np.float32), [box], [answer], Recipe(80, 80, fit="letterbox"))

    assert fine[19, 40] < 0.2
    assert fine[20, 40] > 0.8


def test_a_smaller_picture_than_the_matte_is_possible() -> None:
    """``resize_matte`` then shrinks, by areas."""
    assert resize_matte(np.eye(80, dtype=np.float32), 40, 20).shape == (20, 40)
