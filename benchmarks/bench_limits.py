"""What do rate limits add to a call, in memory and on Redis, by number of callers?

    python -m benchmarks.bench_limits [--redis redis://127.0.0.1:6379/0] [--calls 2000]

Compares with the ``limits`` library's own memory storage, whose place ours takes.
"""

from __future__ import annotations

import argparse
import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable
from statistics import median

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter, SlidingWindowCounterRateLimiter

from bgone.accounts.limits import Limits
from bgone.accounts.rules import Rule

Call = Callable[[int], Awaitable[object]]


async def measure(what: str, call: Call, callers: int, calls: int) -> None:
    """Print microseconds of a call: median and 99th of a hundred, and CPU of the process a call."""
    for number in range(callers):
        await call(number)
    took = []
    cpu = time.process_time()
    for number in range(calls):
        began = time.perf_counter()
        await call(number % callers)
        took.append(time.perf_counter() - began)
        await asyncio.sleep(0)  # as between requests: what a call left to be done is part of its CPU
    cpu = (time.process_time() - cpu) / calls
    late = sorted(took)[int(0.99 * calls)]
    print(f"| {what} | {callers:,} | {1e6 * median(took):.0f} | {1e6 * late:.0f} | {1e6 * cpu:.0f} |")


def ours(limits: Limits, weight: int = 1) -> Call:
    """A hit of caller number so-and-so, told where it stands."""
    return lambda number: limits.hit("removebg", f"account {number}", "key", "", "bench", weight)


def theirs(strategy: MovingWindowRateLimiter | SlidingWindowCounterRateLimiter) -> Call:
    """The same with a strategy of the library."""
    item = RateLimitItemPerMinute(10_000)

    async def call(number: int) -> object:
        await strategy.hit(item, f"account {number}")
        return await strategy.get_window_stats(item, f"account {number}")

    return call


def rules(amount: int) -> dict[str, dict[str, tuple[Rule, ...]]]:
    """One rule of so many megapixels a minute."""
    return {"bench": {"removebg": (Rule("minute", amount, "account", "megapixels"),)}}


async def main(redis: str, calls: int) -> None:
    """Every row."""
    print("| counted by | callers | median, µs | p99, µs | CPU, µs |\n|---|---|---|---|---|")
    for callers in (1, 100, 10_000):
        await measure("memory", ours(Limits(plans=rules(10_000))), callers, calls)
        moving = MovingWindowRateLimiter(MemoryStorage())
        await measure("the library's memory, moving window", theirs(moving), callers, calls)
        sliding = SlidingWindowCounterRateLimiter(MemoryStorage())
        await measure("the library's memory, sliding counter", theirs(sliding), callers, calls)
    for amount, weight in ((500, 1), (500, 50), (10_000, 1)):
        limits = Limits(redis, plans=rules(amount), prefix=f"bgone-bench-{uuid.uuid4().hex}", timeout_s=5)
        call = ours(limits, weight)
        if amount == 10_000:
            await ours(limits, amount - calls - 100)(0)
        what = f"Redis, {amount:,} a minute" + (f", {weight} megapixels a call" if weight > 1 else "")
        await measure(what, call, 1 if amount == 10_000 else calls * weight // 400 + 1, calls)
        await limits.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--redis", default="redis://127.0.0.1:6379/0")
    parser.add_argument("--calls", type=int, default=2000)
    given = parser.parse_args()
    asyncio.run(main(given.redis, given.calls))
