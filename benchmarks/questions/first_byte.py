"""How soon after the net does the first byte of the answer reach the client?"""

from __future__ import annotations

import re
from collections.abc import Mapping

from benchmarks.bench import Bench, Row
from benchmarks.client import Client
from benchmarks.compare import spread

BEYOND_NET_MS = 80
_PREDICT = re.compile(r"predict;dur=([\d.]+)")


def ask(bench: Bench) -> list[Row]:
    """12 MP: from before the upload to the first byte of the body, less what the answer says the net took."""
    pictures = [picture.data for picture in bench.pictures("12mp")]
    first, beyond, net = [], [], []
    with bench.bgone(net=True) as server:
        server.warm(pictures[0])
        client = Client(server.port)
        for number in range(bench.count(40)):
            answer = client.post(server.kind.post(pictures[number % len(pictures)]))
            net_ms = _net_ms(answer.headers)
            first.append(answer.first_byte_s * 1000)
            net.append(net_ms)
            beyond.append(answer.first_byte_s * 1000 - net_ms)
        client.close()
    found = spread(beyond)
    notes = (f"first byte after {spread(first).words(' ms')}, of which the net {spread(net).words(' ms')}",)
    what, asked = "Time to first byte, 12 MP, beyond the net's own time", f"≤ {BEYOND_NET_MS} ms"
    return [Row(what, asked, found.words(" ms"), found.median <= BEYOND_NET_MS, notes)]


def _net_ms(headers: Mapping[str, str]) -> float:
    found = _PREDICT.search(headers.get("server-timing", ""))
    if found is None:
        raise RuntimeError("the answer's Server-Timing does not name the net")
    return float(found[1])
