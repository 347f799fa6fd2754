"""Spans for a real collector: a real server, OTLP over HTTP, decoded."""

from __future__ import annotations

import asyncio
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bgone.accounts.books import open_books
from bgone.errors import StartError
from bgone.traces.otel import open_traces
from bgone.traces.spans import Passing
from tests import pictures
from tests.collector import SENDS, Collector, collector, facts_of
from tests.databases import sqlite_address
from tests.serving import Served, free_port, serve, start

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
PARENT = {"traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "shop=7"}
KEY = "s3cret-key-of-the-shop"
PHOTO = pictures.photo(161, 120, of=pictures.ball)
PHASES = ["read", "wait", "look", "predict", "maps", "draw"]


@pytest.fixture(scope="module")
def heard() -> Iterator[Collector]:
    with collector() as kept:
        yield kept


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory, heard: Collector) -> Iterator[Served]:
    """A server that sends spans to ``heard``."""
    said = {
        **SENDS,
        "OTEL_EXPORTER_OTLP_ENDPOINT": heard.url,
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment=test",
    }
    folder = tmp_path_factory.mktemp("traced")
    with ExitStack() as stack:
        with pytest.MonkeyPatch.context() as patch:  # for this server alone
            for name, value in said.items():
                patch.setenv(name, value)
            served = stack.enter_context(serve(folder, api_keys=KEY, fetch_allow="127.0.0.0/8", job_wait_s=0))
        yield served


def test_a_request_is_a_span_in_its_callers_trace(traced: Served, heard: Collector) -> None:
    """Named by its route, its phases inside it and in order; the log has the same ids; the service says who it is."""
    answer = traced.post("/v2?size=full", content=PHOTO, headers={"x-api-key": KEY, **PARENT})
    request_id = answer.headers["x-request-id"]
    heard.wait(lambda: any(facts_of(span).get("bgone.request_id") == request_id for span in heard.spans))
    (span,) = (span for span in heard.spans if facts_of(span).get("bgone.request_id") == request_id)
    facts, parts = facts_of(span), heard.children(span)
    line = traced.logged(request_id)

    assert answer.status_code == 200
    assert (span.name, span.kind) == ("POST /v2", span.SPAN_KIND_SERVER)
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.trace_state) == (TRACE, SPAN, "shop=7")
    assert (line["trace_id"], line["span_id"]) == (TRACE, span.span_id.hex())
    assert facts["http.request.method"] == "POST"
    assert (facts["http.route"], facts["http.response.status_code"]) == ("/v2", 200)
    assert (facts["bgone.dialect"], facts["bgone.operation"]) == ("backgrounderase", "cut")
    assert (facts["bgone.pixels"], facts["bgone.size"]) == (161 * 120, "161x120")
    assert span.status.code == span.status.STATUS_CODE_UNSET
    assert [part.name for part in parts] == PHASES
    assert all(part.trace_id == span.trace_id for part in parts)
    assert span.start_time_unix_nano <= parts[0].start_time_unix_nano
    assert all(one.end_time_unix_nano <= two.start_time_unix_nano + 1_000 for one, two in pairwise(parts))
    assert abs(span.end_time_unix_nano / 1e9 - time.time()) < 100
    resource = {one.key: one.value.string_value for one in heard.exports[0].resource_spans[0].resource.attributes}
    assert resource["service.name"] == "bgone"
    assert resource["deployment.environment"] == "test"


def test_a_request_of_nobody_begins_a_trace(traced: Served, heard: Collector) -> None:
    """What the caller sends amiss changes nothing."""
    answer = traced.post("/v2", content=PHOTO, headers={"x-api-key": KEY, "traceparent": "00-no-one-01"})
    line = traced.logged(answer.headers["x-request-id"])
    heard.wait(lambda: any(span.span_id.hex() == line["span_id"] for span in heard.spans))
    (span,) = (span for span in heard.spans if span.span_id.hex() == line["span_id"])

    assert span.parent_span_id == b""
    assert span.trace_id.hex() == line["trace_id"] != TRACE


