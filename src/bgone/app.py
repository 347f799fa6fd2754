"""Builds the ten or so objects by hand, in order, in one lifespan, and runs them on uvicorn."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any

import structlog
import uvicorn
from starlette.routing import Router
from starlette.types import ASGIApp

from bgone import __version__
from bgone.api.auth import StaticKeys
from bgone.api.dialect import Dialect
from bgone.api.endpoint import Conductor
from bgone.api.health import Health
from bgone.api.metrics import Metrics
from bgone.api.protocol import guarded_protocol
from bgone.api.reading import ReadLimits
from bgone.api.routes import Rooms, lost, routes
from bgone.errors import StartError
from bgone.imaging import vips
from bgone.imaging.photo import PhotoLimits, heic_available
from bgone.logs import start_logging
from bgone.machine import settle_malloc, trim_malloc
from bgone.matting.batcher import Batcher
from bgone.matting.engine import Engine, EngineOptions
from bgone.matting.onnx import OnnxNet
from bgone.pipeline.addresses import parse_networks
from bgone.pipeline.budget import Budget
from bgone.pipeline.fetch import Fetcher, FetchLimits
from bgone.pipeline.studio import Studio, StudioOptions
from bgone.settings import MEGABYTE, Settings

OnFailure = Callable[[StartError], None]


def create_app(settings: Settings, on_failure: OnFailure, on_health: Callable[[Health], None]) -> ASGIApp:
    """The ASGI application.

    Args:
        settings: Every knob.
        on_failure: Hears why the net could not be loaded; the application never becomes ready then.
        on_health: Receives the health object, so that the server can say that it is draining.
    """

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[dict[str, Any]]:
        metrics = Metrics()
        fetcher = _fetcher(settings)
        studio = Studio(fetcher, _studio_options(settings), Budget(settings.memory_budget_bytes))
        health = Health(studio)
        metrics.watch(studio, health)
        keys = StaticKeys(settings.api_keys if settings.keys_needed else ())
        conductor = Conductor(studio, keys, health, metrics, lambda dialect: _read_limits(dialect, settings))
        on_health(health)
        loading = asyncio.create_task(_load_engine(settings, studio, metrics, on_failure), name="load the net")
        try:
            yield {"rooms": Rooms(conductor, health, metrics)}
        finally:
            loading.cancel()
            await asyncio.gather(loading, return_exceptions=True)
            await fetcher.aclose()
            await studio.aclose()

    return Router(routes(), redirect_slashes=False, default=lost, lifespan=lifespan)


async def _load_engine(settings: Settings, studio: Studio, metrics: Metrics, on_failure: OnFailure) -> None:
    options = EngineOptions(
        model=settings.model,
        models_dir=settings.models_path,
        device=settings.device,
        threads=settings.net_threads,
        max_batch=settings.max_batch,
        low_memory=settings.low_memory,
    )
    try:
        engine: Engine = await asyncio.to_thread(open_engine, options, metrics.batch_size.observe)
    except StartError as error:
        on_failure(error)
        return
    studio.set_engine(engine)
    metrics.device.labels(engine.device).set(1)
    structlog.get_logger("bgone").info("ready", model=settings.model, device=engine.device, libvips=vips.version())


def open_engine(options: EngineOptions, on_batch: Callable[[int], None]) -> Engine:
    """Load, verify and warm the net; blocking, seconds at most: call it on a thread.

    Raises:
        StartError: No runtime or two, an unknown model, a damaged file, or a device that is not really used.
    """
    net = OnnxNet(options)
    trim_malloc()
    return Batcher(net, max_batch=options.max_batch, on_batch=on_batch)


def _fetcher(settings: Settings) -> Fetcher:
    limits = FetchLimits(bytes=_most_bytes(settings), total_s=settings.fetch_s)
    return Fetcher(limits, allow=parse_networks(",".join(settings.fetch_allow)))


def _studio_options(settings: Settings) -> StudioOptions:
    return StudioOptions(
        photo=PhotoLimits(pixels=int(settings.max_megapixels * 1_000_000), heic=heic_available()),
        threads=settings.core_threads,
        seats=settings.seat_count,
        queue=settings.queue,
        deadline_s=settings.deadline_s,
    )


def _most_bytes(settings: Settings, own: int = 30 * MEGABYTE) -> int:
    return int(settings.max_mb * MEGABYTE) or own


def _read_limits(dialect: Dialect, settings: Settings) -> ReadLimits:
    return ReadLimits(
        file_bytes=_most_bytes(settings, dialect.file_bytes), parts=settings.max_fields, patience_s=settings.read_s
    )


class Server(uvicorn.Server):
    """uvicorn that says 503 on readiness before it closes its port, and ends with 0 after SIGTERM."""

    def __init__(self, config: uvicorn.Config, drain_s: float) -> None:
        super().__init__(config)
        self.health: Health | None = None
        self._drain_s = drain_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.health is None or self.health.draining or sig == signal.SIGINT:
            # Asked twice, or at a terminal: now.
            self.force_exit = self.should_exit
            self.should_exit = True
            return
        self.health.draining = True
        structlog.get_logger("bgone").info("draining", seconds=self._drain_s)
        clock = threading.Timer(self._drain_s, self._close)
        clock.daemon = True
        clock.start()

    def _close(self) -> None:
        self.should_exit = True


def run(settings: Settings) -> int:
    """Serve until told to stop; returns the exit status."""
    settle_malloc()
    listener = start_logging(settings.log_level)
    failures: list[StartError] = []

    def fail(error: StartError) -> None:
        failures.append(error)
        server.should_exit = True

    def keep(health: Health) -> None:
        server.health = health

    config = uvicorn.Config(
        create_app(settings, fail, keep),
        host=settings.host,
        port=settings.port,
        http=guarded_protocol(settings.head_s),
        ws="none",
        loop="uvloop",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=settings.grace_s,
        backlog=2048,
    )
    server = Server(config, settings.drain_s)
    structlog.get_logger("bgone").info(
        "starting", version=__version__, address=f"http://{settings.host}:{settings.port}", pid=os.getpid()
    )
    try:
        server.run()
    finally:
        listener.stop()
    if failures:
        raise failures[0]
    return 0 if server.started else 1
