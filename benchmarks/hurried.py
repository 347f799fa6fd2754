"""``bgone serve`` and ``bgone work`` in a hurry: what takes minutes or a day behind their requests takes seconds.

``python -m benchmarks.hurried serve|work``, settings as ``BGONE_*`` variables.
"""

from __future__ import annotations

import os
import sys

from bgone.jobs.deliveries import Rules
from bgone.jobs.pace import Pace
from bgone.server import run, run_worker
from bgone.settings import load

HURRY = Pace(
    lease_s=4,
    close_s=4,
    tidy_s=0.5,
    sweep_s=5,
    rules=Rules(pauses_s=(0.1, 0.2, 0.4, 0.6, 0.8), lease_s=5, dead_after=2, park_s=3600),
    try_s=1,
)


def main() -> int:
    """Serve or work until told to stop; returns the exit status."""
    flags = {"port": sys.argv[3]} if "--port" in sys.argv else {}
    settings = load(os.environ, {"host": "127.0.0.1", **flags})
    return {"serve": run, "work": run_worker}[sys.argv[1]](settings, HURRY)


if __name__ == "__main__":
    sys.exit(main())
