"""Guided-filter coefficients: the picture itself sharpens the matte's edges, at any output size.

In a small window alpha is taken to be a linear function of the colour, alpha = a·I + b. The four numbers are smooth, so
they may be fitted where it is cheap and applied to a larger picture. That is done from coarse to fine: fitted at a
sixth of the working size and applied at a third of it, fitted there and applied at half, and so on, the last fit being
for the output. Coarse windows move an outline that the net drew beside the edge, fine ones sharpen it. Each fit pulls
alpha apart a little, so a blurred step of the net becomes the picture's own step, while strands that differ in colour
from what surrounds them stay soft. A line is trusted as far as it explains the matte, and only near where the net was
unsure; the rest of the answer is the matte as it was.

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
EPSILON = 1e-4  # variance of a picture on 0..1
DOUBT = 0.1  # the net's last tenth at either end is certainty not reached
PULL = 0.12  # after each fit alpha 0.12..0.88 becomes 0..1
EXPLAINS = 0.7  # part of the matte's variance from which a line is trusted wholly
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
    shrinks = width <= matte.shape[1] and height <= matte.shape[0]
    fitted = cv2.resize(matte, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return sweep(_stretch(np.asarray(fitted, np.float32), 0))


def settle(matte: Plane) -> Plane:
    """The matte without the net's last doubts: most of it becomes exactly 0 or 1.

    Args:
        matte: float32 (h, w), 0..1.

    Returns:
        float32 (h, w), 0..1.
    """
    return _stretch(matte, DOUBT)


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
    line = [np.zeros_like(matte), np.zeros_like(matte), np.zeros_like(matte), _pull(matte)]
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
    for smaller, larger in pairwise(reversed(pictures)):
        fine_height, fine_width = larger[0].shape
        small = smaller[0].shape[::-1]
        line = _fit(smaller, _resize(alpha, *small), _resize(near, *small))
        alpha = apply([_resize(plane, fine_width, fine_height) for plane in line], larger)
    return _fit(picture, alpha, near), alpha


def _near(matte: Plane) -> Plane:
    """1 where the net was unsure, falling to 0 over ``REACH`` pixels more."""
    side = 2 * REACH + 1
    unsure = ((matte > 0) & (matte < 1)).astype(np.uint8)
    wide = cv2.dilate(unsure, np.ones((side, side), np.uint8)).astype(np.float32)
    return np.asarray(cv2.blur(wide, (side, side), borderType=cv2.BORDER_REPLICATE), np.float32)


def _stretch(plane: Plane, margin: float) -> Plane:
    stretched = (plane - np.float32(margin)) * np.float32(1 / (1 - 2 * margin))
    return np.asarray(np.clip(stretched, 0, 1), np.float32)


def _pull(offset: Plane) -> Plane:
    return (offset - np.float32(PULL)) * np.float32(1 / (1 - 2 * PULL))


def _resize(plane: Plane, width: int, height: int) -> Plane:
    if plane.shape == (height, width):
        return plane
    shrinks = width < plane.shape[1]
    fitted = cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(fitted, np.float32)


def _mean(plane: Plane) -> Plane:
    side = (2 * RADIUS + 1, 2 * RADIUS + 1)
    return np.asarray(cv2.blur(plane, side, borderType=cv2.BORDER_REPLICATE), np.float32)


def _fit(picture: Planes, alpha: Plane, near: Plane) -> Planes:
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
    trust = _trust(slopes, target, variance) * near.ravel()[edge]

    def smooth(values: Plane) -> Plane:
        plane = np.zeros(alpha.size, np.float32)
        plane[edge] = values * trust
        return _mean(plane.reshape(alpha.shape))

    offset = level.copy()
    for slope, colour in zip(slopes, means, strict=True):
        offset -= slope * colour
    line = [smooth(slope) * np.float32(1 / (1 - 2 * PULL)) for slope in slopes]
    line.append(_pull(smooth(offset) + (1 - smooth(np.ones_like(level))) * alpha))
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


def _trust(slopes: Planes, target: Planes, variance: Plane) -> Plane:
    """0..1 for every line: little where it leaves the matte unexplained, little where it is steep."""
    explained, squared = np.zeros_like(variance), np.zeros_like(variance)
    for slope, covariance in zip(slopes, target, strict=True):
        explained += slope * covariance
        squared += slope * slope
    part = np.clip(explained / ((variance + np.float32(1e-5)) * np.float32(EXPLAINS)), 0, 1)
    return np.asarray(part / (1 + squared * np.float32(1 / STEEPEST**2)), np.float32)
