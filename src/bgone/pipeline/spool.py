"""The spool between the encoder and the client: the encoder never waits, a slow reader costs bytes and never a thread.

Unsent bytes stay in memory up to a limit, then go to an unlinked temporary file. Bytes that were read are dropped.
"""

from __future__ import annotations

import asyncio
import math
import tempfile
import threading
from collections import deque
from collections.abc import AsyncIterator
from concurrent.futures import Executor
from typing import IO

from bgone.errors import ClientGone

# Pieces of 64-256 KB: smaller ones cost calls, larger ones gain nothing (docs/performance.md).
PIECE_BYTES = 64 * 1024
MOST_BYTES = 256 * 1024

Piece = bytes | memoryview


class Spool:
    """One writer on a thread, one reader on the event loop.

    Args:
        disk: Where reads of the spilled file block; never the loop.
        memory_bytes: Unsent bytes kept in memory before the rest goes to a temporary file.

    Attributes:
        written: Bytes taken so far.
        spilled: Those of them that went to the file.
    """

    def __init__(self, disk: Executor, memory_bytes: int = 8 << 20) -> None:
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._lock = threading.Lock()
        self._disk = disk
        self._memory_bytes = memory_bytes
        self._pieces: deque[Piece] = deque()
        self._backlog = 0
        self._file: IO[bytes] | None = None
        self._file_read = 0
        self._file_end = 0
        self._ended = False
        self._failure: BaseException | None = None
        self._closed = False
        self.written = 0
        self.spilled = 0

    # --- the writer's side, on a thread -------------------------------------------------------------------------

    def write(self, data: bytes) -> None:
        """Take bytes without waiting for anybody.

        Raises:
            ClientGone: The reader has closed: stop encoding.
        """
        with self._lock:
            if self._closed:
                raise ClientGone
            self.written += len(data)
            if self._file is None and self._backlog + len(data) <= self._memory_bytes:
                self._pieces.append(data)
                self._backlog += len(data)
            else:
                self._spill(data)
        self._tell()

    def finish(self) -> None:
        """All bytes are written."""
        with self._lock:
            self._ended = True
        self._tell()

    def fail(self, error: BaseException) -> None:
        """No more bytes will come; the reader hears ``error`` after what is written."""
        with self._lock:
            self._failure = error
            self._ended = True
        self._tell()

    def _spill(self, data: bytes) -> None:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="bgone-spool-")  # noqa: SIM115 - closed by close()
        self._file.seek(self._file_end)
        self._file.write(data)
        self._file_end += len(data)
        self.spilled += len(data)

    def _tell(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._news.set)
        except RuntimeError:  # the loop has closed: nobody listens
            self._closed = True

    # --- the reader's side, on the loop -------------------------------------------------------------------------

    @property
    def finished(self) -> bool:
        """Everything is written and nothing failed: ``written`` is the final size."""
        return self._ended and self._failure is None

    async def begun(self, least_bytes: float = PIECE_BYTES) -> None:
        """Wait until ``least_bytes`` or the end are there.

        Raises:
            BaseException: What the writer failed with, if it failed that early.
        """
        while True:
            self._news.clear()  # before looking: news that comes after the look wakes the wait
            if self._failure is not None:
                raise self._failure
            if self._ended or self.written >= least_bytes:
                return
            await self._news.wait()

    async def ended(self) -> None:
        """Wait until everything is written, for a reader that must know the size first.

        Raises:
            BaseException: What the writer failed with.
        """
        await self.begun(math.inf)

    async def pieces(self) -> AsyncIterator[Piece]:
        """The bytes in order, in pieces of about ``PIECE_BYTES``; they are dropped once read.

        Raises:
            BaseException: What the writer failed with, after the bytes that came before.
        """
        while True:
            piece = await self._next()
            if piece:
                yield piece
                continue
            if self._failure is not None:
                raise self._failure
            return

    async def read(self) -> bytes:
        """All of it, joined."""
        return b"".join([piece async for piece in self.pieces()])

    def close(self) -> None:
        """Drop everything; the writer's next ``write`` raises ``ClientGone``."""
        with self._lock:
            self._closed = True
            self._pieces.clear()
            self._backlog = 0
            if self._file is not None:
                self._file.close()
                self._file = None
                self._file_read = self._file_end = 0

    async def _next(self) -> Piece:
        """The next piece; empty when the end is reached."""
        while True:
            self._news.clear()
            ended = self._ended
            if self._pieces and (ended or self._backlog >= PIECE_BYTES or self._file is not None):
                return self._take()
            if self._file_end > self._file_read and not self._pieces:
                return await self._loop.run_in_executor(self._disk, self._take_from_file)
            if ended:
                return b""
            await self._news.wait()

    def _take(self) -> Piece:
        with self._lock:
            if len(self._pieces[0]) > MOST_BYTES:  # a strip of a large picture: cut without a copy
                strip = memoryview(self._pieces[0])
                self._pieces[0] = strip[MOST_BYTES:]
                self._backlog -= MOST_BYTES
                return strip[:MOST_BYTES]
            taken = [self._pieces.popleft()]
            size = len(taken[0])
            while self._pieces and size + len(self._pieces[0]) <= MOST_BYTES:
                taken.append(self._pieces.popleft())
                size += len(taken[-1])
            self._backlog -= size
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def _take_from_file(self) -> bytes:
        with self._lock:
            if self._file is None:
                return b""
            self._file.seek(self._file_read)
            piece = self._file.read(min(MOST_BYTES, self._file_end - self._file_read))
            self._file_read += len(piece)
            return piece
