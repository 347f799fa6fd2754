"""The values of one drawing, and its rows: what planning, measuring, drawing and the layers below read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from bgone.imaging.geometry import Box
from bgone.imaging.photo import Look, Photo, Pixels, picture, strips
from bgone.matting.compose import Copier, Cut, Painter

Check = Callable[[], None]
Row = tuple[int, Pixels, Pixels | None]


@dataclass(frozen=True, slots=True)
class Drawing:
    """What ``plan`` and ``draw`` read.

    Attributes:
        photo: The picture in its file.
        seen: Pass 1; ``seen.region`` is what the net saw.
        cut: The small maps of the region; of a photo that comes back as it is they hold its own alpha.
        check: Called between strips; raises when nobody waits any more.
        as_is: The photo's own alpha is the result, and the net was not asked.
    """

    photo: Photo
    seen: Look
    cut: Cut
    check: Check
    as_is: bool = False

    def painter(self, width: int, height: int) -> Painter | Copier:
        """Whoever paints the region at (width, height)."""
        return Copier(width, height) if self.as_is else Painter(self.cut, width, height)

    def rows(
        self, width: int, height: int, box: Box, rows: int, wanted: Callable[[int, int], bool] | None = None
    ) -> Iterator[Row]:
        """The region at (width, height), strip by strip.

        Args:
            width: Pixels to which the whole region is brought.
            height: And its height.
            box: The part of it that is wanted.
            rows: Height of a strip.
            wanted: See ``strips``.

        Yields:
            y from the region's top; rgb uint8 (n, box.width, 3); the photo's own alpha uint8 (n, box.width) or None.
        """
        image = picture(self.photo, self.seen, width, height)
        for y, pixels in strips(image, box, rows, wanted):
            self.check()
            if pixels.shape[2] == 4:
                rgb = np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB), np.uint8)
                yield y, rgb, np.ascontiguousarray(pixels[..., 3])
            else:
                yield y, pixels, None
