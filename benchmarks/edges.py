"""How good edges are: ways from a net's matte to alpha and colours at full size, on scenes whose truth is known.

``python -m benchmarks.edges`` writes the tables as Markdown. Every way is given the same matte and the same JPEG's
pixels. Ours goes through the studio that serves requests, with an engine that answers the matte. PyMatting is
installed into an environment of its own the first time. Figures are kept in ``benchmarks/.work/edges.json``: what was
measured already is not measured again without ``--again``.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import cv2
import numpy as np

from benchmarks.data import SIZES
from benchmarks.edges_metrics import AlphaErrors, ColourErrors, alpha_errors, colour_errors
from benchmarks.edges_scenes import NET_SIDE, SCENES, Pixels, Plane, Scene, draw, seen_by_net
from benchmarks.process import peak_bytes, reset_peak, resident_bytes
from bgone.imaging.formats import RAW
from bgone.matting.engine import EngineOptions, Matte, Tensor
from bgone.matting.model import Recipe
from bgone.matting.models import EMBEDDED
from bgone.matting.onnx import OnnxNet
from bgone.pipeline.budget import Budget
from bgone.pipeline.fetch import Fetcher
from bgone.pipeline.order import Order, RenderOptions, Upload
from bgone.pipeline.studio import Studio, StudioOptions
from bgone.pipeline.timings import Timings

WORK = Path(__file__).parent / ".work"
PYMATTING = ("pymatting==1.1.15", "numba==0.68.1", "scipy==1.17.1", "numpy==2.4.6")
JPEG_QUALITY = 92
# Enough for PyMatting at 12 MP; beyond it a run is ended, not the machine.
PEER_BYTES = 18 << 30
BILINEAR, OURS, AS_THEY_ARE, PEER = "bilinear", "bgone", "bgone, colours as they are", "closed form (rembg -a)"
FOUND = 0.75  # of the intersection over union: the net has found the subject


@dataclass(frozen=True, slots=True)
class Photo:
    """What every way is given, and the truth.

    Attributes:
        scene: The truth.
        data: The JPEG.
        rgb: uint8 (h, w, 3): its pixels.
        matte: float32 (n, n), 0..1.
    """

    scene: Scene
    data: bytes
    rgb: Pixels
    matte: Plane


@dataclass(frozen=True, slots=True)
class Cutout:
    """What a way gives: uint8 (h, w, 3) and float32 (h, w), CPU seconds, bytes beyond what was there before."""

    rgb: Pixels
    alpha: Plane
    cpu_s: float
    peak_bytes: int


class GivenMatte:
    """An engine that answers what it was made with."""

    recipe = Recipe(NET_SIDE, NET_SIDE)
    device = "none"
    trouble: str | None = None
    waiting = 0

    def __init__(self, matte: Matte) -> None:
        self._matte = matte

    async def predict(self, tensor: Tensor) -> Matte:
        """The matte, whatever the picture."""
        del tensor
        return self._matte

    async def aclose(self) -> None:
        """Nothing to end."""


# --- the ways -------------------------------------------------------------------------------------------------------


def bilinear(photo: Photo) -> Cutout:
    """The matte enlarged, colours as they are: the least that anybody does."""
    height, width = photo.rgb.shape[:2]
    return _weighed(lambda: (photo.rgb, _enlarged(photo.matte, width, height)))


def ours(photo: Photo) -> Cutout:
    """What a server answers, decoding included."""

    def work() -> tuple[Pixels, Plane]:
        rgba = asyncio.run(cut_out(photo.data, photo.matte))
        return rgba[..., :3], np.multiply(rgba[..., 3], np.float32(1 / 255), dtype=np.float32)

    return _weighed(work)


async def cut_out(data: bytes, matte: Matte) -> Pixels:
    """uint8 (h, w, 4) by the studio, given the net's matte."""
    fetcher = Fetcher()
    studio = Studio(fetcher, StudioOptions(threads=1, seats=1, queue=0, deadline_s=600), Budget(10**10))
    studio.set_engine(GivenMatte(matte))
    holding = studio.budget.open()
    try:
        result = await studio.make(Order(Upload(data), RenderOptions(format=RAW)), holding, Timings())
        pixels = np.frombuffer(await result.spool.read(), np.uint8).reshape(result.height, result.width, 4)
        result.spool.close()
        return pixels
    finally:
        holding.release()
        await fetcher.aclose()
        await studio.aclose()


