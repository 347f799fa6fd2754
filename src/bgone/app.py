"""Builds the ten or so objects by hand, in order, in one lifespan, and runs them on uvicorn."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from decimal import Decimal
from functools import partial
from tempfile import TemporaryDirectory
from types import FrameType
from typing import TYPE_CHECKING, Any

import structlog
import uvicorn
import uvloop
from starlette.routing import Router
from starlette.types import ASGIApp

from bgone import __version__
from bgone.api.auth import StaticKeys
from bgone.api.batches import Batching
from bgone.api.desk import Desk, make_picture
from bgone.api.endpoint import Conductor
from bgone.api.gate import Gate, OpenGate
from bgone.api.health import Health
from bgone.api.metrics import Metrics
from bgone.api.policy import Policy
from bgone.api.protocol import guarded_protocol
from bgone.api.results import Results, Signer
from bgone.api.routes import DIALECTS, Rooms, host_map, lost, routes, webhook_of
from bgone.errors import StartError
from bgone.imaging import vips
from bgone.imaging.pillow_photos import heic_available
from bgone.jobs.batches import Batches, MemoryBatches
from bgone.jobs.book import BookLimits, JobBook, Make
from bgone.jobs.hooks import OneHook, new_secret
from bgone.jobs.job import Job
from bgone.jobs.webhooks import Webhooks
from bgone.logs import start_logging
from bgone.machine import settle_malloc, trim_malloc
from bgone.matting.batcher import Batcher
from bgone.matting.engine import Engine, EngineOptions
from bgone.matting.onnx import OnnxNet
from bgone.pipeline.addresses import parse_networks
from bgone.pipeline.budget import Budget
from bgone.pipeline.fetch import Fetcher, FetchLimits
from bgone.pipeline.studio import Studio, StudioOptions
from bgone.settings import MEGABYTE, Settings, flag
from bgone.storage.objects import Objects

if TYPE_CHECKING:
    from bgone.accounts.books import Books
    from bgone.jobs.durable import DurableBook

SWEEP_S = 300.0
OnFailure = Callable[[StartError], None]


def create_app(settings: Settings, on_failure: OnFailure, on_health: Callable[[Health], None]) -> ASGIApp:
    """The ASGI application.

    Args:
        settings: Every knob.
        on_failure: Hears why the net could not be loaded; the application never becomes ready then.
        on_health: Receives the health object, so that the server can say that it is draining.
    """

    policy = _policy(settings)

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[dict[str, Any]]:
        async with open_rooms(settings, policy, on_failure, on_health) as rooms:
            yield {"rooms": rooms}

    return Router(routes(), redirect_slashes=False, default=lost, lifespan=lifespan)


@asynccontextmanager
async def open_rooms(
    settings: Settings, policy: Policy, on_failure: OnFailure, on_health: Callable[[Health], None]
) -> AsyncIterator[Rooms]:
    """Build everything by hand, in order; ended in the other order.

    Raises:
        StartError: Something that the settings name cannot be opened.
    """
    metrics = Metrics()
    fetcher = _fetcher(settings)
    studio = Studio(fetcher, _studio_options(settings), Budget(settings.memory_budget_bytes))
    async with _objects(settings) as objects, _gate(settings, metrics) as (gate, books):
        health = Health(studio, gate)
        metrics.watch(studio, health)
        webhooks = _webhooks(settings, books)
        make = partial(make_picture, studio)
        book: JobBook | DurableBook
        if books is None:
            book = JobBook(
                make,
                objects,
                _book_limits(settings),
                settle=lambda job: desk.settle(job),
                on_end=lambda job: desk.ended(job),
            )
        else:
            book = await _durable_book(settings, books, make, objects, gate, lambda job: desk.ended(job))
        signer = Signer(_link_secret(settings))
        desk = Desk(studio, book, objects, signer, fetcher.fetch, gate, webhooks, webhook_of, settings.job_wait_s)
        conductor = Conductor(studio, desk, gate, health, metrics, policy)
        on_health(health)
        loading = asyncio.create_task(_load_engine(settings, studio, metrics, on_failure), name="load the net")
        batching = _batching(desk, books, objects, gate, policy, studio, metrics, health)
        sweeping = asyncio.create_task(_sweep(book, batching), name="sweep")
        webhooks.start()
        if not isinstance(book, JobBook):
            book.start()
        try:
            yield Rooms(
                conductor=conductor,
                desk=desk,
                results=Results(objects, signer),
                batching=batching,
                policy=policy,
                hosts=host_map(policy.hosts),
                health=health,
                metrics=metrics,
                books=books,
                admin_key=settings.admin_key,
            )
        finally:
            for task in (loading, sweeping):
                task.cancel()
            await asyncio.gather(loading, sweeping, return_exceptions=True)
            await book.aclose()
            await desk.aclose()
            await webhooks.aclose()
            await fetcher.aclose()
            await studio.aclose()


def _webhooks(settings: Settings, books: Books | None) -> Webhooks:
    """Kept in the database where there is one.

    Raises:
        StartError: The setting's secret is none.
    """
    allow = parse_networks(",".join(settings.fetch_allow))
    if books is None:
        return Webhooks(allow, hooks=OneHook(settings.webhook_secret or new_secret()))
    from bgone.jobs.delivery_rows import StoredHooks, TableDeliveries

    return Webhooks(allow, deliveries=TableDeliveries(books.db), hooks=StoredHooks(books.db))


async def _durable_book(
    settings: Settings,
    books: Books,
    make: Make,
    objects: Objects,
    gate: Gate,
    on_end: Callable[[Job], Coroutine[None, None, None]],
) -> DurableBook:
    from bgone.jobs.durable import DurableBook, DurableLimits
    from bgone.jobs.queue import open_queue

    running = settings.jobs_running
    limits = DurableLimits(running=max(1, running), waiting=settings.jobs_waiting, ttl_s=settings.result_ttl_s)
    queue = await open_queue(books.db)
    return DurableBook(books.db, queue, make, objects, limits, on_end, gate.settle, works=running > 0)


def _link_secret(settings: Settings) -> bytes:
    """The setting's; else one that is kept beside the accounts, so that links outlive the process; else a new one."""
    if settings.link_secret:
        return settings.link_secret.encode()
    if not settings.has_accounts:
        return secrets.token_bytes(32)
    path = settings.data_path / "link.secret"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):  # made at an earlier start
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(descriptor, secrets.token_urlsafe(32).encode())
        os.close(descriptor)
    return path.read_bytes()


