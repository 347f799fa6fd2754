"""What this machine lets us use: cores and memory, container limits included."""

from __future__ import annotations

import os
from math import ceil
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def cores(cgroup: Path = _CGROUP) -> int:
    """Whole CPU cores that we may use: affinity, lowered by a cgroup quota (v2 ``cpu.max``, v1 ``cpu.cfs_*``)."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cpu_quota(cgroup)
    return max(1, min(allowed, ceil(quota)) if quota else allowed)


def memory_bytes(cgroup: Path = _CGROUP) -> int:
    """Bytes of memory that we may use: the machine's, lowered by a cgroup limit (v2 ``memory.max``, v1)."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        text = _read(cgroup / name)
        if text.isdigit():
            return min(physical, int(text))
    return physical


def _cpu_quota(cgroup: Path) -> float | None:
    parts = _read(cgroup / "cpu.max").split()
    if len(parts) == 2 and parts[0].isdigit() and parts[1].isdigit():
        return int(parts[0]) / int(parts[1])
    quota, period = _read(cgroup / "cpu/cpu.cfs_quota_us"), _read(cgroup / "cpu/cpu.cfs_period_us")
    if quota.isdigit() and period.isdigit() and int(period) > 0:
        return int(quota) / int(period)
    return None


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
