"""The process: uvicorn around the application, or a worker that answers nobody; signals, draining, exit status."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from types import FrameType

import structlog
import uvicorn
import uvloop

from bgone import __version__
from bgone.api.health import Health
from bgone.api.protocol import guarded_protocol
from bgone.app import create_app, open_rooms, policy_of
from bgone.errors import StartError
from bgone.jobs.pace import Pace
from bgone.logs import start_logging
from bgone.machine import settle_malloc
from bgone.settings import Settings
from bgone.traces.otel import open_traces


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
        # Not here: whom the signal interrupted may hold the log's lock, and would wait for itself.
        threading.Thread(target=self._drain, name="drain", daemon=True).start()

    def _drain(self) -> None:
        structlog.get_logger("bgone").info("draining", seconds=self._drain_s)
        time.sleep(self._drain_s)
        self.should_exit = True


def run_worker(settings: Settings, pace: Pace = Pace()) -> int:  # noqa: B008 - frozen
    """Work on jobs that servers took, and answer nobody, until told to stop; returns the exit status.

    Raises:
        StartError: There is no database that jobs could come from, or something that the settings name is missing.
    """
    if not settings.has_accounts:
        raise StartError(
            "`bgone work` takes jobs from the accounts' database: set BGONE_DATABASE_URL or BGONE_DATA_DIR."
        )
    traces = open_traces(os.environ)
    settle_malloc()
    listener = start_logging(settings.log_level)
    failures: list[StartError] = []

    async def work() -> None:
        stop = asyncio.Event()

        def fail(error: StartError) -> None:
            failures.append(error)
            stop.set()

        for sign in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(sign, stop.set)
        async with open_rooms(settings, policy_of(settings), fail, lambda _: None, pace, traces):
            structlog.get_logger("bgone").info("working", version=__version__, pid=os.getpid())
            await stop.wait()

    try:
        uvloop.run(work())
    finally:
        traces.close()
        listener.stop()
    if failures:
        raise failures[0]
    return 0


def run(settings: Settings, pace: Pace = Pace()) -> int:  # noqa: B008 - frozen
    """Serve until told to stop; returns the exit status.

    Raises:
        StartError: What the operator can mend.
    """
    traces = open_traces(os.environ)
    settle_malloc()
    listener = start_logging(settings.log_level)
    failures: list[StartError] = []

    def fail(error: StartError) -> None:
        failures.append(error)
        server.should_exit = True

    def keep(health: Health) -> None:
        server.health = health

    config = uvicorn.Config(
        create_app(settings, fail, keep, pace, traces),
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
    except SystemExit:
        if not failures:  # else it is told below, in one line
            raise
    finally:
        traces.close()
        listener.stop()
    if failures:
        raise failures[0]
    return 0 if server.started else 1
