"""Tiles: the net asked once more, on crops of the picture along the subject's outline, twice as large as it first saw.

A tile shows finer edges and less of what they belong to: left to itself the net takes half a wall for a subject. So a
tile is heard only where the first matte knows both sides and was unsure between them, only as far as it agrees with
what was sure nearby, and only about where the edge runs, not about how much is subject. What was sure stays as it was,
to the last bit. The numbers were chosen by measurement: docs/edges.md, "Fine".
"""

from __future__ import annotations

from itertools import pairwise
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from bgone.imaging.geometry import Box
from bgone.matting.edges import DOUBT, Pixels, Plane, resize_matte
from bgone.matting.engine import Tensor
from bgone.matting.model import Recipe
from bgone.matting.tensor import matte_of, tensor_of

SCALE = 2  # a tile is a square of the picture's longest side by this
MOST_TILES = (2 * SCALE - 1) ** 2  # of a square picture: tiles overlap by half

SURE = DOUBT  # the matte's tenth at either end is certainty, as for edges
REACH = 0.05  # of the matte's longest side: an edge has what is sure on both sides, no farther away than this
FADE = 5  # cells over which a tile's say fades in
AROUND = 0.1  # of the matte's longest side: where one looks for what is sure around a cell
# Part of those that is sure: from the first on tiles say something, from the other all.
KNOWN, KNOWN_WHOLLY = 0.5, 0.7
NEAR = 0.15  # of the picture's longest side: a tile is compared with what was sure this near
APART = 0.05  # mean difference there up to which a tile is believed wholly; at twice as much not at all
DECIDED = 0.25  # from 0.5: a tile that is itself less decided has less of a say
STEADY = 0.05  # of the picture's longest side: over so many pixels as much stays subject as was
LEAST = 1e-6  # of a weight
RIM = 0.25  # of a tile's side: towards its edge a tile says less, and its neighbours more


def unsure(matte: Plane) -> Plane:
    """How much of a say tiles have.

    Args:
        matte: float32 (h, w), 0..1: the net's, as it came.

    Returns:
        float32 (h, w), 0..1: 0 wherever no outline runs between what is surely subject and surely background.
    """
    longest = max(matte.shape)
    out, inside = matte < SURE, matte > 1 - SURE
    between = _wider(out, REACH * longest) & _wider(inside, REACH * longest)
    band = cv2.blur(between.astype(np.float32), (FADE, FADE)) * np.float32(1.5)
    side = _odd(AROUND * longest)
    known = cv2.blur((out | inside).astype(np.float32), (side, side))
    heard = np.clip((known - KNOWN) / np.float32(KNOWN_WHOLLY - KNOWN), 0, 1)
    return np.asarray(np.minimum(band, 1) * heard, np.float32)


def cover(say: Plane, width: int, height: int) -> list[Box]:
    """The tiles that are needed, row by row: at most ``MOST_TILES``, fewer where there is less outline.

    Args:
        say: float32 (h, w), of ``unsure``.
        width: Pixels across the picture that tiles are cut from.
        height: Its height.
    """
    tile = ceil(max(width, height) / SCALE)
    boxes = []
    for top, bottom, first_row, last_row in _along(height, tile):
        rows = _cells(first_row, last_row, height, say.shape[0])
        for left, right, first, last in _along(width, tile):
            if say[rows, _cells(first, last, width, say.shape[1])].any():
                boxes.append(Box(left, top, right, bottom))
    return boxes


def tensor_at(working: Pixels, box: Box, recipe: Recipe) -> Tensor:
    """What the net is asked about one tile of ``working``, uint8 (h, w, 3); of the recipe's size."""
    return tensor_of(np.ascontiguousarray(working[box.top : box.bottom, box.left : box.right]), recipe)


def merge(coarse: Plane, say: Plane, boxes: list[Box], mattes: list[Plane], recipe: Recipe) -> Plane:
    """The first matte with finer edges.

    Args:
        coarse: float32 (h, w), 0..1, of ``edges.resize_matte``.
        say: float32, of ``unsure``.
        boxes: Of ``cover``.
        mattes: float32, what the net answered to each of ``boxes``.
        recipe: The net's input.

    Returns:
        float32 (h, w), 0..1: exactly ``coarse`` wherever ``say`` is 0.
    """
    height, width = coarse.shape
    say = np.asarray(cv2.resize(say, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)
    sure = ((coarse < SURE) | (coarse > 1 - SURE)).astype(np.float32)
    near = _odd(NEAR * max(width, height))
    # What no tile shows counts as its own tile, hardly weighed.
    total, trust = coarse * np.float32(LEAST), np.zeros_like(coarse)
    weight, heard = np.full_like(coarse, LEAST), np.full_like(coarse, LEAST)
    for box, matte in zip(boxes, mattes, strict=True):
        part = np.s_[box.top : box.bottom, box.left : box.right]
        tile = resize_matte(matte_of(matte, recipe, box.width, box.height), box.width, box.height)
        believed, window = _believed(tile, coarse[part], sure[part], near), _window(box)
        # Of several the one that agrees is taken; but one that sees the edge at its own rim alone does not outvote.
        liked = window * np.maximum(believed, np.float32(0.01)) ** 2
        total[part] += liked * tile
        weight[part] += liked
        trust[part] += window * believed
        heard[part] += window
    fine = total / weight
    decided = np.clip(np.abs(fine - np.float32(0.5)) / np.float32(DECIDED), 0, 1)
    part_of_fine = say * decided * trust / heard
    side = _odd(STEADY * max(width, height))
    steady = fine + cv2.blur(coarse - fine, (side, side))
    merged = coarse + (np.clip(steady, 0, 1) - coarse) * part_of_fine
    return np.asarray(np.where(part_of_fine > 0, merged, coarse), np.float32)


def _believed(tile: Plane, coarse: Plane, sure: Plane, near: int) -> Plane:
    """0..1: how well a tile agrees with what was sure around each of its pixels."""
    apart = cv2.blur(np.abs(tile - coarse) * sure, (near, near)) / (cv2.blur(sure, (near, near)) + np.float32(0.02))
    return np.asarray(np.clip(2 - apart / np.float32(APART), 0, 1), np.float32)


def _window(box: Box) -> Plane:
    def ramp(count: int) -> Plane:
        at = (np.arange(count, dtype=np.float32) + np.float32(0.5)) / np.float32(count)
        return np.asarray(np.clip(np.minimum(at, 1 - at) / np.float32(RIM), 0.02, 1), np.float32)

    return np.asarray(ramp(box.height)[:, None] * ramp(box.width)[None], np.float32)


def _along(side: int, tile: int) -> list[tuple[int, int, int, int]]:
    """Tiles along one side, overlapping by half at least: first pixel and end, and the part that is nearest to each."""
    tile = min(side, tile)
    count = ceil((side - tile) / (tile / 2)) + 1
    at = [round((side - tile) * index / max(1, count - 1)) for index in range(count)]
    borders = [0, *((one + other + tile) // 2 for one, other in pairwise(at)), side]
    return [(one, one + tile, borders[index], borders[index + 1]) for index, one in enumerate(at)]


def _cells(first: int, last: int, side: int, cells: int) -> slice:
    return slice(first * cells // side, ceil(last * cells / side))


def _wider(cells: NDArray[np.bool_], reach: float) -> Pixels:
    side = 2 * round(reach) + 1
    return np.asarray(cv2.dilate(cells.astype(np.uint8), np.ones((side, side), np.uint8)), np.uint8)


def _odd(side: float) -> int:
    return max(3, int(side)) | 1
