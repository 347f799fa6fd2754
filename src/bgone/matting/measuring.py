"""What a model costs on this machine: loading, one picture, memory; in a process of its own, where nothing else is."""

from __future__ import annotations

import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from bgone.errors import StartError
from bgone.machine import peak_resident_bytes, resident_bytes
from bgone.matting.engine import EngineOptions


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of one model.

    Attributes:
        device: Execution provider, or OpenVINO with its precision, that ran it.
        load_s: Seconds to verify, load and warm it.
        net_ms: Milliseconds of the net for one picture, the median.
        memory_mb: What the process grew by at most; None where the kernel does not say.
        rounds: Pictures measured.
    """

    device: str
    load_s: float
    net_ms: float
    memory_mb: int | None
    rounds: int


def measure(options: EngineOptions, rounds: int) -> Measured:
    """Measure a model.

    Raises:
        StartError: As of ``open_net``, or the system killed the process.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        try:
            return process.submit(_measure, options, rounds).result()
        except BrokenProcessPool as error:
            raise StartError(f"{options.model}: the system ended it, most likely for lack of memory.") from error


def _measure(options: EngineOptions, rounds: int) -> Measured:
    from bgone.matting.devices import open_net

    before = resident_bytes()
    began = time.perf_counter()
    net = open_net(options).net
    load_s = time.perf_counter() - began
    pictures = np.random.default_rng(0).integers(0, 256, (1, net.recipe.height, net.recipe.width, 3), np.uint8)
    seconds = []
    for _ in range(rounds):
        began = time.perf_counter()
        net.run(pictures)
        seconds.append(time.perf_counter() - began)
    peak = peak_resident_bytes()
    return Measured(
        device=net.device,
        load_s=load_s,
        net_ms=statistics.median(seconds) * 1000,
        memory_mb=None if peak is None or before is None else (peak - before) // 1_000_000,
        rounds=rounds,
    )
