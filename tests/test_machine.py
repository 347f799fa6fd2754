"""Cores and memory, container limits included."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bgone.machine import cores, memory_bytes

ALL = len(os.sched_getaffinity(0))


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, ALL),
        ({"cpu.max": "max 100000\n"}, ALL),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "100000 100000\n"}, 1),
        ({"cpu.max": "150000 100000\n"}, min(2, ALL)),
        ({"cpu.max": "99900000 100000\n"}, ALL),
        ({"cpu.max": "rubbish"}, ALL),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, ALL),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "0\n"}, ALL),
    ],
)
def test_a_quota_lowers_the_cores(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    """Rounded up, of either cgroup version; nothing raises them above what the scheduler allows."""
    assert cores(written(tmp_path, files)) == expected


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_a_limit_lowers_the_memory(tmp_path: Path, name: str) -> None:
    """The lower of limit and machine."""
    assert memory_bytes(written(tmp_path, {name: "268435456\n"})) == 268_435_456


@pytest.mark.parametrize("text", ["max\n", "9223372036854771712\n", ""])
def test_no_limit_is_the_machine(tmp_path: Path, text: str) -> None:
    """No number, or one that no machine has."""
    assert memory_bytes(written(tmp_path, {"memory.max": text})) == memory_bytes(tmp_path / "nowhere") > 100_000_000
