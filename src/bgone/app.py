"""Builds the ten or so objects by hand, in order, in one lifespan."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from decimal import Decimal
from functools import partial
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import structlog
from starlette.routing import Router
from starlette.types import ASGIApp

from bgone.api.auth import StaticKeys
from bgone.api.backlog import Backlog
from bgone.api.batches import Batching
from bgone.api.console.front import front_page
from bgone.api.console.office import office_page
from bgone.api.desk import Desk, make_picture
from bgone.api.dialects import native
from bgone.api.endpoint import Conductor
from bgone.api.gate import Gate, OpenGate
from bgone.api.health import Health
from bgone.api.lag import Lag
from bgone.api.metrics import Metrics
from bgone.api.policy import Policy
from bgone.api.probes import Probes, open_probes
from bgone.api.readings import Readings
from bgone.api.results import Results, Signer
from bgone.api.routes import DIALECTS, Rooms, host_map, lost, routes, webhook_of
from bgone.api.running import Running
from bgone.api.tracing import Traced
from bgone.errors import StartError
from bgone.imaging.pillow_photos import heic_available
from bgone.jobs.batches import Batches, MemoryBatches
from bgone.jobs.book import BookLimits, JobBook, Make
from bgone.jobs.hooks import OneHook, new_secret
from bgone.jobs.job import Job
from bgone.jobs.pace import Pace
from bgone.jobs.webhooks import Webhooks
from bgone.matting import weights
from bgone.nets import OnFailure, load_nets
from bgone.pipeline.addresses import parse_networks
from bgone.pipeline.budget import Budget
from bgone.pipeline.fetch import Fetcher, FetchLimits
from bgone.pipeline.studio import Studio, StudioOptions
from bgone.settings import MEGABYTE, Settings, flag
from bgone.storage.objects import Objects
from bgone.traces.spans import Passing, Traces

if TYPE_CHECKING:
    from bgone.accounts.books import Books
    from bgone.jobs.durable import DurableBook


def create_app(
    settings: Settings,
    on_failure: OnFailure,
    on_health: Callable[[Health], None],
    pace: Pace = Pace(),  # noqa: B008 - frozen
    traces: Traces = Passing(),  # noqa: B008 - without a state
) -> ASGIApp:
    """The ASGI application.

    Args:
        settings: Every knob.
        on_failure: Hears why something could not be opened or loaded; the application never becomes ready then.
        on_health: Receives the health object, so that the server can say that it is draining.
        pace: Of what is done behind requests.
        traces: Where spans go.
    """

    policy = policy_of(settings)

    @asynccontextmanager
    async def lifespan(_app: Any) -> AsyncIterator[dict[str, Any]]:
        try:
            async with open_rooms(settings, policy, on_failure, on_health, pace, traces) as rooms:
                yield {"rooms": rooms}
        except StartError as error:
            on_failure(error)
            raise

    return Traced(Router(routes(), redirect_slashes=False, default=lost, lifespan=lifespan), traces)


@asynccontextmanager
async def open_rooms(
    settings: Settings,
    policy: Policy,
    on_failure: OnFailure,
    on_health: Callable[[Health], None],
    pace: Pace,
    traces: Traces,
) -> AsyncIterator[Rooms]:
    """Build everything by hand, in order; ended in the other order.

    Raises:
        StartError: Something that the settings name cannot be opened.
    """
    metrics = Metrics()
    fetcher = _fetcher(settings, metrics)
    studio = Studio(fetcher, _studio_options(settings), Budget(settings.memory_budget_bytes))
    async with _objects(settings) as objects, _gate(settings, metrics) as (gate, books):
        health = Health(studio, gate)
        webhooks = _webhooks(settings, books, pace, metrics, traces)
        make = partial(make_picture, studio, metrics=metrics, traces=traces)
        book: JobBook | DurableBook

        async def ended(job: Job) -> None:
            await desk.ended(job)
            await batching.ended(job)
            metrics.ended(job)

        if books is None:
            book = JobBook(
                make,
                objects,
                _book_limits(settings),
                settle=lambda job: desk.settle(job),
                on_end=ended,
            )
        else:
            settle = _counted(gate, metrics)
            book = await _durable_book(settings, books, make, objects, settle, ended, pace)
        signer = Signer(_link_secret(settings))
        desk = Desk(studio, book, objects, signer, fetcher.fetch, gate, webhooks, webhook_of, settings.job_wait_s)
        conductor = Conductor(studio, desk, gate, health, metrics, policy)
        on_health(health)
        lag, backlog = Lag(), Backlog(book, webhooks.deliveries, books)
        readings = Readings(studio, health, lag, backlog)
        metrics.add(readings)
        loading = asyncio.create_task(load_nets(settings, studio, metrics, readings, on_failure), name="load nets")
        watching = [
            asyncio.create_task(lag.watch(), name="watch the loop"),
            asyncio.create_task(backlog.watch(), name="watch the backlog"),
        ]
        batching = _batching(desk, webhooks, books, objects, gate, policy, studio, metrics, health)
        sweeping = asyncio.create_task(_sweep(book, batching, pace.sweep_s), name="sweep")
        webhooks.start()
        if not isinstance(book, JobBook):
            book.start()
        try:
            async with open_probes(settings.host, settings.metrics_port, settings.head_s, Probes(health, metrics)):
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
                    running=Running(studio, health, lag, backlog, metrics.recent, book, webhooks),
                    admin_key=settings.admin_key,
                    metrics_apart=settings.metrics_port > 0,
                    page=front_page(
                        keys_needed=settings.keys_needed,
                        most_bytes=policy.read_limits(native.DIALECT).file_bytes,
                        models=_studio_options(settings).models,
                    ),
                    office=office_page(has_accounts=books is not None),
                )
        finally:
            tasks = (loading, sweeping, *watching)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await book.aclose()
            await desk.aclose()
            await webhooks.aclose()
            await fetcher.aclose()
            await studio.aclose()


def _webhooks(settings: Settings, books: Books | None, pace: Pace, metrics: Metrics, traces: Traces) -> Webhooks:
    """Kept in the database where there is one.

    Raises:
        StartError: The setting's secret is none.
    """
    allow = parse_networks(",".join(settings.fetch_allow))
    if books is None:
        hook = OneHook(settings.webhook_secret or new_secret())
        return Webhooks(allow, hooks=hook, rules=pace.rules, try_s=pace.try_s, on_try=metrics.told, traces=traces)
    from bgone.jobs.delivery_rows import StoredHooks, TableDeliveries

    kept = TableDeliveries(books.db, pace.rules)
    return Webhooks(
        allow,
        deliveries=kept,
        hooks=StoredHooks(books.db),
        rules=pace.rules,
        try_s=pace.try_s,
        on_try=metrics.told,
        traces=traces,
    )


def _counted(gate: Gate, metrics: Metrics) -> Callable[[Any, str, Job], None]:
    """The gate's ``settle``, what it charges counted."""

    def settle(connection: Any, slip: str, job: Job) -> None:
        metrics.credits.labels(job.dialect).inc(float(gate.settle(connection, slip, job)))

    return settle


