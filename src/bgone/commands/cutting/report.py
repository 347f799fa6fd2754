"""Tells of pictures while they are cut: a bar on a terminal, lines for pipes, JSON for programs."""

from __future__ import annotations

import json
import shutil
import sys
import time
from typing import IO

from bgone.commands.cutting.outcomes import Outcome, Tally, clock
from bgone.commands.terminal import complain, loudness, paint

CLEAR_LINE = "\r\x1b[K"
_BAR = 24  # columns, at most
_REDRAW_S = 0.05  # skipping is faster than any terminal


class Report:
    """Hears of every outcome, in the main thread.

    Args:
        tally: Counts them.
        json_to: Where a JSON line of each goes, or None.
        shows_bar: Progress is drawn on standard error while nothing else is to be said there.
        summed: A line for all of them ends the report.
    """

    def __init__(self, tally: Tally, *, json_to: IO[str] | None, shows_bar: bool, summed: bool) -> None:
        self.tally = tally
        self._json_to = json_to
        self._shows_bar = shows_bar
        self._summed = summed
        self._drawn = False
        self._drawn_at = 0.0
        self._began = time.monotonic()

    @property
    def draws(self) -> bool:
        """It wants to be ticked."""
        return self._shows_bar

    def hear(self, outcome: Outcome) -> None:
        """One picture is done, skipped or failed."""
        self.tally.add(outcome, time.monotonic() - self._began)
        if self._json_to is not None:
            self.wipe()  # it may go to the same terminal
            self._write_json(outcome.as_json())
        if outcome.status == "failed":
            detail = f" ({outcome.detail})" if outcome.detail and loudness() > 0 else ""
            self.wipe()
            complain(f"{outcome.source}: {outcome.words}{detail}")
        elif loudness() > 0:
            self.wipe()
            sys.stderr.write(_line(outcome) + "\n")
        self.tick()

    def tick(self) -> None:
        """Draw the bar anew; time has passed."""
        now = time.monotonic()
        if not self._shows_bar or (self._drawn and now - self._drawn_at < _REDRAW_S):
            return
        self._drawn_at = now
        self.tally.seconds = now - self._began
        width = shutil.get_terminal_size((80, 24)).columns - 1
        sys.stderr.write(CLEAR_LINE + bar(self.tally, width))
        sys.stderr.flush()
        self._drawn = True

    def end(self) -> None:
        """Nothing more will come."""
        self.tally.seconds = time.monotonic() - self._began
        self.wipe()
        if self._json_to is not None:
            self._write_json(self.tally.as_json())
        tally = self.tally
        if (self._summed or tally.interrupted) and (loudness() >= 0 or tally.failed):
            colour = "red" if tally.failed else "yellow" if tally.interrupted else "green"
            sys.stderr.write(paint(tally.words(), colour, sys.stderr) + "\n")
            sys.stderr.flush()

    def wipe(self) -> None:
        """Take the bar away; something else is to be said."""
        if self._drawn:
            sys.stderr.write(CLEAR_LINE)
            sys.stderr.flush()
            self._drawn = False

    def _write_json(self, told: dict[str, object]) -> None:
        assert self._json_to is not None
        self._json_to.write(json.dumps(told) + "\n")
        self._json_to.flush()


def bar(tally: Tally, width: int) -> str:
    """``[#####.....] 42/100  12.3/s  0:05 left``, shortened from its end to ``width`` columns."""
    counts = f"{tally.ended:,}" if tally.total is None else f"{tally.ended:,}/{tally.total:,}"
    parts = [counts]
    if tally.rate and tally.total is not None:
        parts.append(f"{tally.rate:.1f}/s")
    if tally.total is None:
        parts.append("watching")
    elif tally.left_s is not None:
        parts.append(f"{clock(tally.left_s)} left")
    if tally.failed:
        parts.append(f"{tally.failed:,} failed")
    text = "  ".join(parts)
    if tally.total:
        room = min(_BAR, width - len(text) - 3)
        if room >= 4:
            full = room * tally.ended // tally.total
            text = f"[{'#' * full}{'.' * (room - full)}] {text}"
    return text[: max(0, width)]


def _line(outcome: Outcome) -> str:
    if outcome.status == "skipped":
        return f"{outcome.source}: {outcome.words}"
    answer = outcome.answer
    size = f"  {answer.width} x {answer.height}" if answer is not None and answer.width else ""
    return f"{outcome.source} -> {outcome.target}{size}  {clock(outcome.seconds)}"
