"""What ``quality=fine`` gains and costs, with the embedded net's own mattes.

``python -m benchmarks.fine`` writes the tables as Markdown. Standard and fine go through the studio that serves
requests, with the same net. Photographs with hand-drawn masks come from the training folder (``BGONE_SHARED``): the
pictures that only validate, and those that are held out of training; without it there are drawn scenes alone. A mask
tells where the outline is, not how soft it is. Costs are measured in pairs, standard and fine in turn.
"""

from __future__ import annotations

import asyncio
import os
import time
import zipfile
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import click
import cv2
import numpy as np
import numpy.typing as npt

from benchmarks.data import SIZES
from benchmarks.edges import photo_of
from benchmarks.edges_metrics import Pixels, Plane, alpha_errors
from benchmarks.edges_scenes import SCENES
from benchmarks.process import peak_bytes, reset_peak, resident_bytes
from bgone.imaging.formats import RAW
from bgone.machine import cores, trim_malloc
from bgone.matting.batcher import Batcher
from bgone.matting.engine import EngineOptions
from bgone.matting.models import EMBEDDED
from bgone.matting.onnx import OnnxNet
from bgone.pipeline.budget import Budget
from bgone.pipeline.fetch import Fetcher
from bgone.pipeline.order import Order, RenderOptions, Upload
from bgone.pipeline.studio import Studio, StudioOptions
from bgone.pipeline.timings import Timings

# Shard of the training folder, and what its pictures show.
SHARDS = {
    "validation.zip": "salient things (400 px)",
    "open-1.zip": "people (576 px)",
    "open-2.zip": "animals, everyday",
    "sharealike-1.zip": "pets, everyday",
}
# One in so many is held out of training, by its id: ``split_of`` of models/training/data.py.
HELD_OUT_EVERY = 20
BOUNDARY_SHARES = (0.02, 0.005)  # of the diagonal; the first of Cheng et al., "Boundary IoU", CVPR 2021
COLUMNS = ("IoU", "MAE", "boundary IoU", "narrow boundary IoU", "SAD", "gradient")
SCENE = "hair"  # whose costs are measured
MODES = (False, True)
WAYS = {False: "standard", True: "fine"}


@dataclass(frozen=True, slots=True)
class Case:
    """A picture's file, and its true alpha float32 (h, w), 0..1."""

    data: bytes
    true: Plane


@dataclass(slots=True)
class Cost:
    """Of one way: seconds of wall and CPU, bytes beyond what was there before, runs of the net, one for each round."""

    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    peak: list[int] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)


class Desk:
    """A studio with one net, asked in process."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self.runs = 0

    def ran(self, pictures: int, _seconds: float) -> None:
        """Count what the net was asked."""
        self.runs += pictures

    async def cut(self, data: bytes, form: str, *, fine: bool) -> tuple[int, int, bytes]:
        """Width, height and bytes of the answer."""
        holding = self.studio.budget.open()
        try:
            order = Order(Upload(data), RenderOptions(format=form, fine=fine))
            result = await self.studio.make(order, holding, Timings())
            answer = await result.spool.read()
            result.spool.close()
            return result.width, result.height, answer
        finally:
            holding.release()

    async def alpha(self, data: bytes, *, fine: bool) -> Plane:
        """Alpha of the cutout, float32 (h, w), 0..1."""
        width, height, pixels = await self.cut(data, RAW, fine=fine)
        rgba = np.frombuffer(pixels, np.uint8).reshape(height, width, 4)
        return np.multiply(rgba[..., 3], np.float32(1 / 255), dtype=np.float32)


@asynccontextmanager
async def open_desk(model: str) -> AsyncIterator[Desk]:
    """The studio, and whatever it needs."""
    fetcher = Fetcher()
    studio = Studio(fetcher, StudioOptions(threads=1, seats=1, queue=0, deadline_s=600), Budget(10**10))
    desk = Desk(studio)
    net = OnnxNet(EngineOptions(model, device="cpu", threads=cores()))
    studio.set_engine(Batcher(net, 1, desk.ran))
    try:
        yield desk
    finally:
        await fetcher.aclose()
        await studio.aclose()


# --- the pictures ---------------------------------------------------------------------------------------------------


def photographs(shared: Path, shard: str, step: int) -> Iterator[Case]:
    """Every ``step``-th pair of the shard that training never saw."""
    with zipfile.ZipFile(shared / "training" / shard) as file:
        names = sorted(name for name in file.namelist() if name.startswith("pair/") and name.endswith(".jpg"))
        held_out = [
            name
            for name in names
            if shard == "validation.zip" or zlib.crc32(Path(name).stem.encode()) % HELD_OUT_EVERY == 0
        ]
        for name in held_out[::step]:
            mask = np.frombuffer(file.read(name.removesuffix(".jpg") + ".png"), np.uint8)
            true = np.asarray(cv2.imdecode(mask, cv2.IMREAD_GRAYSCALE), np.float32) / np.float32(255)
            yield Case(file.read(name), true)


# --- the figures ----------------------------------------------------------------------------------------------------


def figures(alpha: Plane, true: Plane) -> list[float]:
    """One for each of ``COLUMNS``; SAD and gradient in thousands of pixels."""
    found, truth = alpha > 0.5, true > 0.5
    errors = alpha_errors(alpha, true)
    boundaries = [overlap(rim(found, share), rim(truth, share)) for share in BOUNDARY_SHARES]
    return [overlap(found, truth), float(np.abs(alpha - true).mean()), *boundaries, errors.sad, errors.gradient]


def overlap(one: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_]) -> float:
    """Intersection over union; 1 where both are empty."""
    either = int((one | other).sum())
    return int((one & other).sum()) / either if either else 1.0


def rim(mask: npt.NDArray[np.bool_], share: float) -> npt.NDArray[np.bool_]:
    """The part of a mask within ``share`` of the diagonal of its outline; the picture's border counts as outside."""
    reach = max(1, round(share * float(np.hypot(*mask.shape))))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    inner: Pixels = np.asarray(cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=reach)[1:-1, 1:-1], np.uint8)
    return np.asarray(mask & (inner == 0), np.bool_)


