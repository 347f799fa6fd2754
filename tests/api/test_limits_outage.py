"""A Redis that is away, over real HTTP: calls go on or are refused as the operator says; readiness and metrics tell."""

from __future__ import annotations

from pathlib import Path

from tests import pictures
from tests.serving import Served, free_port, serve, start
from tests.wire import metric, wait_until

PHOTO = pictures.photo(80, 60, of=pictures.ball)


def test_open_lets_calls_through_and_says_so(tmp_path: Path) -> None:
    """Ready, with a notice; each call that was not counted is."""
    away = f"redis://127.0.0.1:{free_port()}"
    with serve(tmp_path, rate_limits="on", limits_url=away, limits_outage="open", api_keys="k") as served:
        answer = served.post("/v1.0/removebg", files={"image_file": ("x.jpg", PHOTO)}, headers={"x-api-key": "k"})

        assert answer.status_code == 200, answer.text
        assert "notice" in served.get("/readyz").json()
        assert metric(served, "bgone_limit_store_failures_total") > 0


def test_closed_refuses_calls_and_readiness(tmp_path: Path) -> None:
    """503 for both, with words and no hang."""
    port, away = free_port(), f"redis://127.0.0.1:{free_port()}"
    process = start(tmp_path, port, rate_limits="on", limits_url=away, limits_outage="closed", api_keys="k")
    try:
        served = Served(process, port, tmp_path / "log")

        def alive() -> bool:
            try:
                return served.get("/livez").status_code == 200
            except OSError:
                return False

        wait_until(lambda: b"ready" in served.log_path.read_bytes() and alive(), 60)
        answer = served.post("/v1.0/removebg", files={"image_file": ("x.jpg", PHOTO)}, headers={"x-api-key": "k"})

        assert answer.status_code == 503, answer.content[:100]
        assert answer.json()["errors"][0]["title"]
        assert int(answer.headers["retry-after"]) >= 1
        assert served.get("/readyz").status_code == 503
        assert answer.elapsed.total_seconds() < 2
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0
