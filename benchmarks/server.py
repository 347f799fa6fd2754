"""A server under test: started, awaited, driven over loopback, weighed from outside, stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks import process
from benchmarks.client import Answer, Client, Post, crowd, form


@dataclass(frozen=True, slots=True)
class Kind:
    """How to start a server and how to ask it.

    Attributes:
        command: ``{port}`` stands for the port.
        environment: Beside our own environment, from which ``BGONE_*`` is taken out.
        ready_path: Answers 200 once pictures are taken.
        post_path: Takes the form.
        file_field: The form's file.
        texts: The form's other fields.
    """

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    ready_path: str
    post_path: str
    file_field: str
    texts: Mapping[str, str] = field(default_factory=dict)

    def post(self, data: bytes) -> Post:
        """The request that cuts this picture."""
        return form(self.post_path, self.file_field, data, self.texts)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one request, alone on the server.

    Attributes:
        p50_s: Median from before sending to the last byte.
        first_byte_s: Median from before sending to the first byte of the body.
        cpu_s: Mean over the process tree.
    """

    p50_s: float
    first_byte_s: float
    cpu_s: float


@dataclass(frozen=True, slots=True)
class Load:
    """Of many requests by several clients at once.

    Attributes:
        per_s: Requests a second.
        cpu_s: Mean of one request, over the process tree.
        peak_bytes: Most resident memory of the tree meanwhile.
        answers: All of them.
    """

    per_s: float
    cpu_s: float
    peak_bytes: int
    answers: Sequence[Answer]


class Server:
    """A running process of some ``Kind``."""

    def __init__(self, kind: Kind, port: int, running: subprocess.Popen[bytes]) -> None:
        self.kind = kind
        self.port = port
        self.running = running

    @property
    def pid(self) -> int:
        return self.running.pid

    def cut(self, data: bytes, *, keep: bool = False) -> Answer:
        """One picture on a connection of its own; it must succeed."""
        client = Client(self.port)
        answer = client.post(self.kind.post(data), keep=keep)
        client.close()
        return _good(answer)

    def warm(self, data: bytes, times: int = 3) -> None:
        """Let arenas, pools and caches reach the state of a server that has been at work."""
        for _ in range(times):
            self.cut(data)

    def cost(self, data: bytes, times: int) -> Cost:
        """So many requests, one after the other on one connection."""
        post, client = self.kind.post(data), Client(self.port)
        before = process.cpu_s(self.pid)
        answers = [_good(client.post(post)) for _ in range(times)]
        cpu_s = process.cpu_s(self.pid) - before
        client.close()
        p50_s, first_byte_s = (
            median(each) for each in zip(*((a.seconds, a.first_byte_s) for a in answers), strict=True)
        )
        return Cost(p50_s, first_byte_s, cpu_s / times)

    def load(self, pictures: Sequence[bytes], clients: int, requests: int) -> Load:
        """So many requests by ``clients`` at once; statuses are left to the caller."""
        posts = [self.kind.post(data) for data in pictures]
        process.reset_peak(self.pid)
        before = process.cpu_s(self.pid)
        seconds, answers = crowd(self.port, posts, clients, requests)
        cpu_s = process.cpu_s(self.pid) - before
        return Load(requests / seconds, cpu_s / requests, process.peak_bytes(self.pid), answers)


@contextmanager
def serve(kind: Kind, logs: Path, within_s: float = 180) -> Iterator[Server]:
    """A server that is ready."""
    server = launch(kind, logs)
    try:
        _await(server, within_s, logs)
        yield server
    finally:
        stop(server)


def launch(kind: Kind, logs: Path) -> Server:
    """Start the process and return at once."""
    port = _free_port()
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BGONE_")}
    with (logs / f"{kind.name}.log").open("ab") as log:
        running = subprocess.Popen(
            [part.format(port=port) for part in kind.command],
            env=clean | dict(kind.environment),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    return Server(kind, port, running)


def stop(server: Server) -> None:
    """End it, kindly first."""
    if server.running.poll() is None:
        server.running.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            server.running.wait(timeout=15)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.running.wait()


def bgone(model: str = "", **settings: object) -> Kind:
    """``bgone serve`` as users start it; settings become ``BGONE_*`` variables."""
    # Who installs [cpu] has no OpenVINO to compare at the start; the developer's environment has.
    given = {"BGONE_DEVICE": "cpu"} | {f"BGONE_{name.upper()}": str(value) for name, value in settings.items()}
    if model:
        given["BGONE_MODEL"] = model
    command = (sys.executable, "-m", "bgone", "serve", "--port", "{port}")
    return Kind("bgone", command, given, "/readyz", "/v2", "image_file")


def _await(server: Server, within_s: float, logs: Path) -> None:
    give_up_at = time.monotonic() + within_s
    while time.monotonic() < give_up_at and server.running.poll() is None:
        with suppress(OSError):
            client = Client(server.port, timeout_s=5)
            status = client.get(server.kind.ready_path).status
            client.close()
            if status == 200:
                return
        time.sleep(0.05)
    raise RuntimeError(f"{server.kind.name} did not start: see {logs}/{server.kind.name}.log")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _good(answer: Answer) -> Answer:
    if answer.status != 200:
        raise RuntimeError(f"answered {answer.status}")
    return answer
