"""Rate limits, in memory and on a real Redis: exact numbers, windows that slide, and a Redis that goes away."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from statistics import median
from typing import TypeVar

import pytest

from bgone.accounts.limits import Limits, network
from bgone.accounts.rate import Rate, rate_of
from bgone.accounts.rules import ANONYMOUS, DEFAULTS, PLANS, Plans, Rule, Rules, read_plans, weight_of
from bgone.accounts.windows import MemoryWindows, _hidden
from bgone.errors import ApiError, StartError
from tests.serving import free_port

Value = TypeVar("Value")
PREFIX = f"bgone-test-{uuid.uuid4().hex[:8]}"
NOON = 1_800_000_000.0
WHO = ("acme", "fnr_1a2b", "203.0.113.7", "team")


class Clock:
    """Unix seconds that pass when told to."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def plans(*rules: Rule, dialect: str = "removebg", plan: str = "team") -> Plans:
    """One plan with these rules in one dialect."""
    return {plan: {dialect: rules}}


def limited(main: Callable[[Limits], Awaitable[Value]], url: str = "memory://", **options: object) -> Value:
    """What ``main`` answers with limits that are open, under a prefix of its own."""

    async def bounded() -> Value:
        given = {"prefix": f"{PREFIX}-{uuid.uuid4().hex}", "timeout_s": 5.0, **options}
        limits = Limits(url, **given)  # type: ignore[arg-type]
        try:
            async with asyncio.timeout(60):
                return await main(limits)
        finally:
            await limits.aclose()

    return asyncio.run(bounded())


async def allowed(limits: Limits, calls: int, who: tuple[str, str, str, str] = WHO, dialect: str = "removebg") -> int:
    """How many of so many calls are let through."""
    through = 0
    for _ in range(calls):
        with contextlib.suppress(ApiError):
            await limits.hit(dialect, *who)
            through += 1
    return through


async def refusal(call: Awaitable[object]) -> ApiError:
    """What ``call`` is refused with."""
    with pytest.raises(ApiError) as caught:
        await call
    return caught.value


# --- Redis ----------------------------------------------------------------------------------------------------------


