"""Cores, memory and disk that we may use, and what follows from them."""

from __future__ import annotations

import os
import resource
import shutil
import tempfile
from collections.abc import Iterator

from bgone.commands.checkup.finding import Finding, ok, problem, warning
from bgone.machine import cores, memory_bytes
from bgone.settings import MEGABYTE, Settings

_LEAST_MEMORY = 400 * MEGABYTE  # the process idle with the embedded net, and one picture of 12 megapixels
_LEAST_DISK = 500 * MEGABYTE
_LEAST_FILES = 1024


def hardware(settings: Settings) -> Iterator[Finding]:
    """What this machine, or its container, lets us have."""
    yield _cores(settings)
    yield _memory(settings)
    yield _load()
    yield _scratch()
    yield _files()


def _cores(settings: Settings) -> Finding:
    ours, there = cores(), os.cpu_count() or 1
    words = f"{ours} of {there}" if ours < there else f"{ours}"
    words += (
        f"; net threads {settings.net_threads}, picture threads {settings.core_threads}, seats {settings.seat_count}"
    )
    if max(settings.net_threads, settings.core_threads) > ours:
        return warning(
            "cores", words, "more threads than cores wait for each other: leave BGONE_THREADS and others at 0"
        )
    return ok("cores", words)


def _memory(settings: Settings) -> Finding:
    ours, physical = memory_bytes(), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    budget = settings.memory_budget_bytes
    limit = f" of {_mb(physical)} (container limit)" if ours < physical else ""
    words = f"{_mb(ours)}{limit}; orders may hold {_mb(budget)} together"
    if ours < _LEAST_MEMORY:
        return warning("memory", words, f"give it {_mb(_LEAST_MEMORY)}, or set BGONE_LOW_MEMORY=true")
    if budget > ours // 2:
        return warning("memory", words, "the net and the process need their part: lower BGONE_MEMORY_MB")
    return ok("memory", words)


def _load() -> Finding:
    one = os.getloadavg()[0]
    words = f"{one:.2f} in the last minute"
    if one > 1.5 * cores():
        return warning("load", words, "something else is working here: figures of `bgone bench` will be poor")
    return ok("load", words)


def _scratch() -> Finding:
    """Where large answers wait for slow readers."""
    folder = tempfile.gettempdir()
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"bgone")
            free = shutil.disk_usage(folder).free
    except OSError as error:
        return problem("scratch", f"{folder} cannot be written: {error.strerror}", "set TMPDIR to a folder that can")
    words = f"{folder}, {_mb(free)} free"
    if free < _LEAST_DISK:
        return warning("scratch", words, "large answers wait there for slow readers: make room, or set TMPDIR")
    return ok("scratch", words)


def _files() -> Finding:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _LEAST_FILES:
        return warning("open files", f"at most {soft}", f"each connection needs one: ulimit -n {_LEAST_FILES} or more")
    return ok("open files", "no limit" if soft == resource.RLIM_INFINITY else f"at most {soft:,}")


def _mb(size: int) -> str:
    return f"{size // MEGABYTE:,} MB"