def closed_form(photo: Photo) -> Cutout | str:
    """PyMatting's closed form and its multi-level foreground, as ``rembg -a`` does it; or why it gave up."""
    height, width = photo.rgb.shape[:2]
    # rembg enlarges the matte as a picture of bytes, by Lanczos.
    small = np.rint(photo.matte * 255).astype(np.uint8)
    large = cv2.resize(small, (width, height), interpolation=cv2.INTER_LANCZOS4)
    with TemporaryDirectory() as folder:
        given, got = Path(folder, "in.npz"), Path(folder, "out.npz")
        np.savez(given, photo=photo.rgb, matte=large)
        script = Path(__file__).with_name("edges_pymatting.py")
        started = resource.getrusage(resource.RUSAGE_CHILDREN)
        run = subprocess.run([_peer_python(), script, given, got], capture_output=True, text=True, preexec_fn=_bounded)
        if run.returncode:
            ended = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent = ended.ru_utime + ended.ru_stime - started.ru_utime - started.ru_stime
            return f"gave up after {spent:.0f} s of CPU: {run.stderr.strip().splitlines()[-1]}"
        cost: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])  # PyMatting may have warned before it
        with np.load(got) as answer:
            return Cutout(answer["subject"], answer["alpha"], cost["cpu_s"], cost["peak_bytes"])


def _enlarged(matte: Plane, width: int, height: int) -> Plane:
    return np.asarray(cv2.resize(matte, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _weighed(work: Callable[[], tuple[Pixels, Plane]]) -> Cutout:
    reset_peak(os.getpid())
    before, started = resident_bytes(os.getpid()), time.process_time()
    rgb, alpha = work()
    spent = time.process_time() - started
    return Cutout(rgb, alpha, spent, peak_bytes(os.getpid()) - before)


def _peer_python() -> Path:
    """The interpreter with PyMatting, made where there is none yet."""
    venv = WORK / "pymatting-venv"
    python = venv / "bin" / "python"
    if not (venv / ".installed").is_file():
        print(f"installing {PYMATTING[0]} into {venv} ...", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PYMATTING], check=True)
        (venv / ".installed").touch()
    return python


def _bounded() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (PEER_BYTES, PEER_BYTES))


# --- the pictures ---------------------------------------------------------------------------------------------------


def photo_of(name: str, size: str) -> Photo:
    """A scene as a camera's file, with the matte of an imitated net."""
    scene = draw(name, *SIZES[size])
    bgr = cv2.cvtColor(scene.photo, cv2.COLOR_RGB2BGR)
    data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1]
    rgb = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)
    return Photo(scene, data.tobytes(), np.asarray(rgb, np.uint8), seen_by_net(scene.alpha))


def seen_by_ours(photo: Photo, net: OnnxNet) -> Plane | None:
    """The embedded net's matte, or None where it sees another subject."""
    side = (net.recipe.width, net.recipe.height)
    small = np.asarray(cv2.resize(photo.rgb, side, interpolation=cv2.INTER_AREA), np.uint8)
    true = cv2.resize(photo.scene.alpha, side, interpolation=cv2.INTER_AREA) > 0.5
    (matte,) = net.run(small[None])
    found = matte > 0.5
    share = (found & true).sum() / max(1, (found | true).sum())
    return np.asarray(matte, np.float32) if share >= FOUND else None


# --- the table ------------------------------------------------------------------------------------------------------

Figures = dict[str, dict[str, Any]]


def judge(cutout: Cutout, scene: Scene) -> dict[str, Any]:
    """A row's figures."""
    errors = alpha_errors(cutout.alpha, scene.alpha)
    colours = colour_errors(cutout.rgb, cutout.alpha, scene.subject, scene.alpha)
    return asdict(errors) | asdict(colours) | {"cpu_s": cutout.cpu_s, "mb": cutout.peak_bytes / 1e6}


