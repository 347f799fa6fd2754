"""Silhouettes for the layers under the subject, drawn in code."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Plane = npt.NDArray[np.float32]


def disc(width: int, height: int, radius: float, *, x: float | None = None, y: float | None = None) -> Plane:
    """float32 (height, width), 0..1: a disc around (x, y), the middle unless given, with an edge of one cell."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = (width - 1) / 2 if x is None else x, (height - 1) / 2 if y is None else y
    return np.asarray(np.clip(radius - np.hypot(columns - x, rows - y) + 0.5, 0, 1), np.float32)


def block(width: int, height: int, left: int, top: int, right: int, bottom: int) -> Plane:
    """float32 (height, width): 1 in the box."""
    plane = np.zeros((height, width), np.float32)
    plane[top:bottom, left:right] = 1
    return plane