class OwnRedis:
    """A redis-server of the test's own, which can be stopped, killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Returns when it listens."""
        command = ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(command, cwd=self._folder, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while not listens(self.port):
            assert self._process.poll() is None, "redis-server ended"
            assert time.monotonic() < deadline, "redis-server does not listen"
            time.sleep(0.02)

    def signal(self, number: int) -> None:
        """Stop or continue it."""
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        """Returns when it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


def listens(port: int) -> bool:
    """Whether something accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    """A Redis for this test alone."""
    pytest.importorskip("redis")
    if shutil.which("redis-server") is None:
        pytest.skip("needs redis-server")
    redis = OwnRedis(tmp_path)
    try:
        yield redis
    finally:
        redis.kill()


@pytest.fixture(scope="module")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The machine's Redis, or else one for this file."""
    pytest.importorskip("redis")
    url = os.environ.get("BGONE_TEST_REDIS", "redis://127.0.0.1:6379/0" if listens(6379) else "")
    if url:
        yield url
        asyncio.run(forget(url))
    elif shutil.which("redis-server"):
        redis = OwnRedis(tmp_path_factory.mktemp("redis"))
        try:
            yield redis.url
        finally:
            redis.kill()
    else:
        pytest.skip("needs Redis: none on port 6379, no redis-server to start")


async def forget(url: str) -> None:
    """Take away what this file counted."""
    from redis.asyncio import Redis

    client = Redis.from_url(url)
    async for name in client.scan_iter(f"{PREFIX}*", count=1000):
        await client.delete(name)
    await client.aclose()


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> str:
    """Where calls are counted."""
    return "memory://" if request.param == "memory" else str(request.getfixturevalue("shared_redis"))


# --- counting, on every store ---------------------------------------------------------------------------------------


def test_exactly_the_amount_is_let_through(store: str) -> None:
    """Seven an hour are seven, and the eighth is told when there will be room."""

    async def main(limits: Limits) -> tuple[int, ApiError]:
        return await allowed(limits, 7), await refusal(limits.hit("removebg", *WHO))

    through, error = limited(main, store, plans=plans(Rule("hour", 7)))

    assert through == 7
    assert (error.kind, error.message) == ("rate_limited", "Rate limit exceeded")
    assert error.retry_after_s is not None
    assert 3590 <= error.retry_after_s <= 3600


def test_every_call_is_told_where_it_stands(store: str) -> None:
    """Limit, what is left and when there will be more: after each call, and in the refusal."""

    async def main(limits: Limits) -> list[Rate | None]:
        told = [await limits.hit("removebg", *WHO) for _ in range(2)]
        return [*told, rate_of(await refusal(limits.hit("removebg", *WHO)))]

    rates = limited(main, store, plans=plans(Rule("minute", 2)))

    assert [(rate.limit, rate.remaining) for rate in rates if rate] == [(2, 1), (2, 0), (2, 0)]
    for rate in rates:
        assert rate is not None
        assert 58 <= rate.reset_s <= 60
        assert abs(rate.reset_at - (time.time() + rate.reset_s)) < 3


def test_calls_at_the_same_moment_do_not_slip_through(store: str) -> None:
    """Of two hundred at once exactly fifty pass."""

    async def main(limits: Limits) -> int:
        return sum(await asyncio.gather(*(allowed(limits, 1) for _ in range(200))))

    assert limited(main, store, plans=plans(Rule("hour", 50))) == 50


def test_the_window_slides(store: str) -> None:
    """What left the window makes room for as many, not before."""

    async def main(limits: Limits) -> tuple[int, int, int]:
        first = await allowed(limits, 5)
        await asyncio.sleep(0.6)
        early = await allowed(limits, 1)
        await asyncio.sleep(0.6)
        return first, early, await allowed(limits, 9)

    assert limited(main, store, plans=plans(Rule("second", 5))) == (5, 0, 5)


def test_peeking_counts_nothing(store: str) -> None:
    """A look before, between and after: the numbers of the calls alone."""

    async def main(limits: Limits) -> list[int]:
        seen = []
        for _ in range(3):
            seen.append(await limits.peek("removebg", *WHO))
            await allowed(limits, 1)
        return [rate.remaining for rate in [*seen, await limits.peek("removebg", *WHO)] if rate]

    assert limited(main, store, plans=plans(Rule("minute", 2))) == [2, 1, 0, 0]


def test_plans_that_change_keep_what_was_counted(shared_redis: str) -> None:
    """Ten used on the small plan are ten used on the large one, on another replica too."""
    both = {"small": plans(Rule("hour", 10))["team"], "large": plans(Rule("hour", 15))["team"]}
    prefix = f"{PREFIX}-{uuid.uuid4().hex}"
    small, large = (*WHO[:3], "small"), (*WHO[:3], "large")

    first = limited(lambda limits: allowed(limits, 20, small), shared_redis, plans=both, prefix=prefix)
    second = limited(lambda limits: allowed(limits, 20, large), shared_redis, plans=both, prefix=prefix)

    assert (first, second) == (10, 5)


# --- megapixels -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "height", "weight"),
    [(1, 1, 1), (1000, 1000, 1), (1001, 1000, 2), (4000, 3000, 12), (8000, 6250, 50)],
)
def test_megapixels_are_rounded_up(width: int, height: int, weight: int) -> None:
    """As remove.bg counts them; 8000 x 6250 is its own example."""
    assert weight_of(width, height) == weight


def test_ten_pictures_of_fifty_megapixels_fill_remove_bgs_minute(store: str) -> None:
    """Counted when the call comes and when the header was read, the eleventh is refused for its megapixels."""

    async def main(limits: Limits) -> list[int | str]:
        seen: list[int | str] = []
        try:
            for _ in range(11):
                await limits.hit("removebg", *WHO)
                rate = await limits.add("removebg", *WHO, 50)
                seen.append(rate.remaining if rate else "none")
        except ApiError as error:
            seen.append(error.kind)
        return seen

    assert limited(main, store) == [*range(450, -1, -50), "rate_limited"]


def test_a_refused_rest_counts_nothing_more(store: str) -> None:
    """Of 20 with 15 used: 10 more do not fit and leave room for 4 small ones beside the call's own one."""

    async def main(limits: Limits) -> tuple[str, int]:
        await limits.hit("removebg", *WHO, weight=15)
        await limits.hit("removebg", *WHO)
        error = await refusal(limits.add("removebg", *WHO, 10))
        return error.kind, await allowed(limits, 9)

    assert limited(main, store, plans=plans(Rule("hour", 20, weight="megapixels"))) == ("rate_limited", 4)