def measure(photo: Photo, key: str, *, peer: bool, figures: Figures) -> None:
    """All ways on one photo, those that ``figures`` has left out."""
    name = photo.scene.name

    def keep(way: str, cutout: Cutout | str) -> None:
        row = {"failed": cutout} if isinstance(cutout, str) else judge(cutout, photo.scene)
        figures[f"{key}/{way}/{name}"] = row
        print(f"{key} {name} {way}", file=sys.stderr, flush=True)

    if f"{key}/{AS_THEY_ARE}/{name}" not in figures:
        keep(BILINEAR, bilinear(photo))
        own = ours(photo)
        keep(OURS, own)
        keep(AS_THEY_ARE, Cutout(photo.rgb, own.alpha, own.cpu_s, own.peak_bytes))
    if peer and f"{key}/{PEER}/{name}" not in figures:
        keep(PEER, closed_form(photo))


COLUMNS = (*AlphaErrors.__slots__, *ColourErrors.__slots__)


def table(figures: Figures, key: str, scenes: list[str]) -> list[str]:
    """Markdown of one size and kind of matte: a row for every way and scene, then the ways' means over all scenes."""
    lines = [f"| scene | way | {' | '.join(COLUMNS)} | CPU s | MB |", "|---|---|" + "---|" * (len(COLUMNS) + 2)]
    sums: dict[str, list[dict[str, Any]]] = {}
    for name in scenes:
        for way in (BILINEAR, AS_THEY_ARE, OURS, PEER):
            if row := figures.get(f"{key}/{way}/{name}"):
                lines.append(_line(name, way, row))
                if "failed" not in row:
                    sums.setdefault(way, []).append(row)
    for way, rows in sums.items():
        if len(rows) == len(scenes):
            lines.append(
                _line("**mean**", way, {name: float(np.mean([row[name] for row in rows])) for name in rows[0]})
            )
    return lines


def _line(name: str, way: str, row: dict[str, Any]) -> str:
    if "failed" in row:
        return f"| {name} | {way} | {row['failed']} |" + " |" * (len(COLUMNS) + 1)
    cells = " | ".join(f"{row[column]:.3g}" if row[column] < 100 else f"{row[column]:.0f}" for column in COLUMNS)
    return f"| {name} | {way} | {cells} | {row['cpu_s']:.3g} | {row['mb']:.0f} |"


@click.command()
@click.option("--size", "sizes", multiple=True, type=click.Choice(["1mp", "12mp"]), default=["1mp", "12mp"])
@click.option("--scene", "scenes", multiple=True, type=click.Choice(list(SCENES)), default=list(SCENES))
@click.option("--peer", "peers", multiple=True, type=click.Choice(["1mp", "12mp"]), help="PyMatting at this size too.")
@click.option("--again", is_flag=True, help="Forget what was measured.")
def main(sizes: list[str], scenes: list[str], peers: list[str], *, again: bool) -> None:
    """Measure, and write the tables to standard output."""
    cv2.setNumThreads(1)
    WORK.mkdir(exist_ok=True)
    kept = WORK / "edges.json"
    figures: Figures = json.loads(kept.read_text()) if kept.is_file() and not again else {}
    net = OnnxNet(EngineOptions(EMBEDDED, device="cpu", threads=1))
    for size in sizes:
        found = []
        for name in scenes:
            photo = photo_of(name, size)
            measure(photo, size, peer=size in peers, figures=figures)
            own = seen_by_ours(photo, net)
            if own is not None:
                found.append(name)
                measure(Photo(photo.scene, photo.data, photo.rgb, own), f"{size}-net", peer=False, figures=figures)
            kept.write_text(json.dumps(figures, indent=1))
        print(f"\n{size}, the imitated net\n", *table(figures, size, list(scenes)), sep="\n")
        print(f"\n{size}, the embedded net's own matte\n", *table(figures, f"{size}-net", found), sep="\n")


if __name__ == "__main__":
    main()
