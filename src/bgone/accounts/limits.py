"""Whether a caller may ask once more: rules, counted in windows, that are enforced before the work is done.

A call is counted when it arrives. Where megapixels count, it counts one then and the rest when the picture's header has
been read; whoever has no room for the rest is refused then, before the work, so that no window ever holds more than its
amount. A store that is away refuses or lets through as the operator says, and at once: after a few failures nobody asks
it any more, until a task of its own finds that it answers again.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

import structlog

from bgone.accounts.rate import Rate
from bgone.accounts.rules import ANONYMOUS, PLANS, Plans, Rule, lay_over, rules_of
from bgone.accounts.windows import Clock, Used, open_windows
from bgone.errors import ApiError, StartError, overloaded, rate_limited

_FAILURES = 3  # in a row until nobody asks any more: one alone may be a busy moment of ours
_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Count:
    """One rule and whose window it is.

    Attributes:
        rule: Says amount and window.
        name: Of the window.
        units: How many are counted.
    """

    rule: Rule
    name: str
    units: int


_NOBODY = Count(Rule(1, 1), "nobody", 1)


class Limits:
    """The rules, and who has used how much.

    Args:
        url: ``memory://`` for one process, ``redis://…`` for many.
        on_outage: What becomes of calls while Redis is away: ``open`` lets them through uncounted, ``closed`` answers
            503.
        timeout_s: Most seconds that counting may take from a call.
        plans: Rules by plan and dialect.
        prefix: Of the names in Redis.
        rest_s: Seconds between two looks whether a Redis that was away is back.
        count: Hears ``failed`` for each call that Redis did not answer, ``unchecked`` for each that was let through and
            ``refused`` for each that was answered 503 without a count.
        clock: Unix seconds.

    Raises:
        StartError: The address is not one, or the client of Redis is not installed.
    """

    def __init__(
        self,
        url: str = "memory://",
        *,
        on_outage: Literal["open", "closed"] = "open",
        timeout_s: float = 0.25,
        plans: Plans = PLANS,
        prefix: str = "bgone",
        rest_s: float = 1.0,
        count: Callable[[str], None] = lambda _event: None,
        clock: Clock = time.time,
    ) -> None:
        self._windows = open_windows(url, prefix=prefix, timeout_s=timeout_s, clock=clock)
        self._outages = self._windows.failures
        self._on_outage = on_outage
        self._timeout_s = timeout_s
        self._plans = self._first_plans = plans
        self._said: Mapping[str, Any] = {}
        self._rest_s = rest_s
        self._event = count
        self._clock = clock
        self._concurrent = Concurrent()
        self._failures = 0
        self._trouble: str | None = None
        self._healer: asyncio.Task[None] | None = None
        self._asking: set[asyncio.Task[Rate]] = set()

    def set_plans(self, rates: Mapping[str, Any]) -> None:
        """Lay the operator's plans over ours, as ``rules.read_plans`` takes them; what cannot be read is left out."""
        if rates == self._said:
            return
        self._said = rates
        try:
            self._plans = lay_over(self._first_plans, rates)
        except StartError as error:
            _log.error("plans unread", detail=str(error))

    @property
    def trouble(self) -> str | None:
        """Why calls are not counted at the moment, in words that anybody may read, or None."""
        return self._trouble

    async def start(self) -> None:
        """Find out whether the store answers; ``trouble`` says so from then on."""
        try:
            await self._in_time(self._standing([_NOBODY]))
        except self._outages as error:
            self._give_up(error)

    async def aclose(self) -> None:
        """Let go of the store."""
        tasks = [task for task in (self._healer, *self._asking) if task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=self._timeout_s)
        with suppress(*self._outages):
            async with asyncio.timeout(self._timeout_s):
                await self._windows.aclose()

    async def hit(self, dialect: str, account: str, key: str, address: str, plan: str, weight: int = 1) -> Rate | None:
        """Count a call that arrives.

        Args:
            dialect: Its name.
            account: Whose it is.
            key: Non-secret name of the key, which was found to be right; empty for callers who need none.
            address: Of the client; looked at only without a key.
            plan: The account's.
            weight: Megapixels of the picture as far as they are known; a call that outweighs a window takes all of it.

        Returns:
            Where the caller stands in the window that has least left; None where no rule holds or nothing was counted.

        Raises:
            rate_limited: There is no room; says when there will be.
            overloaded: The store is away, and ``on_outage`` is ``closed``.
        """
        return await self._take(self._counts(dialect, account, key, address, plan, weight))

    async def add(self, dialect: str, account: str, key: str, address: str, plan: str, weight: int) -> Rate | None:
        """Count the rest of a call that was counted as one, now that its megapixels are known.

        Args:
            weight: All of its megapixels; others as of ``hit``.

        Raises:
            rate_limited: There is no room for so many more; nothing more was counted.
            overloaded: As ``hit``.
        """
        counts = self._counts(dialect, account, key, address, plan, weight)
        rest = [Count(count.rule, count.name, count.units - 1) for count in counts if count.units > 1]
        return await self._take(rest)

    async def peek(self, dialect: str, account: str, key: str, address: str, plan: str) -> Rate | None:
        """Where the caller stands, without counting: for answers that tell it although their call does not count."""
        counts = self._counts(dialect, account, key, address, plan, 1)
        return await self._ask(lambda: self._standing(counts)) if counts else None

    @contextmanager
    def hold(self, dialect: str, account: str, key: str, address: str, plan: str) -> Iterator[None]:
        """Count a call among those that are answered at this moment, while the context lasts; in this process only.

        Raises:
            rate_limited: As many as the caller may have are being answered.
        """
        names = [
            (_name(counted, rule, account, key, address), rule.amount)
            for counted, rule in rules_of(self._plans, plan if key else ANONYMOUS, dialect)
            if rule.per == "at_once" and _holds(rule, key)
        ]
        with self._concurrent.hold(names):
            yield

    def _counts(self, dialect: str, account: str, key: str, address: str, plan: str, weight: int) -> list[Count]:
        counts = []
        for counted, rule in rules_of(self._plans, plan if key else ANONYMOUS, dialect):
            if rule.per == "at_once" or not _holds(rule, key):
                continue
            units = min(weight, rule.amount) if rule.weight == "megapixels" else 1
            counts.append(Count(rule, _name(counted, rule, account, key, address), units))
        return counts

    async def _take(self, counts: Sequence[Count]) -> Rate | None:
        if not counts:
            return None
        if rate := await self._ask(lambda: self._acquire(counts)):
            return rate
        if self._on_outage == "closed":
            self._event("refused")
            raise overloaded(math.ceil(self._rest_s), "rate limits cannot be counted")
        self._event("unchecked")
        return None

    async def _acquire(self, counts: Sequence[Count]) -> Rate:
        rates = []
        for count in counts:
            used = await self._windows.take(count.name, count.rule.amount, count.rule.window_s, count.units)
            if used is None:
                raise await self._refusal(count)
            rates.append(self._rate(count.rule, used.units, used))
        return _tightest(rates)

    async def _standing(self, counts: Sequence[Count]) -> Rate:
        rates = []
        for count in counts:
            used = await self._windows.look(count.name, count.rule.amount, count.rule.window_s)
            rates.append(self._rate(count.rule, used.units, used))
        return _tightest(rates)

    async def _refusal(self, count: Count) -> ApiError:
        rule = count.rule
        used = await self._windows.look(count.name, rule.amount, rule.window_s)
        # The oldest of these must leave the window before this call has room.
        in_the_way = await self._windows.look(count.name, rule.amount - count.units + 1, rule.window_s)
        rate = self._rate(rule, used.units, in_the_way)
        return rate_limited(rate.reset_s, asdict(rate))

    def _rate(self, rule: Rule, units: int, used: Used) -> Rate:
        reset_at = used.oldest + rule.window_s if used.units else used.oldest
        reset_s = max(0, math.ceil(reset_at - self._clock()))
        return Rate(rule.amount, rule.amount - units, math.ceil(reset_at), reset_s)

    async def _ask(self, question: Callable[[], Coroutine[None, None, Rate]]) -> Rate | None:
        """The store's answer, within the time that it has; None while it is away."""
        if self._trouble is not None:
            return None
        try:
            rate = await self._in_time(question()) if self._outages else await question()
        except self._outages as error:
            self._failed(error)
            return None
        self._failures = 0
        return rate

    async def _in_time(self, question: Coroutine[None, None, Rate]) -> Rate:
        # Not asyncio.timeout: it waits until the client has cleaned up, which took three times as long.
        task = asyncio.create_task(question)
        self._asking.add(task)
        task.add_done_callback(self._asked)
        try:
            done, _ = await asyncio.wait({task}, timeout=self._timeout_s)
        finally:
            task.cancel()
        if not done:
            raise TimeoutError
        return task.result()

    def _asked(self, task: asyncio.Task[Rate]) -> None:
        self._asking.discard(task)
        if not task.cancelled():
            # Looked at here, because nobody may be waiting for it any more.
            task.exception()

    def _failed(self, error: Exception) -> None:
        self._event("failed")
        self._failures += 1
        if self._failures >= _FAILURES and self._trouble is None:
            self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        # The error's own words name the host: they are for the log.
        _log.warning("rate limits are not counted", error=repr(error), on_outage=self._on_outage)
        self._trouble = f"rate limits are not counted: their store does not answer ({type(error).__name__})"
        self._healer = asyncio.create_task(self._heal())

    async def _heal(self) -> None:
        while self._trouble is not None:
            await asyncio.sleep(self._rest_s)
            with suppress(*self._outages):
                await self._in_time(self._standing([_NOBODY]))
                self._failures, self._trouble = 0, None
        _log.info("rate limits are counted again")


