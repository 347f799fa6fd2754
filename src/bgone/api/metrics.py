"""Numbers for dashboards and autoscalers, in Prometheus' text format."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

from bgone import __version__
from bgone.api.health import Health
from bgone.pipeline.studio import Studio

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_BATCHES = (1, 2, 4, 8, 16, 32)


class Metrics:
    """The collectors of one server; a registry of its own, so that two servers in a process do not meet."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.requests = Counter(
            "bgone_requests", "Requests answered.", ["dialect", "operation", "status"], registry=registry
        )
        self.stage = Histogram(
            "bgone_stage_seconds", "Seconds per phase of an order.", ["stage"], buckets=_SECONDS, registry=registry
        )
        self.duration = Histogram(
            "bgone_request_seconds",
            "Seconds per request.",
            ["dialect", "operation"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.refused = Counter("bgone_refused", "Requests refused, by kind of failure.", ["kind"], registry=registry)
        self.batch_size = Histogram(
            "bgone_batch_size", "Pictures per run of the net.", buckets=_BATCHES, registry=registry
        )
        self.pixels = Counter("bgone_pixels", "Pixels of photos cut.", registry=registry)
        self.credits = Counter("bgone_credits_charged", "Credits charged.", ["dialect"], registry=registry)
        self.uncounted = Counter(
            "bgone_limit_store_failures",
            "Calls that could not be counted, by what became of them.",
            ["event"],
            registry=registry,
        )
        self.received = Counter("bgone_received_bytes", "Bytes of bodies read.", registry=registry)
        self.sent = Counter("bgone_sent_bytes", "Bytes of answers sent.", registry=registry)
        self.in_flight = Gauge("bgone_inflight", "Requests being answered.", registry=registry)
        self.ready = Gauge("bgone_ready", "1 when the server is ready.", registry=registry)
        self.device = Gauge("bgone_device", "1 for the execution provider in use.", ["provider"], registry=registry)
        info = Gauge("bgone_info", "1, with the version as label.", ["version"], registry=registry)
        info.labels(__version__).set(1)

    def watch(self, studio: Studio, health: Health) -> None:
        """Read readiness, queue, seats and memory at every scrape."""
        self.ready.set_function(lambda: health.trouble is None)
        seats = studio.seats
        gauges = {
            "bgone_queue_depth": ("Orders waiting for a seat.", lambda: seats.waiting),
            "bgone_oldest_wait_seconds": (
                "Seconds the first in the queue has waited.",
                lambda: seats.oldest_wait_s,
            ),
            "bgone_seats_busy": ("Orders being worked on.", lambda: seats.busy),
            "bgone_seats": ("Orders that may be worked on at once.", lambda: seats.count),
            "bgone_memory_held_bytes": ("Memory promised to orders.", lambda: studio.budget.held_bytes),
            "bgone_memory_budget_bytes": ("Most memory promised at once.", lambda: studio.budget.limit_bytes),
        }
        for name, (words, read) in gauges.items():
            Gauge(name, words, registry=self._registry).set_function(read)

    def text(self) -> bytes:
        """The exposition in text format 0.0.4."""
        return generate_latest(self._registry)
