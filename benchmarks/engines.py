"""OpenVINO against ONNX Runtime on one net: milliseconds, CPU, memory, start, and how far their mattes are apart.

``python -m benchmarks.engines`` writes the figures as a Markdown table. Runs alternate, each engine first every other
time; loading and memory are measured in processes of their own, in turn. Needs the extra ``[openvino]``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median

import click
import numpy as np

from benchmarks import data, process
from benchmarks.compare import Spread, alternate, spread
from benchmarks.server import bgone, serve
from bgone.machine import cores, resident_bytes, settle_malloc, trim_malloc
from bgone.matting.batcher import Net
from bgone.matting.devices import open_net
from bgone.matting.engine import EngineOptions, Tensor
from bgone.matting.models import EMBEDDED
from bgone.matting.selfcheck import drawn
from bgone.matting.tensor import tensor_of

WORK = Path(__file__).parent / ".work"
USUAL, OTHER = "cpu", "openvino"


@dataclass(frozen=True, slots=True)
class Run:
    """One picture through one engine: seconds of the clock and of the process' CPU."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Load:
    """Something opened in a fresh process: its seconds, and what it keeps resident afterwards."""

    open_s: float
    mb: float


def load(model: str, device: str, threads: int) -> Load:
    """Import, load, warm-up and twenty pictures, in the calling process, which must be fresh."""
    settle_malloc()
    before, began = resident_bytes() or 0, time.perf_counter()
    net = open_net(EngineOptions(model, device=device, threads=threads)).net
    open_s = time.perf_counter() - began
    for picture in drawn(net.recipe.width, net.recipe.height) * 7:
        net.run(picture[None])
    trim_malloc()
    return Load(open_s, ((resident_bytes() or 0) - before) / 1e6)


def loads(model: str, device: str, threads: int) -> Callable[[int], Load]:
    """The same in a process of its own, each time it is called."""

    def once(_number: int) -> Load:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
            return fresh.submit(load, model, device, threads).result()

    return once


def starts(device: str) -> Callable[[int], Load]:
    """Of ``bgone serve``: seconds until ``/readyz`` says 200, and what the process holds then."""

    def once(_number: int) -> Load:
        began = time.perf_counter()
        with serve(bgone(device=device), WORK) as server:
            return Load(time.perf_counter() - began, process.resident_bytes(server.pid) / 1e6)

    return once


def runs(net: Net, tensors: Sequence[Tensor]) -> Callable[[int], Run]:
    """One picture at a time, in turn."""

    def once(number: int) -> Run:
        wall, cpu = time.perf_counter(), time.process_time()
        net.run(tensors[number % len(tensors)][None])
        return Run(time.perf_counter() - wall, time.process_time() - cpu)

    return once


def compared(usual: Net, other: Net, tensors: Sequence[Tensor], pairs: int) -> list[tuple[Run, Run]]:
    """Pairs of runs, the other one first every second time."""
    one, two = runs(usual, tensors), runs(other, tensors)
    alternate(3, one, two)
    first = alternate(pairs, one, two)
    second = [(mine, theirs) for theirs, mine in alternate(pairs, two, one)]
    return [pair for both in zip(first, second, strict=True) for pair in both]


def apart(usual: Net, other: Net, tensors: Sequence[Tensor]) -> tuple[float, float]:
    """Largest and mean difference of their mattes over all pictures."""
    differences = [np.abs(usual.run(tensor[None]) - other.run(tensor[None])) for tensor in tensors]
    return max(float(one.max()) for one in differences), float(np.mean([one.mean() for one in differences]))


def pictures(net: Net, photos: int) -> list[Tensor]:
    """Drawn scenes, and photographs where the shared folder is, at the net's size."""
    shared = os.environ.get("BGONE_SHARED")
    album = data.Album(WORK, Path(shared) if shared else None)
    found = [data.scene(640, 480, seed) for seed in range(4)]
    found += [data.decode(photo.data) for photo in album.photos(photos)]
    return [tensor_of(np.ascontiguousarray(picture[..., ::-1]), net.recipe) for picture in found]


def ratios(pairs: Sequence[tuple[float, float]]) -> Spread:
    """Second by first, pair by pair; of many pairs the middle half, not the extremes."""
    found = sorted(other / usual for usual, other in pairs)
    quarter = len(found) // 4 if len(found) > 8 else 0
    return spread(found[quarter : len(found) - quarter])


def row(what: str, pairs: Sequence[tuple[float, float]], unit: str, digits: int = 0) -> str:
    """A line of the table: both medians, and the ratio with its spread."""
    usual, other = (median(side) for side in zip(*pairs, strict=True))
    return f"| {what} | {usual:.{digits}f} {unit} | {other:.{digits}f} {unit} | {ratios(pairs).words(digits=2)} |"


@click.command()
@click.option("--model", default=EMBEDDED, show_default=True)
@click.option("--threads", default=cores(), show_default=True)
@click.option("--pairs", default=40, show_default=True, help="Of runs, each way round.")
@click.option("--rounds", default=5, show_default=True, help="Of loading and starting.")
@click.option("--photos", default=40, show_default=True, help="To compare mattes on, where BGONE_SHARED has them.")
def main(model: str, threads: int, pairs: int, rounds: int, photos: int) -> None:
    """Measure, and write the table to standard output."""
    WORK.mkdir(exist_ok=True)
    opened = alternate(rounds, loads(model, USUAL, threads), loads(model, OTHER, threads))
    started = alternate(rounds, starts(USUAL), starts("auto"))
    usual, other = (open_net(EngineOptions(model, device=device, threads=threads)).net for device in (USUAL, OTHER))
    tensors = pictures(usual, photos)
    ran = compared(usual, other, tensors, pairs)
    largest, mean = apart(usual, other, tensors)
    lines = [
        f"{model}, {threads} threads, load {os.getloadavg()[0]:.1f}, {2 * pairs} pairs of runs, {rounds} of the rest",
        "",
        f"| | {usual.device} | {other.device} | ratio (spread) |",
        "|---|---|---|---|",
        row("a picture", [(a.wall_s * 1000, b.wall_s * 1000) for a, b in ran], "ms", 1),
        row("its CPU", [(a.cpu_s * 1000, b.cpu_s * 1000) for a, b in ran], "ms", 1),
        row("import, load, warm-up", [(a.open_s, b.open_s) for a, b in opened], "s", 2),
        row("memory kept", [(a.mb, b.mb) for a, b in opened], "MB"),
        row("server ready: `cpu`, `auto`", [(a.open_s, b.open_s) for a, b in started], "s", 2),
        row("its memory then", [(a.mb, b.mb) for a, b in started], "MB"),
        f"| mattes apart, {len(tensors)} pictures | | {largest:.2g} at most, {mean:.2g} on the average | |",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
