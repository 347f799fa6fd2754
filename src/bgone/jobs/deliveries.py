"""Deliveries: what strangers are still to be told, how often it was tried, and what came of it.

A delivery is due at a moment. Whoever takes it moves that moment behind its lease, so that one that dies with its
process comes due again by itself, and raises ``claim``, so that a process that was believed dead changes nothing any
more. What a try changes is decided here, by ``verdict``; stores only keep it.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal, Protocol
from urllib.parse import urlsplit

from bgone.jobs.job import Waiting

State = Literal["waiting", "delivered", "failed"]
TRIES_KEPT = 20  # in the log of one delivery: two rounds by the schedule

# Before the second try and each further one: ten tries within 23 h 43 min, the widest at the end.
PAUSES_S = (5.0, 30.0, 120.0, 600.0, 1_800.0, 7_200.0, 14_400.0, 28_800.0, 32_400.0)
GONE = 410  # the receiver wants nothing any more (Standard Webhooks, "deliverability and reliability")


@dataclass(frozen=True, slots=True)
class Try:
    """One POST.

    Attributes:
        at: When it began, UTC.
        status: HTTP status of the answer, or None where none came.
        latency_ms: Until the answer's head, or until it failed.
        error: Why it was not taken, in public words; empty where it was.
    """

    at: datetime
    status: int | None
    latency_ms: float
    error: str = ""

    @property
    def taken(self) -> bool:
        """It was answered with 2xx."""
        return self.error == ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message to one URL.

    Attributes:
        id: What receivers tell repetitions by; the same at each try.
        job_id: The job, or whatever it is about.
        owner: Whose job; its secret signs.
        url: Where to; judged anew at each try.
        body: JSON as it is signed and sent.
        created_at: UTC.
        give_up_at: A try that would come later does not come.
        state: ``waiting`` → ``delivered`` or ``failed``.
        due_at: When it is tried next, at the earliest; None when it is over.
        finished_at: When it was over.
        used: Tries of the schedule that are used up.
        claim: How often it was taken for a try.
        tries: The latest ones, oldest first.
        trace: Which trace it belongs to, as ``TraceContext.text``; empty for none.
    """

    id: str
    job_id: str
    owner: str
    url: str
    body: bytes
    created_at: datetime
    give_up_at: datetime
    state: State = "waiting"
    due_at: datetime | None = None
    finished_at: datetime | None = None
    used: int = 0
    claim: int = 0
    tries: tuple[Try, ...] = ()
    trace: str = ""

    @property
    def host(self) -> str:
        """Host and port, for the limit on each."""
        return host_of(self.url)

    @property
    def endpoint(self) -> str:
        """Name of its receiver: an owner's URL."""
        return endpoint_of(self.owner, self.url)


@dataclass(frozen=True, slots=True)
class Health:
    """How a receiver did lately.

    Attributes:
        failures: Deliveries given up since the last one that was taken.
        parked_until: Nothing is tried before.
    """

    failures: int = 0
    parked_until: datetime | None = None


HEALTHY = Health()


@dataclass(frozen=True, slots=True)
class Rules:
    """How often and how long.

    Attributes:
        pauses_s: Before each further try, less jitter.
        jitter: Least part of a pause that is waited.
        lease_s: How long a try may take before others may try; more than a try takes.
        dead_after: Deliveries given up in a row that make a receiver dead.
        park_s: How long a dead one is left alone; then one failure parks it again.
        keep_trying_s: Age at which a delivery is given up although its receiver was parked.
        kept_s: How long deliveries that are over stay in the log.
    """

    pauses_s: tuple[float, ...] = PAUSES_S
    jitter: float = 0.8
    lease_s: float = 60
    dead_after: int = 5
    park_s: float = 12 * 3600
    keep_trying_s: float = 72 * 3600
    kept_s: float = 7 * 86_400


def message_id(job_id: str, url: str) -> str:
    """The id of what ``url`` is told of a job's end: whoever says it twice says one thing."""
    return f"msg_{hashlib.sha256(f'{job_id} {url}'.encode()).hexdigest()[:32]}"


