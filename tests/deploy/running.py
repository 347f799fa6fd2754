"""A program that is run for the length of a block."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path


@contextlib.contextmanager
def running(
    command: Sequence[str | Path],
    log_path: Path,
    listens: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """A program from the moment it listens; stopped at the end.

    Args:
        command: The program and its words.
        log_path: Where what it says is kept.
        listens: Tells whether it is there.
        environment: Variables beside the usual ones.
    """
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | dict(environment or {}))
    try:
        give_up_at = time.monotonic() + 60
        while not listens():
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise AssertionError(f"{command[0]} did not start:\n{log_path.read_text()}")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def accepts(port: int) -> bool:
    """Whether something listens there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
