"""What a chaos is made of: processes that are killed and come back, clients that ask again, a receiver of webhooks."""

from __future__ import annotations

import http.client
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import orjson

from benchmarks.client import form
from bgone.jobs.job import read_id

PATH = "/jobid/api/v1/remove-bg"  # never waits
WAITING = "/poofbg/v1/remove-background"  # waits for its job
ACCOUNT_HOOK = "/account"
READY_S = 120.0
PATIENCE_S = 300.0  # of a client with one job
_WIDTHS, _HEIGHTS = 40, 50


# --- processes ------------------------------------------------------------------------------------------------------


class Member:
    """A server or a worker that comes back after it was killed.

    Args:
        command: After ``python -m``.
        environment: Settings as ``BGONE_*`` variables.
        log: Its output, of all its lives.
        port: Of a server; 0: a worker.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path, port: int = 0) -> None:
        self.port = port
        self._command = [sys.executable, "-m", *command]
        clean = {name: value for name, value in os.environ.items() if not name.startswith("BGONE_")}
        self._environment = {**clean, **environment}
        self._log = log
        self.start()

    def start(self) -> None:
        """Begin a life."""
        with self._log.open("ab") as log:
            self._begins_at = log.tell()
            self.process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)

    def await_ready(self) -> None:
        """Until it serves, or works."""
        give_up_at = time.monotonic() + READY_S
        while not (self._serves() if self.port else self._has_said(b'"event":"ready"')):
            if self.process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"{self._command} did not start: see {self._log}")
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL, and begin anew."""
        self.process.kill()
        self.process.wait()
        self.start()

    def stop(self) -> int | None:
        """SIGTERM, and what it ends with; None where it had to be killed."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None

    def _serves(self) -> bool:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        with closing(line), suppress(OSError, http.client.HTTPException):
            line.request("GET", "/readyz")
            return line.getresponse().status == 200
        return False

    def _has_said(self, words: bytes) -> bool:
        with self._log.open("rb") as log:
            log.seek(self._begins_at)
            return words in log.read()


def free_port() -> int:
    """One that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# --- receivers ------------------------------------------------------------------------------------------------------


@dataclass
class Heard:
    """What webhooks have told.

    Attributes:
        url: Where they are sent.
        ids: Path → job → ids of its messages.
        messages: How many came, those that were not taken included.
    """

    url: str = ""
    ids: dict[str, dict[str, set[str]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(set)))
    messages: int = 0


@contextmanager
def receiver(seed: int) -> Iterator[Heard]:
    """Takes seven of eight messages, and answers 500 to the others, twice at most to each."""
    heard, mood, lock = Heard(), random.Random(seed), threading.Lock()
    refused: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            told = orjson.loads(self.rfile.read(int(self.headers["content-length"])))
            job_id = told.get("jobId") or told["data"]["job_id"]
            with lock:
                heard.messages += 1
                message_id = self.headers["webhook-id"]
                taken = mood.random() > 1 / 8 or refused[message_id] == 2
                if taken:
                    heard.ids[self.path][job_id].add(message_id)
                else:
                    refused[message_id] += 1
            self.send_response(204 if taken else 500)
            self.end_headers()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    heard.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield heard
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


# --- clients --------------------------------------------------------------------------------------------------------


def size_of(number: int) -> tuple[int, int]:
    """(width, height) of a job's picture; two thousand differ."""
    return 24 + number % _WIDTHS, 20 + number // _WIDTHS % _HEIGHTS


def waits(number: int) -> bool:
    """Whether the call waits for its job: such a one may be begun with it, past the queue."""
    return number % 3 == 1


def is_damaged(number: int) -> bool:
    """Whether its end is missing, which only shows when it is read."""
    return number % 12 == 5


def picture(number: int) -> bytes:
    """A JPEG."""
    width, height = size_of(number)
    pixels = np.full((height, width, 3), (212, 205, 190), np.uint8)
    cv2.circle(pixels, (width // 2, height // 2), 8, (40, 50, number % 256), -1, cv2.LINE_AA)
    data = cv2.imencode(".jpg", pixels)[1].tobytes()
    return data[:-60] if is_damaged(number) else data


def hand_in(port: int, key: str, number: int, hook: str, gives_up: Callable[[], bool]) -> tuple[str, int]:
    """Hand a job in until it is accepted, under one name: (its id, how often it was asked).

    Raises:
        RuntimeError: It was answered otherwise, or never.
    """
    field_name, texts = ("file", {}) if waits(number) else ("image_file", {"webhook_url": hook})
    post = form(WAITING if waits(number) else PATH, field_name, picture(number), texts)
    boundary = post.body[2 : post.body.index(b"\r\n")].decode()
    headers = {
        "authorization": f"Bearer {key}",
        "idempotency-key": f"order {number}",
        "content-type": f"multipart/form-data; boundary={boundary}",
    }
    give_up_at = time.monotonic() + PATIENCE_S
    asked = 0
    while time.monotonic() < give_up_at and not gives_up():
        asked += 1
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        with closing(line), suppress(OSError, http.client.HTTPException):
            line.request("POST", post.path, post.body, headers)
            answer = line.getresponse()
            body = answer.read()
            if answer.status in (200, 202):
                told = orjson.loads(body)
                return read_id(told["id" if waits(number) else "jobId"]), asked
            if answer.status != 503:
                raise RuntimeError(f"job {number} was answered {answer.status}: {body[:300]!r}")
        time.sleep(0.05)
    raise RuntimeError(f"job {number} was never accepted")
