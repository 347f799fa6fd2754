"""Colours on both sides of an edge, so that soft pixels lose the old background's.

A soft pixel shows alpha·F + (1 - alpha)·B. Near it there are pixels that are surely one or the other; their colours,
spread smoothly across the edge, stand for F and B there. ``regain`` then asks of every pixel how far it is from the
mixture of the two, and gives that difference to the subject. That is done twice: at half the working size, after which
the soft pixels' own colours are spread, too, for hair is not always as its head; and by ``compose`` at full size.

Sources: Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021 (the correction, there by alpha alone);
Gortler, Grzeszczuk, Szeliski, Cohen, "The Lumigraph", SIGGRAPH 1996, section 3.4 (pull-push: the spreading, in time
linear in pixels whatever the distance; the paper's two box blurs were no better and twice as slow, docs/edges.md).
"""

from __future__ import annotations

import cv2
import numpy as np

from bgone.matting.edges import Pixels, Plane, Planes

SURE = 0.8  # alpha from which a pixel's colour counts as the subject's own; below 1 - SURE as the background's
FAINT = 1e-3  # weight of what coarser levels say, against a pixel that is sure


def estimate(picture: Planes, alpha: Plane) -> tuple[Pixels, Pixels]:
    """What colour subject and background have near every pixel.

    Args:
        picture: Red, green and blue, each float32 (h, w), 0..1.
        alpha: float32 (h, w), 0..1.

    Returns:
        uint8 (h, w, 3) twice: the subject's colour and the background's; both smooth.
    """
    subject = np.clip((alpha - SURE) * np.float32(1 / (1 - SURE)), 0, 1)
    background = np.clip((1 - SURE - alpha) * np.float32(1 / (1 - SURE)), 0, 1)
    # Half size is enough for what is smooth, and a little blur was better than none.
    front = _spread(_halve([*(plane * subject for plane in picture), subject]))
    back = _spread(_halve([*(plane * background for plane in picture), background]))
    *small, coverage = _halve([*picture, alpha])
    own = [np.clip(regain(*planes, coverage), 0, 1) for planes in zip(small, front, back, strict=True)]
    front = _spread([*(plane * coverage for plane in own), coverage])
    return _pixels(front, alpha), _pixels(back, alpha)


def regain(shown: Plane, front: Plane, back: Plane, alpha: Plane) -> Plane:
    """The subject's colour where ``shown`` is its mixture with the background: F + min(1, 2·alpha)·(I - mixture).

    If front and back vary alike from what is near, the least-squares share of the difference is alpha / (alpha² +
    (1 - alpha)²). Twice alpha, ended at 1, meets it at a half, gives faint pixels more and firm ones never more than
    the whole; it was measured to be as good (docs/edges.md) and takes no division.

    Args:
        shown, front, back, alpha: float32 (h, w), 0..1.

    Returns:
        float32 (h, w), not clipped.
    """
    missing = shown - back - alpha * (front - back)
    return np.asarray(front + np.minimum(1, 2 * alpha) * missing, np.float32)


def _spread(level: Planes) -> Planes:
    """Colours averaged by weight, where there is none from ever farther away.

    Args:
        level: Red, green and blue times weight, then weight, each float32 (h, w), 0..1.

    Returns:
        Red, green and blue, each float32 (h, w), 0..1.
    """
    levels = [level]
    while min(levels[-1][0].shape) > 1:
        levels.append(_halve(levels[-1]))
    top = levels.pop()
    total = max(float(top[3].sum()), 1e-6)
    spread = [np.full_like(plane, plane.sum() / total) for plane in top[:3]]
    for *colours, coverage in [top, *reversed(levels)]:
        share = 1 / (coverage + np.float32(FAINT))
        size = coverage.shape[::-1]
        coarser = [cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in spread]
        filled = (cv2.scaleAdd(far, FAINT, near) for far, near in zip(coarser, colours, strict=True))
        spread = [np.multiply(plane, share, dtype=np.float32) for plane in filled]
    return spread


def _pixels(planes: Planes, like: Plane) -> Pixels:
    pixels = cv2.merge([cv2.convertScaleAbs(plane, alpha=255) for plane in planes])
    return np.asarray(cv2.resize(pixels, like.shape[::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def _halve(planes: Planes) -> Planes:
    height, width = planes[0].shape
    size = ((width + 1) // 2, (height + 1) // 2)
    return [np.asarray(cv2.resize(plane, size, interpolation=cv2.INTER_AREA), np.float32) for plane in planes]
