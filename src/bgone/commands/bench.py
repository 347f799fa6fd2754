"""``bgone bench``: what this machine does, in under a minute."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from bgone.commands.knobs import local_settings, net_options
from bgone.commands.terminal import has_colours, verbose

if TYPE_CHECKING:
    from bgone.commands.benching.figures import Figures

_BUSY = 0.5  # load average a core, above which others take a good part of it


@click.command()
@net_options
@click.option("--seconds", type=click.FloatRange(0, 600), default=25, show_default=True, help="About how long.")
@click.option("--json", "as_json", is_flag=True, help="Answer in JSON.")
@verbose
def bench(seconds: float, as_json: bool, **flags: str | None) -> None:
    """Measure this machine: the net, pictures of 1 and 12 megapixels, memory; in under a minute."""
    from bgone.commands.benching.figures import measure
    from bgone.commands.frame import show_json

    def tell(words: str) -> None:
        if has_colours(sys.stderr):
            click.echo(f"\r\x1b[Kmeasuring: {words}", err=True, nl=False)

    figures = measure(local_settings(flags), seconds, tell)
    if has_colours(sys.stderr):
        click.echo("\r\x1b[K", err=True, nl=False)
    if as_json:
        show_json(figures)
    else:
        click.echo(_table(figures))


def _table(figures: Figures) -> str:
    machine = figures.machine
    lines = [
        f"bgone {machine.bgone}, {machine.model} on {machine.device}: "
        f"{machine.cores} cores, {machine.memory_mb:,} MB, load average {machine.load_average:.2f}",
        f"the net alone: {figures.net_p50_ms:g} ms (p50); the process idle: {figures.idle_mb or '?'} MB",
        "",
        f"{'JPEG to PNG':<12} {'p50':>9} {'CPU':>9} {'one by one':>12} {'side by side':>16} {'peak memory':>12}",
    ]
    for row in figures.pictures:
        together = f"{row.per_second_at_once:g}/s ({row.at_once})"
        lines.append(
            f"{f'{row.megapixels} MP':<12} {row.p50_ms:>6g} ms {row.cpu_ms:>6g} ms "
            f"{row.per_second:>10g}/s {together:>16} {row.peak_mb or '?':>9} MB"
        )
    if machine.load_average > _BUSY * machine.cores:
        lines += ["", "Something else is working on this machine: alone it does better."]
    return "\n".join(lines)
