"""How much memory does bgone take: for one large picture, for many at once, and after a thousand?"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from benchmarks import process
from benchmarks.bench import Bench, Row
from benchmarks.client import Answer, crowd
from benchmarks.compare import spread
from benchmarks.server import Server
from bgone.pipeline.studio import REST_S

MB = 1e6
LARGE_MB, CROWD_MB, GROWTH = 160, 700, 0.02
CROWD = 8


def large(bench: Bench) -> list[Row]:
    """48 MP, no net: the peak above what the warmed server holds."""
    pictures = [picture.data for picture in bench.pictures("48mp")]
    with bench.bgone(net=False) as server:
        server.warm(bench.pictures("1mp")[0].data, 5)
        idle = process.resident_bytes(server.pid)
        peaks = []
        for number in range(bench.pairs):
            process.reset_peak(server.pid)
            server.cost(pictures[number % len(pictures)], 1)
            peaks.append((process.peak_bytes(server.pid) - idle) / MB)
        after = process.resident_bytes(server.pid)
    above = spread(peaks)
    notes = (f"idle {idle / MB:.0f} MB before, {after / MB:.0f} MB after", f"the first picture: {peaks[0]:.0f} MB")
    asked = f"≤ {LARGE_MB} MB"
    passed = above.median <= LARGE_MB
    return [Row("48 MP JPEG → PNG, no net: peak memory above idle", asked, above.words(" MB"), passed, notes)]


def crowded(bench: Bench) -> list[Row]:
    """8 clients post 48 MP pictures: every answer is a picture or says when to come again."""
    pictures = [picture.data for picture in bench.pictures("48mp")]
    with bench.bgone(net=True) as server:
        server.warm(bench.pictures("1mp")[0].data, 5)
        load = server.load(pictures, CROWD, bench.count(40, CROWD))
    kinds = Counter(_kind(answer) for answer in load.answers)
    passed = load.peak_bytes <= CROWD_MB * MB and set(kinds) <= {"200", "503 with Retry-After"} and kinds["200"] > 0
    notes = (", ".join(f"{count} x {kind}" for kind, count in sorted(kinds.items())),)
    what = f"{CROWD} clients x 48 MP with the net: memory of the whole server, answers 200 or 503 with Retry-After"
    return [Row(what, f"≤ {CROWD_MB} MB", f"{load.peak_bytes / MB:.0f} MB", passed, notes)]


def growth(bench: Bench) -> list[Row]:
    """Resident memory after 1,000 requests of mixed sizes against after 200."""
    early, late = (20, 60) if bench.quick else (200, 1000)
    pictures = [picture.data for picture in bench.album.mixed(late)]
    with bench.bgone(net=True) as server:
        at_early = _after(server, pictures[:early])
        at_middle = _after(server, pictures[early : (early + late) // 2])
        at_late = _after(server, pictures[(early + late) // 2 :])
    grown = at_late / at_early - 1
    notes = (
        f"{at_early / MB:.1f} MB after {early}, {at_middle / MB:.1f} MB after {(early + late) // 2}, "
        f"{at_late / MB:.1f} MB after {late}; two clients, 0.1 to 12 MP",
    )
    what = f"Growth of memory between request {early} and {late:,} of mixed sizes, with the net"
    return [Row(what, f"≤ {GROWTH:.0%}", f"{grown:+.1%}", grown <= GROWTH, notes)]


def _after(server: Server, pictures: Sequence[bytes]) -> float:
    """Resident bytes once these have been cut and the server has rested (``studio.REST_S``)."""
    _, answers = crowd(server.port, [server.kind.post(data) for data in pictures], 2, len(pictures))
    if any(answer.status != 200 for answer in answers):
        raise RuntimeError("not all answers are pictures")
    time.sleep(REST_S + 0.5)
    samples = []
    for _ in range(5):
        time.sleep(0.2)
        samples.append(process.resident_bytes(server.pid))
    return min(samples)


def _kind(answer: Answer) -> str:
    says_when = answer.status == 503 and answer.headers.get("retry-after", "").isdigit()
    return f"{answer.status} with Retry-After" if says_when else str(answer.status)
