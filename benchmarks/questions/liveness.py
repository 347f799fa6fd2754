"""Does the server stay responsive while it works? ``/livez`` under load, asked from a process of its own."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from statistics import median, quantiles

from benchmarks.bench import Bench, Row
from benchmarks.server import Server
from benchmarks.worker import worker

LIMIT_MS = 50
CLIENTS = 16


def ask(bench: Bench) -> list[Row]:
    """p99 of ``/livez`` while 16 clients post 12 MP pictures."""
    with bench.bgone(net=True) as server:
        server.warm(bench.pictures("12mp")[0].data)
        milliseconds = _probed(server, bench)
    p99 = quantiles(milliseconds, n=100)[98]
    notes = (f"{len(milliseconds)} probes: p50 {median(milliseconds):.1f} ms, worst {max(milliseconds):.0f} ms",)
    what = f"/livez p99 while {CLIENTS} clients post 12 MP pictures, with the net"
    return [Row(what, f"≤ {LIMIT_MS} ms", f"{p99:.0f} ms", p99 <= LIMIT_MS, notes)]


def _probed(server: Server, bench: Bench) -> list[float]:
    """Milliseconds of every probe that was made while the load lasted."""
    pictures = [picture.data for picture in bench.pictures("12mp")]
    found: list[float] = []
    with worker("benchmarks.probe", str(server.port)) as prober, ThreadPoolExecutor(1) as beside:
        load = beside.submit(server.load, pictures, CLIENTS, bench.count(160, 32))
        time.sleep(0.2)
        while not load.done():
            found.extend(prober.work(10).facts["milliseconds"])
    if any(answer.status != 200 for answer in load.result().answers):
        raise RuntimeError("not all answers are pictures")
    return found