def endpoint_of(owner: str, url: str) -> str:
    """A receiver's name: 32 hex digits."""
    return hashlib.sha256(f"{owner} {url}".encode()).hexdigest()[:32]


def host_of(url: str) -> str:
    """``host:port`` in lower case, cut to 255 characters."""
    try:
        return urlsplit(url).netloc.lower()[:255]
    except ValueError:
        return ""


def verdict(
    delivery: Delivery, tried: Try, health: Health, rules: Rules, now: datetime, spread: float
) -> tuple[Delivery, Health]:
    """What a try makes of a delivery and of its receiver.

    Args:
        delivery: As it was taken.
        tried: What came of it.
        health: The receiver's.
        rules: How often and how long.
        now: UTC.
        spread: 0..1, random.
    """
    delivery = replace(delivery, used=delivery.used + 1, tries=(*delivery.tries, tried)[-TRIES_KEPT:])
    if tried.taken:
        return replace(delivery, state="delivered", due_at=None, finished_at=now), HEALTHY
    if tried.status == GONE or delivery.used > len(rules.pauses_s):
        failures = rules.dead_after if tried.status == GONE else health.failures + 1
        return _given_up(delivery, now), _parked(Health(failures, health.parked_until), rules, now)
    pause_s = rules.pauses_s[delivery.used - 1] * (rules.jitter + (1 - rules.jitter) * spread)
    due_at = now + timedelta(seconds=pause_s)
    if health.failures >= rules.dead_after:
        health = _parked(health, rules, now)
        due_at = max(due_at, health.parked_until or due_at)
    return postponed(replace(delivery, due_at=now), due_at, now), health


def postponed(delivery: Delivery, due_at: datetime, now: datetime) -> Delivery:
    """The delivery, due later, or given up where it would be too old."""
    return _given_up(delivery, now) if due_at > delivery.give_up_at else replace(delivery, due_at=due_at)


def again(delivery: Delivery, rules: Rules, now: datetime) -> Delivery:
    """The same message, its schedule begun anew; a try under way counts no more."""
    return replace(
        delivery,
        state="waiting",
        due_at=now,
        finished_at=None,
        used=0,
        claim=delivery.claim + 1,
        give_up_at=now + timedelta(seconds=rules.keep_trying_s),
    )


def _given_up(delivery: Delivery, now: datetime) -> Delivery:
    return replace(delivery, state="failed", due_at=None, finished_at=now)


def _parked(health: Health, rules: Rules, now: datetime) -> Health:
    if health.failures < rules.dead_after:
        return health
    return replace(health, parked_until=now + timedelta(seconds=rules.park_s))


class Deliveries(Protocol):
    """Keeps deliveries and what is known of their receivers."""

    async def add(self, delivery: Delivery) -> bool:
        """Keep it; False where its id is known already, or there is no room."""

    async def claim(self, now: datetime, most: int, busy: Mapping[str, int], per_host: int) -> Sequence[Delivery]:
        """Take what is due, oldest first, for the time of a lease.

        Args:
            now: UTC.
            most: No more than so many.
            busy: Host → tries under way.
            per_host: Most of these together with what is taken.
        """

    async def settle(self, delivery: Delivery, tried: Try, now: datetime, spread: float) -> Delivery | None:
        """Keep what ``verdict`` says; None where somebody else has it by now."""

    async def next_due(self) -> datetime | None:
        """When the next one is due."""

    async def waiting(self) -> Waiting:
        """What is neither delivered nor given up, and when the first of it is due; one under way is due later."""

    async def of_job(self, job_id: str) -> Sequence[Delivery]:
        """What was to be told of a job, oldest first."""

    async def recent(self, most: int) -> Sequence[Delivery]:
        """The newest, newest first."""

    async def redeliver(self, job_id: str, now: datetime) -> int:
        """Tell all of it again, now; how many messages. Their receivers are parked no more."""

    async def sweep(self, now: datetime) -> int:
        """Forget what has been over for long; how many."""


