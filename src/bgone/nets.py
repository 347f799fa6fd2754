"""The nets that the settings name, loaded one after the other while the server already listens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import structlog

from bgone.api.metrics import Metrics
from bgone.api.readings import Readings
from bgone.errors import StartError
from bgone.imaging import vips
from bgone.machine import memory_bytes, resident_bytes, trim_malloc
from bgone.matting import weights
from bgone.matting.batcher import Batcher
from bgone.matting.devices import open_net
from bgone.matting.engine import Engine, EngineOptions
from bgone.matting.selfcheck import Check
from bgone.pipeline.sight import seat_bytes
from bgone.pipeline.studio import Studio
from bgone.settings import MEGABYTE, Settings

OnFailure = Callable[[StartError], None]
OnCheck = Callable[[Check, float], None]


async def load_nets(
    settings: Settings, studio: Studio, metrics: Metrics, readings: Readings, on_failure: OnFailure
) -> None:
    """Load every enabled net and hand all to the studio, the default first; ``on_failure`` hears why one cannot be."""
    options = EngineOptions(
        model=settings.model,
        models_dir=settings.models_path,
        device=settings.device,
        threads=settings.net_threads,
        max_batch=settings.max_batch,
        low_memory=settings.low_memory,
    )
    # One lane for all nets: they share the cores, and two runs at once would hold the memory of both.
    lane = ThreadPoolExecutor(1, thread_name_prefix="net")
    engines: dict[str, Engine] = {}
    checks: dict[str, Check] = {}
    try:
        weights.require_loadable(settings.enabled_models, settings.models_path, memory_bytes())
        for name in settings.enabled_models:
            asked = replace(options, model=name)
            on_run = partial(metrics.ran, weights.called(name))
            on_check = partial(_tell, checks, weights.called(name))
            engines[weights.called(name)] = await asyncio.to_thread(open_engine, asked, on_run, lane, on_check)
    except StartError as error:
        on_failure(error)
        return
    (_, engine), *others = engines.items()
    studio.set_engine(engine, dict(others))
    keep_room(studio)
    readings.ready({name: one.device for name, one in engines.items()}, checks)
    structlog.get_logger("bgone").info("ready", model=settings.model, device=engine.device, libvips=vips.version())


def keep_room(studio: Studio) -> None:
    """Promise no more than the nets, and what they need for every seat, have left of the machine's memory."""
    seats = studio.seats.count * max(seat_bytes(engine.recipe) for engine in studio.engines)
    room = max(0, memory_bytes() - (resident_bytes() or 0) - seats)
    if room < studio.budget.limit_bytes:
        studio.budget.limit_bytes = room
        structlog.get_logger("bgone").warning("the nets leave little memory", budget_mb=room // MEGABYTE)


def open_engine(
    options: EngineOptions, on_run: Callable[[int, float], None], lane: ThreadPoolExecutor, on_check: OnCheck
) -> Engine:
    """Load, verify and warm a net; blocking, seconds at most: call it on a thread.

    Args:
        options: Which net, and where.
        on_run: As of ``Batcher``.
        lane: The same.
        on_check: Hears what became of OpenVINO's self-check and how many seconds it took; of none: nothing.

    Raises:
        StartError: No runtime or two, an unknown model, a damaged file, or a device that is not really used.
    """
    opened = open_net(options)
    trim_malloc()
    if opened.check is not None:
        on_check(opened.check, opened.check_s)
    return Batcher(opened.net, options.max_batch, on_run, lane)


def _tell(checks: dict[str, Check], model: str, check: Check, seconds: float) -> None:
    checks[model] = check
    structlog.get_logger("bgone").info(
        "openvino checked", model=model, result=check.result, words=check.words, seconds=round(seconds, 2)
    )
