"""Numbers that nobody counts: what is looked at when a scrape asks, in memory alone, so that a scrape never waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bgone import __version__
from bgone.api.backlog import Backlog
from bgone.api.health import Health
from bgone.api.lag import Lag
from bgone.machine import peak_resident_bytes, resident_bytes
from bgone.matting.selfcheck import Check
from bgone.pipeline.studio import Studio

Read = Callable[[], float | None]
"""None: not known, or there is no such thing here."""


@dataclass(frozen=True, slots=True)
class _Reading:
    name: str
    words: str
    read: Read
    counts: bool = False

    def family(self) -> Metric:
        value = self.read()
        kind = CounterMetricFamily if self.counts else GaugeMetricFamily
        family: Metric = kind(self.name, self.words)
        if value is not None:
            family.add_sample(f"{self.name}_total" if self.counts else self.name, {}, value)
        return family


class Readings(Collector):
    """What studio, health, loop and backlog say of themselves.

    Args:
        studio: Seats, queue, memory, the net's lane.
        health: Whether we are ready.
        lag: How late the event loop is.
        backlog: What waits beyond the studio.
    """

    def __init__(self, studio: Studio, health: Health, lag: Lag, backlog: Backlog) -> None:
        seats, budget = studio.seats, studio.budget
        self._devices: Mapping[str, str] = {}
        self._checks: Mapping[str, Check] = {}
        self._at_start: float | None = None
        self._table = (
            _Reading("bgone_ready", "1 when the server is ready.", lambda: float(health.trouble is None)),
            _Reading("bgone_queue_depth", "Orders waiting for a seat.", lambda: seats.waiting),
            _Reading("bgone_queue_limit", "Orders that may wait for a seat.", lambda: studio.options.queue),
            _Reading(
                "bgone_oldest_wait_seconds", "Seconds the first in the queue has waited.", lambda: seats.oldest_wait_s
            ),
            _Reading("bgone_seats_busy", "Orders being worked on.", lambda: seats.busy),
            _Reading("bgone_seats", "Orders that may be worked on at once.", lambda: seats.count),
            _Reading(
                "bgone_net_waiting", "Pictures waiting for a net.", lambda: sum(net.waiting for net in studio.engines)
            ),
            _Reading("bgone_memory_held_bytes", "Memory promised to orders.", lambda: budget.held_bytes),
            _Reading("bgone_memory_held_peak_bytes", "Most of it since the start.", lambda: budget.peak_bytes),
            _Reading("bgone_memory_budget_bytes", "Most memory promised at once.", lambda: budget.limit_bytes),
            _Reading(
                "bgone_memory_ready_bytes", "Resident memory when the net was loaded.", lambda: self._at_start
            ),
            _Reading("bgone_memory_peak_bytes", "Most resident memory since the start.", peak_resident_bytes),
            _Reading(
                "bgone_spooled_bytes", "Bytes of answers that went to disk.", lambda: studio.spooled_bytes, counts=True
            ),
            _Reading("bgone_loop_lag_seconds", "How late the event loop was, at worst, lately.", lambda: lag.worst_s),
            _Reading("bgone_database_waiting", "Calls of the database under way.", lambda: backlog.database_calls),
            _Reading("bgone_jobs_waiting", "Jobs that nobody has begun.", lambda: backlog.jobs_waiting),
            _Reading("bgone_jobs_running", "Jobs being made by this process.", lambda: backlog.jobs_running),
            _Reading("bgone_jobs_oldest_wait_seconds", "Age of the oldest that waits.", lambda: backlog.jobs_wait_s),
            _Reading("bgone_webhooks_waiting", "Webhooks not delivered yet.", lambda: backlog.webhooks_waiting),
            _Reading(
                "bgone_webhook_lag_seconds", "How long the oldest webhook is overdue.", lambda: backlog.webhooks_lag_s
            ),
            _Reading("bgone_credits_held", "Credits set aside and not yet charged.", lambda: backlog.credits_held),
        )  # fmt: skip

    def ready(self, devices: Mapping[str, str], checks: Mapping[str, Check]) -> None:
        """The nets are loaded: what is resident now is what the program itself needs.

        Args:
            devices: Name of a net → what really runs it.
            checks: Name of a net → what became of OpenVINO's self-check; without those that had none.
        """
        self._devices, self._checks = devices, checks
        self._at_start = resident_bytes()

    def collect(self) -> Iterator[Metric]:
        """See ``Collector``."""
        for reading in self._table:
            yield reading.family()
        info = GaugeMetricFamily("bgone_info", "1: what runs here.", labels=("version", "model", "device"))
        for model, device in (self._devices or {"": ""}).items():
            info.add_metric([__version__, model, device], 1)
        yield info
        provider = GaugeMetricFamily("bgone_device", "1 for what runs a net.", labels=("provider",))
        for device in sorted(set(self._devices.values())):
            provider.add_metric([device], 1)
        yield provider
        result = GaugeMetricFamily("bgone_openvino_check", "1: the result at start.", labels=("model", "result"))
        ratio = GaugeMetricFamily(
            "bgone_openvino_check_ratio", "OpenVINO's time by ONNX Runtime's, at start.", labels=("model",)
        )
        for model, check in self._checks.items():
            result.add_metric([model, check.result], 1)
            if check.ratio is not None:
                ratio.add_metric([model], check.ratio)
        yield result
        yield ratio
