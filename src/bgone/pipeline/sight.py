"""How much of a photo is looked at: enough for the edges, and no less than the net can see."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from bgone.imaging.geometry import Box
from bgone.imaging.photo import Look, Photo
from bgone.matting import tiles
from bgone.matting.model import Recipe

# Longest side of the working picture; docs/edges.md shows what other sizes cost and gain. Half the cost where the
# picture itself is not much finer; what is no larger is not shrunk at all.
WORKING_SIDE = 500  # an eighth of 4,000: libjpeg shrinks a 12 MP photo to it by itself, 4 ms less than to 512
SMALL_PIXELS, SMALL_WORKING_SIDE = 2_000_000, 384
# A net that sees more is shown more, and its edges are fitted finer, up to here: the maps cost by the pixel.
MOST_WORKING_SIDE = 1024
# Fine: tiles are cut from a picture twice as large as the net's, up to here. A net that sees more than half of it gets
# what there is, and one that would get hardly more than before is not asked again.
MOST_FINE_SIDE = 1280
LEAST_GAIN = 1.25
PLANE_BYTES = 60  # of a pixel of that picture, while tiles are merged: measured 53, and the first matte
MAP_BYTES = 180  # of a pixel of working size, while they are fitted: measured 73 (a thin edge) to 182 (all edge)


def working_side(region: Photo | Box, recipe: Recipe | None = None) -> int:
    """Longest side in pixels of the picture that is looked at: the net is shown no less than it can see."""
    shrunk = max(region.width, region.height) > WORKING_SIDE
    usual = SMALL_WORKING_SIDE if shrunk and region.width * region.height < SMALL_PIXELS else WORKING_SIDE
    return usual if recipe is None or recipe.longest <= WORKING_SIDE else recipe.longest


def fine_side(region: Photo | Box, recipe: Recipe) -> int | None:
    """Longest side of the picture that tiles are cut from; None where they would show the net nothing new."""
    side = min(tiles.SCALE * recipe.longest, MOST_FINE_SIDE)
    gain = min(side, max(region.width, region.height)) / recipe.longest
    return side if gain >= LEAST_GAIN else None


def settled(seen: Look, most: int = MOST_WORKING_SIDE) -> Look:
    """The look after the net has seen it, at no more than ``most`` pixels a side."""
    height, width = seen.working.shape[:2]
    if max(width, height) <= most:
        return seen
    scale = most / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    working, alpha = (
        None if plane is None else np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8)
        for plane in (seen.working, seen.alpha)
    )
    assert working is not None
    return replace(seen, working=working, alpha=alpha)


def settled_side(recipe: Recipe | None, *, fine: bool) -> int:
    """The longest side at which edges are fitted, at most."""
    if recipe is None or not fine:
        return MOST_WORKING_SIDE
    return max(WORKING_SIDE, min(MOST_WORKING_SIDE, recipe.longest))


def seat_bytes(recipe: Recipe) -> int:
    """The most that an order with a seat takes beyond the usual: a net that is shown more than usual, or fine edges.

    Its input, its matte and larger maps, the tiles and what they answer: bounded by the seats, so it is no part of what
    an order holds while it waits.
    """
    numbers = 4 * 4 if recipe.number == "float" else 4
    large = recipe.longest > WORKING_SIDE
    usual = recipe.longest**2 * (3 + numbers) + min(MOST_WORKING_SIDE, recipe.longest) ** 2 * MAP_BYTES if large else 0
    side = min(tiles.SCALE * recipe.longest, MOST_FINE_SIDE)
    if side < LEAST_GAIN * recipe.longest:
        return usual
    # One run's input at a time; the tiles' pixels and mattes; the picture that they are cut from, and its planes. All
    # of it is gone before maps are fitted, which take more where the net is small.
    held = recipe.longest**2 * (numbers + tiles.MOST_TILES * (3 + 4)) + side**2 * (3 + PLANE_BYTES)
    return max(usual, held - WORKING_SIDE**2 * MAP_BYTES)