def test_many_large_pictures_at_once_never_exceed_the_window(store: str) -> None:
    """Forty calls of 50 megapixels at one moment: what was let through is within 500."""

    async def one(limits: Limits) -> int:
        try:
            await limits.add("removebg", *WHO, 50)
        except ApiError:
            return 0
        return 50

    async def main(limits: Limits) -> tuple[int, int]:
        arrived = sum(await asyncio.gather(*(allowed(limits, 1) for _ in range(40))))
        return arrived, sum(await asyncio.gather(*(one(limits) for _ in range(40))))

    # Each of the forty holds one unit from its arrival, so nine have room for the rest.
    assert limited(main, store) == (40, 450)


def test_a_picture_larger_than_the_window_takes_all_of_it(store: str) -> None:
    """Nobody is told to come back for ever."""

    async def main(limits: Limits) -> tuple[Rate | None, int]:
        await limits.hit("removebg", *WHO)
        return await limits.add("removebg", *WHO, 90), await allowed(limits, 3)

    rate, more = limited(main, store, plans=plans(Rule("minute", 8, weight="megapixels")))

    assert rate is not None
    assert (rate.limit, rate.remaining, more) == (8, 0, 0)


def test_waiting_as_told_is_enough_for_a_large_picture() -> None:
    """The refusal of a heavy call says when all of it has room, not when the first unit has."""
    clock = Clock()

    async def main(limits: Limits) -> tuple[int | None, int, Rate | None]:
        for weight in (1, 1, 8):
            await limits.hit("removebg", *WHO, weight=weight)
            clock.now += 10
        error = await refusal(limits.hit("removebg", *WHO, weight=5))
        light = await refusal(limits.hit("removebg", *WHO))
        clock.now += error.retry_after_s or 0
        return error.retry_after_s, light.retry_after_s or 0, await limits.hit("removebg", *WHO, weight=5)

    heavy_s, light_s, rate = limited(main, plans=plans(Rule("minute", 10, weight="megapixels")), clock=clock)

    assert (heavy_s, light_s) == (50, 30)
    assert rate is not None
    assert rate.remaining == 5


# --- window edges, by a clock of our own ----------------------------------------------------------------------------


def test_room_comes_when_the_window_has_passed_and_not_before() -> None:
    """At 59.999 s the call of a minute ago still counts, at 60 s not any more."""
    clock = Clock()

    async def main(limits: Limits) -> list[int]:
        seen = [await allowed(limits, 2)]
        for moment in (59.999, 60.0, 60.001):
            clock.now = NOON + moment
            seen.append(await allowed(limits, 1))
        return seen

    assert limited(main, plans=plans(Rule("minute", 1)), clock=clock) == [1, 0, 1, 0]


def test_no_span_of_a_window_holds_more_than_the_amount() -> None:
    """One call a second for five minutes at ten a minute: of any sixty seconds in a row ten pass."""
    clock = Clock()

    async def main(limits: Limits) -> list[int]:
        passed = []
        for _ in range(300):
            passed.append(await allowed(limits, 1))
            clock.now += 1
        return passed

    passed = limited(main, plans=plans(Rule(60, 10)), clock=clock)

    assert {sum(passed[at : at + 60]) for at in range(241)} == {10}


def test_a_clock_that_is_set_back_lets_nobody_through_twice() -> None:
    """What was counted later than now is still counted."""
    clock = Clock()

    async def main(limits: Limits) -> tuple[int, int]:
        before = await allowed(limits, 3)
        clock.now -= 3600
        return before, await allowed(limits, 3)

    assert limited(main, plans=plans(Rule("minute", 3)), clock=clock) == (3, 0)


def test_callers_who_left_are_forgotten() -> None:
    """Memory is kept for the callers of the last window, not for all that ever came."""
    clock = Clock()
    windows = MemoryWindows(clock)

    async def main() -> int:
        for number in range(20_000):
            await windows.take(f"caller {number}", 10, 60, 1)
            clock.now += 1
        return len(windows)

    assert asyncio.run(main()) <= 2048


