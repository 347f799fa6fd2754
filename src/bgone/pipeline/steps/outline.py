"""A line around the subject, outside of it, with a crisp edge."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from bgone.pipeline.order import Outline
from bgone.pipeline.steps.background import filled
from bgone.pipeline.steps.grid import Grid, Pixels, Plane
from bgone.pipeline.steps.over import Layer, over
from bgone.pipeline.steps.silhouette import SOLID

UNDER = 2.0  # cells that the line reaches under the subject: its soft edge must not show what is behind the line
SLOPE_SMOOTH, DISTANCE_SMOOTH = 1.0, 1.5  # standard deviations, in cells
FAR = np.float32(1e6)
CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))

Indices = npt.NDArray[np.intp]


def outline_layer(distance: Plane, grid: Grid, outline: Outline) -> Layer:
    """Lay the line under the subject.

    Its outer edge is one pixel of the answer soft, whatever the size of the cells; where it runs is known to about a
    quarter of a cell, so that of a large answer a line of a pixel or two is uneven.

    Args:
        distance: From ``distances``.
        grid: The answer's cells.
        outline: Width and colour.
    """
    colour, reach = outline.colour, (outline.width_px + 0.5) / grid.pitch
    near = np.clip(1 + reach - distance, 0, 1)  # more than 0 up to a cell beyond the line

    def lay(y: int, rows: Pixels) -> Pixels:
        left, width = grid.span(near, y, len(rows))
        if not width:
            return rows
        away = grid.enlarge(distance, y, len(rows), left, width) * np.float32(grid.pitch)
        alpha = cv2.convertScaleAbs(_cover(away, outline.width_px, grid), alpha=colour.alpha)
        line = cv2.insertChannel(alpha, filled(colour, len(rows), width), 3)
        # No colour where there is no line.
        below = np.asarray(cv2.copyTo(line, alpha), np.uint8)
        rows[:, left : left + width] = over(rows[:, left : left + width], below)
        return rows

    return lay


def with_outline(shape: Plane, distance: Plane, grid: Grid, outline: Outline) -> Plane:
    """The silhouette of subject and line together: what casts the shadow.

    Args:
        shape: float32 (rows, columns), 0..1: the subject's silhouette.
        distance: From ``distances``.
        grid: The answer's cells.
        outline: Width and colour.

    Returns:
        float32 (rows, columns), 0..1.
    """
    line = np.clip(outline.width_px / grid.pitch - distance + 0.5, 0, 1) * np.float32(outline.colour.alpha / 255)
    return np.asarray(np.maximum(shape, line), np.float32)


def distances(shape: Plane) -> Plane:
    """How far every cell's middle is from the subject's edge, in cells; negative inside.

    The edge is where alpha crosses one half. It is taken for short straight pieces, one at every cell along it, whose
    place between the cells follows from alpha and its slope there.

    Args:
        shape: float32 (rows, columns), 0..1: a silhouette.

    Returns:
        float32 (rows, columns); ``FAR`` either way where there is no edge at all.
    """
    # A slope needs a few cells to be measured by; an edge may be one cell wide.
    smooth = _blurred(shape, SLOPE_SMOOTH)
    solid = smooth >= SOLID
    sign = np.where(solid, np.float32(-1), np.float32(1))
    edge = np.where(solid, cv2.morphologyEx(solid.astype(np.uint8), cv2.MORPH_GRADIENT, CROSS), 0).astype(np.uint8)
    if not edge.any():
        return sign * FAR
    _, nearest = cv2.distanceTransformWithLabels(1 - edge, cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL)
    rows, columns = np.nonzero(edge)
    pieces = np.zeros((nearest.max() + 1, 4), np.float32)
    pieces[nearest[rows, columns]] = _pieces(smooth, rows, columns)
    y, x, normal_y, normal_x = np.moveaxis(pieces[nearest], 2, 0)
    down, across = np.indices(shape.shape, np.float32) - np.stack([y, x])
    beside = np.abs(down * normal_x - across * normal_y) - 0.5
    distance = sign * np.hypot(down * normal_y + across * normal_x, np.maximum(beside, 0))
    # The matte is steeper than coverage is, so that a slanting edge has steps; a distance may be smoothed, since along
    # a straight edge that changes nothing.
    return _blurred(distance.astype(np.float32), DISTANCE_SMOOTH)


def _pieces(smooth: Plane, rows: Indices, columns: Indices) -> Plane:
    """Place and direction of the edge at each of its cells: float32 (n, 4), y, x and the unit normal's y, x."""
    slope = np.stack([_change(smooth, 0, 1)[rows, columns], _change(smooth, 1, 0)[rows, columns]], axis=1)
    steep = np.maximum(np.linalg.norm(slope, axis=1, keepdims=True), np.float32(1e-3))
    missing: Plane = SOLID - smooth[rows, columns]
    normal = slope / steep
    place = np.stack([rows, columns], axis=1) + np.clip(missing[:, np.newaxis] / steep, -1, 1) * normal
    return np.hstack([place, normal]).astype(np.float32)


def _change(plane: Plane, across: int, down: int) -> Plane:
    """From cell to cell."""
    change = cv2.Sobel(plane, cv2.CV_32F, across, down, ksize=1, scale=0.5, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(change, np.float32)


def _blurred(plane: Plane, sigma: float) -> Plane:
    return np.asarray(cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)


def _cover(away: Plane, width_px: float, grid: Grid) -> Plane:
    outer = np.clip(width_px - away + 0.5, 0, 1)
    inner = np.clip(away + UNDER * grid.pitch + 0.5, 0, 1)
    return np.asarray(outer * inner, np.float32)
