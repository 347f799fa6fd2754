"""How much of a photo is looked at: enough for the edges, and no less than the net can see."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from bgone.imaging.geometry import Box
from bgone.imaging.photo import Look, Photo
from bgone.matting.model import Recipe

# Longest side of the working picture; docs/edges.md shows what other sizes cost and gain. Half the cost where the
# picture itself is not much finer.
WORKING_SIDE = 500  # an eighth of 4,000: libjpeg shrinks a 12 MP photo to it by itself, 4 ms less than to 512
SMALL_PIXELS, SMALL_WORKING_SIDE = 2_000_000, 384
# A net that sees more is shown more, and its edges are fitted finer, up to here: the maps cost by the pixel.
MOST_WORKING_SIDE = 1024
MAP_BYTES = 180  # of a pixel of working size, while they are fitted: measured 73 (a thin edge) to 182 (all edge)


def working_side(region: Photo | Box, recipe: Recipe | None = None) -> int:
    """Longest side in pixels of the picture that is looked at: the net is shown no less than it can see."""
    usual = SMALL_WORKING_SIDE if region.width * region.height < SMALL_PIXELS else WORKING_SIDE
    return usual if recipe is None or recipe.longest <= WORKING_SIDE else recipe.longest


def settled(seen: Look) -> Look:
    """The look after the net has seen it, at no more than ``MOST_WORKING_SIDE``."""
    height, width = seen.working.shape[:2]
    if max(width, height) <= MOST_WORKING_SIDE:
        return seen
    scale = MOST_WORKING_SIDE / max(width, height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    working, alpha = (
        None if plane is None else np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.uint8)
        for plane in (seen.working, seen.alpha)
    )
    assert working is not None
    return replace(seen, working=working, alpha=alpha)


def seat_bytes(recipe: Recipe) -> int:
    """The most that an order with a seat takes beyond the usual for a net that is shown more than usual.

    Its input, its matte and larger maps: bounded by the seats, so it is no part of what an order holds while it waits.
    """
    if recipe.longest <= WORKING_SIDE:
        return 0
    numbers = 4 * 4 if recipe.number == "float" else 4
    side = min(MOST_WORKING_SIDE, recipe.longest)
    return recipe.longest**2 * (3 + numbers) + side**2 * MAP_BYTES