# --- rules ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dialect", "plan", "amount", "window_s", "scope"),
    [
        ("removebg", "any", 500, 60, "account"),
        ("poofbg", "free", 10, 60, "account"),
        ("poofbg", "payg", 30, 60, "account"),
        ("poofbg", "Lite", 60, 60, "account"),
        ("poofbg", "pro", 120, 60, "account"),
        ("poofbg", "enterprise", 300, 60, "account"),
        ("poofbg", "Self-hosted", 120, 60, "account"),
        ("foner", "any", 300, 3600, "key"),
        ("clipdrop", "any", 60, 60, "key"),
        ("photoroom", "any", 60, 60, "key"),
        ("picsart", "any", 500, 60, "key"),
    ],
)
def test_providers_limits_hold_by_default(dialect: str, plan: str, amount: int, window_s: int, scope: str) -> None:
    """So many pass, the next is refused until the window is over; of whoever has the account or the key."""
    clock = Clock()
    who = ("acme", "key 1", "", plan)

    async def main(limits: Limits) -> tuple[int, int, int, int]:
        through = await allowed(limits, amount + 1, who, dialect)
        other_key = await allowed(limits, 1, ("acme", "key 2", "", plan), dialect)
        stranger = await allowed(limits, 1, ("other", "key 3", "", plan), dialect)
        clock.now += window_s
        return through, other_key, stranger, await allowed(limits, amount + 1, who, dialect)

    expected = (amount, 0 if scope == "account" else 1, 1, amount)
    assert limited(main, clock=clock) == expected


@pytest.mark.parametrize("dialect", ["backgrounderase", "jobid", "poof", "slazzer"])
def test_who_says_nothing_has_no_limit(dialect: str) -> None:
    """No rule, no rate to tell."""

    async def main(limits: Limits) -> list[Rate | None]:
        return [await limits.hit(dialect, *WHO) for _ in range(1000)]

    assert set(limited(main)) == {None}


def test_the_rule_with_least_left_is_told() -> None:
    """Of six a minute and three a second: the second, until the minute has less left."""
    clock = Clock()

    async def main(limits: Limits) -> list[tuple[int, int]]:
        seen = []
        for _ in range(5):
            rate = await limits.hit("removebg", *WHO)
            assert rate is not None
            seen.append((rate.limit, rate.remaining))
            clock.now += 0.5
        return seen

    rules = plans(Rule("minute", 6), Rule("second", 3))
    assert limited(main, plans=rules, clock=clock) == [(3, 2), (3, 1), (3, 1), (3, 1), (6, 1)]


def test_no_rule_is_skipped() -> None:
    """Three a second and four a minute: the fourth of the second and the fifth of the minute are refused."""
    clock = Clock()

    async def main(limits: Limits) -> list[int]:
        seen = []
        for _ in range(3):
            seen.append(await allowed(limits, 4))
            clock.now += 1
        return seen

    # A call that one rule refuses may have been counted by the rules before it, so the narrower one comes first.
    assert limited(main, plans=plans(Rule("second", 3), Rule("minute", 4)), clock=clock) == [3, 1, 0]


def test_rules_over_all_dialects_count_them_together() -> None:
    """Under ``*`` two dialects share one window, beside their own."""
    shared: Plans = {"team": {"*": (Rule("minute", 5),), "clipdrop": (Rule("minute", 4),)}}

    async def main(limits: Limits) -> tuple[int, int, int]:
        first = await allowed(limits, 2, dialect="slazzer")
        return first, await allowed(limits, 9, dialect="clipdrop"), await allowed(limits, 9, dialect="slazzer")

    assert limited(main, plans=shared) == (2, 3, 0)


def test_without_a_key_only_the_operators_rules_hold_by_address() -> None:
    """No provider's limit for those who need no key; a rule of the plan ``anonymous`` counts each address."""
    here, there = ("self", "", "192.0.2.1", "Self-hosted"), ("self", "", "192.0.2.2", "Self-hosted")
    anonymous: Plans = {ANONYMOUS: {"*": (Rule("minute", 4, "address"),)}}

    async def main(limits: Limits) -> tuple[int, int]:
        return await allowed(limits, 600, here, "clipdrop"), await allowed(limits, 3, there, "clipdrop")

    assert limited(main) == (600, 3)
    assert limited(main, plans=anonymous) == (4, 3)


def test_rules_by_address_leave_those_with_a_key_alone() -> None:
    """Many accounts behind one proxy are not one caller."""

    async def main(limits: Limits) -> int:
        return await allowed(limits, 30)

    assert limited(main, plans=plans(Rule("minute", 2, "address"))) == 30


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("", ""),
        ("unix", "unix"),
    ],
)
def test_a_host_cannot_be_many_by_its_addresses(address: str, expected: str) -> None:
    """All of an IPv6 network of 64 bits is one caller; an IPv4 address in IPv6 clothes is itself."""
    assert network(address) == expected


