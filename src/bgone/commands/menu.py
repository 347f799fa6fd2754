"""``bgone --help``: what there is, in the order in which people meet it."""

from __future__ import annotations

import click

SECTIONS = (
    ("Pictures", ("cut", "models", "bench")),
    ("Server", ("serve", "work", "doctor", "openapi", "mcp")),
    ("Accounts", ("accounts", "keys", "plans", "jobs", "db")),
    ("Shell", ("completion",)),
)


class Menu(click.Group):
    """A group whose help has sections; what no section names comes last."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See the class."""
        left = {name: command for name in self.list_commands(ctx) if (command := self.get_command(ctx, name))}
        width = formatter.width - 6 - max(map(len, left), default=0)
        named = {name for _, names in SECTIONS for name in names}
        others = ("Others", tuple(name for name in left if name not in named))
        for head, names in (*SECTIONS, others):
            if rows := [(name, left[name].get_short_help_str(width)) for name in names if name in left]:
                with formatter.section(head):
                    formatter.write_dl(rows)