def test_a_job_and_its_webhook_are_in_the_trace_of_their_request(traced: Served, heard: Collector) -> None:
    """The job continues the request's span, the webhook's try is beside it, and the receiver is told which it is."""
    trace = TRACE[::-1]
    headers = {"authorization": f"Bearer {KEY}", "traceparent": f"00-{trace}-{SPAN}-01"}
    hook = f"{heard.url}/hook/s3cret-of-the-receiver?token=s3cret"
    answer = traced.post(
        "/api/v1/remove-bg", files={"image_file": ("x.jpg", PHOTO)}, data={"webhook_url": hook}, headers=headers
    )
    assert answer.status_code == 202, answer.text

    def those(name: str) -> list[object]:
        return [span for span in heard.spans if span.trace_id.hex() == trace and span.name == name]

    heard.wait(lambda: all(those(name) for name in ("POST /api/v1/remove-bg", "job", "POST")))
    of = {span.name: span for span in heard.spans if span.trace_id.hex() == trace}
    request, job, told = of["POST /api/v1/remove-bg"], of["job"], of["POST"]
    (post,) = (one for one in heard.asked if one.path.startswith("/hook/"))

    assert job.parent_span_id == told.parent_span_id == request.span_id
    assert (job.kind, told.kind) == (job.SPAN_KIND_CONSUMER, told.SPAN_KIND_CLIENT)
    assert [part.name for part in heard.children(job)] == PHASES[1:]
    assert facts_of(told)["http.response.status_code"] == 200
    assert facts_of(told)["server.address"] == heard.url.removeprefix("http://")
    assert post.headers["traceparent"] == f"00-{trace}-{told.span_id.hex()}-01"


def test_a_trace_goes_on_in_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server takes the job, a worker makes it and tells: by what is kept in the database."""
    address = sqlite_address(tmp_path)

    async def new_key() -> str:
        async with open_books(address) as books:
            account = await books.accounts.create("shop", credits=Decimal(5))
            return (await books.keys.create(account.id, prefix="sk_live_"))[0]

    key = asyncio.run(new_key())
    settings: dict[str, Any] = {
        "database_url": address,
        "data_dir": tmp_path / "state",
        "fetch_allow": "127.0.0.0/8",
        "job_wait_s": 0,
    }
    (tmp_path / "worker").mkdir()
    with collector() as heard:
        for name, value in {**SENDS, "OTEL_EXPORTER_OTLP_ENDPOINT": heard.url}.items():
            monkeypatch.setenv(name, value)
        with serve(tmp_path, **settings, jobs_running=0) as served:
            answer = served.post(
                "/api/v1/remove-bg",
                files={"image_file": ("x.jpg", PHOTO)},
                data={"webhook_url": f"{heard.url}/hook"},
                headers={"authorization": f"Bearer {key}", **PARENT},
            )
            assert answer.status_code == 202, answer.text
            monkeypatch.setenv("OTEL_SERVICE_NAME", "worker")
            worker = start(tmp_path / "worker", None, **settings)
            try:
                (job,) = heard.wait_for("job")
                heard.wait_for("POST")
            finally:
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(timeout=60) == 0
    (request,) = heard.wait_for("POST /api/v1/remove-bg")
    (told,) = heard.wait_for("POST")

    assert request.trace_id.hex() == TRACE
    assert job.parent_span_id == told.parent_span_id == request.span_id
    assert heard.asked[0].headers["traceparent"] == f"00-{TRACE}-{told.span_id.hex()}-01"
    assert heard.asked[0].headers["tracestate"] == PARENT["tracestate"]


def test_an_origin_of_pictures_is_told_nothing(traced: Served, heard: Collector) -> None:
    """Reading a URL is a phase; the stranger behind it learns of no trace."""
    heard.pages["/x.jpg"] = PHOTO
    headers = {"x-api-key": KEY, **PARENT}
    answer = traced.post("/v1.0/removebg", data={"image_url": f"{heard.url}/x.jpg?sig=s3cret"}, headers=headers)
    assert answer.status_code == 200, answer.text
    line = traced.logged(answer.headers["x-request-id"])
    heard.wait(lambda: any(span.span_id.hex() == line["span_id"] for span in heard.spans))
    (span,) = (span for span in heard.spans if span.span_id.hex() == line["span_id"])

    assert "fetch" in [part.name for part in heard.children(span)]
    (asked,) = (one for one in heard.asked if one.path.startswith("/x.jpg"))
    assert not [name for name in asked.headers if name.startswith("trace")]


def test_failures_say_whose_they_are(traced: Served, heard: Collector) -> None:
    """The client's are no error of ours; both have their kind."""
    answer = traced.post("/v2", content=PHOTO[:300], headers={"x-api-key": KEY})
    line = traced.logged(answer.headers["x-request-id"])
    heard.wait(lambda: any(span.span_id.hex() == line["span_id"] for span in heard.spans))
    (span,) = (span for span in heard.spans if span.span_id.hex() == line["span_id"])

    assert (answer.status_code, facts_of(span)["bgone.error"]) == (400, "unreadable_image")
    assert span.status.code == span.status.STATUS_CODE_UNSET
    assert "error.type" not in facts_of(span)


