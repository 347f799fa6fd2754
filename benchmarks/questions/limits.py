"""How near is bgone to what its codecs alone cost, and how much of its CPU is the server and not the picture?"""

from __future__ import annotations

from pathlib import Path

from benchmarks.bench import Bench, Row
from benchmarks.compare import alternate, spread
from benchmarks.worker import Spent, worker

NAMES = {"12mp": "12 MP", "1mp": "1 MP"}
ROUNDS = {"12mp": 4, "1mp": 24}
CODECS = {"12mp": 2.0, "1mp": 3.0}
OWN_PART = {"12mp": 0.05, "1mp": 0.15}


def codecs(bench: Bench) -> list[Row]:
    """CPU of a request, no net, against decoding and deflating alone."""
    return [_codecs(bench, size) for size in NAMES]


def own_part(bench: Bench) -> list[Row]:
    """CPU of a request, no net, less that of the same steps called directly, as a share of the request's."""
    return [_own_part(bench, size) for size in NAMES]


def _codecs(bench: Bench, size: str) -> Row:
    data, jpeg = _picture(bench, size)
    with bench.bgone(net=False) as server:
        server.warm(data)
        png = bench.work / f"answer-{size}.png"
        png.write_bytes(server.cut(data, keep=True).body)
        rounds = bench.count(ROUNDS[size], 2)
        with worker("benchmarks.bare", str(jpeg), str(png)) as bare:
            pairs = alternate(bench.pairs, lambda _: server.cost(data, rounds).cpu_s, lambda _: bare.work(rounds).facts)
    decode = spread([min(facts["opencv_s"], facts["vips_s"]) * 1000 for _, facts in pairs])
    deflate = spread([facts["deflate_s"] * 1000 for _, facts in pairs])
    ratio = spread([cpu / (min(f["opencv_s"], f["vips_s"]) + f["deflate_s"]) for cpu, f in pairs])
    request = spread([cpu * 1000 for cpu, _ in pairs])
    note = f"request {request.words(' ms', 1)}, decode {decode.words(' ms', 1)}, deflate {deflate.words(' ms', 1)}"
    limit = CODECS[size]
    return Row(
        f"CPU against bare codecs, {NAMES[size]}, no net",
        f"≤ {limit:.0f} x",
        ratio.words(" x", 2),
        ratio.median <= limit,
        (note,),
    )


def _own_part(bench: Bench, size: str) -> Row:
    data, jpeg = _picture(bench, size)
    rounds = bench.count(ROUNDS[size] * 2, 2)
    with bench.bgone(net=False) as server, worker("benchmarks.direct", bench.no_net, str(jpeg)) as direct:
        server.warm(data)
        pairs: list[tuple[float, Spent]] = alternate(
            bench.pairs, lambda _: server.cost(data, rounds).cpu_s, lambda _: direct.work(rounds)
        )
    share = spread([1 - spent.cpu_s / cpu for cpu, spent in pairs])
    by_http, by_call = (
        spread([ms * 1000 for ms in side]) for side in zip(*((c, s.cpu_s) for c, s in pairs), strict=True)
    )
    note = f"CPU by HTTP {by_http.words(' ms', 1)}, by direct calls {by_call.words(' ms', 1)}"
    limit = OWN_PART[size]
    return Row(
        f"Server's own part of CPU (HTTP, form, queues, hand-overs), {NAMES[size]}, no net",
        f"≤ {limit:.0%}",
        share.times(100).words(" %", 1),
        share.median <= limit,
        (note,),
    )


def _picture(bench: Bench, size: str) -> tuple[bytes, Path]:
    """The drawn scene, and a file that holds it."""
    data = bench.pictures(size)[0].data
    path = bench.work / f"picture-{size}.jpg"
    path.write_bytes(data)
    return data, path