def test_names_in_redis_tell_nobody_who_called() -> None:
    """No account, key or address can be read, and each has its own name of fixed length."""
    names = [_hidden(name) for name in ("a|192.0.2.1", "a|192.0.2.2", "x" * 100_000, "\ud800\n")]

    assert len(set(names)) == 4
    assert {len(name) for name in names} == {24}


# --- at once --------------------------------------------------------------------------------------------------------


def test_calls_at_once_are_limited_and_give_their_place_back() -> None:
    """Two at once: the third is refused, another account is not, and whoever ends, even badly, makes room."""
    rules = plans(Rule("at_once", 2))
    other = ("other", "key", "", "team")

    async def main(limits: Limits) -> list[str]:
        seen = []

        def enter(stack: contextlib.ExitStack, who: tuple[str, str, str, str]) -> None:
            try:
                stack.enter_context(limits.hold("removebg", *who))
                seen.append("in")
            except ApiError as error:
                seen.append(f"{error.kind} {error.retry_after_s}")

        with contextlib.ExitStack() as stack:
            for who in (WHO, WHO, WHO, other):
                enter(stack, who)
        with pytest.raises(RuntimeError), limits.hold("removebg", *WHO):
            raise RuntimeError
        with contextlib.ExitStack() as stack:
            for who in (WHO, WHO, WHO):
                enter(stack, who)
        return seen

    refused = "rate_limited 1"
    assert limited(main, plans=rules) == ["in", "in", refused, "in", "in", "in", refused]


def test_a_window_is_not_used_by_rules_at_once() -> None:
    """``at_once`` is no window: hitting counts nothing for it."""

    async def main(limits: Limits) -> list[Rate | None]:
        return [await limits.hit("removebg", *WHO) for _ in range(5)]

    assert limited(main, plans=plans(Rule("at_once", 1))) == [None] * 5


# --- the operator's plans -------------------------------------------------------------------------------------------


def test_operators_plans_lie_over_ours() -> None:
    """What is said replaces a dialect's rules in that plan, takes them away, or adds a plan; the rest stays."""
    text = """{"Lite": {"poofbg": [{"per": "minute", "amount": 90}], "foner": []},
               "gold": {"*": [{"per": 10, "amount": 7, "scope": "key", "weight": "megapixels"}]}}"""

    read = read_plans(text)

    assert read["lite"] == {"poofbg": (Rule("minute", 90),), "foner": ()}
    assert read["gold"] == {"*": (Rule(10, 7, "key", "megapixels"),)}
    assert read["free"] == PLANS["free"]
    assert read_plans("") == PLANS


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"lite": {"poofbg": [{"per": "fortnight", "amount": 1}]}}',
        '{"lite": {"poofbg": [{"per": "minute", "amount": 0}]}}',
        '{"lite": {"poofbg": [{"per": "minute", "amount": 10001}]}}',
        '{"lite": {"poofbg": [{"per": 0, "amount": 1}]}}',
        '{"lite": {"poofbg": [{"amount": 1}]}}',
        '{"lite": {"poofbg": [{"per": "minute", "amount": 1, "scope": "planet"}]}}',
    ],
)
def test_plans_that_cannot_be_read_stop_the_start(text: str) -> None:
    """One line says what is wrong."""
    with pytest.raises(StartError, match="plans of rate limits"):
        read_plans(text)


@pytest.mark.parametrize("rules", [*DEFAULTS.values(), *(row for plan in PLANS.values() for row in plan.values())])
def test_our_rules_are_such_as_operators_may_write(rules: Rules) -> None:
    """The built-in rows pass the checks of ``read_plans``."""
    rows = [{"per": row.per, "amount": row.amount, "scope": row.scope, "weight": row.weight} for row in rules]

    assert read_plans(json.dumps({"x": {"y": rows}}))["x"]["y"] == rules


# --- many processes -------------------------------------------------------------------------------------------------