async def compare(desk: Desk, name: str, cases: Iterator[Case]) -> list[str]:
    """Rows of the table: means of both ways, the mean difference with its standard error, and how many got better."""
    rows: dict[bool, list[list[float]]] = {fine: [] for fine in MODES}
    tiles = 0
    for case in cases:
        for fine in MODES:
            desk.runs = 0
            rows[fine].append(figures(await desk.alpha(case.data, fine=fine), case.true))
        tiles += desk.runs - 1
    both = np.array([rows[False], rows[True]])  # (way, picture, column)
    count = both.shape[1]
    apart = both[1] - both[0]
    error = apart.std(axis=0) / np.sqrt(count)
    shown = [f"{mean:+.4f} ± {wide:.4f}" for mean, wide in zip(apart.mean(axis=0), error, strict=True)]
    better = int((apart[:, 2] > 0).sum())
    lines = [f"| {name}, {count} | {WAYS[fine]} | {_cells(both[int(fine)].mean(axis=0))} | |" for fine in MODES]
    return [*lines, f"| | difference | {' | '.join(shown)} | {tiles / count:.1f} tiles, {better} of {count} better |"]


async def costs(desk: Desk, name: str, data: bytes, pairs: int) -> str:
    """A row: ratios fine to standard, medians of pairs."""
    spent = {fine: Cost() for fine in MODES}
    for number in range(pairs + 1):  # the first warms up
        for fine in MODES if number % 2 else MODES[::-1]:
            trim_malloc()
            reset_peak(os.getpid())
            before, desk.runs = resident_bytes(os.getpid()), 0
            wall, cpu = time.perf_counter(), time.process_time()
            await desk.cut(data, "png", fine=fine)
            if number:
                spent[fine].wall_s.append(time.perf_counter() - wall)
                spent[fine].cpu_s.append(time.process_time() - cpu)
                spent[fine].peak.append(peak_bytes(os.getpid()) - before)
                spent[fine].runs.append(desk.runs)
    standard, fine_ = spent[False], spent[True]
    walls = [one / other for one, other in zip(fine_.wall_s, standard.wall_s, strict=True)]
    cpus = [one / other for one, other in zip(fine_.cpu_s, standard.cpu_s, strict=True)]
    memory = (median(fine_.peak) - median(standard.peak)) / 1e6
    return (
        f"| {name} | {fine_.runs[0] - 1} | {median(standard.cpu_s) * 1000:.0f} | {median(fine_.cpu_s) * 1000:.0f} "
        f"| {median(cpus):.2f} | {median(walls):.2f} | {memory:+.0f} |"
    )


def _cells(values: npt.NDArray[np.float64]) -> str:
    return " | ".join(f"{value:.4f}" if value < 10 else f"{value:.3g}" for value in values)


async def measure(desk: Desk, shared: Path | None, sizes: list[str], step: int) -> None:
    """What is gained, written to standard output."""
    print(f"| pictures | way | {' | '.join(COLUMNS)} | |", "|---|---|" + "---|" * (len(COLUMNS) + 1), sep="\n")
    for shard, name in SHARDS.items() if shared else ():
        assert shared is not None
        print(*await compare(desk, name, photographs(shared, shard, step)), sep="\n", flush=True)
    for size in sizes:
        cases = (Case(photo.data, photo.scene.alpha) for photo in (photo_of(name, size) for name in SCENES))
        print(*await compare(desk, f"drawn scenes, {size}", cases), sep="\n", flush=True)


async def weigh(desk: Desk, sizes: list[str], pairs: int) -> None:
    """What it costs, written to standard output."""
    head = ("JPEG", "tiles", "CPU ms, standard", "fine", "CPU ratio", "wall ratio", "MB more")
    print(f"\n| {' | '.join(head)} |", "|---|" + "---|" * (len(head) - 1), sep="\n")
    for size in sizes:
        print(await costs(desk, f"{size}, {SCENE}", photo_of(SCENE, size).data, pairs), flush=True)


async def both(model: str, shared: Path | None, sizes: list[str], step: int, pairs: int, *, costs_only: bool) -> None:
    """The tables."""
    async with open_desk(model) as desk:
        if not costs_only:
            await measure(desk, shared, sizes, step)
        await weigh(desk, sizes, pairs)


@click.command()
@click.option("--model", default=EMBEDDED, show_default=True, help="A model's name, or the path of an ONNX file.")
@click.option("--size", "sizes", multiple=True, type=click.Choice(list(SIZES)), default=["1mp", "12mp"])
@click.option("--step", default=1, type=click.IntRange(min=1), help="Every so many photographs.")
@click.option("--pairs", default=7, show_default=True, type=click.IntRange(min=1), help="Rounds of costs.")
@click.option("--costs", "costs_only", is_flag=True, help="What it costs, and nothing else.")
def main(model: str, sizes: list[str], step: int, pairs: int, *, costs_only: bool) -> None:
    """Measure, and write the tables to standard output."""
    shared = os.environ.get("BGONE_SHARED")
    asyncio.run(both(model, Path(shared) if shared else None, list(sizes), step, pairs, costs_only=costs_only))


if __name__ == "__main__":
    main()
