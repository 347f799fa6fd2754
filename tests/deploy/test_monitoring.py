"""Alerts and dashboard: checked by promtool, and asked of a real Prometheus that watches a real server."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from tests.conftest import ROOT
from tests.deploy.programs import DEPLOY, debian_program, output
from tests.deploy.running import running
from tests.pictures import ball, photo
from tests.serving import Served, free_port, serve

PROMETHEUS = DEPLOY / "prometheus"
RULES: dict[str, Any] = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())
ALERTS = {rule["alert"]: rule for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "bgone.json").read_text())
METRIC = re.compile(r"\b(?:bgone|process)_[a-z_]+\b")
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")

Series = dict[str, str]
ONE = {"instance": "a:8000", "job": "bgone"}
TOO_FEW = "0+1x60"  # a request a minute, for an hour

# Alert → what fires it, what does not, labels of the firing alert beside its severity. Values as promtool writes them,
# one a minute; looked at after an hour.
CASES: dict[str, tuple[Series, Series, dict[str, str]]] = {
    "BgoneDown": ({"up": "0x90"}, {"up": "1x55 0 1x34"}, ONE),
    "BgoneAbsent": ({"bgone_ready": "1x90"}, {"up": "0x90"}, {"job": "bgone"}),
    "BgoneNotReady": ({"bgone_ready": "0x90"}, {"bgone_ready": "1x58 0 1x30"}, ONE),
    "BgoneFailing": (
        {'bgone_requests_total{status="200"}': "0+97x90", 'bgone_requests_total{status="500"}': "0+3x90"},
        {'bgone_requests_total{status="200"}': "0+97x90", 'bgone_requests_total{status="503"}': "0+3x90"},
        {},
    ),
    "BgoneInternalErrors": (
        {'bgone_refused_total{kind="internal",dialect="removebg"}': "0x50 1x40"},
        {'bgone_refused_total{kind="overloaded",dialect="removebg"}': "0+9x90"},
        {"dialect": "removebg"},
    ),
    "BgoneRefusing": (
        {'bgone_requests_total{status="200"}': "0+90x90", 'bgone_requests_total{status="503"}': "0+10x90"},
        {'bgone_requests_total{status="200"}': "0+97x90", 'bgone_requests_total{status="503"}': "0+3x90"},
        {},
    ),
    "BgoneQueueOld": ({"bgone_oldest_wait_seconds": "6x90"}, {"bgone_oldest_wait_seconds": "6 0 6 0 6 0x85"}, ONE),
    "BgoneSlow": (
        {
            'bgone_request_seconds_count{operation="cut"}': "0+100x90",
            'bgone_request_seconds_bucket{operation="cut",le="5.0"}': "0+80x90",
        },
        {
            'bgone_request_seconds_count{operation="cut"}': "0+100x90",
            'bgone_request_seconds_bucket{operation="cut",le="5.0"}': "0+90x90",
        },
        {},
    ),
    "BgoneSlowish": (
        {
            'bgone_request_seconds_count{operation="cut"}': "0+100x90",
            'bgone_request_seconds_bucket{operation="cut",le="5.0"}': "0+90x90",
        },
        {
            'bgone_request_seconds_count{operation="cut"}': TOO_FEW,
            'bgone_request_seconds_bucket{operation="cut",le="5.0"}': "0x90",
        },
        {},
    ),
    "BgoneMemoryFull": (
        {"bgone_memory_held_bytes": "480e6x90", "bgone_memory_budget_bytes": "512e6x90"},
        {"bgone_memory_held_bytes": "400e6x90", "bgone_memory_budget_bytes": "512e6x90"},
        ONE,
    ),
    "BgoneMemoryUnderestimated": (
        {
            "bgone_memory_peak_bytes": "900e6x90",
            "bgone_memory_ready_bytes": "200e6x90",
            "bgone_memory_held_peak_bytes": "300e6x90",
        },
        {
            "bgone_memory_peak_bytes": "600e6x90",
            "bgone_memory_ready_bytes": "200e6x90",
            "bgone_memory_held_peak_bytes": "300e6x90",
        },
        ONE,
    ),
    "BgoneLoopBlocked": ({"bgone_loop_lag_seconds": "0.4x90"}, {"bgone_loop_lag_seconds": "0.4 0.01x89"}, ONE),
    "BgoneFilesRunOut": (
        {"process_open_fds": "900x90", "process_max_fds": "1024x90"},
        {"process_open_fds": "500x90", "process_max_fds": "1024x90"},
        ONE,
    ),
    "BgoneSlowReaders": (
        {"bgone_spooled_bytes_total": "0+2400000000x90"},
        {"bgone_spooled_bytes_total": "0+60000000x90"},
        ONE,
    ),
    "BgoneJobsOld": ({"bgone_jobs_oldest_wait_seconds": "1000x90"}, {"bgone_jobs_oldest_wait_seconds": "60x90"}, {}),
    "BgoneJobsFailing": (
        {'bgone_jobs_ended_total{state="done"}': "0+8x90", 'bgone_jobs_ended_total{state="failed"}': "0+2x90"},
        {'bgone_jobs_ended_total{state="done"}': "0x90", 'bgone_jobs_ended_total{state="failed"}': "0x50 1x40"},
        {},
    ),
    "BgoneWebhooksLate": ({"bgone_webhook_lag_seconds": "700x90"}, {"bgone_webhook_lag_seconds": "20x90"}, {}),
    "BgoneWebhooksGivenUp": (
        {'bgone_webhook_tries_total{outcome="given_up"}': "0x50 1x40"},
        {'bgone_webhook_tries_total{outcome="again"}': "0+1x90"},
        {},
    ),
    "BgoneLimitStoreFails": (
        {'bgone_limit_store_failures_total{event="failed"}': "0+1x90"},
        {'bgone_limit_store_failures_total{event="failed"}': "1x90"},
        {"instance": "a:8000"},
    ),
    "BgoneDatabaseSlow": (
        {
            'bgone_database_seconds_bucket{way="single",le="1.0"}': "0+50x90",
            'bgone_database_seconds_bucket{way="single",le="2.5"}': "0+60x90",
            'bgone_database_seconds_bucket{way="single",le="+Inf"}': "0+60x90",
            'bgone_database_seconds_count{way="single"}': "0+60x90",
        },
        {
            'bgone_database_seconds_bucket{way="single",le="1.0"}': "0+60x90",
            'bgone_database_seconds_bucket{way="single",le="+Inf"}': "0+60x90",
            'bgone_database_seconds_count{way="single"}': "0+60x90",
        },
        {},
    ),
}


def series_of(series: Series) -> list[dict[str, str]]:
    """With the labels that Prometheus adds."""
    own = ",".join(f'{key}="{value}"' for key, value in ONE.items())
    return [
        {"series": f"{name[:-1]},{own}}}" if name.endswith("}") else f"{name}{{{own}}}", "values": values}
        for name, values in series.items()
    ]


def alert_of(name: str, labels: dict[str, str]) -> dict[str, Any]:
    """As promtool expects it: labels, and annotations with their words filled in."""

    def filled(text: str) -> str:
        return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match: labels[match[1]], text)

    rule = ALERTS[name]
    annotations = {key: filled(text) for key, text in rule["annotations"].items()}
    return {"exp_labels": {**rule["labels"], **labels}, "exp_annotations": annotations}


def prometheus_program(name: str) -> Path:
    """``prometheus`` or ``promtool``."""
    return debian_program("prometheus", f"usr/bin/{name}")


def test_every_alert_has_its_cases() -> None:
    """One in which it fires and one in which it does not."""
    assert set(CASES) == set(ALERTS)


def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    """Judged by promtool, one hour into each case."""
    tests = [
        {
            "name": f"{name} {'fires' if fires else 'is quiet'}",
            "interval": "1m",
            "input_series": series_of(series),
            "alert_rule_test": [
                {"alertname": name, "eval_time": "60m", "exp_alerts": [alert_of(name, labels)] if fires else []}
            ],
        }
        for name, (firing, quiet, labels) in CASES.items()
        for fires, series in ((True, firing), (False, quiet))
    ]
    (tmp_path / "cases.yml").write_text(
        yaml.safe_dump({"rule_files": [str(PROMETHEUS / "alerts.yml")], "evaluation_interval": "1m", "tests": tests})
    )

    assert "SUCCESS" in output(prometheus_program("promtool"), "test", "rules", tmp_path / "cases.yml")


def test_rules_and_scraping_please_promtool() -> None:
    """Names, expressions, files."""
    assert "SUCCESS" in output(prometheus_program("promtool"), "check", "rules", PROMETHEUS / "alerts.yml")
    assert "SUCCESS" in output(prometheus_program("promtool"), "check", "config", PROMETHEUS / "scrape.yml")


@pytest.mark.parametrize("name", ALERTS)
def test_runbooks_lead_to_their_words(name: str) -> None:
    """Each alert has a heading of its own in docs/operations.md."""
    page, _, anchor = ALERTS[name]["annotations"]["runbook"].partition("#")

    assert (page, anchor) == ("docs/operations.md", name.lower())
    assert f"\n### {name}\n" in PAGE


def queries() -> Iterator[tuple[str, str]]:
    """(title, expression) of the dashboard, its variables replaced as Grafana does."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$__rate_interval", "1m").replace("$instance", ".*")
    (variable,) = (each for each in DASHBOARD["templating"]["list"] if each["name"] == "instance")
    yield "instance", re.sub(r"label_values\((\w+), \w+\)", r"\1", variable["query"]["query"])


