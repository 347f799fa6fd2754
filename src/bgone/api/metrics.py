"""Numbers for dashboards and autoscalers, in Prometheus' text format: what is counted while it happens.

What only has to be looked at is in ``api/readings.py``. No label ever has a value that a client chooses.
"""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from bgone.api.recent import Recent
from bgone.errors import ApiError
from bgone.jobs.deliveries import Delivery, Try
from bgone.jobs.job import Job

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_LONG_SECONDS = (0.1, 0.5, 1, 5, 15, 60, 300, 1_800, 7_200, 86_400)
_SHORT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30)
_BATCHES = (1, 2, 4, 8, 16, 32)
_BYTES = (1e6, 2.5e6, 5e6, 10e6, 25e6, 50e6, 100e6, 250e6, 500e6)


class Metrics:
    """The collectors of one server; a registry of its own, so that two servers in a process do not meet."""

    def __init__(self) -> None:
        # A moment beside every number: twice as much to read, and nobody does.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = registry = CollectorRegistry()
        self.recent = Recent()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)

        def counter(name: str, words: str, *labels: str) -> Counter:
            return Counter(name, words, labels, registry=registry)

        def histogram(name: str, words: str, *labels: str, buckets: tuple[float, ...] = _SECONDS) -> Histogram:
            return Histogram(name, words, labels, buckets=buckets, registry=registry)

        self.requests = counter("bgone_requests", "Requests answered.", "dialect", "operation", "status")
        self.duration = histogram("bgone_request_seconds", "Seconds per request.", "dialect", "operation")
        self.stage = histogram("bgone_stage_seconds", "Seconds per phase of an order.", "stage")
        self.refused = counter("bgone_refused", "Requests refused, by kind of failure.", "kind", "dialect")
        self.pixels = counter("bgone_pixels", "Pixels of photos cut.")
        self.received = counter("bgone_received_bytes", "Bytes of bodies read.")
        self.sent = counter("bgone_sent_bytes", "Bytes of answers sent.")
        self.in_flight = Gauge("bgone_inflight", "Requests being answered.", registry=registry)
        self.estimate = histogram(
            "bgone_memory_estimate_bytes", "Memory promised to an order, when it ends.", buckets=_BYTES
        )

        self.batch_size = histogram("bgone_batch_size", "Pictures per run of the net.", buckets=_BATCHES)
        self.run = histogram("bgone_net_run_seconds", "Seconds per run of a net, waiting for it left out.", "model")
        self.fetch = histogram("bgone_fetch_seconds", "Seconds per picture read from a URL, failed ones included.")
        self.fetch_failures = counter("bgone_fetch_failures", "Pictures not read from their URL, by kind.", "kind")
        self.fetched = counter("bgone_fetched_bytes", "Bytes of pictures read from URLs.")
        self.database = histogram(
            "bgone_database_seconds", "Seconds per call of the database, waiting for a turn included.", "way",
            buckets=_SHORT_SECONDS,
        )  # fmt: skip

        self.credits = counter("bgone_credits_charged", "Credits charged.", "dialect")
        self.uncounted = counter(
            "bgone_limit_store_failures", "Calls that could not be counted, by what became of them.", "event"
        )

        self.jobs = counter("bgone_jobs_ended", "Jobs that are over, by how they ended.", "dialect", "state")
        self.job = histogram("bgone_job_seconds", "Seconds from taking a job to its end.", buckets=_LONG_SECONDS)
        self.tries = counter("bgone_webhook_tries", "Tries to deliver a webhook, by what came of them.", "outcome")
        self.webhook = histogram("bgone_webhook_seconds", "Seconds per try to deliver a webhook.")

    def add(self, collector: Collector) -> None:
        """Ask ``collector`` at every scrape."""
        self._registry.register(collector)

    def text(self) -> bytes:
        """The exposition in text format 0.0.4."""
        return generate_latest(self._registry)

    # --- what the rooms below report ----------------------------------------------------------------------------

    def ran(self, model: str, pictures: int, seconds: float) -> None:
        """A net ran once."""
        self.batch_size.observe(pictures)
        self.run.labels(model).observe(seconds)

    def phases(self, seconds: Mapping[str, float]) -> None:
        """An order has gone through these."""
        self.recent.add(seconds)
        for stage, spent in seconds.items():
            self.stage.labels(stage).observe(spent)

    def read_url(self, seconds: float, size_bytes: int, error: BaseException | None) -> None:
        """A picture was read from its URL, or was not."""
        self.fetch.observe(seconds)
        self.fetched.inc(size_bytes)
        if error is not None:
            self.fetch_failures.labels(error.kind if isinstance(error, ApiError) else "gone").inc()

    def asked(self, way: str, seconds: float) -> None:
        """The database was asked: ``write``, ``single``, ``query``, ``begin`` or ``read``."""
        self.database.labels(way).observe(seconds)

    def ended(self, job: Job) -> None:
        """A job is over."""
        self.jobs.labels(job.dialect, job.state).inc()
        if job.finished_at is not None:
            self.job.observe((job.finished_at - job.created_at).total_seconds())

    def told(self, settled: Delivery | None, tried: Try) -> None:
        """A webhook was tried; None: somebody else has it by now."""
        words = {"waiting": "again", "delivered": "delivered", "failed": "given_up"}
        self.tries.labels(words[settled.state] if settled else "lost").inc()
        self.webhook.observe(tried.latency_ms / 1000)
