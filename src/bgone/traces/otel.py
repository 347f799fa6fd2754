"""Spans to an OpenTelemetry collector, over OTLP in HTTP: on where OpenTelemetry's own variables ask for it.

The one home of ``opentelemetry``, which comes with the extra ``[otel]`` and is loaded only then. Sampler, limits,
headers, certificates and the rest are read from the environment by its SDK.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from bgone import __version__
from bgone.errors import StartError
from bgone.traces.context import TraceContext
from bgone.traces.spans import Fact, Kind, Passing, Span, Traces

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span as OtelSpan

CLOSE_S = 5.0
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"


def open_traces(environment: Mapping[str, str]) -> Traces:
    """Where spans go, by OpenTelemetry's variables; nowhere where none of them names a collector.

    Raises:
        StartError: They ask for what cannot be done: the extra is not installed, another exporter or protocol.
    """
    if not _is_asked(environment):
        return Passing()
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), _SPOKEN)
    if protocol.strip().lower() != _SPOKEN:
        raise StartError(
            f"OTEL_EXPORTER_OTLP_PROTOCOL: bgone speaks {_SPOKEN} (port 4318 of most collectors); got {protocol!r}. "
            f"Set OTEL_EXPORTER_OTLP_TRACES_PROTOCOL={_SPOKEN} and its endpoint, or OTEL_TRACES_EXPORTER=none."
        )
    try:
        return OtelTraces(_provider())
    except ModuleNotFoundError as error:
        raise StartError(
            f"Traces are asked for (OTEL_…) but {error.name} is not installed: pip install 'bgone[otel]', "
            "or set OTEL_TRACES_EXPORTER=none."
        ) from error


def _is_asked(environment: Mapping[str, str]) -> bool:
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporter not in ("", "otlp", "none"):
        raise StartError(f"OTEL_TRACES_EXPORTER: expected otlp or none; got {exporter!r}.")
    return exporter == "otlp" or (exporter == "" and any(environment.get(name) for name in _ENDPOINTS))


def _provider() -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    # What the environment says of the service wins.
    ours = Resource.create({"service.name": "bgone", "service.version": __version__})
    provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return provider


class OtelTraces:
    """See ``Traces``.

    Args:
        provider: Whose tracer makes the spans.
    """

    records = True

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry import trace

        self._api = trace
        self._provider = provider
        self._tracer = provider.get_tracer("bgone", __version__)

    def begin(self, name: str, kind: Kind, parent: TraceContext | None, facts: Mapping[str, Fact]) -> Span:
        """See ``Traces``."""
        kinds = self._api.SpanKind
        span = self._tracer.start_span(
            name,
            # An empty context: whatever the task that we run in was begun for is not our parent.
            context=self._context_of(parent),
            kind={"server": kinds.SERVER, "client": kinds.CLIENT, "consumer": kinds.CONSUMER}[kind],
            attributes=facts,
            record_exception=False,
            set_status_on_exception=False,
        )
        of = span.get_span_context()
        state = of.trace_state.to_header() if of.trace_state else ""
        context = TraceContext(f"{of.trace_id:032x}", f"{of.span_id:016x}", f"{int(of.trace_flags):02x}", state)
        return Span(context, name, _tell=lambda told: self._end(span, told))

    def close(self) -> None:
        """See ``Traces``; a collector that does not answer is not waited for."""
        closing = threading.Thread(target=self._provider.shutdown, name="close traces", daemon=True)
        closing.start()
        closing.join(CLOSE_S)

    def _end(self, span: OtelSpan, told: Span) -> None:
        if span.is_recording():
            span.update_name(told.name)
            span.set_attributes(told.facts)
            if told.error:
                span.set_attribute("error.type", told.error)
                span.set_status(self._api.StatusCode.ERROR)
            within = self._api.set_span_in_context(span)
            epoch_ns = time.time_ns() - int(time.perf_counter() * 1e9)  # of perf_counter's zero
            for name, began, ended in told.phases:
                part = self._tracer.start_span(name, context=within, start_time=epoch_ns + int(began * 1e9))
                part.end(epoch_ns + int(ended * 1e9))
        span.end()

    def _context_of(self, parent: TraceContext | None) -> Context:
        from opentelemetry.context import Context

        nothing = Context()
        if parent is None:
            return nothing
        of = self._api.SpanContext(
            int(parent.trace_id, 16),
            int(parent.span_id, 16),
            is_remote=True,
            trace_flags=self._api.TraceFlags(int(parent.flags, 16)),
            trace_state=self._api.TraceState.from_header([parent.state]),
        )
        return self._api.set_span_in_context(self._api.NonRecordingSpan(of), nothing)
