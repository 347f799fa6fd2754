"""docs/admin.md tells of every command as it is."""

from __future__ import annotations

from collections.abc import Iterator

import click

from bgone.__main__ import cli
from tests.conftest import ROOT

GROUPS = ("accounts", "keys", "plans", "db")
EVERYWHERE = {"--json", "--database-url"}


def commands() -> Iterator[tuple[str, click.Command]]:
    """(``bgone accounts create``, the command) of every command."""
    for name in GROUPS:
        group = cli.commands[name]
        assert isinstance(group, click.Group)
        for command in group.commands.values():
            yield f"bgone {name} {command.name}", command


def rows() -> list[str]:
    """First cells of the table of commands."""
    page = (ROOT / "docs" / "admin.md").read_text(encoding="utf-8")
    table = page.partition("<!-- commands -->")[2].partition("<!-- /commands -->")[0]
    return [line.split(" | ")[0] for line in table.splitlines() if line.startswith("| `")]


def test_page_shows_every_command_with_its_flags() -> None:
    """And each of them has the flags that the page promises for all."""
    for name, command in commands():
        (row,) = (row for row in rows() if f"`{name} " in row or f"`{name}`" in row)
        flags = {flag for option in command.params if isinstance(option, click.Option) for flag in option.opts}
        assert flags >= EVERYWHERE, name
        assert [flag for flag in sorted(flags - EVERYWHERE) if flag not in row] == [], name


def test_every_command_has_help() -> None:
    """A line for the list of commands."""
    assert [name for name, command in commands() if not command.get_short_help_str()] == []
