"""How long, and how much CPU, does a picture take against rembg, alone on the server?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean

from benchmarks.bench import Bench, Row
from benchmarks.compare import Spread, alternate, spread
from benchmarks.server import Cost

Pairs = Sequence[tuple[Cost, Cost]]


def twelve(bench: Bench) -> list[Row]:
    """12 MP, no net."""
    pairs = _pairs(bench, "12mp", net=False, ours=4, theirs=1)
    return [_p50("12 MP JPEG → RGBA PNG, no net", pairs, 7), _cpu("12 MP JPEG → RGBA PNG, no net", pairs, 7)]


def one(bench: Bench) -> list[Row]:
    """1 MP, no net."""
    pairs = _pairs(bench, "1mp", net=False, ours=24, theirs=6)
    return [_p50("1 MP, no net", pairs, 6), _cpu("1 MP, no net", pairs, 6)]


def twelve_net(bench: Bench) -> list[Row]:
    """12 MP with the embedded net."""
    pairs = _pairs(bench, "12mp", net=True, ours=4, theirs=1)
    return [_p50("12 MP with the embedded net", pairs, 6, _cpu_note(pairs))]


def forty_eight(bench: Bench) -> list[Row]:
    """48 MP, no net."""
    pairs = _pairs(bench, "48mp", net=False, ours=2, theirs=1)
    return [_p50("48 MP JPEG → PNG, no net", pairs, 8, _cpu_note(pairs))]


def _pairs(bench: Bench, size: str, *, net: bool, ours: int, theirs: int) -> Pairs:
    """Alternates over the pictures of that size; so many requests of each server a pair."""
    pictures = [picture.data for picture in bench.pictures(size)]
    with bench.both(net=net) as (bgone, rembg):
        for server in (bgone, rembg):
            server.cost(pictures[0], 1)
        return alternate(
            bench.pairs,
            lambda number: bgone.cost(pictures[number % len(pictures)], bench.count(ours)),
            lambda number: rembg.cost(pictures[number % len(pictures)], bench.count(theirs)),
        )


def _p50(what: str, pairs: Pairs, divisor: int, *notes: str) -> Row:
    ratios = _ratios(pairs, lambda cost: cost.p50_s)
    ours, theirs = (mean(cost.p50_s for cost in side) * 1000 for side in zip(*pairs, strict=True))
    passed = ratios.median <= 1 / divisor
    note = f"bgone {ours:.0f} ms, rembg {theirs:.0f} ms"
    return Row(f"{what}: p50", f"≤ 1/{divisor} of rembg", ratios.part(), passed, (note, *notes))


def _cpu(what: str, pairs: Pairs, divisor: int) -> Row:
    ratios = _ratios(pairs, lambda cost: cost.cpu_s)
    passed = ratios.median <= 1 / divisor
    return Row(f"{what}: CPU", f"≤ 1/{divisor} of rembg", ratios.part(), passed, (_cpu_note(pairs),))


def _cpu_note(pairs: Pairs) -> str:
    ours, theirs = (mean(cost.cpu_s for cost in side) * 1000 for side in zip(*pairs, strict=True))
    ratios = _ratios(pairs, lambda cost: cost.cpu_s)
    return f"CPU a request: bgone {ours:.0f} ms, rembg {theirs:.0f} ms, {ratios.part()}"


def _ratios(pairs: Pairs, figure: Callable[[Cost], float]) -> Spread:
    return spread([figure(ours) / figure(theirs) for ours, theirs in pairs])
