"""One strip over another ("source over", Porter and Duff 1984), straight alpha."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

GAP = 64  # pixels: a shorter run costs more by itself than with its neighbour
# (first row in the answer, uint8 (n, width, 4) straight alpha) -> the rows with one layer more under them; the rows
# given may be overwritten. Rows come from the top without gaps.
Layer = Callable[[int, Pixels], Pixels]


def over(rows: Pixels, below: Pixels) -> Pixels:
    """``rows`` laid over ``below``; exact where ``rows`` has alpha 0 or 255, else rounded once.

    Args:
        rows: uint8 (h, w, 4), straight alpha.
        below: uint8 (h, w, 4), straight alpha; the result is written into it.

    Returns:
        ``below``.
    """
    alpha = cv2.extractChannel(rows, 3)
    soft = np.asarray(cv2.inRange(alpha, np.array(1), np.array(254)), np.uint8)
    mixed = [(part, _mix(rows[:, part], below[:, part])) for part in _runs(soft)]
    cv2.copyTo(rows, alpha, dst=below)
    for part, pixels in mixed:
        cv2.copyTo(pixels, soft[:, part], dst=below[:, part])
    return below


def _runs(soft: Pixels) -> list[slice]:
    """Columns that hold soft pixels, as few runs; those that are close are one."""
    found = np.flatnonzero(cv2.reduce(soft, 0, cv2.REDUCE_MAX))
    if not found.size:
        return []
    ends = np.flatnonzero(np.diff(found) > GAP)
    return [slice(int(found[a]), int(found[b]) + 1) for a, b in zip([0, *(ends + 1)], [*ends, -1], strict=True)]


def _mix(rows: Pixels, below: Pixels) -> Pixels:
    top = cv2.extractChannel(rows, 3).astype(np.float32)
    under = cv2.extractChannel(below, 3).astype(np.float32)
    under *= (255 - top) * np.float32(1 / 255)
    # It divides by the sum of both weights, which is what straight colours need.
    mixed = cv2.blendLinear(rows, below, top, under)
    return np.asarray(cv2.insertChannel(cv2.convertScaleAbs(top + under), mixed, 3), np.uint8)
