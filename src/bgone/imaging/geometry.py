"""Sizes and boxes: decided before drawing, in whole pixels, (width, height) and never (rows, columns)."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor, sqrt
from typing import Literal


@dataclass(frozen=True, slots=True)
class Length:
    """A length along one side of a picture: pixels, or percent of that side."""

    amount: float
    unit: Literal["px", "%"] = "px"

    def pixels(self, side: int) -> float:
        """In pixels, for a side of ``side`` pixels."""
        return self.amount if self.unit == "px" else self.amount * side / 100


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

    def moved(self, across: int, down: int) -> Box:
        """The same box elsewhere."""
        return Box(self.left + across, self.top + down, self.right + across, self.bottom + down)

    def inside(self, other: Box) -> Box | None:
        """The part that lies in ``other``, or None where there is none."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Box(left, top, right, bottom) if left < right and top < bottom else None

    def around(self, other: Box | None) -> Box:
        """The smallest box that holds both."""
        if other is None:
            return self
        left, top = min(self.left, other.left), min(self.top, other.top)
        return Box(left, top, max(self.right, other.right), max(self.bottom, other.bottom))


@dataclass(frozen=True, slots=True)
class SizeCap:
    """The most that an answer may measure; never enlarges. Either may be None, or both; where both are given both hold.

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
