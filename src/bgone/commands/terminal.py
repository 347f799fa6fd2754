"""How commands speak to people: one line for an error, more when asked, colours where somebody looks."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import IO, Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

TRACEBACK = 2  # -vv


class _Loudness:
    """How much was asked for: 0, 1 with ``-v``, 2 with ``-vv``, -1 with ``-q``; one process, one answer."""

    level = 0


def loudness() -> int:
    """How much was asked for."""
    return _Loudness.level


def _louder(_context: click.Context, _option: click.Parameter, times: int) -> int:
    _Loudness.level += times
    return times


verbose = click.option(
    "-v",
    "--verbose",
    count=True,
    expose_value=False,
    callback=_louder,
    help="Say more; twice: with the traceback of a fault.",
)


def _quieter(_context: click.Context, _option: click.Parameter, value: bool) -> bool:
    if value:
        _Loudness.level = -1
    return value


quiet = click.option(
    "-q", "--quiet", is_flag=True, expose_value=False, callback=_quieter, help="Say nothing but failures."
)


def has_colours(stream: IO[Any]) -> bool:
    """Whether to paint: on a terminal that is none of the dumb ones, and not against ``NO_COLOR`` (no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, stream: IO[Any]) -> str:
    """``text`` in a colour of click's names, where ``stream`` shows colours."""
    return click.style(text, fg=colour) if has_colours(stream) else text


def complain(words: str) -> None:
    """An error, in one line on standard error."""
    line = " ".join(words.split("\n")).strip()
    sys.stderr.write(f"{paint('bgone:', 'red', sys.stderr)} {line}\n")
    sys.stderr.flush()


def fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """``sys.excepthook`` of the command line: what nobody expected is one line too, and a traceback with ``-vv``."""
    if loudness() >= TRACEBACK:
        traceback.print_exception(kind, error, trace)
        return
    words = str(error).partition("\n")[0]
    complain(f"a fault of bgone's: {kind.__name__}{': ' if words else ''}{words} (-vv shows where)")
