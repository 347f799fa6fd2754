"""``bgone doctor``: what the server would find here, before it is started."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from bgone.commands.knobs import SettingsCommand, said
from bgone.commands.terminal import paint, verbose
from bgone.errors import StartError

if TYPE_CHECKING:
    from bgone.commands.checkup.finding import Finding

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command(cls=SettingsCommand)
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@verbose
@click.pass_context
def doctor(context: click.Context, /, as_json: bool, **flags: str | None) -> None:
    """Look at machine, net, places and settings, and say what to mend. Flags as of serve."""
    findings = []
    for finding in _findings(said(flags)):
        findings.append(finding)
        if not as_json:
            _show(finding)
    states = [finding.state for finding in findings]
    good = "problem" not in states
    if as_json:
        told = {"ok": good, "findings": [finding.as_json() for finding in findings]}
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo(", ".join(_counted(states.count(word), word) for word in ("problem", "warning")))
    sys.stdout.flush()
    # Now: a store that does not answer may hold one of its threads for minutes.
    sys.stderr.flush()
    os._exit(0 if good else 1)


def _findings(flags: dict[str, str]) -> Iterator[Finding]:
    from bgone.commands.checkup.environment import settings_without_effect, variables
    from bgone.commands.checkup.finding import problem
    from bgone.commands.checkup.hardware import hardware
    from bgone.commands.checkup.net import net
    from bgone.commands.checkup.places import places
    from bgone.commands.checkup.software import software
    from bgone.settings import Settings, load

    yield from software()
    yield from variables(os.environ)
    try:
        settings = load(os.environ, flags)
    except StartError as error:
        yield problem("settings", str(error))
        # What does not depend on them is still worth a look.
        settings = Settings()
    else:
        yield from settings_without_effect(settings)
    yield from hardware(settings)
    yield from net(settings)
    yield from places(settings)


def _show(finding: Finding) -> None:
    state = paint(f"{finding.state:<8}", _COLOURS[finding.state], sys.stdout)
    click.echo(f"{state} {finding.what:<16} {finding.words}")
    if finding.cure:
        click.echo(f"{'':<26}-> {finding.cure}")


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
