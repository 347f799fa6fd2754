"""Receivers of webhooks: small real web servers on loopback, well-behaved and otherwise."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

ENOUGH_S = 60.0


@dataclass(frozen=True, slots=True)
class Told:
    """One POST that came in; header names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """Answers each request with the next of its statuses, the last of them for ever, and keeps what it was sent.

    Attributes:
        statuses: Lines after ``HTTP/1.1``, with header lines where they need any; "" hangs up without an answer.
        slow_s: Before each answer.
        told: What came in.
        open: Requests under way.
        most_open: Most of them at one time.
        url: Where it listens.
        port: The same in short.
    """

    statuses: Sequence[str]
    slow_s: float = 0
    told: list[Told] = field(default_factory=list)
    open: int = 0
    most_open: int = 0
    url: str = ""
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        finally:
            self.open -= 1
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").strip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers["content-length"]))
        assert first.startswith("POST ")
        status = self.statuses[min(len(self.told), len(self.statuses) - 1)]
        self.told.append(Told(first.split(" ")[1], headers, body))
        await asyncio.sleep(self.slow_s)
        if status:
            writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n".encode())
            await writer.drain()

    async def heard(self, count: int) -> list[Told]:
        """What came in, once so much has."""
        async with asyncio.timeout(ENOUGH_S):
            while len(self.told) < count:
                await asyncio.sleep(0.005)
        return self.told


@asynccontextmanager
async def receiver(*statuses: str, slow_s: float = 0) -> AsyncIterator[Receiver]:
    """A receiver on a free port of loopback."""
    made = Receiver(statuses, slow_s)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    made.url = f"http://127.0.0.1:{made.port}/hook?token=1"
    try:
        yield made
    finally:
        server.close()
