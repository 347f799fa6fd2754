"""Lay the cutout on a colour."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from bgone.pipeline.order import Colour

Pixels = npt.NDArray[np.uint8]


def lay_on(rows: Pixels, ground: Colour, *, opaque: bool) -> Pixels:
    """The cutout over ``ground`` ("source over", Porter and Duff 1984), straight alpha.

    Args:
        rows: uint8 (h, w, 4), straight alpha, colour 0 under alpha 0.
        ground: The colour below; its own alpha counts unless ``opaque``.
        opaque: Deliver (h, w, 3) as if ``ground`` were opaque.

    Returns:
        uint8 (h, w, 3) when ``opaque``, else (h, w, 4).
    """
    alpha = np.ascontiguousarray(rows[..., 3])
    colour = np.empty((*alpha.shape, 3), np.uint8)
    colour[:] = (ground.red, ground.green, ground.blue)
    solid: Pixels = np.asarray(cv2.cvtColor(rows, cv2.COLOR_RGBA2RGB), np.uint8)
    if opaque:
        soft = _soft_columns(alpha)
        cv2.copyTo(solid, alpha, colour)
        if soft is not None:
            colour[:, soft] = _mix(solid[:, soft], colour[:, soft], alpha[:, soft], ground)
        return colour
    top = alpha.astype(np.float32) / 255
    under = (1 - top) * (ground.alpha / 255)
    total = top + under
    share = np.divide(top, total, out=np.zeros_like(top), where=total > 0)[..., None]
    base = np.array([ground.red, ground.green, ground.blue], np.float32)
    mixed = solid * share + base * (1 - share)
    return np.dstack([np.rint(mixed), np.rint(total * 255)]).astype(np.uint8)


def _soft_columns(alpha: Pixels) -> slice | None:
    """The span of columns that hold partly transparent pixels, or None."""
    soft = cv2.inRange(alpha, np.array([1]), np.array([254]))
    found = np.flatnonzero(cv2.reduce(soft, 0, cv2.REDUCE_MAX)[0])
    return slice(int(found[0]), int(found[-1]) + 1) if found.size else None


def _mix(solid: Pixels, colour: Pixels, alpha: Pixels, ground: Colour) -> Pixels:
    weight = cv2.merge([alpha, alpha, alpha])
    under = np.empty_like(solid)
    under[:] = (ground.red, ground.green, ground.blue)
    lit = cv2.multiply(solid, weight, scale=1 / 255, dtype=cv2.CV_16U)
    dark = cv2.multiply(under, cv2.bitwise_not(weight), scale=1 / 255, dtype=cv2.CV_16U)
    return np.asarray(cv2.add(lit, dark, dtype=cv2.CV_8U), np.uint8)
