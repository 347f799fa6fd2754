"""Small maps in the answer's own frame: made once, enlarged strip by strip.

A map's cells are a whole number of the answer's pixels, the *pitch*, so that any rectangle of it enlarges to the same
pixels whatever was asked before: strips meet without seams and may have any height.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TypeVar

import cv2
import numpy as np
import numpy.typing as npt

from bgone.pipeline.plan import Plan

Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]
Values = TypeVar("Values", Pixels, Plane)

MAP_SIDE = 500  # cells along a map's longest side at most; about the working picture's
BORDER = 1  # cells beyond a map on each side, which enlarging looks at


@dataclass(frozen=True, slots=True)
class Grid:
    """How an answer is divided into cells.

    Attributes:
        width: Pixels across the answer.
        height: Pixels down the answer.
        pitch: Pixels across and down one cell; the last column and row may reach beyond the answer.
    """

    width: int
    height: int
    pitch: int

    @property
    def columns(self) -> int:
        return ceil(self.width / self.pitch)

    @property
    def rows(self) -> int:
        return ceil(self.height / self.pitch)

    def enlarge(self, values: Values, y: int, height: int, left: int, width: int) -> Values:
        """A rectangle of pixels out of a map, linear between the cells' middles.

        Args:
            values: (rows, columns) or (rows, columns, bands), uint8 or float32.
            y, height: The rectangle's first row and its rows, in pixels of the answer.
            left, width: Its first column and its columns.

        Returns:
            (height, width) or (height, width, bands), of the same type.
        """
        pitch = self.pitch
        if pitch == 1:
            return values[y : y + height, left : left + width].copy()
        first_row, last_row = y // pitch - BORDER, (y + height - 1) // pitch + 1 + BORDER
        first_column, last_column = left // pitch - BORDER, (left + width - 1) // pitch + 1 + BORDER
        cells = np.take(values, range(first_row, last_row), axis=0, mode="clip")
        cells = np.take(cells, range(first_column, last_column), axis=1, mode="clip")
        size = (cells.shape[1] * pitch, cells.shape[0] * pitch)
        pixels = cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR)
        top, start = y - first_row * pitch, left - first_column * pitch
        return np.asarray(pixels[top : top + height, start : start + width], values.dtype)

    def span(self, values: Plane, y: int, height: int) -> tuple[int, int]:
        """Where ``values`` enlarges to more than 0 in these rows: (first column, columns), in pixels; (0, 0): nowhere.

        Args:
            values: float32 (rows, columns), 0 or more.
            y, height: Rows in pixels of the answer.
        """
        pitch = self.pitch
        rows = values[max(0, y // pitch - BORDER) : (y + height - 1) // pitch + 1 + BORDER]
        found = np.flatnonzero(rows.max(axis=0) > 0)
        if not found.size:
            return 0, 0
        left = max(0, (int(found[0]) - BORDER) * pitch)
        return left, min(self.width, (int(found[-1]) + 1 + BORDER) * pitch) - left


def grid_of(width: int, height: int) -> Grid:
    """The division of an answer of that size."""
    return Grid(width, height, ceil(max(width, height) / MAP_SIDE))


def lay_out(values: Values, grid: Grid, plan: Plan, border: int) -> Values:
    """A map of the photo's region, brought to where the plan lays the region in the answer.

    Args:
        values: (h, w) or (h, w, bands) of the working picture, uint8 or float32.
        grid: The answer's cells.
        plan: Says where the region lies.
        border: What is beyond the region, as OpenCV's ``BORDER_...``.

    Returns:
        (grid.rows, grid.columns[, bands]), of the same type.
    """
    across = values.shape[1] / plan.scaled_width
    down = values.shape[0] / plan.scaled_height
    smaller = max(1.0, grid.pitch * max(across, down))
    if smaller > 1:
        size = max(1, round(values.shape[1] / smaller)), max(1, round(values.shape[0] / smaller))
        values = np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA), values.dtype)
        across, down = size[0] / plan.scaled_width, size[1] / plan.scaled_height
    # From a cell's middle to the answer's pixel, the scaled region's, the map's.
    matrix = np.array(
        [
            [grid.pitch * across, 0, (0.5 * grid.pitch - plan.left + plan.source.left) * across - 0.5],
            [0, grid.pitch * down, (0.5 * grid.pitch - plan.top + plan.source.top) * down - 0.5],
        ]
    )
    how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    laid = cv2.warpAffine(values, matrix, (grid.columns, grid.rows), flags=how, borderMode=border)
    return np.asarray(laid, values.dtype)
