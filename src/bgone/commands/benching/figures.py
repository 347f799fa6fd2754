"""This machine's figures: the net alone, then whole pictures, JPEG in memory to PNG in memory."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import msgspec
import numpy as np

from bgone import __version__
from bgone.commands.benching.drawn import photo
from bgone.cutter import Cutter
from bgone.machine import cores, memory_bytes, peak_resident_bytes, resident_bytes, settle_malloc, trim_malloc
from bgone.matting.devices import open_net
from bgone.matting.engine import EngineOptions
from bgone.matting.tensor import size_of
from bgone.settings import MEGABYTE, Settings

SIZES = {1: (1200, 900), 12: (4000, 3000)}
_LEAST = 3  # runs, whatever they take
_MOST = 200


class Machine(msgspec.Struct, frozen=True):
    """Where the figures are from."""

    bgone: str
    cores: int
    memory_mb: int
    load_average: float
    model: str
    device: str


class Pictures(msgspec.Struct, frozen=True):
    """Whole pictures of one size.

    Attributes:
        megapixels: Of each.
        p50_ms: One after the other.
        cpu_ms: Of one, on all threads together.
        per_second: One after the other.
        at_once: How many were under way side by side in what follows.
        per_second_at_once: Of all of them together.
        peak_mb: Most memory of the process meanwhile; None where the kernel does not say.
    """

    megapixels: int
    p50_ms: float
    cpu_ms: float
    per_second: float
    at_once: int
    per_second_at_once: float
    peak_mb: int | None


class Figures(msgspec.Struct, frozen=True):
    """All of them."""

    machine: Machine
    net_p50_ms: float
    idle_mb: int | None
    pictures: list[Pictures]


def measure(settings: Settings, seconds: float, tell: Callable[[str], None]) -> Figures:
    """Everything, in about ``seconds``.

    Args:
        settings: Model, device, threads.
        seconds: Shared out among the measurements.
        tell: Hears what is being measured.

    Raises:
        StartError: The net cannot be loaded.
    """
    settle_malloc()
    load = os.getloadavg()[0]  # before we are the load
    share = seconds / (1 + 2 * len(SIZES))
    tell("the net")
    device, net_ms = _net(settings, share)
    trim_malloc()
    cutter = Cutter(settings.model, device=settings.device, threads=settings.threads, models_dir=settings.models_path)
    with cutter:
        cutter.cut(photo(300, 200))
        idle = _megabytes(resident_bytes())
        pictures = [_pictures(cutter, size, share, tell) for size in SIZES]
    machine = Machine(__version__, cores(), memory_bytes() // MEGABYTE, round(load, 2), settings.model, device)
    return Figures(machine, net_ms, idle, pictures)


def _net(settings: Settings, seconds: float) -> tuple[str, float]:
    options = EngineOptions(settings.model, settings.models_path, settings.device, settings.net_threads)
    net = open_net(options).net
    across, down = size_of(net.recipe, *SIZES[1])
    picture = np.full((1, down, across, 3), 127, np.uint8)
    return net.device, _milliseconds(median(_times(lambda: net.run(picture), seconds)))


def _pictures(cutter: Cutter, megapixels: int, seconds: float, tell: Callable[[str], None]) -> Pictures:
    data = photo(*SIZES[megapixels])
    cutter.cut(data)  # heap and caches as they are in the long run
    _forget_peak()

    tell(f"{megapixels} megapixels, one after the other")
    busy = time.process_time()
    times = _times(lambda: cutter.cut(data), seconds)
    cpu = (time.process_time() - busy) / len(times)

    at_once = cores() + 1  # what keeps the net fed while pictures are drawn, as the server's seats
    count = max(2 * at_once, min(_MOST, int(seconds / median(times))))
    tell(f"{megapixels} megapixels, {at_once} at once")
    with ThreadPoolExecutor(at_once) as pool:
        began = time.perf_counter()
        list(pool.map(lambda _: len(cutter.cut(data)), range(count)))
        together = count / (time.perf_counter() - began)
    return Pictures(
        megapixels=megapixels,
        p50_ms=_milliseconds(median(times)),
        cpu_ms=_milliseconds(cpu),
        per_second=round(len(times) / sum(times), 2),
        at_once=at_once,
        per_second_at_once=round(together, 2),
        peak_mb=_megabytes(peak_resident_bytes()),
    )


def _times(work: Callable[[], Any], seconds: float) -> list[float]:
    """Seconds of each run, for so long together."""
    times: list[float] = []
    while len(times) < _LEAST or (sum(times) < seconds and len(times) < _MOST):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return times


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _forget_peak() -> None:
    with contextlib.suppress(OSError):  # then the peak is that of the whole process (proc(5), clear_refs)
        Path("/proc/self/clear_refs").write_text("5")


def _megabytes(size: int | None) -> int | None:
    return None if size is None else size // MEGABYTE
