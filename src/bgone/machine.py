"""What this machine lets us use: cores and memory, container limits included."""

from __future__ import annotations

import ctypes
import functools
import os
import platform
from math import ceil
from pathlib import Path

# mallopt's parameters, glibc malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8

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


def resident_bytes() -> int | None:
    """Memory of this process that is in RAM now; None where the kernel does not say."""
    return _of_status("VmRSS")


def peak_resident_bytes() -> int | None:
    """The most that ever was. Not ``ru_maxrss``: that begins with what the process had which started us."""
    return _of_status("VmHWM")


def settle_malloc() -> None:
    """Tell glibc to keep the planes of a picture between requests; call before the first thread.

    By default it maps and unmaps every plane of more than 128 KB: 4,400 page faults for a picture of 1 MP and a quarter
    of its CPU time (45 against 33.5 ms). One arena, because threads' own arenas keep what the others lack. Elsewhere
    than on glibc nothing happens.
    """
    if not _is_glibc():
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_M_MMAP_THRESHOLD, 4 << 20)
    libc.mallopt(_M_TRIM_THRESHOLD, 32 << 20)
    libc.mallopt(_M_ARENA_MAX, 1)


def trim_malloc() -> None:
    """Give free pages inside the heap back: 20-28 MB after a model was loaded, some MB after pictures of mixed sizes.

    Takes a few milliseconds, in which no thread can allocate: not for every picture.
    """
    if _is_glibc():
        ctypes.CDLL(None).malloc_trim(0)


@functools.cache
def _is_glibc() -> bool:
    return platform.libc_ver()[0] == "glibc"


def _of_status(name: str) -> int | None:
    for line in _read(Path("/proc/self/status")).splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None


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
