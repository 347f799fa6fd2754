"""Shadows under the subject: black, drawn from its silhouette in the answer's cells.

The silhouette tells where the subject ends, not what it stands on: every kind takes its lowest points for the ground.
Proportions were chosen by eye on products, people and cars.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

from bgone.imaging.geometry import Box
from bgone.pipeline.order import BLACK, Shadow
from bgone.pipeline.steps.background import filled
from bgone.pipeline.steps.grid import Grid, Pixels, Plane
from bgone.pipeline.steps.over import Layer, over
from bgone.pipeline.steps.silhouette import SOLID, box_of

Columns = npt.NDArray[np.bool_]

MIN_SIGMA = 0.3  # cells: less changes nothing
FAINTEST = 0.5 / 255  # rounds to nothing

# Parts of the subject's longest side.
DROP_RIGHT, DROP_DOWN, DROP_BLUR = 0.012, 0.03, 0.022
OFFSET_BLUR = 0.02  # standard deviation at 100 %

# Cast on the ground by a light in front, on the left and above.
CAST_LENGTH = 0.42  # of the subject's height, as it appears
CAST_LEAN = 0.5  # to the right, of the subject's height
CAST_NEAR, CAST_FAR = 0.004, 0.03  # blur at the base and at the far end, of the subject's longest side
CAST_FADE = 0.7  # so much of it is gone at the far end
CAST_CONTACT = 0.8  # darkness of the contact shadow that is under it

# The contact shadow: a flat ellipse on the ground. Lengths are parts of the subject's width, heights too.
RISE = 0.12  # steepest ground line beside what touches it
DEPTH = 0.16  # how far the ellipse reaches behind the ground line: under a car, beside a ball
# Two parts: (reach before the ground line, height above it at which the subject shades it 1/e as much, darkness).
CORE, PENUMBRA = (0.008, 0.06, 0.8), (0.03, 0.3, 0.9)


def shadow_layer(darkness: Plane, grid: Grid) -> Layer:
    """Lay the shadow under the rows.

    Args:
        darkness: From ``cast``.
        grid: The answer's cells.
    """
    seen = np.where(darkness > FAINTEST, darkness, 0).astype(np.float32)

    def lay(y: int, rows: Pixels) -> Pixels:
        left, width = grid.span(seen, y, len(rows))
        if not width:
            return rows
        below = filled(BLACK, len(rows), width)
        cv2.insertChannel(cv2.convertScaleAbs(grid.enlarge(seen, y, len(rows), left, width), alpha=255), below, 3)
        rows[:, left : left + width] = over(rows[:, left : left + width], below)
        return rows

    return lay


def cast(shape: Plane, shadow: Shadow, pitch: int) -> Plane:
    """How dark the shadow is everywhere, the subject's own place included.

    A subject that the frame cuts is taken to go on beyond it.

    Args:
        shape: float32 (rows, columns), 0..1: the silhouette in the answer's cells.
        shadow: Which kind, how opaque.
        pitch: Pixels of the answer across a cell.

    Returns:
        float32 (rows, columns), 0..1; all 0 where there is no subject.
    """
    box = box_of(shape)
    if box is None:
        return np.zeros_like(shape)
    return _KINDS[shadow.kind](shape, box, shadow, pitch) * np.float32(shadow.opacity_percent / 100)


def _drop(shape: Plane, box: Box, shadow: Shadow, pitch: int) -> Plane:
    size = max(box.width, box.height)
    return _blurred(_moved(shape, DROP_RIGHT * size, DROP_DOWN * size), DROP_BLUR * size)


def _offset(shape: Plane, box: Box, shadow: Shadow, pitch: int) -> Plane:
    sigma = shadow.blur_percent / 100 * OFFSET_BLUR * max(box.width, box.height)
    return _blurred(_moved(shape, shadow.offset_x_px / pitch, shadow.offset_y_px / pitch), sigma)


def _cast_on_ground(shape: Plane, box: Box, shadow: Shadow, pitch: int) -> Plane:
    size, base = max(box.width, box.height), box.bottom - 0.5
    # A subject that touches the frame's upper side ends there: the shadow would never end else.
    ending = np.vstack([np.zeros_like(shape[:1]), shape])
    lean, steep = CAST_LEAN / CAST_LENGTH, 1 / CAST_LENGTH
    # From the shadow's cell back to the subject's, which lies a row lower.
    back = np.array([[1, lean, -lean * base], [0, steep, (1 - steep) * base + 1]])
    flat = _warped(ending, back)[: len(shape)]
    height = base - np.arange(shape.shape[0], dtype=np.float32)[:, np.newaxis]
    far = np.clip(height / (CAST_LENGTH * box.height), 0, 1)
    # Between a sharp and a soft one, through a third: two alone would show both.
    sigmas = [CAST_NEAR * size, (CAST_NEAR * CAST_FAR) ** 0.5 * size, CAST_FAR * size]
    near, middle, end = (_blurred(flat, sigma) for sigma in sigmas)
    first, second = np.clip(2 * far, 0, 1), np.clip(2 * far - 1, 0, 1)
    soft = near + (middle - near) * first + (end - middle) * second
    fallen = soft * (1 - CAST_FADE * far)
    return np.asarray(np.maximum(fallen, CAST_CONTACT * _contact(shape, box, shadow, pitch)), np.float32)


def _contact(shape: Plane, box: Box, shadow: Shadow, pitch: int) -> Plane:
    lowest, there = _lower_contour(shape)
    ground = _ground_line(lowest, there)
    gap = np.where(there, ground - lowest, box.width)
    along = (np.arange(shape.shape[1]) + 0.5 - (box.left + box.right) / 2) / (box.width / 2)
    ellipse = np.sqrt(np.clip(1 - along**2, 0, 1))
    row = np.arange(shape.shape[0], dtype=np.float32)[:, np.newaxis]
    behind = np.clip(row - ground + DEPTH * box.width * ellipse + 0.5, 0, 1)
    light = np.ones_like(shape)
    for reach, clearance, share in (CORE, PENUMBRA):
        thick = reach * box.width
        before = np.clip(ground + thick * ellipse - row + 0.5, 0, 1)
        band = (before * behind * np.exp(-gap / (clearance * box.width))).astype(np.float32)
        light *= 1 - share * _blurred(band, 1.5 * thick, max(MIN_SIGMA, 0.6 * thick))
    return np.asarray(1 - light, np.float32)


def _lower_contour(shape: Plane) -> tuple[Plane, Columns]:
    """Where the lowest solid cell of every column ends, in cells from the top; and which columns have one."""
    solid = shape >= SOLID
    there = np.asarray(solid.any(axis=0), np.bool_)
    lowest = shape.shape[0] - 1 - np.argmax(solid[::-1], axis=0)
    return np.where(there, lowest, 0).astype(np.float32), there


def _ground_line(lowest: Plane, there: Columns) -> Plane:
    """The ground's height under every column: a line that touches the subject from below, nowhere steep beside it."""
    columns = np.flatnonzero(there)
    corners = columns[_hull(columns, lowest[columns])]
    hull = np.interp(np.arange(lowest.size), corners, lowest[corners])
    ground = np.where(there, np.maximum(hull, lowest), 0).astype(np.float32)
    for line in (ground, ground[::-1]):
        for column in range(1, line.size):
            line[column] = max(line[column], line[column - 1] - RISE)
    return ground


