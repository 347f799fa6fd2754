"""The command line."""

from __future__ import annotations

import os
import sys

import click

from bgone import __version__
from bgone.commands.accounts import accounts
from bgone.commands.bench import bench
from bgone.commands.completion import completion
from bgone.commands.cut import cut
from bgone.commands.db import db
from bgone.commands.doctor import doctor
from bgone.commands.jobs import jobs
from bgone.commands.keys import keys
from bgone.commands.knobs import SettingsCommand, said
from bgone.commands.mcp import mcp
from bgone.commands.menu import Menu
from bgone.commands.models import models
from bgone.commands.openapi import openapi
from bgone.commands.plans import plans
from bgone.commands.terminal import complain, fault, verbose
from bgone.errors import StartError

EXIT_CONFIG = 78  # sysexits.h: EX_CONFIG
EXIT_INTERRUPTED = 130  # what shells say of Ctrl-C


@click.group(cls=Menu, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="bgone")
@verbose
def cli() -> None:
    """bgone: the background-removal server that people run themselves."""


for command in (cut, bench, models, accounts, keys, plans, jobs, db, doctor, completion, openapi, mcp):
    cli.add_command(command)


@cli.command(name="serve", cls=SettingsCommand)
@click.pass_context
def serve(context: click.Context, /, **flags: str | None) -> None:
    """Start the server; no further set-up is needed."""
    from bgone.server import run
    from bgone.settings import load

    sys.excepthook = sys.__excepthook__  # of a server that breaks, the log wants all
    context.exit(run(load(os.environ, said(flags))))


@cli.command(name="work", cls=SettingsCommand)
@click.pass_context
def work(context: click.Context, /, **flags: str | None) -> None:
    """Work on jobs that servers with the same database took; answers nobody. Flags as of serve."""
    from bgone.server import run_worker
    from bgone.settings import load

    settings = load(os.environ, said(flags), answers=False)
    sys.excepthook = sys.__excepthook__
    context.exit(run_worker(settings))


def main() -> None:
    """Entry point: whatever is wrong is one line; exit status 78 for what the operator can mend."""
    sys.excepthook = fault
    try:
        status = cli.main(prog_name="bgone", standalone_mode=False)
    except StartError as error:
        complain(str(error))
        sys.exit(EXIT_CONFIG)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(error.exit_code)
    except click.ClickException as error:
        more = f" ({error.ctx.command_path} --help)" if isinstance(error, click.UsageError) and error.ctx else ""
        complain(error.format_message() + more)
        sys.exit(error.exit_code)
    except click.Abort:  # Ctrl-C
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(status if isinstance(status, int) else 0)


if __name__ == "__main__":
    main()
