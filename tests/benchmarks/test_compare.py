"""Comparing: alternation, and figures in words."""

from __future__ import annotations

from benchmarks.compare import alternate, spread


def test_pairs_alternate() -> None:
    """A B A B, and both hear which pair it is."""
    heard: list[str] = []

    def note(name: str) -> int:
        heard.append(name)
        return len(heard)

    pairs = alternate(2, lambda number: note(f"a{number}"), lambda number: note(f"b{number}"))

    assert heard == ["a0", "b0", "a1", "b1"]
    assert pairs == [(1, 2), (3, 4)]


def test_a_ratio_is_told_as_a_part() -> None:
    """One of the eight, from the best to the worst."""
    ratios = spread([1 / 8, 1 / 10, 1 / 7])

    assert ratios.part() == "1/8.0 (1/7.0-1/10.0)"
    assert spread([1.0, 2.0, 4.0]).words(" ms", 1) == "2.0 ms (1.0-4.0)"
