"""Strips of a picture being written: rows are gathered into them, and a pool packs a few of them side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Generic, ParamSpec, Protocol, TypeVar

import numpy as np

from bgone.imaging.writer import Pixels

Packed = TypeVar("Packed")
Arguments = ParamSpec("Arguments")


class TakeStrip(Protocol):
    """Whoever receives the full strips; the array is theirs to keep."""

    def __call__(self, strip: Pixels, *, last: bool) -> None: ...


class Gatherer:
    """Gathers rows that come in any number into strips of one height; the last strip may be shorter.

    Args:
        shape: (height, width, channels) of the picture.
        strip_rows: Height of a strip.
        row_shape: Shape of one row inside a strip, which a file format may want different from the picture's.
        lay: Puts rows, uint8 (h, width, channels), into their place in a strip, (h, *row_shape).
        take: Called with each strip as soon as it is full.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        strip_rows: int,
        row_shape: tuple[int, ...],
        *,
        lay: Callable[[Pixels, Pixels], object],
        take: TakeStrip,
    ) -> None:
        self._shape = shape
        self._strip_rows = strip_rows
        self._row_shape = row_shape
        self._lay = lay
        self._take = take
        self._missing = shape[0]
        self._strip = self._blank()
        self._filled = 0

    def add(self, rows: Pixels) -> None:
        """Take the next rows; see ``Writer.add``."""
        rows = self._checked(rows)
        while len(rows):
            room = min(len(rows), len(self._strip) - self._filled)
            self._lay(rows[:room], self._strip[self._filled : self._filled + room])
            self._filled += room
            rows = rows[room:]
            if self._filled == len(self._strip):
                self._take(self._strip, last=self._filled == self._missing)
                self._missing -= self._filled
                self._strip = self._blank()
                self._filled = 0

    def check_complete(self) -> None:
        """ValueError unless every row of the picture came and was taken."""
        if self._missing:
            raise ValueError(f"{self._missing - self._filled} of {self._shape[0]} rows are missing")

    def _blank(self) -> Pixels:
        return np.empty((min(self._strip_rows, self._missing), *self._row_shape), np.uint8)

    def _checked(self, rows: Pixels) -> Pixels:
        _, width, channels = self._shape
        if rows.ndim == 2 and channels == 1:
            rows = rows[..., np.newaxis]
        if rows.dtype != np.uint8 or rows.shape[1:] != (width, channels):
            raise ValueError(f"expected uint8 (h, {width}, {channels}), got {rows.dtype} {rows.shape}")
        if len(rows) > self._missing - self._filled:
            raise ValueError(f"{len(rows)} rows come where {self._missing - self._filled} are missing")
        return rows


class Lane(Generic[Packed]):
    """Packs strips on a pool, a few at a time, and emits what became of them in the order they came.

    Args:
        emit: Called in the thread of ``put`` and ``drain``.
        pool: Where strips are packed; None packs in the calling thread. Never the pool whose own thread calls ``put``:
            a pool full of callers that wait for their strips stands still for ever.
        depth: Most strips in flight, which bounds the memory held; feeds that many threads.
    """

    def __init__(self, emit: Callable[[Packed], object], pool: Executor | None, *, depth: int = 4) -> None:
        self._emit = emit
        self._pool = pool
        self._depth = depth
        self._flying: deque[Future[Packed]] = deque()

    def put(self, pack: Callable[Arguments, Packed], *args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        """Pack one more strip and emit what is ready; waits while ``depth`` strips are in flight."""
        if self._pool is None:
            self._emit(pack(*args, **kwargs))
            return
        try:
            self._flying.append(self._pool.submit(pack, *args, **kwargs))
            while self._flying and (len(self._flying) >= self._depth or self._flying[0].done()):
                self._emit_next()
        except BaseException:
            self._give_up()
            raise

    def drain(self) -> None:
        """Emit all that is still in flight."""
        try:
            while self._flying:
                self._emit_next()
        except BaseException:
            self._give_up()
            raise

    def _emit_next(self) -> None:
        self._emit(self._flying.popleft().result())

    def _give_up(self) -> None:
        for future in self._flying:
            future.cancel()
        self._flying.clear()
