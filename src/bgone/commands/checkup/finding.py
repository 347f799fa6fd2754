"""What a look at one thing has found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "warning", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing.

    Attributes:
        what: Its name, always the same.
        state: ``problem``: the server does not start, or cannot do its work; ``warning``: it can, and something is not
            as its operator may think.
        words: What was found.
        cure: What to do, or empty.
    """

    what: str
    state: State
    words: str
    cure: str = ""

    def as_json(self) -> dict[str, str]:
        return asdict(self)


def ok(what: str, words: str) -> Finding:
    return Finding(what, "ok", words)


def warning(what: str, words: str, cure: str = "") -> Finding:
    return Finding(what, "warning", words, cure)


def problem(what: str, words: str, cure: str = "") -> Finding:
    return Finding(what, "problem", words, cure)
