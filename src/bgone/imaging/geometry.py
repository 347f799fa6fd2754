"""Sizes and boxes: decided before drawing, in whole pixels, (width, height) and never (rows, columns)."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, sqrt


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of pixels: left and top inside, right and bottom outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top


@dataclass(frozen=True, slots=True)
class SizeCap:
    """The most that an answer may measure; never enlarges. One of the two is None, or both.

    Attributes:
        pixels: Most pixels in all (width times height).
        longest: Longest side in pixels.
    """

    pixels: int | None = None
    longest: int | None = None

    def scale(self, width: int, height: int) -> float:
        """Factor 0 < f <= 1 by which (width, height) must shrink to fit."""
        factor = 1.0
        if self.pixels is not None and width * height > self.pixels:
            factor = min(factor, sqrt(self.pixels / (width * height)))
        if self.longest is not None and max(width, height) > self.longest:
            factor = min(factor, self.longest / max(width, height))
        return factor

    def fit(self, width: int, height: int) -> tuple[int, int]:
        """(width, height) shrunk in proportion to fit, at least 1 x 1."""
        factor = self.scale(width, height)
        if factor == 1.0:
            return width, height
        fitted = max(1, round(width * factor)), max(1, round(height * factor))
        if self.pixels is not None and fitted[0] * fitted[1] > self.pixels:
            return max(1, floor(width * factor)), max(1, floor(height * factor))
        return fitted


NO_CAP = SizeCap()