@dataclass(slots=True)
class MemoryDeliveries:
    """Deliveries of this process, gone with it; lives on one event loop.

    Attributes:
        rules: How often and how long.
        most: Deliveries kept; beyond it those that are over go, oldest first, and then no more are taken.
    """

    rules: Rules = field(default_factory=Rules)
    most: int = 10_000
    _kept: OrderedDict[str, Delivery] = field(default_factory=OrderedDict)  # oldest first
    _over: OrderedDict[str, None] = field(default_factory=OrderedDict)  # ids of those that are, first ended first
    _health: dict[str, Health] = field(default_factory=dict)  # of those that are not healthy

    async def add(self, delivery: Delivery) -> bool:
        """See ``Deliveries``."""
        if delivery.id in self._kept:
            return False
        while len(self._kept) >= self.most and self._over:
            self._forget(next(iter(self._over)))
        if len(self._kept) >= self.most:
            return False
        self._kept[delivery.id] = delivery
        return True

    async def claim(self, now: datetime, most: int, busy: Mapping[str, int], per_host: int) -> Sequence[Delivery]:
        """See ``Deliveries``."""
        due = [one for one in self._kept.values() if one.due_at is not None and one.due_at <= now]
        taken: list[Delivery] = []
        hosts = dict(busy)
        for one in sorted(due, key=_due):
            if len(taken) == most:
                break
            parked_until = self._health.get(one.endpoint, HEALTHY).parked_until
            if parked_until is not None and parked_until > now:
                self._put(postponed(one, parked_until, now))
            elif hosts.get(one.host, 0) < per_host:
                hosts[one.host] = hosts.get(one.host, 0) + 1
                lease = now + timedelta(seconds=self.rules.lease_s)
                taken.append(self._put(replace(one, due_at=lease, claim=one.claim + 1)))
        return taken

    async def settle(self, delivery: Delivery, tried: Try, now: datetime, spread: float) -> Delivery | None:
        """See ``Deliveries``."""
        known = self._kept.get(delivery.id)
        if known is None or known.claim != delivery.claim:
            return None
        health = self._health.get(delivery.endpoint, HEALTHY)
        delivery, health = verdict(known, tried, health, self.rules, now, spread)
        self._health.pop(delivery.endpoint, None)
        if health != HEALTHY:
            self._health[delivery.endpoint] = health
            if len(self._health) > self.most:
                del self._health[next(iter(self._health))]
        return self._put(delivery)

    async def next_due(self) -> datetime | None:
        """See ``Deliveries``."""
        return min((one.due_at for one in self._kept.values() if one.due_at is not None), default=None)

    async def waiting(self) -> Waiting:
        """See ``Deliveries``."""
        due = [one.due_at for one in self._kept.values() if one.due_at is not None]
        return Waiting(len(due), min(due, default=None))

    async def of_job(self, job_id: str) -> Sequence[Delivery]:
        """See ``Deliveries``."""
        return [one for one in self._kept.values() if one.job_id == job_id]

    async def recent(self, most: int) -> Sequence[Delivery]:
        """See ``Deliveries``."""
        return list(reversed(self._kept.values()))[:most]

    async def redeliver(self, job_id: str, now: datetime) -> int:
        """See ``Deliveries``."""
        found = await self.of_job(job_id)
        for one in found:
            parked = self._health.pop(one.endpoint, HEALTHY)
            for other in [other for other in self._kept.values() if parked.parked_until is not None]:
                if other.endpoint == one.endpoint and other.due_at == parked.parked_until:
                    self._put(replace(other, due_at=now))
            self._put(again(one, self.rules, now))
        return len(found)

    async def sweep(self, now: datetime) -> int:
        """See ``Deliveries``."""
        before = now - timedelta(seconds=self.rules.kept_s)
        old = [one.id for one in self._kept.values() if one.finished_at is not None and one.finished_at < before]
        for delivery_id in old:
            self._forget(delivery_id)
        return len(old)

    def _put(self, delivery: Delivery) -> Delivery:
        self._kept[delivery.id] = delivery
        self._over.pop(delivery.id, None)
        if delivery.finished_at is not None:
            self._over[delivery.id] = None
        return delivery

    def _forget(self, delivery_id: str) -> None:
        del self._kept[delivery_id]
        self._over.pop(delivery_id, None)


def _due(delivery: Delivery) -> tuple[datetime, datetime]:
    return delivery.due_at or delivery.created_at, delivery.created_at
