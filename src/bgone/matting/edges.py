"""Guided-filter coefficients: the picture itself sharpens the matte's edges, at any output size.

In a small window alpha is taken to be a linear function of the colour, alpha = a·I + b. The four numbers are smooth, so
they may be fitted where it is cheap and applied to a larger picture. That is done from coarse to fine: fitted at a
sixth of the working size and applied at a third of it, fitted there and applied at half, and so on, the last fit being
for the output. Coarse windows move an outline that the net drew beside the edge, fine ones sharpen it. A line is
trusted as far as it explains the matte, and only near where the net was unsure; the rest of the answer is the matte as
it was.

Each fit pulls alpha apart around a half, by what the window shows. The matte is nearly all or nothing: an outline that
the net blurred, which pulled becomes the picture's own; unless the picture's colours follow the matte wholly, for then
the picture is as blurred. It is half everywhere and the colours follow it: strands or a veil, soft by nature and hardly
pulled. Half everywhere and unlike the colours is the net's indecision: pulled most, once the fits are fine.

Sources: He, Sun, Tang, "Guided Image Filtering", PAMI 2013; He, Sun, "Fast Guided Filter", arXiv 1505.00996. The
numbers were chosen by measurement: docs/edges.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from bgone.matting.crumbs import sweep

Pixels: TypeAlias = NDArray[np.uint8]
Plane: TypeAlias = NDArray[np.float32]
Planes: TypeAlias = list[Plane]

STEPS = (6, 3, 2, 1)  # fitted at working size divided by these
RADIUS = 2  # of a window, in pixels of the fit's own size
EPSILON = 5e-5  # variance of a picture on 0..1
DOUBT = 0.1  # the net's last tenth at either end is certainty not reached
# How far each step's fit pulls apart: by 0.25, alpha 0.25..0.75 becomes 0..1.
OUTLINE_PULL = 0.3  # where the matte is an outline and the picture's is sharper
SOFT_PULLS = (0, 0, 0, 0.05)  # where it is soft and the picture explains it
UNSURE_PULLS = (0, 0.1, 0.3, 0.4)  # where it is soft and nothing explains it
SOFT, OUTLINE = 0.4, 0.9  # variance of the matte in a window, as part of what all or nothing would have: from, to
EXPLAINS = 0.7  # part of the matte's variance from which a line is trusted wholly
AS_BLURRED = 0.95  # from which the picture is nearly as blurred as the matte; at 1 it is
STEEPEST = 20.0  # alpha per unit of colour: steeper lines draw sensor noise
MARGIN = 24  # pixels around the part that is worked on: the reach of the coarsest windows
REACH = 5  # pixels of working size: farther from where the net was unsure its word stands


def fit_matte(matte: Plane, width: int, height: int) -> Plane:
    """The net's matte at another size, without crumbs (``crumbs.sweep``).

    Args:
        matte: float32 (n, m), 0..1, of any size.
        width: Pixels across the result.
        height: Pixels down the result.

    Returns:
        float32 (height, width), 0..1.
    """
    return sweep(resize_matte(matte, width, height))


def resize_matte(matte: Plane, width: int, height: int) -> Plane:
    """The net's matte, float32 (h, w), at another size: float32 (height, width), 0..1."""
    shrinks = width <= matte.shape[1] and height <= matte.shape[0]
    fitted = cv2.resize(matte, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.asarray(np.clip(fitted, 0, 1), np.float32)


def settle(matte: Plane) -> Plane:
    """The matte without the net's last doubts: most of it becomes exactly 0 or 1.

    Args:
        matte: float32 (h, w), 0..1.

    Returns:
        float32 (h, w), 0..1.
    """
    return _ramp(matte, DOUBT, 1 - DOUBT)


def guide(picture: Planes, matte: Plane) -> tuple[Planes, Plane]:
    """Fit alpha = a·I + b around every pixel, from coarse to fine.

    Args:
        picture: Red, green and blue, each float32 (h, w), 0..1.
        matte: float32 (h, w), 0..1, settled.

    Returns:
        Four planes float32 (h, w): a for red, green and blue, then b. Where the matte is sure a is 0, b at most 0 or at
        least 1.
        float32 (h, w): alpha at working size before the last fit, 0..1.
    """
    near = _near(matte)
    alpha = matte.copy()
    line = [np.zeros_like(matte), np.zeros_like(matte), np.zeros_like(matte), matte.copy()]
    left, top, width, height = cv2.boundingRect((near > 0).astype(np.uint8))
    if width:
        # Even bounds: halving by whole pixels is several times faster.
        top, left = max(0, top - MARGIN) & ~1, max(0, left - MARGIN) & ~1
        box = np.s_[top : top + height + 2 * MARGIN & ~1, left : left + width + 2 * MARGIN & ~1]
        fitted, alpha[box] = _refine([plane[box] for plane in picture], matte[box], near[box])
        for plane, part in zip(line, fitted, strict=True):
            plane[box] = part
    return line, alpha


def apply(line: Planes, picture: Planes) -> Plane:
    """Alpha by a·I + b, float32 (h, w), 0..1."""
    total = line[3].copy()
    for slope, channel in zip(line[:3], picture, strict=True):
        cv2.accumulateProduct(slope, channel, total)
    return np.clip(total, 0, 1, out=total)


def _refine(picture: Planes, alpha: Plane, near: Plane) -> tuple[Planes, Plane]:
    height, width = alpha.shape
    pictures = [picture]
    for step in STEPS[-2::-1]:
        small = max(1, width // step), max(1, height // step)
        pictures.append([_resize(plane, *small) for plane in pictures[-1]])
    *pulls, last_pulls = zip(SOFT_PULLS, UNSURE_PULLS, strict=True)
    for (smaller, larger), pull in zip(pairwise(reversed(pictures)), pulls, strict=True):
        fine_height, fine_width = larger[0].shape
        small = smaller[0].shape[::-1]
        line = _fit(smaller, _resize(alpha, *small), _resize(near, *small), *pull)
        alpha = apply([_resize(plane, fine_width, fine_height) for plane in line], larger)
    return _fit(picture, alpha, near, *last_pulls), alpha


def _near(matte: Plane) -> Plane:
    """1 where the net was unsure, falling to 0 over ``REACH`` pixels more."""
    side = 2 * REACH + 1
    unsure = ((matte > 0) & (matte < 1)).astype(np.uint8)
    wide = cv2.dilate(unsure, np.ones((side, side), np.uint8)).astype(np.float32)
    return np.asarray(cv2.blur(wide, (side, side), borderType=cv2.BORDER_REPLICATE), np.float32)


def _ramp(values: Plane, first: float, last: float) -> Plane:
    """0 up to ``first``, rising to 1 at ``last``."""
    rising = (values - np.float32(first)) * np.float32(1 / (last - first))
    return np.asarray(np.clip(rising, 0, 1), np.float32)


def _resize(plane: Plane, width: int, height: int) -> Plane:
    if plane.shape == (height, width):
        return plane
    shrinks = width < plane.shape[1]
    fitted = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(fitted, np.float32)


def _mean(plane: Plane) -> Plane:
    side = (2 * RADIUS + 1, 2 * RADIUS + 1)
    return np.asarray(cv2.blur(plane, side, borderType=cv2.BORDER_REPLICATE), np.float32)


def _fit(picture: Planes, alpha: Plane, near: Plane, soft_pull: float, unsure_pull: float) -> Planes:
    """One guided filter, pulled apart; trusted no farther than ``near``. Only windows with an edge are solved."""
    mean_alpha = _mean(alpha)
    edge = np.flatnonzero((mean_alpha > 0) & (mean_alpha < np.float32(1 - 1e-6)))
    level = mean_alpha.ravel()[edge]
    means = [_mean(plane).ravel()[edge] for plane in picture]
    target = [_mean(plane * alpha).ravel()[edge] - colour * level for plane, colour in zip(picture, means, strict=True)]
    spread = [
        [_mean(picture[i] * picture[j]).ravel()[edge] - means[i] * means[j] for j in range(i + 1)] for i in range(3)
    ]
    slopes = _solve(spread, target)
    variance = _mean(alpha * alpha).ravel()[edge] - level * level
    explained = _explained(slopes, target, variance)
    trust = _trust(slopes, explained) * near.ravel()[edge]
    del spread, target  # a third of all that a fit holds

    def plane_of(values: Plane) -> Plane:
        plane = np.zeros(alpha.size, np.float32)
        plane[edge] = values
        return plane.reshape(alpha.shape)

    offset = level.copy()
    for slope, colour in zip(slopes, means, strict=True):
        offset -= slope * colour
    trusted = _mean(plane_of(trust))
    line = [_mean(plane_of(slope * trust)) for slope in slopes]
    line.append(_mean(plane_of(offset * trust)) + (1 - trusted) * alpha)
    # Of values 0..1 with this mean, none has more variance than level·(1 - level): those of all or nothing.
    outline = _ramp(variance / (level * (1 - level) + np.float32(1e-4)), SOFT, OUTLINE)
    sharper = np.float32(OUTLINE_PULL) * (1 - _ramp(explained, AS_BLURRED, 1))
    pull = np.float32(unsure_pull) + np.float32(soft_pull - unsure_pull) * trusted
    soft = pull.ravel()[edge]
    pull.ravel()[edge] = soft + outline * (sharper - soft)
    return _pull(line, pull)


def _pull(line: Planes, pull: Plane) -> Planes:
    """The lines of (alpha - pull) / (1 - 2 pull), in place."""
    stretch = 1 / (1 - 2 * pull)
    line[3] -= pull
    for plane in line:
        plane *= stretch
    return line


def _solve(spread: Sequence[Sequence[Plane]], target: Sequence[Plane]) -> Planes:
    """Symmetric 3 x 3 systems, many at once, by elimination: cofactors lose float32's digits where channels agree."""
    epsilon = np.float32(EPSILON)
    first = spread[0][0] + epsilon
    lower_10, lower_20 = spread[1][0] / first, spread[2][0] / first
    second = spread[1][1] + epsilon - lower_10 * spread[1][0]
    cross = spread[2][1] - lower_20 * spread[1][0]
    lower_21 = cross / second
    third = spread[2][2] + epsilon - lower_20 * spread[2][0] - lower_21 * cross
    right_1 = target[1] - lower_10 * target[0]
    right_2 = target[2] - lower_20 * target[0] - lower_21 * right_1
    blue = right_2 / third
    green = right_1 / second - lower_21 * blue
    red = target[0] / first - lower_10 * green - lower_20 * blue
    return [np.asarray(slope, np.float32) for slope in (red, green, blue)]


def _explained(slopes: Planes, target: Planes, variance: Plane) -> Plane:
    """The part of the matte's variance that every line explains, 1 at most but for rounding."""
    explained = np.zeros_like(variance)
    for slope, covariance in zip(slopes, target, strict=True):
        explained += slope * covariance
    return np.asarray(explained / (variance + np.float32(1e-5)), np.float32)


def _trust(slopes: Planes, explained: Plane) -> Plane:
    """0..1 for every line: little where it leaves the matte unexplained, little where it is steep."""
    squared = np.zeros_like(explained)
    for slope in slopes:
        squared += slope * slope
    return np.asarray(_ramp(explained, 0, EXPLAINS) / (1 + squared * np.float32(1 / STEEPEST**2)), np.float32)