class Concurrent:
    """How many calls of each name are being answered by this process."""

    def __init__(self) -> None:
        self._held: Counter[str] = Counter()

    @contextmanager
    def hold(self, names: Sequence[tuple[str, int]]) -> Iterator[None]:
        """Be one of those under each of ``names`` while the context lasts.

        Args:
            names: (name, most of it at once).

        Raises:
            rate_limited: There are as many already; none was counted.
        """
        for name, amount in names:
            if self._held[name] >= amount:
                # Nobody knows when the others end: the least that can be said.
                raise rate_limited(1, asdict(Rate(amount, 0, math.ceil(time.time()) + 1, 1)))
        for name, _ in names:
            self._held[name] += 1
        try:
            yield
        finally:
            for name, _ in names:
                self._held[name] -= 1
                if not self._held[name]:
                    del self._held[name]


def _holds(rule: Rule, key: str) -> bool:
    return not (key and rule.scope == "address")


def _name(counted: str, rule: Rule, account: str, key: str, address: str) -> str:
    """Of a window. Without the amount: who changes the plan keeps what was counted."""
    scope, who = (rule.scope, account if rule.scope == "account" else key) if key else ("address", network(address))
    return f"{counted}|{rule.per}|{rule.weight}|{scope}|{who}"


def _tightest(rates: Sequence[Rate]) -> Rate:
    return min(rates, key=lambda rate: rate.remaining)


def network(address: str) -> str:
    """Who an address stands for: itself, but of IPv6 the first 64 bits, because every host has all of the rest."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return f"{ipaddress.IPv6Address(int(parsed) >> 64 << 64)}/64"
    return str(parsed)
