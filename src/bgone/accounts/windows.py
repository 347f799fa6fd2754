"""Where calls are counted: in this process, or in a Redis that many processes share.

Both count in a moving window, exactly: nobody gets more than the amount within any span as long as the window. In Redis
it is the ``limits`` library's script, atomic, on a list of times. In memory the counting is ours, because the library's
looks at every caller's window after every call (docs/limits.md has the figures).
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from bisect import bisect_right
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from bgone.errors import StartError

Clock = Callable[[], float]
_SWEEP_AT = 1024
_CONNECTIONS = 16


class Used(NamedTuple):
    """What a window holds.

    Attributes:
        units: How many.
        oldest: When the first of them was counted, unix seconds; now where there is none.
    """

    units: int
    oldest: float


class Windows(Protocol):
    """Moving windows by name.

    Attributes:
        failures: What the methods raise when the store is away.
    """

    failures: tuple[type[Exception], ...]

    async def take(self, name: str, limit: int, window_s: int, units: int) -> Used | None:
        """Count so many more and say what there is; None, and nothing counted, where that would be above ``limit``."""

    async def look(self, name: str, newest: int, window_s: int) -> Used:
        """What there is among the ``newest`` that were counted."""

    async def aclose(self) -> None:
        """Let go of the store."""


class MemoryWindows:
    """Windows of one process.

    Args:
        clock: Unix seconds.
    """

    def __init__(self, clock: Clock = time.time) -> None:
        self.failures: tuple[type[Exception], ...] = ()
        self._clock = clock
        self._latest = 0.0
        self._windows: dict[str, tuple[int, list[float]]] = {}  # name → window in seconds, times in order
        self._sweep_at = _SWEEP_AT

    def __len__(self) -> int:
        """How many windows are kept."""
        return len(self._windows)

    async def take(self, name: str, limit: int, window_s: int, units: int) -> Used | None:
        now = self._now()
        if name not in self._windows:
            self._sweep(now)
        _, times = self._windows.setdefault(name, (window_s, []))
        del times[: bisect_right(times, now - window_s)]
        if len(times) + units > limit:
            return None
        times.extend([now] * units)
        return Used(len(times), times[0])

    async def look(self, name: str, newest: int, window_s: int) -> Used:
        now = self._now()
        _, times = self._windows.get(name, (window_s, []))
        first = max(bisect_right(times, now - window_s), len(times) - newest)
        return Used(len(times) - first, times[first]) if first < len(times) else Used(0, now)

    async def aclose(self) -> None:
        """Nothing to let go of."""

    def _now(self) -> float:
        # A clock that is set back must not put the times out of order.
        self._latest = max(self._latest, self._clock())
        return self._latest

    def _sweep(self, now: float) -> None:
        # Only when the number has doubled: a constant share of each call, however many callers there are.
        if len(self._windows) < self._sweep_at:
            return
        self._windows = {
            name: window for name, window in self._windows.items() if window[1] and window[1][-1] > now - window[0]
        }
        self._sweep_at = max(_SWEEP_AT, 2 * len(self._windows))


class RedisWindows:
    """Windows that every process with the same Redis and prefix shares.

    Args:
        url: ``redis://``, ``rediss://``, ``redis+unix://`` or ``redis+sentinel://``.
        prefix: Of every name in Redis.
        timeout_s: How long callers wait for an answer.

    Raises:
        StartError: The address is not one, or the client is not installed.
    """

    def __init__(self, url: str, prefix: str, timeout_s: float) -> None:
        try:
            # Only who counts in Redis has the libraries and waits for their import.
            import limits.errors
            import limits.storage
            from redis.asyncio.retry import Retry
            from redis.backoff import NoBackoff
            from redis.exceptions import NoScriptError, RedisError
        except ImportError as error:
            raise StartError("Rate limits in Redis need its client: pip install 'bgone[redis]'.") from error
        options: dict[str, Any] = {
            # The library's default is coredis, which does not work in its newer versions.
            "implementation": "redispy",
            "key_prefix": prefix,
            # Of commands that were given up on: ending at the same moment as the caller's wait they got in its way.
            "socket_timeout": 2 * timeout_s,
            "socket_connect_timeout": 2 * timeout_s,
            # Once: a connection that idled while Redis was started anew is found out by the next command.
            "retry": Retry(NoBackoff(), 1),
        }
        open_storage: Callable[..., Any] = limits.storage.storage_from_string
        try:
            self._storage = open_storage("async+" + url, **options)
        except (limits.errors.ConfigurationError, ValueError) as error:
            # Without the address: it may hold a password.
            raise StartError("Rate limits: expected memory:// or redis://HOST:PORT/DATABASE.") from error
        self.failures: tuple[type[Exception], ...] = (RedisError, OSError, TimeoutError)
        bridge = self._storage.bridge
        self._client = bridge.get_connection()
        self._scripts = (bridge.lua_acquire_moving_window, bridge.lua_moving_window)
        self._unknown_script = NoScriptError
        # The client opens a connection per command in flight; its own bound is an error instead of a wait.
        self._turns = asyncio.Semaphore(_CONNECTIONS)

    async def take(self, name: str, limit: int, window_s: int, units: int) -> Used | None:
        async with self._turns:
            try:
                taken, held = await self._take(name, limit, window_s, units)
            except self._unknown_script:  # a Redis that was started anew has forgotten them
                for script in self._scripts:
                    await self._client.script_load(script.script)
                taken, held = await self._take(name, limit, window_s, units)
        return Used(int(held[1]), float(held[0])) if taken else None

    async def _take(self, name: str, limit: int, window_s: int, units: int) -> list[Any]:
        # Both scripts in one journey: the library's own methods take one each, and the journey is most of the cost.
        acquire, window = self._scripts
        now, key = time.time(), self._key(name)
        pipeline = self._client.pipeline(transaction=False)
        pipeline.evalsha(acquire.sha, 1, key, now, limit, window_s, units)
        pipeline.evalsha(window.sha, 1, key, now - window_s, limit)
        answers: list[Any] = await pipeline.execute()
        return answers

    async def look(self, name: str, newest: int, window_s: int) -> Used:
        async with self._turns:
            oldest, units = await self._storage.get_moving_window(_hidden(name), newest, window_s)
        return Used(int(units), float(oldest))

    def _key(self, name: str) -> str:
        return str(self._storage.bridge.prefixed_key(_hidden(name)))

    async def aclose(self) -> None:
        """Hang up."""
        await self._client.aclose()


def _hidden(name: str) -> str:
    # Redis is not to hold client addresses in clear text, nor names of any length.
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def open_windows(url: str, *, prefix: str, timeout_s: float, clock: Clock = time.time) -> Windows:
    """Windows at ``url``: ``memory://`` for this process, ``redis://…`` for many; ``async+`` before it is allowed.

    Raises:
        StartError: See ``RedisWindows``.
    """
    bare = url.removeprefix("async+")
    return MemoryWindows(clock) if bare.startswith("memory:") else RedisWindows(bare, prefix, timeout_s)
