"""The net: its file is verified, its session opened, and a picture run through it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from bgone.commands.checkup.finding import Finding, ok, problem, warning
from bgone.errors import StartError
from bgone.matting import weights
from bgone.matting.batcher import Net
from bgone.matting.devices import open_net
from bgone.matting.engine import EngineOptions
from bgone.matting.onnx import PROVIDERS, installed_runtimes
from bgone.matting.tensor import size_of
from bgone.settings import Settings

_RUNS = 5


def net(settings: Settings) -> Iterator[Finding]:
    """Every model that is enabled, and the device on which it really runs."""
    options = EngineOptions(
        model=settings.model,
        models_dir=settings.models_path,
        device=settings.device,
        threads=settings.net_threads,
        max_batch=settings.max_batch,
        low_memory=settings.low_memory,
    )
    for name in settings.enabled_models:
        try:
            yield ok("model", f"{name}: {_file(name, settings.models_path)}")
            yield from _device(replace(options, model=name))
        except StartError as error:
            yield problem("model", str(error))


def _file(name: str, models_dir: Path | None) -> str:
    row = weights.model_row(name)
    if row is None:
        return f"{Path(name).stat().st_size:,} bytes, an own file: there is nothing to compare it with"
    path = weights.find(row, models_dir)
    weights.verify(path, row)
    return f"{path}, verified"


def _device(options: EngineOptions) -> Iterator[Finding]:
    opened = open_net(options)
    yield _pace(opened.net, options)
    if opened.check is not None:
        words = f"{opened.check.words} (looked at for {opened.check_s:.1f} s)"
        state = warning if opened.check.result == "failed" else ok
        yield state("openvino", words)


def _pace(opened: Net, options: EngineOptions) -> Finding:
    across, down = size_of(opened.recipe, 640, 480)
    picture = np.full((1, down, across, 3), 127, np.uint8)
    times = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        opened.run(picture)
        times.append(time.perf_counter() - began)
    words = f"{opened.device} runs {options.model} in {min(times) * 1000:.0f} ms"
    if opened.device == PROVIDERS["cpu"] and "onnxruntime-gpu" in installed_runtimes():
        return warning("device", words, "the GPU's runtime is installed and not used: nvidia-smi, CUDA and cuDNN")
    if opened.device == PROVIDERS["cpu"] and options.max_batch > 1:
        return warning("device", words, "batches gain nothing on a CPU: leave BGONE_MAX_BATCH at 1")
    return ok("device", words)
