"""Flags of every render option, made of the table that the HTTP API and the library are made of.

The table is read when the command is asked for its flags, not when the command line starts: it brings numpy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from bgone.errors import ApiError

if TYPE_CHECKING:
    from bgone.api.render_options import Option

PREFIX = "option_"  # of parameters: options may be called like other parameters, and they are picked out by it
_TOLD = "What is told"
_SECTIONS = (
    ("Where answers go", ("output", "template", "existing", "recursive", "watch")),
    ("Where it is done", ("jobs", "server", "key", "model", "device", "threads")),
    (_TOLD, ("as_json", "verbose", "quiet")),
)
_OPTIONS = "What the answer looks like"


class CutCommand(click.Command):
    """A command with a flag for every render option."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Its own, and those of the table."""
        *own, helped = super().get_params(ctx)
        return [*own, *self._render_flags, helped]

    @cached_property
    def _render_flags(self) -> list[click.Parameter]:
        from bgone.api.render_options import OPTIONS

        flags: list[click.Parameter] = [_flag(option) for option in OPTIONS.values()]
        picture = click.Path(exists=True, dir_okay=False)
        help_text = "A picture under the subject; background-fit says how it fills the frame."
        flags.append(click.Option(["--background-image", "background_image"], type=picture, help=help_text))
        flags.append(click.Option(["--background-url", "background_url"], metavar="URL", help="The same, by address."))
        return flags

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """In sections."""
        shown = [(param.name, record) for param in self.get_params(ctx) if (record := param.get_help_record(ctx))]
        rendering = tuple(param.name for param in self._render_flags)
        first, *others = _SECTIONS
        placed = {name for _, names in _SECTIONS for name in names} | {"sources", *rendering}
        rest = (_TOLD, (*_SECTIONS[-1][1], *(name for name, _ in shown if name not in placed)))
        for head, names in (first, (_OPTIONS, rendering), *others[:-1], rest):
            with formatter.section(head):
                formatter.write_dl([record for name, record in shown if name in names])


def _flag(option: Option) -> click.Option:
    dashed = option.name.replace("_", "-")
    help_text = re.sub(r"\b[a-z]+(_[a-z]+)+\b", lambda name: name[0].replace("_", "-"), option.help) + "."
    if help_text.partition(" ")[0] not in option.choices:
        help_text = help_text[:1].upper() + help_text[1:]
    if option.is_switch:
        return click.Option([f"--{dashed}/--no-{dashed}", PREFIX + option.name], default=None, help=help_text)

    def complete(_context: click.Context, _flag: click.Parameter, begun: str) -> list[CompletionItem]:
        return [CompletionItem(word) for word in option.choices if word.startswith(begun)]

    words = "|".join(option.choices) if option.choices else option.metavar
    return click.Option([f"--{dashed}", PREFIX + option.name], metavar=words, help=help_text, shell_complete=complete)


def options_given(flags: Mapping[str, Any]) -> dict[str, str]:
    """Render options as texts, as the API takes them; what was not said is absent.

    Raises:
        click.BadParameter: A value that is not accepted; which, what was expected, what came.
    """
    from bgone.api.fields import Fields
    from bgone.api.render_options import read_render_options

    texts: dict[str, str] = {}
    for name, value in flags.items():
        if name.startswith(PREFIX) and value is not None:
            texts[name.removeprefix(PREFIX)] = str(value).lower() if isinstance(value, bool) else value
    try:
        read_render_options(Fields("multipart", text=texts))
    except ApiError as error:
        named, colon, rest = error.message.partition(":")
        words = f"--{named.replace('_', '-')}{colon}{rest}" if named in texts else error.message
        raise click.UsageError(words) from error
    return texts
