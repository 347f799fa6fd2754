"""Working picture → the net's input."""

from __future__ import annotations

import cv2
import numpy as np

from bgone.matting.engine import Tensor
from bgone.matting.models import Recipe


def tensor_of(working: Tensor, recipe: Recipe) -> Tensor:
    """The working picture stretched to the net's own size (the nets are trained on stretched pictures).

    Args:
        working: uint8 (h, w, 3), sRGB.
        recipe: The net's input.

    Returns:
        uint8 (recipe.height, recipe.width, 3), contiguous.
    """
    height, width = working.shape[:2]
    shrinks = width >= recipe.width and height >= recipe.height
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize(working, (recipe.width, recipe.height), interpolation=how), np.uint8)
