"""Asks ``/livez`` again and again, each time on a new connection, as an orchestrator does.

``python -m benchmarks.probe PORT``: see ``benchmarks.worker``. A process of its own, since the load's threads would
delay it in theirs.
"""

from __future__ import annotations

import sys
import time

import orjson

from benchmarks.client import Client

PAUSE_S = 0.02


def probe(port: int) -> float:
    """Milliseconds from connecting to the end of the answer."""
    started = time.perf_counter()
    client = Client(port, timeout_s=30)
    status = client.get("/livez").status
    client.close()
    if status != 200:
        raise RuntimeError(f"/livez answers {status}")
    return (time.perf_counter() - started) * 1000


def main() -> None:
    """See the module."""
    port = int(sys.argv[1])
    for line in sys.stdin:
        milliseconds = []
        for _ in range(int(line)):
            milliseconds.append(probe(port))
            time.sleep(PAUSE_S)
        sys.stdout.write(orjson.dumps({"milliseconds": milliseconds}).decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
