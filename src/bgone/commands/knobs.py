"""Settings as flags: all of them for ``serve``, ``work`` and ``doctor``, those of the net for commands that cut."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from bgone.settings import Settings

Command = TypeVar("Command", bound=Callable[..., Any])

# What concerns cutting here; a server's other settings may be wrong, or still lack keys.
_LOCAL = ("model", "models_dir", "data_dir", "device", "threads", "max_megapixels", "fetch_allow")


class SettingsCommand(click.Command):
    """A command with a flag for every setting, from the settings' own table, read when the flags are asked for."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own, and those of the settings."""
        *own, helped = super().get_params(ctx)
        return [*own, *self._knobs, helped]

    @cached_property
    def _knobs(self) -> list[click.Parameter]:
        from bgone.settings import describe, flag

        def knob(name: str, words: str, default: str) -> click.Option:
            help_text = f"{words}  [env BGONE_{name.upper()}; default: {default}]"
            return click.Option([flag(name), name], default=None, help=help_text, metavar="VALUE")

        return [knob(*row) for row in describe()]


def said(flags: Mapping[str, str | None]) -> dict[str, str]:
    """The flags that were given."""
    return {name: value for name, value in flags.items() if value is not None}


def net_options(command: Command) -> Command:
    """``--model``, ``--device`` and ``--threads``."""
    for option in (
        click.option("--threads", metavar="N", help="Threads of the net; 0: all cores.  [env BGONE_THREADS]"),
        click.option("--device", metavar="auto|cpu|cuda|openvino", help="Where the net runs.  [env BGONE_DEVICE]"),
        click.option("--model", metavar="NAME", help="A model, or the path of an ONNX file.  [env BGONE_MODEL]"),
    ):
        command = option(command)
    return command


def local_settings(flags: Mapping[str, str | None]) -> Settings:
    """Settings of a command that cuts in its own process: from the environment, and the flags of ``net_options``.

    Raises:
        StartError: One has a bad value.
    """
    from bgone.settings import load

    names = [f"BGONE_{name.upper()}" for name in _LOCAL]
    net = said({name: flags[name] for name in ("model", "device", "threads")})
    return load({name: os.environ.get(name, "") for name in names}, net)