def watched() -> set[str]:
    """Every metric that alerts and dashboard name."""
    rules = [rule["expr"] for group in RULES["groups"] for rule in group["rules"]]
    return {name for text in [*rules, *(query for _, query in queries())] for name in METRIC.findall(text)}


def test_dashboard_is_whole() -> None:
    """Every panel has its own id and place, a unit, and the source that the reader chose."""
    panels = DASHBOARD["panels"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]

    assert len({panel["id"] for panel in panels}) == len(set(places)) == len(panels) > 30
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in panels if panel["type"] != "row")
    assert all(
        target["datasource"]["uid"] == "${datasource}" for panel in panels for target in panel.get("targets", ())
    )


@pytest.fixture(scope="module")
def exposed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with accounts that has cut a picture: all its numbers are there."""
    folder = tmp_path_factory.mktemp("exposed")
    address = f"sqlite+aiosqlite:///{folder}/bgone.db"
    with serve(folder, database_url=address, data_dir=folder, api_keys="key", rate_limits="on") as served:
        form = {"files": {"image_file": ("a.jpg", photo(161, 120, of=ball))}, "headers": {"x-api-key": "key"}}
        assert served.post("/v1.0/removebg", **form).status_code == 200
        yield served


def test_every_watched_metric_is_one_of_the_servers(exposed: Served) -> None:
    """By the types that it declares, whether a value has been counted yet or not."""
    declared = re.findall(r"^# TYPE (\S+) (\S+)$", exposed.get("/metrics").text, re.MULTILINE)
    names = {name for name, _ in declared}
    for name, kind in declared:
        if kind == "histogram":
            names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}

    assert len(watched()) > 40
    assert watched() - names == set()


def test_a_real_prometheus_answers_every_question(exposed: Served, tmp_path: Path) -> None:
    """It scrapes the server with the example's words, evaluates every rule, and every panel's query has an answer."""
    port = free_port()
    configuration = (PROMETHEUS / "scrape.yml").read_text().replace("127.0.0.1:8000", f"127.0.0.1:{exposed.port}")
    (tmp_path / "prometheus.yml").write_text(re.sub(r"interval: 15s", "interval: 1s", configuration))
    (tmp_path / "alerts.yml").write_text((PROMETHEUS / "alerts.yml").read_text())
    command: list[str | Path] = [
        prometheus_program("prometheus"),
        f"--config.file={tmp_path}/prometheus.yml",
        f"--storage.tsdb.path={tmp_path}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    ]
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:

        def ask(path: str, **words: str) -> Any:
            answer = client.get(f"/api/v1/{path}", params=words)
            assert answer.status_code == 200, answer.text
            return answer.json()["data"]

        def listens() -> bool:
            try:
                return client.get("/-/ready").status_code == 200
            except httpx2.TransportError:
                return False

        def evaluated() -> list[dict[str, Any]]:
            return [rule for group in ask("rules")["groups"] for rule in group["rules"]]

        with running(command, tmp_path / "log", listens):
            give_up_at = time.monotonic() + 60
            while not (
                [float(found["value"][1]) for found in ask("query", query='up{job="bgone"}')["result"]] == [1.0]
                and all(rule["health"] != "unknown" for rule in evaluated())
            ):
                assert time.monotonic() < give_up_at, ask("targets")
                time.sleep(0.2)

            assert [rule for rule in evaluated() if rule["health"] != "ok"] == []
            assert {rule["name"] for rule in evaluated() if rule.get("state") == "firing"} == set()
            for title, query in queries():
                assert ask("query", query=query)["resultType"] == "vector", title
            gauges = [query for title, query in queries() if "rate(" not in query and "credits_held" not in query]
            silent = [query for query in gauges if not ask("query", query=query)["result"]]
            assert silent == []
