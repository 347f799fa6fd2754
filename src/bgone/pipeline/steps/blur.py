"""The photo's own background under the subject, out of focus."""

from __future__ import annotations

import cv2
import numpy as np

from bgone.pipeline.steps.grid import Grid, Pixels, Plane
from bgone.pipeline.steps.over import Layer, over

STRONGEST = 0.05  # standard deviation at 100 %, as part of the photo's longest side
HALO = 0.012  # of the longest side: so far around the subject its glow and its soft edge go too


def blur_layer(picture: Pixels, grid: Grid) -> Layer:
    """Lay the rows on the blurred photo.

    Args:
        picture: From ``out_of_focus``, laid out in the answer's cells.
        grid: The answer's cells.
    """

    def lay(y: int, rows: Pixels) -> Pixels:
        height, width = rows.shape[:2]
        below = cv2.cvtColor(grid.enlarge(picture, y, height, 0, width), cv2.COLOR_RGB2RGBA)
        return over(rows, np.asarray(below, np.uint8))

    return lay


def out_of_focus(working: Pixels, alpha: Plane, background: Pixels, strength_percent: float) -> Pixels:
    """The photo without its subject, blurred at working size.

    The working picture is all that is looked at: strengths of which the standard deviation is less than about half its
    pixel (below 2 at 500 pixels) look alike where the answer is much larger, soft as an enlarged small picture is.

    Args:
        working: uint8 (h, w, 3), sRGB.
        alpha: float32 (h, w), 0..1: the subject, which is painted over so that no halo of it remains.
        background: uint8 (h, w, 3): the background's colour near each pixel.
        strength_percent: 1..100; 100 is a standard deviation of 5 % of the longest side.

    Returns:
        uint8 (h, w, 3).
    """
    longest = max(working.shape[:2])
    halo = round(HALO * longest)
    far = cv2.dilate(alpha, np.ones((4 * halo + 1, 4 * halo + 1), np.uint8))
    wide = cv2.blur(far, (2 * halo + 1, 2 * halo + 1))
    without = cv2.blendLinear(working, background, 1 - wide, wide)
    sigma = strength_percent / 100 * STRONGEST * longest
    return np.asarray(cv2.GaussianBlur(without, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.uint8)
