"""Write the reference of docs/command-line.md from the commands themselves.

Run by ``make command-line``. With ``--check`` nothing is written: exit status 1 where the page is not theirs.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from bgone.__main__ import cli
from bgone.commands.knobs import SettingsCommand
from bgone.commands.menu import SECTIONS
from bgone.settings import Settings

PAGE = Path(__file__).parent / "command-line.md"
BEGIN, END = "<!-- reference -->\n", "<!-- /reference -->"


def reference() -> str:
    """Every command in the order of ``bgone --help``, with every flag."""
    known = [name for _, names in SECTIONS for name in names if name in cli.commands]
    names = [*known, *(name for name in sorted(cli.commands) if name not in known)]
    return "\n".join(part for name in names for part in _command(f"bgone {name}", cli.commands[name]))


def _command(path: str, command: click.Command) -> Iterator[str]:
    if isinstance(command, click.Group):
        for name in command.commands:
            yield from _command(f"{path} {name}", command.commands[name])
        return
    context = click.Context(command, info_name=path)
    params = command.get_params(context)
    arguments = [_argument(param) for param in params if isinstance(param, click.Argument)]
    yield f"### `{' '.join([path, *arguments])}`\n"
    yield f"{(command.help or '').strip()}\n"
    knobs = set(Settings.__struct_fields__) if isinstance(command, SettingsCommand) else set()
    options = [param for param in params if isinstance(param, click.Option) and param.name not in knobs]
    rows = [_row(option) for option in options if "--help" not in option.opts and not option.hidden]
    if rows:
        yield "\n".join(["| flag | does |", "|---|---|", *rows, ""])
    if knobs:
        yield "And a flag for every setting: [settings.md](settings.md).\n"


def _argument(argument: click.Argument) -> str:
    name = argument.metavar or f"{(argument.name or '').upper()}{'...' if argument.nargs != 1 else ''}"
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _row(option: click.Option) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    if not (option.is_flag or option.count):
        names += f" {option.metavar or _value(option.type)}"
    again = " May repeat." if option.multiple else ""
    return f"| `{_cell(names)}` | {_cell(option.help or '')}{again} |"


def _value(kind: click.ParamType[Any]) -> str:
    if isinstance(kind, click.Choice):
        return "|".join(map(str, kind.choices))
    return "FILE" if isinstance(kind, click.Path) else "N"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")


def main() -> int:
    """See the module."""
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    written = f"{head}{BEGIN}\n{reference()}\n{END}{tail}"
    if "--check" in sys.argv[1:]:
        return 0 if written == page else 1
    PAGE.write_text(written, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