def test_a_failure_of_ours_is_an_error(tmp_path: Path, heard: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    """An order beyond its deadline; the other variables that name a collector work as well, gzip too."""
    for name, value in {
        **SENDS,
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": f"{heard.url}/v1/traces",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "gzip",
        "OTEL_SERVICE_NAME": "cutter",
    }.items():
        monkeypatch.setenv(name, value)
    with serve(tmp_path, deadline_s=0.001) as served:
        answer = served.post("/v2", content=PHOTO)
        line = served.logged(answer.headers["x-request-id"])
    # It has ended: whatever was not sent before was sent then.
    (span,) = (span for span in heard.spans if span.span_id.hex() == line["span_id"])

    assert answer.status_code >= 500
    assert span.status.code == span.status.STATUS_CODE_ERROR
    assert facts_of(span)["error.type"] == line["error"] == facts_of(span)["bgone.error"]


def test_unsampled_traces_are_not_sent_and_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flag 00: nothing is recorded, and the log has its ids all the same."""
    with collector() as heard:
        for name, value in {**SENDS, "OTEL_EXPORTER_OTLP_ENDPOINT": heard.url}.items():
            monkeypatch.setenv(name, value)
        with serve(tmp_path) as served:
            answer = served.post("/v2", content=PHOTO, headers={"traceparent": f"00-{TRACE}-{SPAN}-00"})
            line = served.logged(answer.headers["x-request-id"])
            served.get("/metrics")

        assert line["trace_id"] == TRACE
        assert heard.spans == []


def test_no_span_carries_a_secret(traced: Served, heard: Collector) -> None:
    """Neither keys, nor queries, addresses, file names or bodies, wherever they stood; pages of ours have no span."""
    files = {"image_file": ("s3cret-name.jpg", PHOTO)}
    headers = {"x-api-key": KEY, "user-agent": "s3cret-agent", "cookie": "a=s3cret", **PARENT}
    traced.post(f"/v2?token=s3cret&api_key={KEY}", files=files, headers=headers)
    traced.get("/s3cret-path", headers=headers)
    traced.get("/results/s3cret/x.png?sig=s3cret")
    last = traced.get("/api/v1/jobs/s3cret", headers={"authorization": f"Bearer {KEY}"})
    traced.get("/metrics")
    line = traced.logged(last.headers["x-request-id"])
    heard.wait(lambda: any(span.span_id.hex() == line["span_id"] for span in heard.spans))

    assert not [body for body in heard.bodies if b"s3cret" in body]
    names = {span.name for span in heard.spans}
    assert {"GET", "GET /results/{key}/{name}", "GET /api/v1/jobs/{id}"} <= names
    assert not [name for name in names if re.search("metrics|livez|readyz", name)]


# --- without a collector --------------------------------------------------------------------------------------------


def test_without_a_collector_a_trace_passes_through(tmp_path: Path) -> None:
    """No extra is asked for: the log tells the caller's ids, the receiver of a webhook gets its context unchanged."""
    with collector() as heard, serve(tmp_path, fetch_allow="127.0.0.0/8", job_wait_s=0) as served:
        answer = served.post(
            "/api/v1/remove-bg",
            files={"image_file": ("x.jpg", PHOTO)},
            data={"webhook_url": f"{heard.url}/hook"},
            headers=PARENT,
        )
        line = served.logged(answer.headers["x-request-id"])
        plain = served.logged(served.post("/v2", content=PHOTO).headers["x-request-id"])
        heard.wait(lambda: bool(heard.asked))

    assert (line["trace_id"], line["span_id"]) == (TRACE, SPAN)
    assert {name: heard.asked[0].headers[name] for name in PARENT} == PARENT
    assert heard.bodies == []
    assert "trace_id" not in plain


def test_a_collector_that_is_away_holds_nobody_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures are cut and the server stops, status 0."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{free_port()}")
    with serve(tmp_path, drain_s=0) as served:
        assert served.post("/v2", content=PHOTO).status_code == 200
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(timeout=60) == 0


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x"},
        {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://x", "OTEL_TRACES_EXPORTER": "zipkin"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ""},
        {"OTEL_SERVICE_NAME": "bgone", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_nothing_is_loaded_where_nothing_is_asked_for(said: dict[str, str]) -> None:
    """OpenTelemetry's own words for off."""
    assert isinstance(open_traces(said), Passing)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, "expected otlp or none; got 'zipkin'"),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://x:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "got 'grpc'"),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "got 'http/json'"),
    ],
)
def test_what_cannot_be_done_stops_the_start(said: dict[str, str], words: str) -> None:
    """In one line, with what to set instead."""
    with pytest.raises(StartError, match=re.escape(words)):
        open_traces(said)


def test_a_missing_extra_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names the extra."""
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)

    with pytest.raises(StartError, match=r"pip install 'bgone\[otel\]'"):
        open_traces({"OTEL_TRACES_EXPORTER": "otlp"})


def test_a_server_that_sends_none_loads_nothing_of_it() -> None:
    """Not even where the extra is installed."""
    code = "import bgone.app, sys; print([name for name in sys.modules if name.startswith('opentelemetry')])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout.strip() == "[]"
