"""Semitransparent insides, such as car windows, made opaque: for who wants no background to shine through."""

from __future__ import annotations

import cv2
import numpy as np

from bgone.matting.edges import DOUBT, Plane


def close_inside(matte: Plane) -> Plane:
    """The matte with its partly transparent insides opaque.

    An area that is not surely subject is inside when less than half of it is surely background: the subject's edge is
    not, it hangs together with the background, nor a hole that shows the background itself. Both keep their softness.

    Args:
        matte: float32 (h, w), 0..1.

    Returns:
        float32 (h, w), 0..1; ``matte`` is left as it is.
    """
    unsure = (matte < 1 - DOUBT).astype(np.uint8)
    _, areas = cv2.connectedComponents(unsure, connectivity=8)
    sizes = np.bincount(areas.ravel())
    inside = np.bincount(areas.ravel(), weights=(matte <= DOUBT).ravel()) < sizes / 2
    inside[0] = False  # what is surely subject
    return np.where(inside[areas], np.float32(1), matte)
