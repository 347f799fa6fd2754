"""The command line."""

from __future__ import annotations

import os
import sys

import click

from bgone import __version__
from bgone.errors import StartError

EXIT_CONFIG = 78  # sysexits.h: EX_CONFIG


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bgone")
def cli() -> None:
    """bgone: the background-removal server that people run themselves."""


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


def main() -> None:
    """Entry point: one line for what the operator can mend, exit status 78."""
    if "serve" in sys.argv[1:2]:
        _serve_options(serve)
    try:
        cli()
    except StartError as error:
        click.echo(f"bgone: {error}", err=True)
        sys.exit(EXIT_CONFIG)


if __name__ == "__main__":
    main()
