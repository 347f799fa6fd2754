"""The command line."""

from __future__ import annotations

import os
import sys

import click

from bgone import __version__
from bgone.commands.accounts import accounts
from bgone.commands.db import db
from bgone.commands.jobs import jobs
from bgone.commands.keys import keys
from bgone.commands.plans import plans
from bgone.errors import StartError

EXIT_CONFIG = 78  # sysexits.h: EX_CONFIG


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bgone")
def cli() -> None:
    """bgone: the background-removal server that people run themselves."""


for group in (accounts, keys, plans, jobs, db):
    cli.add_command(group)


def _serve_options(command: click.Command) -> click.Command:
    """One flag for every setting, from the settings' own table."""
    from bgone.settings import Settings, describe, flag

    for name, words, default in describe(Settings):
        help_text = f"{words}  [env BGONE_{name.upper()}; default: {default}]"
        command.params.append(click.Option([flag(name), name], default=None, help=help_text, metavar="VALUE"))
    return command


@cli.command(name="serve")
@click.pass_context
def serve(context: click.Context, /, **flags: str | None) -> None:
    """Start the server; no further set-up is needed."""
    from bgone.app import run
    from bgone.settings import load

    settings = load(os.environ, {name: value for name, value in flags.items() if value is not None})
    context.exit(run(settings))


@cli.command(name="work")
@click.pass_context
def work(context: click.Context, /, **flags: str | None) -> None:
    """Work on jobs that servers with the same database took; answers nobody. Flags as of serve."""
    from bgone.app import run_worker
    from bgone.settings import load

    # Nobody listens on a worker, so no address of it is unsafe.
    settings = load(os.environ, {name: value for name, value in flags.items() if value is not None} | {"host": "::1"})
    context.exit(run_worker(settings))


def main() -> None:
    """Entry point: one line for what the operator can mend, exit status 78."""
    for command in (serve, work):
        if command.name in sys.argv[1:2]:
            _serve_options(command)
    try:
        cli()
    except StartError as error:
        click.echo(f"bgone: {error}", err=True)
        sys.exit(EXIT_CONFIG)


if __name__ == "__main__":
    main()