def _batching(
    desk: Desk,
    books: Books | None,
    objects: Objects,
    gate: Gate,
    policy: Policy,
    studio: Studio,
    metrics: Metrics,
    health: Health,
) -> Batching:
    kept: Batches = MemoryBatches()
    if books is not None:
        from bgone.jobs.batch_rows import TableBatches

        kept = TableBatches(books.db)
    return Batching(desk, kept, objects, gate, policy, studio.budget, metrics, draining=lambda: health.draining)


async def _sweep(book: JobBook | DurableBook, batching: Batching) -> None:
    while True:
        try:
            await book.sweep()
            await batching.sweep()
        except Exception as error:  # noqa: BLE001 - a store that is away for a while must not end the sweeping
            structlog.get_logger("bgone").error("sweep failed", exc_info=error)
        await asyncio.sleep(SWEEP_S)


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
    limits = FetchLimits(bytes=int(settings.max_mb * MEGABYTE) or 30 * MEGABYTE, total_s=settings.fetch_s)
    return Fetcher(limits, allow=parse_networks(",".join(settings.fetch_allow)))


@asynccontextmanager
async def _objects(settings: Settings) -> AsyncIterator[Objects]:
    """The object store; without an address a folder beside the accounts, or one that goes with the process."""
    with TemporaryDirectory(prefix="bgone-") as folder:
        own = (settings.data_path / "objects").resolve() if settings.has_accounts else folder
        objects = Objects(settings.objects_url or f"file://{own}")
        try:
            yield objects
        finally:
            await objects.aclose()


