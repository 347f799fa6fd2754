"""What runs here, as an operator wants to see it at this moment; and the rooms in which it can be changed."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec

from bgone import __version__
from bgone.api.backlog import Backlog
from bgone.api.health import Health
from bgone.api.lag import Lag
from bgone.api.recent import Recent
from bgone.jobs.book import JobBook
from bgone.jobs.webhooks import Webhooks
from bgone.machine import memory_bytes, resident_bytes
from bgone.pipeline.studio import Studio

if TYPE_CHECKING:  # with the database's libraries, which a server without one does not load
    from bgone.jobs.durable import DurableBook

Meta = msgspec.Meta


class ModelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A net that is loaded."""

    name: str
    device: Annotated[
        str, Meta(description="What is really used: the execution provider, or OpenVINO with its precision.")
    ]
    waiting: Annotated[int, Meta(description="Pictures that wait for it.")]


class PhaseFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What one phase of an order took lately."""

    phase: Annotated[str, Meta(description="As in Server-Timing; all: together.")]
    orders: int
    p50_ms: Annotated[float, Meta(description="Half of the orders took no longer.")]
    p95_ms: Annotated[float, Meta(description="95 of 100 took no longer.")]


class ServerFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The process that answers; of several behind one address, one."""

    version: str
    host: str
    pid: int
    at: Annotated[datetime, Meta(description="When it was looked at.")]
    started_at: datetime
    uptime_s: float
    ready: bool
    trouble: Annotated[str, Meta(description="Why it is not ready; empty: it is.")]
    notice: Annotated[str, Meta(description="What does not work although it is ready; may be empty.")]
    models: Annotated[tuple[ModelFacts, ...], Meta(description="The default first; none while they are loading.")]
    seats: Annotated[int, Meta(description="Orders that may be worked on at once.")]
    seats_busy: int
    queue: Annotated[int, Meta(description="Orders that wait for a seat.")]
    queue_limit: int
    oldest_wait_s: Annotated[float, Meta(description="How long the first of them has waited.")]
    memory_held_bytes: Annotated[int, Meta(description="Promised to orders.")]
    memory_budget_bytes: int
    memory_resident_bytes: Annotated[int | None, Meta(description="Of the process; null: not known.")]
    memory_machine_bytes: Annotated[int, Meta(description="What the process may use, a container's limit included.")]
    loop_lag_s: Annotated[float, Meta(description="How late the event loop was, at worst, lately.")]
    jobs_running: Annotated[int, Meta(description="By this process.")]
    jobs_waiting: Annotated[int | None, Meta(description="Of all processes; null: the database is away.")]
    jobs_oldest_wait_s: float | None
    webhooks_waiting: Annotated[int | None, Meta(description="Not delivered yet.")]
    webhook_lag_s: Annotated[float | None, Meta(description="How long the oldest is overdue.")]
    timings_window_s: Annotated[float, Meta(description="How far back the timings look.")]
    timings: Annotated[tuple[PhaseFacts, ...], Meta(description="Of orders drawn to their end.")]


@dataclass(frozen=True, slots=True)
class Running:
    """The rooms behind the admin API, beside the accounts.

    Attributes:
        studio: Seats, queue, memory, nets.
        health: Whether it is ready.
        lag: Of the event loop.
        backlog: What waits in the database.
        recent: What orders took lately.
        book: Jobs.
        webhooks: What is to be told.
        started_at: When the process began to serve, UTC.
    """

    studio: Studio
    health: Health
    lag: Lag
    backlog: Backlog
    recent: Recent
    book: JobBook | DurableBook
    webhooks: Webhooks
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _since: float = field(default_factory=time.monotonic)

    def facts(self) -> ServerFacts:
        """All of it, from memory: nothing is waited for."""
        seats, budget, backlog = self.studio.seats, self.studio.budget, self.backlog
        trouble = self.health.trouble
        return ServerFacts(
            version=__version__,
            host=platform.node(),
            pid=os.getpid(),
            at=datetime.now(UTC),
            started_at=self.started_at,
            uptime_s=round(time.monotonic() - self._since, 1),
            ready=trouble is None,
            trouble=trouble or "",
            notice=self.health.notice or "",
            models=self._models(),
            seats=seats.count,
            seats_busy=seats.busy,
            queue=seats.waiting,
            queue_limit=self.studio.options.queue,
            oldest_wait_s=round(seats.oldest_wait_s, 3),
            memory_held_bytes=budget.held_bytes,
            memory_budget_bytes=budget.limit_bytes,
            memory_resident_bytes=resident_bytes(),
            memory_machine_bytes=memory_bytes(),
            loop_lag_s=round(self.lag.worst_s, 4),
            jobs_running=self.book.running,
            jobs_waiting=_whole(backlog.jobs_waiting),
            jobs_oldest_wait_s=_rounded(backlog.jobs_wait_s),
            webhooks_waiting=_whole(backlog.webhooks_waiting),
            webhook_lag_s=_rounded(backlog.webhooks_lag_s),
            timings_window_s=self.recent.window_s,
            timings=self._timings(),
        )

    def _models(self) -> tuple[ModelFacts, ...]:
        named = zip(self.studio.options.models, self.studio.engines, strict=False)
        return tuple(ModelFacts(name=name, device=net.device, waiting=net.waiting) for name, net in named)

    def _timings(self) -> tuple[PhaseFacts, ...]:
        return tuple(
            PhaseFacts(
                phase=pace.phase,
                orders=pace.count,
                p50_ms=round(pace.p50_s * 1000, 1),
                p95_ms=round(pace.p95_s * 1000, 1),
            )
            for pace in self.recent.paces()
        )


def _whole(number: float | None) -> int | None:
    return None if number is None else int(number)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
