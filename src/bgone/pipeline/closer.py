"""A closer look: the tiles of one picture that the net is asked about again, for finer edges."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from bgone.imaging.geometry import Box
from bgone.imaging.photo import Pixels
from bgone.matting import tiles
from bgone.matting.edges import Plane, resize_matte
from bgone.matting.engine import Engine, Matte, Tensor
from bgone.matting.model import Recipe

AT_ONCE = 8  # tiles that wait for the net together: a batch where it takes several, and others' pictures pass between


@dataclass(frozen=True, slots=True)
class Closer:
    """What the net is asked, and what its answers are laid over.

    Attributes:
        matte: float32 (h, w), 0..1: the first, at the working picture's size.
        say: float32, 0..1: how much tiles have to say (``tiles.unsure``).
        boxes: Where the tiles are in the working picture.
        tensors: uint8, of the net's size, one for each box.
    """

    matte: Plane
    say: Plane
    boxes: list[Box]
    tensors: list[Tensor]

    async def ask(self, engine: Engine) -> list[Matte]:
        """The net's answers; whoever is cancelled leaves no tile behind in the queue."""
        mattes: list[Matte] = []
        for first in range(0, len(self.tensors), AT_ONCE):
            asked = self.tensors[first : first + AT_ONCE]
            mattes += await asyncio.gather(*(engine.predict(tensor) for tensor in asked))
        return mattes

    def merged(self, mattes: list[Matte], recipe: Recipe) -> Plane:
        """The finer matte, float32 of the working picture's size; blocking."""
        return tiles.merge(self.matte, self.say, self.boxes, mattes, recipe)


def look_closer(working: Pixels, matte: Matte, recipe: Recipe) -> Closer:
    """Choose the tiles; blocking.

    Args:
        working: uint8 (h, w, 3), sRGB: what tiles are cut from.
        matte: float32, 0..1: the net's, of this picture alone (``tensor.matte_of``).
        recipe: The net's input.
    """
    height, width = working.shape[:2]
    say = tiles.unsure(matte)
    boxes = tiles.cover(say, width, height)
    tensors = [tiles.tensor_at(working, box, recipe) for box in boxes]
    return Closer(resize_matte(matte, width, height), say, boxes, tensors)
