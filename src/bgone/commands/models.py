"""``bgone models``: larger nets by one command; no server ever fetches one by itself."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bgone.commands.frame import as_json, show_json, show_table
from bgone.errors import StartError

if TYPE_CHECKING:
    from bgone.matting.model import Model
    from bgone.matting.parts import Progress
    from bgone.settings import Settings

_SHOWN = ("name", "size_mb", "licence", "commercial", "here", "used")
_VERIFIED = ("name", "state", "file")
_BENCHED = ("name", "device", "net_ms", "load_s", "memory_mb")
_HEARD = ("DATA_DIR", "MODEL", "MODELS", "MODELS_DIR", "MODELS_MIRROR", "DEVICE", "THREADS", "LOW_MEMORY")
_in_folder = click.option(
    "--models-dir", metavar="DIR", help="Folder of model files.  [env BGONE_MODELS_DIR; default: models in the data]"
)


def _complete(_context: click.Context, _option: click.Parameter, begun: str) -> list[str]:
    from bgone.matting.models import MODELS

    return [name for name in MODELS if name.startswith(begun)]


_names = click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=_complete)


@click.group()
def models() -> None:
    """Larger models: list, pull, verify, use, bundle, bench."""


@models.command(name="list")
@as_json
@_in_folder
def show_all(as_json: bool, models_dir: str | None) -> None:
    """Show every model: size, licence, whether it is here, which is in use and who said so."""
    from bgone.commands.model_facts import ModelList, model_facts

    told = ModelList(models=model_facts(_settings(models_dir, chosen=True), os.environ))
    if as_json:
        show_json(told)
        return
    show_table(told.models, _SHOWN)
    click.echo("\nused: default (and who said so), or choice: requests may ask for it. More: docs/models.md, --json.")


@models.command()
@_names
@click.option("--accept-licence", is_flag=True, help="I have read its licence, which is not for every use.")
@click.option("--mirror", metavar="URL", help="Asked first, as URL/FILE.  [env BGONE_MODELS_MIRROR]")
@click.option("--from", "bundle_file", type=click.Path(exists=True, dir_okay=False), help="Read a bundle instead.")
@_in_folder
def pull(
    names: tuple[str, ...], accept_licence: bool, mirror: str | None, bundle_file: str | None, models_dir: str | None
) -> None:
    """Bring models here, verified; a pull that broke off goes on where it was."""
    from bgone.matting import bundles
    from bgone.matting.models import EMBEDDED, MODELS
    from bgone.matting.parts import PullError
    from bgone.matting.pulling import pull as fetch

    settings = _settings(models_dir, mirror)
    folder = settings.models_path
    try:
        wanted = [_row(name) for name in names]
        if bundle_file is not None and not wanted:
            wanted = bundles.models_in(Path(bundle_file), list(MODELS.values()))
        if not wanted:
            raise click.UsageError("Say which: bgone models list")
        for model in wanted:
            _require_consent(model, folder, accepted=accept_licence)
        for model in wanted:
            if model.name == EMBEDDED:
                click.echo(f"{model.name} comes with bgone.")
                continue
            with _progress(model.name) as on_progress:
                if bundle_file is not None:
                    path = bundles.take(model, folder, Path(bundle_file), check=_check, on_progress=on_progress)
                else:
                    mirrors = [f"{settings.models_mirror.rstrip('/')}/{model.file}"] if settings.models_mirror else []
                    sources = [*mirrors, *model.sources]
                    path = fetch(model, folder, sources=sources, check=_check, on_progress=on_progress, say=_say)
            click.echo(f"{model.name} is here, verified: {path}")
    except PullError as error:
        raise click.ClickException(str(error)) from error


@models.command()
@_names
@as_json
@_in_folder
def verify(names: tuple[str, ...], as_json: bool, models_dir: str | None) -> None:
    """Compare files that are here with their sums, inputs and outputs; ends with 1 where one is wrong."""
    from bgone.commands.model_facts import VerifiedFile, VerifiedList

    found: list[VerifiedFile] = []
    settings = _settings(models_dir)
    for name in names or _here(settings):
        model = _row(name)
        path = _found(model, settings)
        try:
            _check_sum(path, model)
            _check(path, model)
            found.append(VerifiedFile(name, "sound", str(path)))
        except StartError as error:
            found.append(VerifiedFile(name, str(error), str(path)))
    if as_json:
        show_json(VerifiedList(models=found))
    else:
        show_table(found, _VERIFIED)
    if any(file.state != "sound" for file in found):
        sys.exit(1)


@models.command()
@click.argument("name", shell_complete=_complete)
@_in_folder
def use(name: str, models_dir: str | None) -> None:
    """Make a model, or an ONNX file, the default; servers take it when they next start."""
    from bgone.matting import shelf
    from bgone.matting.onnx import check_own
    from bgone.matting.weights import model_row

    settings = _settings(models_dir)
    row = model_row(name)
    if row is None:
        name = str(Path(name).resolve())
        check_own(Path(name))
    else:
        path = _found(row, settings)
        _check_sum(path, row)
    try:
        said_in = shelf.choose(settings.models_path, name)
    except OSError as error:
        raise click.ClickException(f"{settings.models_path} cannot be written: {error.strerror}.") from error
    click.echo(f"{name} is the default from the next start on ({said_in}).")
    if said := os.environ.get("BGONE_MODEL"):
        click.echo(f"But BGONE_MODEL={said} is set here, and wins.", err=True)


@models.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...", shell_complete=_complete)
@click.option(
    "-o", "--output", required=True, type=click.Path(dir_okay=False), metavar="FILE", help="The tar to write."
)
@_in_folder
def bundle(names: tuple[str, ...], output: str, models_dir: str | None) -> None:
    """Write models that are here into a tar, for machines without network: bgone models pull --from FILE."""
    from bgone.matting.bundles import write

    settings = _settings(models_dir)
    files = [(model, _found(model, settings)) for model in dict.fromkeys(map(_row, names))]
    for model, path in files:
        _check_sum(path, model)
    try:
        write(files, Path(output))
    except OSError as error:
        raise click.ClickException(f"{output} cannot be written: {error.strerror}.") from error
    click.echo(f"{output}: {', '.join(model.file for model, _ in files)}")


@models.command()
@_names
@click.option("--rounds", type=click.IntRange(1, 1000), default=7, help="Pictures measured.  [default: 7]")
@as_json
@_in_folder
def bench(names: tuple[str, ...], rounds: int, as_json: bool, models_dir: str | None) -> None:
    """Measure models that are here on this machine: milliseconds of the net (median), load time, memory."""
    from bgone.commands.model_facts import BenchedList, BenchedModel
    from bgone.matting.engine import EngineOptions
    from bgone.matting.measuring import measure
    from bgone.matting.weights import called

    settings = _settings(models_dir, chosen=True)
    found = []
    for name in names or dict.fromkeys([*_here(settings), *settings.enabled_models]):
        options = EngineOptions(
            model=name,
            models_dir=settings.models_path,
            device=settings.device,
            threads=settings.net_threads,
            low_memory=settings.low_memory,
        )
        told = measure(options, rounds)
        found.append(
            BenchedModel(
                called(name), told.device, round(told.net_ms, 1), round(told.load_s, 2), told.memory_mb, told.rounds
            )
        )
    if as_json:
        show_json(BenchedList(models=found))
    else:
        show_table(found, _BENCHED)


# --- what they share ------------------------------------------------------------------------------------------------


def _settings(models_dir: str | None, mirror: str | None = None, *, chosen: bool = False) -> Settings:
    """Where models are; and which are in use, where ``chosen`` asks for it: a damaged choice must not bar its cure."""
    from bgone.matting.models import EMBEDDED
    from bgone.settings import load

    # Only what concerns models: a server's other settings may be wrong or still lack keys.
    said = {f"BGONE_{name}": os.environ.get(f"BGONE_{name}", "") for name in _HEARD}
    flags = {"models_dir": models_dir, "models_mirror": mirror, "model": None if chosen else EMBEDDED}
    return load(said, {name: value for name, value in flags.items() if value})


def _row(name: str) -> Model:
    from bgone.matting.models import MODELS

    if name not in MODELS:
        raise click.BadParameter(f"{name!r}: expected one of {', '.join(MODELS)}.", param_hint="NAME")
    return MODELS[name]


def _here(settings: Settings) -> list[str]:
    """Names of the models whose files are here."""
    from bgone.matting.models import MODELS
    from bgone.matting.weights import places

    folders = places(settings.models_path)
    return [name for name, model in MODELS.items() if any((folder / model.file).is_file() for folder in folders)]


def _found(model: Model, settings: Settings) -> Path:
    from bgone.matting.weights import find

    return find(model, settings.models_path)


def _check_sum(path: Path, model: Model) -> None:
    from bgone.matting.weights import verify as compare

    compare(path, model)


def _check(path: Path, model: Model) -> None:
    """Raises StartError where its inputs or outputs are not those of its row."""
    from bgone.matting.onnx import check_file, installed_runtimes

    if not installed_runtimes():
        click.echo("No ONNX Runtime is installed here: inputs and outputs were not looked at.", err=True)
        return
    check_file(path, model.recipe, model.file)


def _require_consent(model: Model, folder: Path, *, accepted: bool) -> None:
    from bgone.matting import shelf

    if not model.asks_consent or shelf.consent(folder, model) is not None:
        return
    about = {"no": "is not for commercial use", "unclear": "leaves commercial use unclear"}[model.commercial]
    words = f"{model.name} is under {model.licence}, which {about}: {model.terms}"
    if not accepted and not (sys.stdin.isatty() and click.confirm(f"{words}\nDo you accept it?")):
        raise click.ClickException(f"{words}. Read it; then: bgone models pull {model.name} --accept-licence")
    try:
        shelf.accept(folder, model)
    except OSError as error:
        raise click.ClickException(f"{folder} cannot be written: {error.strerror}.") from error


def _say(words: str) -> None:
    click.echo(f"  {words}", err=True)


@contextmanager
def _progress(name: str) -> Iterator[Progress]:
    """A line that moves, on a terminal; nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    began, first, drawn_at = time.monotonic(), -1, 0.0

    def draw(done: int, total: int) -> None:
        nonlocal first, drawn_at
        now = time.monotonic()
        first = done if first < 0 else first
        if now - drawn_at < 0.1 and done < total:
            return
        drawn_at = now
        rate = (done - first) / (now - began) if now > began else 0.0
        left = f"{(total - done) / rate:.0f} s left" if rate > 0 else ""
        full = 24 * done // total
        bar = "#" * full + "-" * (24 - full)
        speed = f", {rate / 1e6:.1f} MB/s, {left}" if left else ""
        sys.stderr.write(f"\r\x1b[K{name}  [{bar}] {done / 1e6:.1f} of {total / 1e6:.1f} MB{speed}")
        sys.stderr.flush()

    try:
        yield draw
    finally:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
