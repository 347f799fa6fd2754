"""A server and three workers are killed at random while jobs come in over HTTP: nothing is lost, nothing is left.

BGONE_TEST_CHAOS=full: 2,000 jobs, twenty-four kills, leases of their real length. The seed is printed: the same again
with BGONE_TEST_SEED.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.chaos import Plan, run

from tests.databases import KINDS, own_postgres, sqlite_address

FULL = os.environ.get("BGONE_TEST_CHAOS") == "full"
JOBS, KILLS = (2000, 24) if FULL else (120, 6)


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind that nobody else uses, without tables: killed processes leave connections behind."""
    if request.param == "sqlite":
        yield sqlite_address(tmp_path)
    else:
        with own_postgres() as found:
            yield found


@pytest.mark.timeout(1500 if FULL else 400)
def test_nothing_is_lost_whoever_dies(address: str, tmp_path: Path) -> None:
    """Each accepted job ends once, its result can be read, it is paid for once, and its end is told under one id."""
    seed = int(os.environ.get("BGONE_TEST_SEED", secrets.randbits(32)))
    print(f"BGONE_TEST_SEED={seed}")

    past = run(address, tmp_path, Plan(JOBS, KILLS, seed, hurried=not FULL))

    assert past.verdict.faults == []
    assert past.verdict.done + past.verdict.failed == JOBS
    assert sum(past.killed) == KILLS
