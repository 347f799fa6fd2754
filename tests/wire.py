"""HTTP on bare sockets: requests that no client library would send, answers read byte by byte."""

from __future__ import annotations

import asyncio
import http.client
import io
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from tests.serving import Served


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer off the wire; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Wire(io.BytesIO):
    """What HTTPResponse takes for a socket; several answers are read off one."""

    def makefile(self, *_: object) -> _Wire:
        return self

    def close(self) -> None:
        pass


def answers(data: bytes, method: str = "GET") -> list[Answer]:
    """Every answer in ``data``.

    Raises:
        http.client.HTTPException: One is cut short.
    """
    wire, found = _Wire(data), []
    while wire.tell() < len(data):
        response = http.client.HTTPResponse(cast(Any, wire), method=method)
        response.begin()
        headers = {name.lower(): value for name, value in response.getheaders()}
        found.append(Answer(response.status, headers, response.read()))
    return found


def connect(port: int, timeout_s: float = 20, *, receive_bytes: int = 0) -> socket.socket:
    """A connection; a small receive buffer makes a client that reads slowly."""
    line = socket.socket()
    if receive_bytes:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    line.settimeout(timeout_s)
    try:
        line.connect(("127.0.0.1", port))
    except OSError:
        line.close()
        raise
    return line


def drain(line: socket.socket) -> bytes:
    """Everything until the other side closes or cuts."""
    pieces = []
    try:
        while piece := line.recv(1 << 16):
            pieces.append(piece)
    except ConnectionError:
        pass
    return b"".join(pieces)


def talk(port: int, data: bytes, timeout_s: float = 20) -> bytes:
    """Send ``data``, then read until the server closes; TimeoutError where it does not."""
    with connect(port, timeout_s) as line:
        line.sendall(data)
        return drain(line)


def request(body: bytes = b"", *headers: str, start: str = "POST /v2 HTTP/1.1") -> bytes:
    """A request whose answer ends the connection."""
    lines = [start, "Host: x", "Connection: close", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


async def ask(port: int, data: bytes) -> Answer:
    """``talk`` for many clients at once."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        whole = await reader.read()
    finally:
        writer.close()
    (answer,) = answers(whole)
    return answer


def metric(served: Served, name: str) -> float:
    """The sum of a metric over its labels."""
    lines = served.get("/metrics").text.splitlines()
    found = [float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
    assert found, name
    return sum(found)


def wait_until(what: Callable[[], object], seconds: float = 20) -> float:
    """Poll until ``what`` is true; how long it took."""
    started = time.monotonic()
    while not what():
        assert time.monotonic() - started < seconds, "it never came"
        time.sleep(0.02)
    return time.monotonic() - started
