"""What became of each picture, and of all of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from bgone.commands.cutting.sources import Source

Status = Literal["done", "skipped", "failed"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A picture that was cut.

    Attributes:
        format: Name of its format's row.
        width: Pixels across; None where it is not known.
        height: Pixels down.
    """

    format: str
    width: int | None
    height: int | None


class Failure(Exception):  # noqa: N818 - a picture's, and no fault
    """Why a picture was not cut.

    Attributes:
        kind: See ``Outcome``.
        words: In one line.
        detail: What stands behind it.
        is_final: The next pictures would fail alike: it is no use to begin them.
    """

    def __init__(self, kind: str, words: str, detail: str = "", *, is_final: bool = False) -> None:
        super().__init__(words)
        self.kind = kind
        self.words = words
        self.detail = detail
        self.is_final = is_final


class Scissors(Protocol):
    """Cuts pictures, here or far away; called by several threads at once."""

    def cut(self, source: Source, write: Callable[[bytes], object]) -> Answer:
        """Cut one picture.

        Args:
            source: What to cut.
            write: Takes the answer's bytes.

        Raises:
            Failure: Why it cannot be cut.
            OSError: What ``write`` raises.
        """
        ...

    def close(self) -> None:
        """Let go of net, threads or connections; nobody is cutting."""
        ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one picture.

    Attributes:
        source: How people call it.
        status: ``done``, ``skipped`` (its answer was there) or ``failed``.
        target: The answer's file, ``-`` for standard output, or None where it is not known.
        seconds: From its beginning to its end.
        answer: The picture, where it was done.
        written: Bytes of the answer.
        kind: Of the failure: a kind of the API's, or ``exists``, ``unreadable``, ``unwritable``, ``server``.
        words: What failed, in one line.
        detail: What stands behind it, for ``-v``.
    """

    source: str
    status: Status
    target: str | None = None
    seconds: float = 0.0
    answer: Answer | None = None
    written: int = 0
    kind: str = ""
    words: str = ""
    detail: str = ""

    def as_json(self) -> dict[str, object]:
        """What ``--json`` tells of it."""
        told: dict[str, object] = {"source": self.source, "target": self.target, "status": self.status}
        if self.answer is not None:
            told |= {"format": self.answer.format, "width": self.answer.width, "height": self.answer.height}
            told |= {"bytes": self.written}
        told["seconds"] = round(self.seconds, 4)
        if self.status == "failed":
            told["error"] = {"kind": self.kind, "message": self.words}
        return told


@dataclass(slots=True)
class Tally:
    """How many of each, and how long it took.

    Attributes:
        total: How many there will be; None where nobody knows.
        interrupted: It was ended before all were begun.
    """

    total: int | None = None
    done: int = 0
    skipped: int = 0
    failed: int = 0
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def ended(self) -> int:
        return self.done + self.skipped + self.failed

    @property
    def rate(self) -> float:
        """Pictures cut in a second; skipped ones take no time worth counting."""
        return (self.done + self.failed) / self.seconds if self.seconds > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds until the end, at this rate."""
        if self.total is None or not self.rate:
            return None
        return max(0, self.total - self.ended) / self.rate

    def add(self, outcome: Outcome, seconds: float) -> None:
        """Count one, ``seconds`` after the beginning of all."""
        setattr(self, outcome.status, getattr(self, outcome.status) + 1)
        self.seconds = seconds

    def as_json(self) -> dict[str, object]:
        """The last line of ``--json``."""
        left = None if self.total is None else self.total - self.ended
        return {
            "summary": {
                "done": self.done,
                "skipped": self.skipped,
                "failed": self.failed,
                "not_begun": left,
                "seconds": round(self.seconds, 3),
                "per_second": round(self.rate, 2),
                "interrupted": self.interrupted,
            }
        }

    def words(self) -> str:
        """The last line for people."""
        parts = [f"{self.done:,} done"]
        parts += [f"{self.skipped:,} skipped"] * bool(self.skipped)
        parts += [f"{self.failed:,} failed"] * bool(self.failed)
        if self.total is not None and self.total > self.ended:
            parts.append(f"{self.total - self.ended:,} not begun")
        pace = f" ({self.rate:.1f} a second)" if self.done > 1 and self.total is not None else ""
        return f"{', '.join(parts)} in {clock(self.seconds)}{pace}{'; interrupted' if self.interrupted else ''}"


def clock(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``3:05``, ``1:02:03``."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
