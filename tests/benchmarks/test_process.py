"""Weighing a process tree from outside."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from benchmarks import process


def test_cpu_is_counted_finely() -> None:
    """Busy milliseconds show, idle ones do not."""
    before, own = process.cpu_s(os.getpid()), time.process_time()
    sum(range(300_000))
    after, spent = process.cpu_s(os.getpid()), time.process_time() - own

    assert 0 < after - before < spent + 0.1


def test_children_belong_to_the_tree() -> None:
    """A living child is found, and its memory counts."""
    alone = process.resident_bytes(os.getpid())
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        try:
            assert child.pid in process.tree(os.getpid())
            assert process.resident_bytes(os.getpid()) > alone
        finally:
            child.communicate(b"\n")
