"""The subject's alpha as a small map in the answer's frame: what outlines and shadows are made from."""

from __future__ import annotations

import cv2
import numpy as np

from bgone.imaging.geometry import Box
from bgone.matting import edges
from bgone.pipeline.drawing import Drawing
from bgone.pipeline.plan import Plan
from bgone.pipeline.steps.grid import Grid, Plane, lay_out

SOLID = 0.5  # alpha from which a cell belongs to the subject


def alpha_of(drawing: Drawing) -> Plane:
    """Alpha at working size, float32 (h, w), 0..1, by the same lines that draw the full-size picture."""
    planes = [np.multiply(plane, np.float32(1 / 255), dtype=np.float32) for plane in cv2.split(drawing.seen.working)]
    alpha = edges.apply(drawing.cut.coefficients, planes)
    own = drawing.seen.alpha
    # Of a photo that comes back as it is the maps hold its own alpha already.
    if own is None or drawing.as_is:
        return alpha
    return np.asarray(alpha * (own * np.float32(1 / 255)), np.float32)


def silhouette(alpha: Plane, grid: Grid, plan: Plan) -> Plane:
    """The subject as the answer shows it.

    Args:
        alpha: float32 (h, w), 0..1, at working size.
        grid: The answer's cells.
        plan: Where the photo's region lies in the answer.

    Returns:
        float32 (grid.rows, grid.columns), 0..1; 0 outside the part of the photo that is drawn.
    """
    laid = lay_out(alpha, grid, plan, cv2.BORDER_REPLICATE)
    across = _covered(plan.left, plan.left + plan.source.width, grid.width, grid.columns, grid.pitch)
    down = _covered(plan.top, plan.top + plan.source.height, grid.height, grid.rows, grid.pitch)
    return np.asarray(laid * across * down[:, np.newaxis], np.float32)


def box_of(shape: Plane) -> Box | None:
    """The box of a silhouette's solid cells, in cells; None when there are none."""
    left, top, width, height = cv2.boundingRect((shape >= SOLID).astype(np.uint8))
    return Box(left, top, left + width, top + height) if width else None


def _covered(start: int, end: int, side: int, cells: int, pitch: int) -> Plane:
    """The part 0..1 of every cell along one side that lies in start..end, in pixels."""
    edge = np.arange(cells + 1, dtype=np.float32) * pitch
    edge[-1] = side
    inside = np.minimum(edge[1:], end) - np.maximum(edge[:-1], start)
    return np.asarray(np.clip(inside / np.diff(edge), 0, 1), np.float32)