async def _durable_book(
    settings: Settings,
    books: Books,
    make: Make,
    objects: Objects,
    settle: Callable[[Any, str, Job], None],
    on_end: Callable[[Job], Coroutine[None, None, None]],
    pace: Pace,
) -> DurableBook:
    from bgone.jobs.durable import DurableBook
    from bgone.jobs.making import DurableLimits
    from bgone.jobs.queue import open_queue

    running = settings.jobs_running
    limits = DurableLimits(running=max(1, running), waiting=settings.jobs_waiting, ttl_s=settings.result_ttl_s)
    queue = await open_queue(books.db, pace.lease_s)
    return DurableBook(books.db, queue, make, objects, limits, on_end, settle, works=running > 0, pace=pace)


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
    webhooks: Webhooks,
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
    rooms = (desk, kept, webhooks, objects, gate, policy, studio.budget, metrics)
    return Batching(*rooms, draining=lambda: health.draining)


async def _sweep(book: JobBook | DurableBook, batching: Batching, every_s: float) -> None:
    while True:
        try:
            await book.sweep()
            await batching.sweep()
        except Exception as error:  # noqa: BLE001 - a store that is away for a while must not end the sweeping
            structlog.get_logger("bgone").error("sweep failed", exc_info=error)
        await asyncio.sleep(every_s)


def _fetcher(settings: Settings, metrics: Metrics) -> Fetcher:
    limits = FetchLimits(bytes=int(settings.max_mb * MEGABYTE) or 30 * MEGABYTE, total_s=settings.fetch_s)
    return Fetcher(limits, allow=parse_networks(",".join(settings.fetch_allow)), on_end=metrics.read_url)


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
        if books is not None:
            books.db.on_end = metrics.asked
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


def policy_of(settings: Settings) -> Policy:
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
        models=tuple(weights.called(name) for name in settings.enabled_models),
        fine=settings.quality == "fine",
    )
