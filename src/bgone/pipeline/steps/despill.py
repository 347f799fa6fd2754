"""Weaken green spill: the cast of a green screen on the subject."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

# Rec. 709 luma weights (ITU-R BT.709-6, item 3.2).
_LUMA = (0.2126, 0.7152, 0.0722)


def despill(rows: Pixels) -> Pixels:
    """Limit green to the mean of red and blue, and give the luminance that this takes back to all three channels.

    The "average" despill limit of chroma keying, as in Wright, "Digital Compositing for Film and Video", 3rd ed.,
    ch. 3 ("green limited by the average of red and blue"): spill = max(0, G - (R + B) / 2), G' = G - spill. The lost
    luma 0.7152 * spill is added to R, G' and B, so that luma is unchanged where nothing clips.

    Args:
        rows: uint8 (h, w, 4), straight alpha.

    Returns:
        uint8 (h, w, 4): alpha unchanged, colour 0 under alpha 0.
    """
    red, green, blue, alpha = (plane.astype(np.float32) for plane in cv2.split(rows))
    spill = np.maximum(green - (red + blue) / 2, 0)
    if not spill.any():
        return rows
    lift = _LUMA[1] * spill
    planes = [np.rint(np.minimum(plane + lift, 255)) for plane in (red, green - spill, blue)]
    clean = np.dstack([*planes, alpha]).astype(np.uint8)
    return np.asarray(cv2.copyTo(clean, np.ascontiguousarray(rows[..., 3])), np.uint8)
