"""A real ``bgone serve`` process for tests: started, watched, stopped; its log kept."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import orjson


@dataclass
class Served:
    """A running server.

    Attributes:
        process: The process.
        port: Where it listens on 127.0.0.1.
        log_path: Its standard error.
    """

    process: subprocess.Popen[bytes]
    port: int
    log_path: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, timeout_s: float = 60) -> httpx2.Client:
        """A new client with the server as base URL."""
        return httpx2.Client(base_url=self.url, timeout=timeout_s, trust_env=False)

    def get(self, path: str, **options: object) -> httpx2.Response:
        with self.client() as client:
            return client.get(path, **options)  # type: ignore[arg-type]

    def post(self, path: str, **options: object) -> httpx2.Response:
        with self.client() as client:
            return client.post(path, **options)  # type: ignore[arg-type]

    def log(self) -> list[dict[str, object]]:
        """Every JSON line so far."""
        lines = self.log_path.read_bytes().splitlines()
        return [orjson.loads(line) for line in lines if line.startswith(b"{")]

    def logged(self, request_id: str) -> dict[str, object]:
        """The log line of a request; the log is written by a thread of its own, so it may lag a little."""
        give_up_at = time.monotonic() + 5
        while time.monotonic() < give_up_at:
            for line in self.log():
                if line.get("id") == request_id and line.get("event") == "request":
                    return line
            time.sleep(0.02)
        raise AssertionError(f"no log line of {request_id}")

    def resident_bytes(self) -> int:
        """Resident memory of the process now."""
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = (line for line in text.splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) * 1024

    def descriptors(self) -> int:
        """Open file descriptors."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def threads(self) -> int:
        """Threads."""
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def ready(self) -> bool:
        with contextlib.suppress(httpx2.HTTPError):
            return self.get("/readyz").status_code == 200
        return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(folder: Path, port: int | None, program: str = "bgone", /, **settings: object) -> subprocess.Popen[bytes]:
    """Start ``bgone serve``, or ``bgone work`` where no port is given; settings become ``BGONE_*`` variables."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BGONE_")}
    clean["XDG_DATA_HOME"] = str(folder / "data")  # whatever accounts the developer has
    clean["BGONE_DEVICE"] = "cpu"  # else every start would compare it with OpenVINO, and the machine choose
    given = {f"BGONE_{name.upper()}": str(value) for name, value in settings.items()}
    with (folder / "log").open("wb") as log:
        command = ["work"] if port is None else ["serve", "--port", str(port)]
        return subprocess.Popen([sys.executable, "-m", program, *command], env=clean | given, stderr=log, stdout=log)


@contextlib.contextmanager
def serve(folder: Path, program: str = "bgone", /, **settings: object) -> Iterator[Served]:
    """A server that is ready; stopped at the end, and it must end well."""
    port = free_port()
    process = start(folder, port, program, **settings)
    served = Served(process, port, folder / "log")
    try:
        give_up_at = time.monotonic() + 60
        while not served.ready():
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise AssertionError(f"the server did not start:\n{served.log_path.read_text()}")
            time.sleep(0.05)
        yield served
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise
