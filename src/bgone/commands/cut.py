"""``bgone cut``: pictures without a server, or with one that is far away."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bgone.commands.cutting.flags import CutCommand, options_given
from bgone.commands.knobs import local_settings, net_options
from bgone.commands.terminal import loudness, quiet, verbose

if TYPE_CHECKING:
    from bgone.commands.cutting.crew import Stop
    from bgone.commands.cutting.destination import Destination
    from bgone.commands.cutting.errand import Claims, Existing, Task
    from bgone.commands.cutting.outcomes import Scissors, Tally
    from bgone.commands.cutting.sources import Source


MOST_JOBS = 256


@click.command(cls=CutCommand)
@click.argument("sources", metavar="SRC...", nargs=-1, required=True, type=click.Path(allow_dash=True))
@click.option(
    "-o",
    "--output",
    metavar="DST",
    type=click.Path(allow_dash=True),
    help="A folder, made if absent; for one picture also a file, whose ending is its format; - is standard output. "
    "Without it each answer lies beside its source, as NAME-cut.png.",
)
@click.option(
    "-n",
    "--name",
    "template",
    metavar="TEMPLATE",
    help="Names of answers: {stem} {name} {suffix} {parent} {format} {index}; default {stem}.{format}.",
)
@click.option("--overwrite", "existing", flag_value="overwrite", help="Write over answers that are there.")
@click.option("--skip-existing", "existing", flag_value="skip", help="Skip sources whose answer is there.")
@click.option("-r", "--recursive", is_flag=True, help="Folders in folders too; the answers keep them.")
@click.option("-w", "--watch", is_flag=True, help="Go on with pictures that come or change, until Ctrl-C.")
@click.option("-j", "--jobs", type=click.IntRange(1, MOST_JOBS), help="Pictures at once; all cores without it.")
@click.option("--server", metavar="URL", envvar="BGONE_SERVER", help="Let a bgone server cut them.  [env BGONE_SERVER]")
@click.option("--key", metavar="KEY", envvar="BGONE_API_KEY", help="For that server.  [env BGONE_API_KEY]")
@net_options
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each picture, and one for all.")
@verbose
@quiet
@click.pass_context
def cut(
    context: click.Context,
    /,
    sources: tuple[str, ...],
    output: str | None,
    template: str | None,
    existing: Existing | None,
    recursive: bool,
    watch: bool,
    jobs: int | None,
    as_json: bool,
    **flags: Any,
) -> None:
    """Remove the background of pictures: files, folders, globs, URLs, or - for standard input."""
    from bgone.commands.cutting.crew import Stop, work
    from bgone.commands.cutting.errand import Claims, Errand
    from bgone.commands.cutting.outcomes import Tally
    from bgone.commands.cutting.report import Report
    from bgone.commands.cutting.sources import STDIN, is_url, many
    from bgone.machine import cores

    given = options_given(flags)
    place = _place(sources, output, template, given.get("format"), is_folder=recursive or watch)
    given["format"] = place.format
    stop, claims, tally = Stop(), Claims(), Tally()
    if watch:
        if any(name == STDIN or is_url(name) for name in sources):
            raise click.UsageError("--watch is for folders, globs and files, not for URLs or -")
        tasks = _watched(sources, place, claims, stop, recursive)
    else:
        tasks = _listed(sources, place, claims, tally, recursive)
    scissors = _scissors(given, flags, stop)
    several = watch or many(sources)
    report = Report(
        tally,
        json_to=(sys.stderr if place.to_stdout else sys.stdout) if as_json else None,
        shows_bar=several and sys.stderr.isatty() and loudness() >= 0,
        summed=not as_json and (several or loudness() > 0),
    )
    errand = Errand(
        scissors,
        place.naming,
        place.endings,
        existing or ("skip" if watch else "refuse"),
        claims,
        stop,
        sys.stdout.buffer if place.to_stdout else None,
    )
    try:
        work(tasks, errand, min(jobs or cores(), tally.total or MOST_JOBS), report, stop)
    finally:
        scissors.close()
    tally.interrupted = stop.sign is not None and not watch  # a watch has no other end
    report.end()
    context.exit(128 + (stop.sign or 0) if tally.interrupted else 1 if tally.failed else 0)


def _place(
    sources: tuple[str, ...], output: str | None, template: str | None, form: str | None, *, is_folder: bool
) -> Destination:
    """Where answers go.

    Raises:
        click.UsageError: It cannot be meant so.
    """
    from bgone.commands.cutting.destination import destination
    from bgone.commands.cutting.sources import STDIN

    try:
        place = destination(sources, output, template, form, is_folder=is_folder)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if STDIN in sources and sys.stdin.isatty():
        raise click.UsageError("standard input is a terminal: pipe a picture into it")
    if place.to_stdout and sys.stdout.isatty():
        raise click.UsageError("a picture is no text for a terminal: say -o FILE, or pipe it")
    return place


def _listed(
    names: tuple[str, ...], place: Destination, claims: Claims, tally: Tally, recursive: bool
) -> Iterator[Task]:
    """Every source of now, counted.

    Raises:
        click.ClickException: There is none.
    """
    from bgone.commands.cutting.errand import Task

    found = _sources(names, place, recursive)
    if not found:
        more = "" if recursive else " (--recursive looks into their folders)"
        raise click.ClickException(f"no pictures in {', '.join(names)}{more}")
    for source in found:
        claims.note_source(source)
    tally.total = len(found)
    return (Task(source, index) for index, source in enumerate(found, 1))


def _watched(names: tuple[str, ...], place: Destination, claims: Claims, stop: Stop, recursive: bool) -> Iterator[Task]:
    from bgone.commands.cutting.errand import Task
    from bgone.commands.cutting.watching import watch

    numbers = count(1)
    for source in watch(lambda: _sources(names, place, recursive), stop.wait, claims.is_ours):
        claims.note_source(source)
        yield Task(source, next(numbers))


def _sources(names: Iterable[str], place: Destination, recursive: bool) -> list[Source]:
    from bgone.commands.cutting.errand import without_answers
    from bgone.commands.cutting.sources import find

    found = find(names, recursive=recursive, without=place.naming.folder)
    return list(found) if place.to_stdout else without_answers(found, place.naming, place.endings)


def _scissors(given: dict[str, str], flags: dict[str, Any], stop: Stop) -> Scissors:
    """Here, or far away.

    Raises:
        click.UsageError: The server's address is none.
        StartError: A setting is wrong.
    """
    ground = {name: flags[name] for name in ("background_image", "background_url") if flags[name]}
    if not flags["server"]:
        from bgone.commands.cutting.local import LocalScissors

        return LocalScissors(local_settings(flags), given, ground, _read_stdin)
    from bgone.commands.cutting.outcomes import Failure
    from bgone.commands.cutting.remote import RemoteScissors

    if here := [name for name in ("device", "threads") if flags[name]]:
        raise click.UsageError(f"--{here[0]} is for cutting here, not for --server")
    if flags["model"]:
        given = given | {"model": flags["model"]}
    picture = ground.pop("background_image", None)
    try:
        return RemoteScissors(
            flags["server"],
            flags["key"] or "",
            given | ground,
            None if picture is None else Path(picture),
            _read_stdin,
            stop.wait,
        )
    except Failure as failure:
        raise click.UsageError(failure.words) from failure


def _read_stdin() -> bytes:
    return sys.stdin.buffer.read()