CROWD = """
import asyncio, random, sys, time
from bgone.accounts.limits import Limits
from bgone.accounts.rules import Rule
from bgone.errors import ApiError

url, prefix, start, weighty = sys.argv[1], sys.argv[2], float(sys.argv[3]), sys.argv[4] == "weighty"

async def client(limits):
    units = 0
    for _ in range(6):
        weight = random.randint(1, 7) if weighty else 1
        try:
            await limits.hit("removebg", "acme", "key", "", "team", weight)
            units += weight
        except ApiError as error:
            assert error.kind == "rate_limited", error.detail
    return units

async def main():
    rule = Rule("hour", 300, "account", "megapixels" if weighty else "call")
    events = []
    limits = Limits(url, prefix=prefix, timeout_s=20, plans={"team": {"removebg": (rule,)}}, count=events.append)
    await limits.peek("removebg", "acme", "key", "", "team")
    await asyncio.sleep(max(0, start - time.time()))
    units = sum(await asyncio.gather(*(client(limits) for _ in range(50))))
    assert events == [], events
    await limits.aclose()
    print(units)

asyncio.run(main())
"""


@pytest.mark.parametrize("weights", ["light", "weighty"])
def test_three_processes_with_fifty_clients_never_exceed_the_limit(shared_redis: str, weights: str) -> None:
    """Of 900 calls at the same time from three processes 300 pass; of weighted ones as many as fit, not one more."""
    arguments = [shared_redis, f"{PREFIX}-{uuid.uuid4().hex}", str(time.time() + 2), weights]
    command = [sys.executable, "-W", "error", "-c", CROWD, *arguments]
    crowd = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    printed = [process.communicate(timeout=60)[0] for process in crowd]

    assert [process.returncode for process in crowd] == [0, 0, 0]
    units = sum(int(text) for text in printed)
    # What is left of the window is less than the heaviest picture needs.
    assert units == 300 if weights == "light" else 293 < units <= 300


# --- Redis away -----------------------------------------------------------------------------------------------------

TIMEOUT_S = 0.25
AWAY = {"timeout_s": TIMEOUT_S, "rest_s": 0.2, "plans": plans(Rule("hour", 40))}


async def timed(limits: Limits) -> tuple[str, float]:
    """(what became of a call, seconds it took)."""
    began = time.monotonic()
    try:
        rate = await limits.hit("removebg", *WHO)
        told = "counted" if rate else "uncounted"
    except ApiError as error:
        told = error.kind
    return told, time.monotonic() - began


async def healed(limits: Limits) -> bool:
    """Whether calls are counted again within ten seconds, without anybody calling."""
    for _ in range(200):
        if limits.trouble is None:
            return True
        await asyncio.sleep(0.05)
    return False


@pytest.mark.parametrize(("on_outage", "fate"), [("open", "uncounted"), ("closed", "overloaded")])
@pytest.mark.parametrize("way", ["stopped", "killed"])
def test_a_redis_that_goes_away_holds_nobody_up(own_redis: OwnRedis, way: str, on_outage: str, fate: str) -> None:
    """Stopped or killed mid-way: let through or 503 as set, none slower than the timeout, and it heals by itself."""
    events: Counter[str] = Counter()

    async def main(limits: Limits) -> None:
        assert {(await timed(limits))[0] for _ in range(10)} == {"counted"}
        own_redis.signal(signal.SIGSTOP) if way == "stopped" else own_redis.kill()

        crowd = await asyncio.gather(*(timed(limits) for _ in range(30)))
        after = [await timed(limits) for _ in range(30)]

        assert {told for told, _ in crowd + after} == {fate}
        # One timeout for all together, and a second for a machine that is busy with other tests.
        assert max(seconds for _, seconds in crowd) < TIMEOUT_S + 1
        assert median(seconds for _, seconds in after) < 0.05
        assert limits.trouble is not None
        assert str(own_redis.port) not in limits.trouble
        assert await limits.peek("removebg", *WHO) is None

        own_redis.signal(signal.SIGCONT) if way == "stopped" else own_redis.start()
        assert await healed(limits)
        assert (await timed(limits))[0] == "counted"

    limited(main, own_redis.url, on_outage=on_outage, count=lambda event: events.update([event]), **AWAY)

    assert events["unchecked" if on_outage == "open" else "refused"] == 60
    assert events["unchecked" if on_outage == "closed" else "refused"] == 0
    assert 3 <= events["failed"] <= 30


def test_starting_finds_out_whether_redis_is_there(own_redis: OwnRedis) -> None:
    """Without a call: trouble at once when it is away, none when it is back."""

    async def main(limits: Limits) -> list[bool]:
        await limits.start()
        seen = [limits.trouble is None]
        own_redis.start()
        return [*seen, await healed(limits)]

    own_redis.kill()
    assert limited(main, own_redis.url, **AWAY) == [False, True]


