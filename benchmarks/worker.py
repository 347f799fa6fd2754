"""Work in a process of its own, weighed from outside with the same scales as the servers."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson

from benchmarks import process


@dataclass(frozen=True, slots=True)
class Spent:
    """Of one round.

    Attributes:
        cpu_s: CPU seconds over the process tree.
        facts: What the worker said.
    """

    cpu_s: float
    facts: dict[str, Any]


class Worker:
    """A ``python -m`` module that reads a number from standard input, works so many rounds, and answers with JSON."""

    def __init__(self, running: subprocess.Popen[bytes]) -> None:
        self._running = running

    def work(self, rounds: int) -> Spent:
        """So many rounds."""
        asks, answers = self._running.stdin, self._running.stdout
        assert asks is not None
        assert answers is not None
        before = process.cpu_s(self._running.pid)
        asks.write(f"{rounds}\n".encode())
        asks.flush()
        line = answers.readline()
        if not line:
            raise RuntimeError(f"{self._running.args!r} has ended")
        return Spent((process.cpu_s(self._running.pid) - before) / rounds, orjson.loads(line))


@contextmanager
def worker(module: str, *arguments: str) -> Iterator[Worker]:
    """A worker, warmed by two rounds."""
    command = [sys.executable, "-m", module, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
        found = Worker(running)
        found.work(2)
        yield found
        assert running.stdin is not None
        running.stdin.close()
