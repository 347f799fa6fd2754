"""What a process and its children cost, read from outside: CPU time and resident memory of the whole tree."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def tree(root: int) -> list[int]:
    """``root`` and its living descendants."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                children.setdefault(int(_stat(int(entry.name))[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found.extend(children.get(pid, []))
    return found


def cpu_s(root: int) -> float:
    """Seconds of CPU, user and system, of the tree so far, its ended threads and children included."""
    total = 0.0
    for pid in tree(root):
        with suppress(OSError):
            # The scheduler's own clock of a process, in nanoseconds; /proc/PID/stat counts in hundredths of a second.
            total += time.clock_gettime((~pid << 3) | 2)
            ended = _stat(pid)
            total += (int(ended[13]) + int(ended[14])) / _TICKS_PER_S
    return total


def resident_bytes(root: int) -> int:
    """Resident memory of the tree now."""
    return sum(_status_bytes(pid, "VmRSS") for pid in tree(root))


def peak_bytes(root: int) -> int:
    """The most that each process of the tree has been resident since ``reset_peak``, summed."""
    return sum(_status_bytes(pid, "VmHWM") for pid in tree(root))


def reset_peak(root: int) -> None:
    """Let peaks count from now (Linux: 5 into ``clear_refs``, proc(5))."""
    for pid in tree(root):
        (_PROC / str(pid) / "clear_refs").write_text("5")


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on (state, ppid, ...): the name before them may hold spaces."""
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _status_bytes(pid: int, name: str) -> int:
    with suppress(OSError):
        for line in (_PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    return 0