def test_what_was_counted_before_an_outage_is_still_counted(own_redis: OwnRedis) -> None:
    """A Redis that only stood still remembers: nobody gets a second window."""

    async def main(limits: Limits) -> int:
        before = await allowed(limits, 30)
        own_redis.signal(signal.SIGSTOP)
        while limits.trouble is None:
            await limits.hit("removebg", *WHO)
        own_redis.signal(signal.SIGCONT)
        assert await healed(limits)
        return before + await allowed(limits, 30)

    # Calls that were cut off may have been counted when Redis went on: never more, at most three fewer.
    assert 37 <= limited(main, own_redis.url, **AWAY) <= 40


def test_one_slow_answer_is_no_outage(own_redis: OwnRedis) -> None:
    """A single failure takes its own call and no other."""

    async def main(limits: Limits) -> list[str]:
        seen = [(await timed(limits))[0]]
        own_redis.signal(signal.SIGSTOP)
        seen.append((await timed(limits))[0])
        own_redis.signal(signal.SIGCONT)
        return [*seen, (await timed(limits))[0], str(limits.trouble)]

    assert limited(main, own_redis.url, **AWAY) == ["counted", "uncounted", "counted", "None"]


def test_a_redis_started_anew_between_two_calls_is_not_noticed(own_redis: OwnRedis) -> None:
    """The connection that broke while it idled is made again; scripts that are gone are sent again."""

    async def main(limits: Limits) -> list[str]:
        seen = [(await timed(limits))[0]]
        own_redis.kill()
        own_redis.start()
        return [*seen, (await timed(limits))[0]]

    assert limited(main, own_redis.url, **AWAY) == ["counted", "counted"]


def test_limits_can_be_closed_while_redis_is_away(own_redis: OwnRedis) -> None:
    """Shutting down waits for nobody, whatever the task that looks for Redis does."""

    async def main() -> float:
        limits = Limits(own_redis.url, on_outage="open", timeout_s=TIMEOUT_S, rest_s=0.01)
        await limits.hit("removebg", *WHO)
        own_redis.signal(signal.SIGSTOP)
        while limits.trouble is None:
            await limits.hit("removebg", *WHO)
        await asyncio.sleep(0.1)
        began = time.monotonic()
        await limits.aclose()
        return time.monotonic() - began

    assert asyncio.run(main()) < 2 * TIMEOUT_S + 0.2


@pytest.mark.parametrize("url", ["mysql://127.0.0.1/1", "redis", "", "redis://:secret@127.0.0.1:port"])
def test_an_address_that_is_none_stops_the_start(url: str) -> None:
    """One line without the address, which may hold a password."""
    pytest.importorskip("redis")

    with pytest.raises(StartError, match="expected memory://") as caught:
        Limits(url)
    assert "secret" not in str(caught.value)


# --- the page -------------------------------------------------------------------------------------------------------


def test_page_shows_the_defaults_as_they_are() -> None:
    """The table of docs/limits.md is the rules' own."""
    page = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")
    table = page.partition("<!-- defaults -->")[2].partition("<!-- /defaults -->")[0].splitlines()
    shown = [[cell.strip() for cell in line.strip("|").split("|")] for line in table if line.startswith("| `")]
    rows = [(dialect, "", rule) for dialect, rules in DEFAULTS.items() for rule in rules]
    rows += [(name, plan, rule) for plan, row in PLANS.items() for name, rules in row.items() for rule in rules]

    assert shown == [
        [
            f"`{dialect}`",
            f"`{plan}`" if plan else "",
            str(rule.amount),
            f"{rule.window_s} s",
            rule.scope,
            f"{rule.weight}s".replace("ss", "s"),
        ]
        for dialect, plan, rule in sorted(rows, key=lambda row: row[:2])
    ]


def test_pages_example_of_plans_can_be_read() -> None:
    """What operators copy from docs/limits.md works."""
    page = (Path(__file__).parents[2] / "docs" / "limits.md").read_text(encoding="utf-8")

    read = read_plans(page.partition("```json")[2].partition("```")[0])

    assert read["gold"] == {"removebg": (), "*": (Rule("at_once", 8),)}
    assert [rule.window_s for rule in read[ANONYMOUS]["*"]] == [1, 3600]
