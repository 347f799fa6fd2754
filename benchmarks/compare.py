"""Two things side by side: A B A B, a ratio per pair, the median of the ratios with its spread.

What else the machine does changes from second to second; it meets both halves of a pair alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

First = TypeVar("First")
Second = TypeVar("Second")


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of several figures, the least and the most."""

    median: float
    least: float
    most: float

    def words(self, unit: str = "", digits: int = 0) -> str:
        """``12 ms (11-14)``."""
        return f"{self.median:.{digits}f}{unit} ({self.least:.{digits}f}-{self.most:.{digits}f})"

    def times(self, factor: float) -> Spread:
        """The same in another unit."""
        return Spread(self.median * factor, self.least * factor, self.most * factor)

    def part(self) -> str:
        """A ratio below one as ``1/8.5 (1/8.1-1/9.0)``."""
        return f"1/{1 / self.median:.1f} (1/{1 / self.most:.1f}-1/{1 / self.least:.1f})"


def spread(figures: Sequence[float]) -> Spread:
    return Spread(median(figures), min(figures), max(figures))


def alternate(pairs: int, first: Callable[[int], First], second: Callable[[int], Second]) -> list[tuple[First, Second]]:
    """Run A B A B ...; both hear the number of the pair."""
    return [(first(number), second(number)) for number in range(pairs)]
