"""Probes and metrics on a port of their own."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest

from bgone.accounts.books import open_books
from bgone.api.lag import WINDOW_S, Lag
from tests import pictures
from tests.databases import sqlite_address
from tests.serving import free_port, serve, start
from tests.wire import wait_until


def ask(port: int, path: str, method: str = "GET") -> httpx2.Response:
    with httpx2.Client(trust_env=False, timeout=20) as client:
        return client.request(method, f"http://127.0.0.1:{port}{path}")


def answers(port: int, path: str) -> bool:
    try:
        return ask(port, path).status_code == 200
    except httpx2.HTTPError:
        return False


def test_a_port_of_their_own_takes_metrics_from_the_servers(tmp_path: Path) -> None:
    """The public port has probes and no metrics; the other has both and nothing else."""
    port = free_port()
    with serve(tmp_path, metrics_port=port) as served:
        assert served.post("/v2", content=pictures.photo()).status_code == 200
        told = ask(port, "/metrics")

        assert 'bgone_requests_total{dialect="backgrounderase",operation="cut",status="200"} 1.0' in told.text
        assert told.headers["content-type"].startswith("text/plain; version=0.0.4")
        assert [ask(port, path).status_code for path in ("/livez", "/readyz", "/health")] == [200] * 3
        assert ask(port, "/readyz").json() == {"status": "ready"}
        assert [ask(port, path).status_code for path in ("/", "/v2", "/admin/v1/accounts")] == [404] * 3
        assert (ask(port, "/metrics", "POST").status_code, ask(port, "/metrics", "HEAD").content) == (405, b"")
        assert [served.get(path).status_code for path in ("/livez", "/readyz", "/metrics")] == [200, 200, 404]
    assert not answers(port, "/livez")


def test_a_worker_has_probes_and_metrics(tmp_path: Path) -> None:
    """Ready when its net is loaded; its own jobs are counted; SIGTERM ends it well."""
    address, port = sqlite_address(tmp_path), free_port()

    async def new_key() -> str:
        async with open_books(address) as books:
            account = await books.accounts.create("shop", credits=Decimal(5))
            return (await books.keys.create(account.id, prefix="sk_live_"))[0]

    key = asyncio.run(new_key())
    settings: dict[str, Any] = {"database_url": address, "data_dir": tmp_path / "state", "job_wait_s": 0}
    (tmp_path / "worker").mkdir()
    worker = start(tmp_path / "worker", None, **settings, host="127.0.0.1", metrics_port=port)
    try:
        wait_until(lambda: answers(port, "/readyz"), seconds=60)
        with serve(tmp_path, **settings, jobs_running=0) as served:
            files = {"image_file": ("x.jpg", pictures.photo(161, 120, of=pictures.ball))}
            taken = served.post("/api/v1/remove-bg", files=files, headers={"authorization": f"Bearer {key}"})
            assert taken.status_code == 202, taken.text
            ended = 'bgone_jobs_ended_total{dialect="jobid",state="done"} 1.0'
            wait_until(lambda: ended in ask(port, "/metrics").text, seconds=60)
            assert ended not in served.get("/metrics").text
        assert 'bgone_stage_seconds_count{stage="draw"} 1.0' in ask(port, "/metrics").text
        assert 'bgone_credits_charged_total{dialect="jobid"} 1.0' in ask(port, "/metrics").text
    finally:
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(timeout=60) == 0


def test_a_port_that_is_taken_is_said_in_one_line(tmp_path: Path) -> None:
    """Exit status 78, and which setting it is."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        process = start(tmp_path, free_port(), metrics_port=port)
        status = process.wait(timeout=60)
    last = (tmp_path / "log").read_text().splitlines()[-1]

    assert (status, f"--metrics-port (BGONE_METRICS_PORT): 127.0.0.1 port {port} cannot be taken" in last) == (78, True)


def test_the_servers_own_port_is_refused() -> None:
    """Before anything is loaded."""
    command = [sys.executable, "-m", "bgone", "serve", "--port", "9000", "--metrics-port", "9000"]
    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 78
    assert "--metrics-port (BGONE_METRICS_PORT): expected another port than --port's" in done.stderr


def test_the_loops_lag_is_the_worst_of_the_last_two_windows() -> None:
    """One long stop is seen by the next scrapes, and then forgotten."""
    lag, seen = Lag(), []
    for at, late_s in ((0.0, 0.1), (1.0, 2.0), (2.0, 0.1), (WINDOW_S + 1, 0.3), (2 * WINDOW_S + 2, 0.2), (90.0, 0.0)):
        lag.note(late_s, at)
        seen.append(lag.worst_s)

    assert seen == pytest.approx([0.1, 2.0, 2.0, 2.0, 0.3, 0.2])
