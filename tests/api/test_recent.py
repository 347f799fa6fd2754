"""What orders took lately: shares of those that are remembered."""

from __future__ import annotations

from dataclasses import dataclass

from bgone.api.recent import Pace, Recent


@dataclass
class Clock:
    """Seconds that pass when they are told to."""

    seconds: float = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_half_and_nearly_all_of_them() -> None:
    """By nearest rank: each is the time of an order that there was."""
    recent = Recent()
    for milliseconds in range(100, 0, -1):
        recent.add({"predict": milliseconds / 1000, "draw": 0.5})

    assert recent.paces() == [
        Pace("predict", 100, 0.050, 0.095),
        Pace("draw", 100, 0.5, 0.5),
        Pace("all", 100, 0.550, 0.595),
    ]


def test_one_order_is_both() -> None:
    """Nothing is made up where little is known."""
    recent = Recent()
    recent.add({"wait": 0.25, "draw": 0.5})

    assert recent.paces() == [Pace("wait", 1, 0.25, 0.25), Pace("draw", 1, 0.5, 0.5), Pace("all", 1, 0.75, 0.75)]


def test_phases_come_in_their_order_and_only_where_they_happened() -> None:
    """A fetched picture among others."""
    recent = Recent()
    recent.add({"draw": 1.0, "look": 1.0})
    recent.add({"draw": 1.0, "fetch": 2.0})

    assert [(pace.phase, pace.count) for pace in recent.paces()] == [("fetch", 1), ("look", 1), ("draw", 2), ("all", 2)]


def test_refused_orders_say_nothing_of_the_pace() -> None:
    """What was never drawn is not counted."""
    recent = Recent()
    recent.add({"read": 0.1, "wait": 9.0})
    recent.add({})

    assert recent.paces() == []


def test_old_orders_are_forgotten() -> None:
    """After the window, and beyond the number."""
    clock = Clock()
    recent = Recent(window_s=60, most=2, clock=clock)
    for seconds in (1.0, 2.0, 3.0):
        recent.add({"draw": seconds})
    assert recent.paces()[0] == Pace("draw", 2, 2.0, 3.0)
    clock.seconds += 30
    recent.add({"draw": 4.0})
    clock.seconds += 31

    assert recent.paces()[0] == Pace("draw", 1, 4.0, 4.0)