@asynccontextmanager
async def _gate(settings: Settings, metrics: Metrics) -> AsyncIterator[tuple[Gate, Books | None]]:
    """The gate, and the books where there are accounts; their libraries are loaded only then.

    Raises:
        StartError: The database or the limits' store cannot be opened.
    """
    static = OpenGate(StaticKeys(settings.api_keys), keys_needed=settings.keys_needed)
    has_accounts = settings.has_accounts and settings.auth != "none"
    if not has_accounts and not settings.counts_calls:
        yield static, None
        return
    from bgone.accounts.books import open_books
    from bgone.accounts.limits import Limits
    from bgone.accounts.rules import read_plans
    from bgone.api.account_gate import AccountGate

    async with AsyncExitStack() as stack:
        books = await stack.enter_async_context(open_books(settings.database_address)) if has_accounts else None
        limits = None
        if settings.counts_calls:
            limits = Limits(
                settings.limits_url,
                on_outage=settings.limits_outage,
                plans=read_plans(settings.limits_plans),
                count=lambda event: metrics.uncounted.labels(event).inc(),
            )
            stack.push_async_callback(limits.aclose)
            await limits.start()
        gate = AccountGate(static, books, limits, fails_closed=settings.limits_outage == "closed")
        await gate.look_around()
        watching = asyncio.create_task(gate.watch(), name="watch the database")
        try:
            yield gate, books
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


def _book_limits(settings: Settings) -> BookLimits:
    return BookLimits(
        running=max(1, settings.jobs_running),
        waiting=settings.jobs_waiting,
        waiting_bytes=settings.memory_budget_bytes // 2,
        ttl_s=settings.result_ttl_s,
    )


def _policy(settings: Settings) -> Policy:
    """The operator's word on the wire.

    Raises:
        StartError: ``hosts`` or ``prefer`` names no dialect.
    """
    hosts = dict(entry.lower().partition("=")[::2] for entry in settings.hosts)
    known = [dialect.name for dialect in DIALECTS]
    for name, asked in (("hosts", hosts.values()), ("prefer", settings.prefer)):
        if strange := [dialect for dialect in asked if dialect not in known]:
            raise StartError(
                f"{flag(name)} (BGONE_{name.upper()}): expected one of {', '.join(known)}; got {strange[0]!r}."
            )
    return Policy(
        file_bytes=int(settings.max_mb * MEGABYTE),
        pixels=int(settings.max_megapixels * 1_000_000),
        kinds=frozenset(settings.input_formats) or None,
        heic=heic_available(),
        fields=settings.max_fields,
        read_s=settings.read_s,
        cors=settings.cors,
        hosts=hosts,
        prefer=settings.prefer,
        public_url=settings.public_url.rstrip("/"),
        legacy_keys=settings.legacy_keys,
        preview_price=Decimal(settings.preview_price),
    )


def _studio_options(settings: Settings) -> StudioOptions:
    return StudioOptions(
        threads=settings.core_threads,
        seats=settings.seat_count,
        queue=settings.queue,
        deadline_s=settings.deadline_s,
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
        # Not here: whom the signal interrupted may hold the log's lock, and would wait for itself.
        threading.Thread(target=self._drain, name="drain", daemon=True).start()

    def _drain(self) -> None:
        structlog.get_logger("bgone").info("draining", seconds=self._drain_s)
        time.sleep(self._drain_s)
        self.should_exit = True


def run_worker(settings: Settings) -> int:
    """Work on jobs that servers took, and answer nobody, until told to stop; returns the exit status.

    Raises:
        StartError: There is no database that jobs could come from, or something that the settings name is missing.
    """
    if not settings.has_accounts:
        raise StartError(
            "`bgone work` takes jobs from the accounts' database: set BGONE_DATABASE_URL or BGONE_DATA_DIR."
        )
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
        async with open_rooms(settings, _policy(settings), fail, lambda _: None):
            structlog.get_logger("bgone").info("working", version=__version__, pid=os.getpid())
            await stop.wait()

    try:
        uvloop.run(work())
    finally:
        listener.stop()
    if failures:
        raise failures[0]
    return 0


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
