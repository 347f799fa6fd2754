"""What the admin API and ``bgone jobs`` tell of jobs and of their webhooks: one shape for both."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import msgspec

from bgone.jobs import deliveries
from bgone.jobs.deliveries import Delivery
from bgone.jobs.job import State

if TYPE_CHECKING:  # with the database's libraries
    from bgone.jobs.job_rows import JobLine

Meta = msgspec.Meta


class JobFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A job."""

    id: str
    state: State
    dialect: str
    owner: Annotated[str, Meta(description="id of the account whose it is.")]
    tries: Annotated[int, Meta(description="How often its work was begun, and counts.")]
    created_at: datetime
    finished_at: datetime | None
    price: Annotated[Decimal, Meta(description="Credits that were or will be charged.")]
    error: Annotated[str, Meta(description="Why there is no result; empty: there is one, or will be.")]


class JobList(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs, newest first."""

    jobs: list[JobFacts]


class DeliveryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A message to one URL: how often it was tried, and what came of the latest try."""

    id: str
    job_id: str
    owner: str
    url: str
    state: deliveries.State
    created_at: datetime
    due_at: Annotated[datetime | None, Meta(description="When it is tried next; null: it is over.")]
    finished_at: datetime | None
    tries: int
    status: Annotated[int | None, Meta(description="HTTP status of the latest answer; null: none came.")]
    ms: float | None
    error: Annotated[str, Meta(description="Why the latest try failed; empty: it did not.")]


class TryFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One try of one message."""

    delivery: str
    at: datetime
    status: int | None
    ms: float
    error: str


class DeliveryList(msgspec.Struct, frozen=True, kw_only=True):
    """Messages, and each try of those that were asked for by their job."""

    deliveries: list[DeliveryFacts]
    tries: list[TryFacts]


class Redelivered(msgspec.Struct, frozen=True, kw_only=True):
    """How many messages go out again."""

    job_id: str
    messages: int


class Deleted(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a job that was to be removed: ``gone``, or ``cancelled`` where it was not over."""

    job_id: str
    deleted: bool
    state: str


class HookFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What signs an account's webhooks, and where the ends of all its jobs are told."""

    account: str
    url: str
    secret: str


def job_facts(line: JobLine) -> JobFacts:
    """A job's."""
    error = f"{line.failure.kind}: {line.failure.message}" if line.failure else ""
    return JobFacts(
        id=line.id,
        state=line.state,
        dialect=line.dialect,
        owner=line.owner,
        tries=line.tries,
        created_at=line.created_at,
        finished_at=line.finished_at,
        price=line.price,
        error=error,
    )


def _delivery_facts(delivery: Delivery) -> DeliveryFacts:
    last = delivery.tries[-1] if delivery.tries else None
    return DeliveryFacts(
        id=delivery.id,
        job_id=delivery.job_id,
        owner=delivery.owner,
        url=delivery.url,
        state=delivery.state,
        created_at=delivery.created_at,
        due_at=delivery.due_at,
        finished_at=delivery.finished_at,
        tries=len(delivery.tries),
        status=last.status if last else None,
        ms=last.latency_ms if last else None,
        error=last.error if last else "",
    )


def _try_facts(delivery: Delivery) -> list[TryFacts]:
    return [
        TryFacts(delivery=delivery.id, at=one.at, status=one.status, ms=one.latency_ms, error=one.error)
        for one in delivery.tries
    ]


def delivery_list(found: Sequence[Delivery], *, with_tries: bool) -> DeliveryList:
    """Messages, with each try of them or without."""
    tries = [one for delivery in found for one in _try_facts(delivery)] if with_tries else []
    return DeliveryList(deliveries=[_delivery_facts(delivery) for delivery in found], tries=tries)
