"""How do 16 clients at once fare, with the net, and what memory do they cost, against rembg?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import mean

from benchmarks.bench import Bench, Row
from benchmarks.compare import alternate, spread
from benchmarks.server import Load, Server

CLIENTS = 16


def ask(bench: Bench) -> list[Row]:
    """1 MP pictures by 16 clients: CPU a request, throughput, memory of the whole server."""
    pictures = [picture.data for picture in bench.pictures("1mp")]

    def load(server: Server, requests: int) -> Load:
        return server.load(pictures, CLIENTS, bench.count(requests, CLIENTS))

    with bench.both(net=True) as (bgone, rembg):
        for server in (bgone, rembg):
            load(server, CLIENTS)
        pairs = alternate(bench.pairs, lambda _: load(bgone, 64), lambda _: load(rembg, 24))
    for statuses in (Counter(answer.status for answer in load.answers) for pair in pairs for load in pair):
        if set(statuses) != {200}:
            raise RuntimeError(f"not all answers are pictures: {dict(statuses)}")
    cpu = spread([ours.cpu_s / theirs.cpu_s for ours, theirs in pairs])
    per_s = spread([ours.per_s / theirs.per_s for ours, theirs in pairs])
    memory = spread([ours.peak_bytes / theirs.peak_bytes for ours, theirs in pairs])
    bgone_mean, rembg_mean = (_mean(side) for side in zip(*pairs, strict=True))
    what = f"1 MP with the net, {CLIENTS} clients"
    return [
        Row(
            f"{what}: CPU a request",
            "≤ 1/3 of rembg",
            cpu.part(),
            cpu.median <= 1 / 3,
            (f"bgone {bgone_mean.cpu_s * 1000:.0f} ms, rembg {rembg_mean.cpu_s * 1000:.0f} ms",),
        ),
        Row(
            f"{what}: throughput",
            "≥ 3 x rembg",
            per_s.words(" x", 1),
            per_s.median >= 3,
            (f"bgone {bgone_mean.per_s:.1f}/s, rembg {rembg_mean.per_s:.1f}/s",),
        ),
        Row(
            f"{what}: memory of the whole server",
            "≤ 1/4 of rembg",
            memory.part(),
            memory.median <= 1 / 4,
            (f"peak: bgone {bgone_mean.peak_bytes / 1e6:.0f} MB, rembg {rembg_mean.peak_bytes / 1e6:.0f} MB",),
        ),
    ]


def _mean(loads: Sequence[Load]) -> Load:
    """Of all rounds, without the answers."""
    return Load(
        mean(load.per_s for load in loads),
        mean(load.cpu_s for load in loads),
        round(mean(load.peak_bytes for load in loads)),
        (),
    )
