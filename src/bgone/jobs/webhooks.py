"""Webhooks: telling a stranger's URL that a job is over, signed, until it is taken or a day of tries is used up.

What is to be told is kept first (``jobs/deliveries.py``) and tried then, so that a restart loses nothing where there is
a database. Tries take the same guarded roads as fetched pictures. What a job's state says does not depend on whether
anybody could be told, and a receiver that is slow or gone holds up its own messages only.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import httpcore2
import orjson
import structlog
from httpcore2 import AsyncHTTPConnection

from bgone import __version__
from bgone.errors import ApiError
from bgone.jobs.deliveries import Deliveries, Delivery, MemoryDeliveries, Rules, Try, message_id
from bgone.jobs.hooks import Hooks, OneHook, new_secret, signature
from bgone.jobs.job import TRACE, Job
from bgone.pipeline.addresses import Network, Target, read_url
from bgone.pipeline.roads import Resolver, Roads, origin_of, system_resolver, wire_url
from bgone.traces.context import TraceContext, read_text
from bgone.traces.spans import Fact, Passing, Traces

TRY_S = 10.0  # for everything in one try
AT_ONCE = 32
PER_HOST = 4
POLL_S = 2.0  # how often what other processes left is looked for
SWEEP_S = 3600.0

# A dead or silent host, TLS, nonsense: reasons to try again later, none of them ours.
_FAILURES = (
    OSError,
    ValueError,
    httpcore2.NetworkError,
    httpcore2.ProtocolError,
    httpcore2.TimeoutException,
)


OnTry = Callable[[Delivery | None, Try], None]


def _nobody(_settled: Delivery | None, _tried: Try) -> None:
    """Hears of tries where nobody wants to."""


class Webhooks:
    """Sends what deliveries are due; lives on one event loop.

    Args:
        allow: Networks that may be reached although they are not public, on any port.
        deliveries: Where they are kept; in memory by default.
        hooks: Knows the secrets; by default one that nobody else knows.
        rules: Of the deliveries, for those that are made here.
        at_once: Tries at one time.
        per_host: The same, of one host.
        try_s: Seconds for one try.
        poll_s: Longest pause between two looks at what is due.
        resolver: Stand-in for the system's resolver.
        tls: Whom to trust; the system's certificate store by default.
        now: The clock, UTC.
        on_try: Hears of every try: (the delivery as it stands, None where somebody else has it by now; what came).
        traces: Where tries are told; those of a job belong to the trace of the request that brought it.
    """

    def __init__(
        self,
        allow: tuple[Network, ...] = (),
        *,
        deliveries: Deliveries | None = None,
        hooks: Hooks | None = None,
        rules: Rules | None = None,
        at_once: int = AT_ONCE,
        per_host: int = PER_HOST,
        try_s: float = TRY_S,
        poll_s: float = POLL_S,
        resolver: Resolver = system_resolver,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        on_try: OnTry = _nobody,
        traces: Traces | None = None,
    ) -> None:
        self._on_try = on_try
        self._traces = traces or Passing()
        self._rules = rules or Rules()
        self.deliveries = deliveries or MemoryDeliveries(self._rules)
        self._hooks = hooks or OneHook(new_secret())
        self._roads = Roads(allow, resolver=resolver, lookups=at_once)
        self._tls = tls or ssl.create_default_context()
        self._at_once = at_once
        self._per_host = per_host
        self._try_s = try_s
        self._poll_s = poll_s
        self._now = now
        self._wake = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._tries: set[asyncio.Task[None]] = set()
        self._busy: Counter[str] = Counter()
        self._log = structlog.get_logger("bgone.webhook")

    def start(self) -> None:
        """Begin to send, what an earlier process left included."""
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="webhooks")

    async def aclose(self) -> None:
        """Stop; tries under way are broken off, and come due again where there is a database."""
        tasks = [*self._tries, *([self._running] if self._running else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._roads.aclose()

    # --- what is to be told -------------------------------------------------------------------------------------

    async def send(self, job_id: str, url: str, body: bytes, owner: str = "", trace: str = "") -> bool:
        """Keep a message, to be sent as soon as may be; one that is known already is not kept twice.

        Args:
            job_id: The job, or whatever it is about.
            url: Where to.
            body: JSON.
            owner: Whose job it is.
            trace: Which trace it belongs to, as ``TraceContext.text``; empty for none.

        Returns:
            Whether it is new and there was room.

        Raises:
            overloaded: The database is away.
        """
        now = self._now()
        delivery = Delivery(
            message_id(job_id, url),
            job_id,
            owner,
            url,
            body,
            created_at=now,
            give_up_at=now + timedelta(seconds=self._rules.keep_trying_s),
            due_at=now,
            trace=trace,
        )
        kept = await self.deliveries.add(delivery)
        if not kept:
            self._log.info("webhook not kept", job=job_id, id=delivery.id)
        self.start()
        self._wake.set()
        return kept

    async def announce(self, job: Job, result_url: str | None) -> None:
        """Tell an end to the account's own URL, where it has one.

        Raises:
            overloaded: The database is away.
        """
        hook = await self._hooks.of(job.owner)
        if hook.url:
            body = orjson.dumps(event_of(job, result_url))
            await self.send(job.id, hook.url, body, job.owner, job.notes.get(TRACE, ""))

    async def redeliver(self, job_id: str) -> int:
        """Tell all that was to be told of a job again; how many messages.

        Raises:
            overloaded: The database is away.
        """
        count = await self.deliveries.redeliver(job_id, self._now())
        self.start()
        self._wake.set()
        return count

    # --- the sending --------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        swept_at = 0.0
        while True:
            self._wake.clear()
            try:
                if time.monotonic() > swept_at + SWEEP_S:
                    swept_at = time.monotonic()
                    await self.deliveries.sweep(self._now())
                wait_s = await self._round()
            except ApiError as error:  # the database is away for a while
                self._log.warning("webhooks not looked at", detail=error.detail)
                wait_s = self._poll_s
            except Exception as error:  # noqa: BLE001 - whatever it is, it must not end the sending for good
                self._log.error("webhooks not looked at", exc_info=error)
                wait_s = self._poll_s
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._wake.wait()

    async def _round(self) -> float:
        """Begin what is due and has room; seconds until there may be more."""
        free = self._at_once - len(self._tries)
        if free <= 0:
            return self._poll_s  # whoever ends wakes us
        now = self._now()
        for delivery in await self.deliveries.claim(now, free, self._busy, self._per_host):
            self._busy[delivery.host] += 1
            task = asyncio.create_task(self._try(delivery), name=f"webhook {delivery.id}")
            self._tries.add(task)
            task.add_done_callback(self._ended)
        due_at = await self.deliveries.next_due()
        if due_at is None or due_at <= now:  # nothing, or what has no room
            return self._poll_s
        return min(self._poll_s, max(0.0, (due_at - self._now()).total_seconds()))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tries.discard(task)
        self._wake.set()
        if not task.cancelled() and (error := task.exception()):
            self._log.error("webhook failed", task=task.get_name(), exc_info=error)

    async def _try(self, delivery: Delivery) -> None:
        try:
            tried = await self._tell(delivery)
            settled = await self.deliveries.settle(delivery, tried, self._now(), random.random())  # noqa: S311 - jitter
        except ApiError as error:  # the database is away: the lease ends, and it is tried again
            self._log.warning("webhook not settled", id=delivery.id, detail=error.detail)
        else:
            self._on_try(settled, tried)
            state = settled.state if settled else "somebody else's"
            self._log.info(
                "webhook",
                id=delivery.id,
                job=delivery.job_id,
                state=state,
                status=tried.status,
                ms=tried.latency_ms,
                error=tried.error,
            )
        finally:
            self._busy[delivery.host] -= 1
            self._busy += Counter()  # those without a try are left out

    async def _tell(self, delivery: Delivery) -> Try:
        hook = await self._hooks.of(delivery.owner)
        # The receiver's host and nothing more: the rest of the address may be a secret.
        facts: dict[str, Fact] = {"http.request.method": "POST", "server.address": delivery.host.rpartition("@")[2]}
        span = self._traces.begin("POST", "client", read_text(delivery.trace), facts)
        try:
            tried = await self._told(delivery, hook.secret, span.context)
            if tried.status is not None:
                span.facts["http.response.status_code"] = tried.status
            if not tried.taken:
                span.error = str(tried.status or "connection")
        finally:
            span.end()
        return tried

    async def _told(self, delivery: Delivery, secret: str, trace: TraceContext | None) -> Try:
        at, started = self._now(), time.perf_counter()
        status, error = None, ""
        try:
            async with asyncio.timeout(self._try_s):
                status = await self._post(delivery, secret, at, trace)
        except TimeoutError:
            error = f"no answer within {self._try_s:g} s"
        except ApiError as refused:
            error = refused.message.partition(": ")[2] or refused.message  # behind what is said of pictures
        except _FAILURES as failure:
            error = f"the connection failed or broke off ({type(failure).__name__})"
        except Exception as failure:  # noqa: BLE001 - ours; it counts as a try, or would be tried for ever
            self._log.error("webhook failed", id=delivery.id, exc_info=failure)
            error = "it could not be sent"
        else:
            error = _complaint(status)
        return Try(at, status, round((time.perf_counter() - started) * 1000, 1), error)

    async def _post(self, delivery: Delivery, secret: str, at: datetime, trace: TraceContext | None) -> int:
        """The status of the answer, whose body nobody reads.

        Raises:
            fetch_failed: The URL leads where nobody may be sent.
        """
        target = read_url(delivery.url)
        road = await self._roads.to(target)
        connection = AsyncHTTPConnection(origin_of(target), ssl_context=self._tls, network_backend=road)
        try:
            request = _request(target, delivery, secret, int(at.timestamp()), trace.headers if trace else [])
            response = await connection.handle_async_request(request)
        finally:
            await road.aclose()
        return response.status


def _complaint(status: int) -> str:
    if 200 <= status < 300:
        return ""
    return f"answered {status}; redirects are not followed" if 300 <= status < 400 else f"answered {status}"


def _request(
    target: Target, delivery: Delivery, secret: str, timestamp: int, trace: Sequence[tuple[str, str]]
) -> httpcore2.Request:
    headers: list[tuple[bytes | str, bytes | str]] = [
        ("Host", target.url.netloc),
        ("User-Agent", f"bgone/{__version__}"),
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(delivery.body))),
        ("Connection", "close"),
        ("webhook-id", delivery.id),
        ("webhook-timestamp", str(timestamp)),
        ("webhook-signature", signature(secret, delivery.id, timestamp, delivery.body)),
        *trace,
    ]
    return httpcore2.Request("POST", wire_url(target), headers=headers, content=delivery.body)


def event_of(job: Job, result_url: str | None) -> Mapping[str, object]:
    """The native message of a job that is over, in the form that Standard Webhooks recommends."""
    failure = {"code": job.failure.kind, "message": job.failure.message} if job.failure else None
    return {
        "type": f"job.{job.state}",
        "timestamp": job.finished_at,
        "data": {
            "job_id": job.id,
            "dialect": job.dialect,
            "state": job.state,
            "created_at": job.created_at,
            "finished_at": job.finished_at,
            "result_url": result_url,
            "error": failure,
        },
    }