def _hull(x: np.ndarray, y: np.ndarray) -> list[int]:
    """Indices of the convex hull's points on its lower side (``y`` grows downwards), by Andrew's monotone chain."""
    kept: list[int] = []
    for index in range(len(x)):
        while len(kept) > 1:
            first, last = kept[-2], kept[-1]
            turn = (x[last] - x[first]) * (y[index] - y[first]) - (y[last] - y[first]) * (x[index] - x[first])
            if turn < 0:
                break
            kept.pop()
        kept.append(index)
    return kept


def _moved(shape: Plane, right: float, down: float) -> Plane:
    return _warped(shape, np.array([[1.0, 0, -right], [0, 1, -down]]))


def _warped(shape: Plane, back: np.ndarray) -> Plane:
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = shape.shape[::-1]
    return np.asarray(cv2.warpAffine(shape, back, size, flags=how, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _blurred(shape: Plane, sigma: float, down: float = 0) -> Plane:
    """Standard deviation ``sigma`` cells, ``down`` cells vertically where it is another."""
    if sigma < MIN_SIGMA:
        return shape
    soft = cv2.GaussianBlur(shape, (0, 0), sigma, sigmaY=down, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(soft, np.float32)


_KINDS: dict[str, Callable[[Plane, Box, Shadow, int], Plane]] = {
    "drop": _drop,
    "3D": _cast_on_ground,
    "car": _contact,
    "offset": _offset,
}
