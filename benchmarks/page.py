"""The page of figures: what was measured last for each question, put into ``page.md``."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from string import Template

import msgspec

from benchmarks import rembg
from benchmarks.bench import Row
from benchmarks.table import QUESTIONS
from bgone import __version__
from bgone.imaging import vips

TEMPLATE = Path(__file__).parent / "page.md"
PACKAGES = ("onnxruntime", "numpy", "opencv-python-headless", "pyvips-binary", "isal", "starlette", "uvicorn", "uvloop")


@dataclass(frozen=True, slots=True)
class Measured:
    """One question's answer, as it is kept between runs.

    Attributes:
        when: UTC, to the minute.
        seconds: How long it took to find out.
        load: Mean number of running processes on the machine in the minute before, our own included, before and after.
        pairs: How often A and B were alternated.
    """

    question: str
    when: str
    seconds: float
    load: tuple[float, float]
    pairs: int
    rows: tuple[Row, ...]


def measured(question: str, pairs: int, started: float, load_before: float, rows: Sequence[Row]) -> Measured:
    """The answer with its circumstances; ``started`` is of ``time.monotonic``."""
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    load = (load_before, os.getloadavg()[0])
    return Measured(question, when, time.monotonic() - started, load, pairs, tuple(rows))


class Results:
    """Answers in a folder, one file a question: a question asked again replaces its own rows only."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def keep(self, answer: Measured) -> None:
        (self._folder / f"{answer.question}.json").write_bytes(msgspec.json.encode(answer))

    def all(self) -> list[Measured]:
        """In the order of the table."""
        paths = [self._folder / f"{question}.json" for question in QUESTIONS]
        return [msgspec.json.decode(path.read_bytes(), type=Measured) for path in paths if path.is_file()]


def page(answers: Sequence[Measured]) -> str:
    """The whole page in Markdown."""
    missing = [question for question in QUESTIONS if question not in {answer.question for answer in answers}]
    return Template(TEMPLATE.read_text()).substitute(
        machine=_machine(),
        versions=_versions(),
        date=", ".join(sorted({answer.when[:10] for answer in answers})),
        table="\n".join(_table(answers)),
        circumstances="\n".join(_circumstances(answers)),
        missing=f"Not measured: {', '.join(missing)}.\n" if missing else "",
    )


def lines(answer: Measured) -> Iterable[str]:
    """For the terminal."""
    for row in answer.rows:
        yield f"{'pass' if row.passed else 'MISS'}  {row.what}: {row.measured} (asked {row.asked})"
        yield from (f"        {note}" for note in row.notes)


def _table(answers: Sequence[Measured]) -> Iterable[str]:
    yield "| what | asked | measured: median (least-most) | | behind it |"
    yield "|---|---|---|---|---|"
    for answer in answers:
        for row in answer.rows:
            verdict = "kept" if row.passed else "**missed**"
            yield f"| {row.what} | {row.asked} | {row.measured} | {verdict} | {'; '.join(row.notes)} |"


def _circumstances(answers: Sequence[Measured]) -> Iterable[str]:
    yield "| question | measured (UTC) | pairs | seconds | load before, after |"
    yield "|---|---|---|---|---|"
    for answer in answers:
        before, after = answer.load
        pairs, seconds = answer.pairs, answer.seconds
        yield f"| `{answer.question}` | {answer.when} | {pairs} | {seconds:.0f} | {before:.1f}, {after:.1f} |"


def _machine() -> str:
    names = [line.partition(":")[2].strip() for line in _cpuinfo() if line.startswith("model name")]
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    name = names[0] if names else platform.processor()
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    return f"{len(os.sched_getaffinity(0))} cores of {name}, {memory_gb:.0f} GB, {system}"


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []


def _versions() -> str:
    ours = [f"bgone {__version__}", f"Python {platform.python_version()}", f"libvips {vips.version()}"]
    ours += [f"{name} {version(name)}" for name in PACKAGES]
    return f"{', '.join(ours)}; rembg {rembg.VERSION} with {', '.join(rembg.FRIENDS).replace('==', ' ')}"
