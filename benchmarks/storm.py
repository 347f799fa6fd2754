"""Do the books balance after a storm? Three servers on one database, many clients, failures, hang-ups and kills.

    python -m benchmarks.storm [--database sqlite|postgresql] [--calls 10000] [--clients 50] [--net]

The clients keep their own count of what they have received. In the end every picture that somebody has was paid for
once, nothing that was refused was, and what cannot be known (the client hung up, the server was killed) is at most as
many calls as that befell. On PostgreSQL, calls are counted in Redis; on SQLite each server counts its own.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import cv2
import numpy as np
import orjson

from benchmarks import models
from benchmarks.bench_credits import own_postgres
from benchmarks.server import Server, bgone, launch, stop
from benchmarks.storm_calls import SPEAKERS, Call, NobodyListensError, Where, compose, make
from bgone.accounts.accounts import Plan, utc_now
from bgone.accounts.books import Books, open_books
from bgone.accounts.credits import Credits, Entry
from bgone.storage.database import Database

NOTHING = Decimal(0)
SERVERS = 3
KEY_WINDOW_S, ACCOUNT_WINDOW_S = 5, 20  # of the plan "slow"
AMOUNTS = (12, 60)  # calls of each key, and of its account
LONGEST_HOLD = timedelta(days=8)  # after that every hold has run out, and no account's period has ended
UNCOUNTED = (401, 403, 429, 502, 503)  # answers before a call is counted, or because it cannot be (Poof: 502)


def plans(key_amount: int, account_amount: int) -> list[Plan]:
    """All without the providers' limits, one with its own."""
    free: Mapping[str, list[object]] = {name.partition(" ")[0]: [] for name in SPEAKERS}
    by_key = {"per": KEY_WINDOW_S, "amount": key_amount, "scope": "key"}
    by_account = {"per": ACCOUNT_WINDOW_S, "amount": account_amount, "scope": "account"}
    return [
        Plan("fast", rates=free),
        Plan("slow", rates={**free, "*": [by_key, by_account]}),
        Plan("monthly", quota=Decimal(60), free_calls=10, rates=free),
        Plan("by meter", billing="metered", rates=free),
    ]


@dataclass(frozen=True, slots=True)
class Customer:
    """An account of the storm.

    Attributes:
        name: Of the account.
        plan: Of those above.
        given: Credits at the beginning, the plan's quota included.
        share: Of all calls, to the others.
        pays: Its pictures stand in the ledger.
        keys: Secrets.
    """

    name: str
    plan: str
    given: Decimal
    share: int
    pays: bool = True
    keys: list[str] = field(default_factory=list)


def customers() -> list[Customer]:
    """Some with plenty, one with two pots, one that runs out, one with limits, two that the ledger does not know."""
    plenty = Decimal(1_000_000)
    return [
        *(Customer(f"plenty {number}", "fast", plenty, 15) for number in range(4)),
        Customer("two pots", "monthly", Decimal(60 + 40), 10),
        Customer("poor", "fast", Decimal("3.75"), 8),
        Customer("limited", "slow", plenty, 14),
        Customer("metered", "by meter", NOTHING, 4, pays=False),
        Customer("tester", "fast", NOTHING, 4, pays=False),
    ]


@dataclass(slots=True)
class Storm:
    """What was done.

    Attributes:
        calls: All of them.
        customers: Who made them.
        killed_at: Unix seconds of each kill.
        seconds: How long it lasted.
        amounts: Calls that each key, and its account, of the plan "slow" may make in its window.
        shared_limits: All servers count together.
        log: What the servers wrote.
    """

    calls: list[Call]
    customers: list[Customer]
    killed_at: list[float] = field(default_factory=list)
    seconds: float = 0.0
    amounts: tuple[int, int] = AMOUNTS
    shared_limits: bool = False
    log: bytes = b""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the books say of it.

    Attributes:
        faults: Whatever is not as it must be, in words; must be empty.
        counts: Figures in words.
    """

    faults: list[str]
    counts: dict[str, int]


# --- the storm ------------------------------------------------------------------------------------------------------


class Fleet:
    """Servers that can be killed.

    Args:
        folder: Of their logs.
        settings: The same for all.
    """

    def __init__(self, folder: Path, settings: Mapping[str, object]) -> None:
        self._folder = folder
        self._settings = settings
        self.servers: list[Server] = []

    def start(self, number: int) -> Server:
        """Begin to start one; with its own port, so that answers of its former life cannot be mistaken."""
        data = self._folder / f"data-{number}"
        return launch(bgone(**{"data_dir": data, **self._settings}), self._folder)  # type: ignore[arg-type]

    def living(self, number: int) -> Server:
        """One that runs, or is about to.

        Raises:
            RuntimeError: It has ended by itself.
        """
        server = self.servers[number]
        if server.running.poll() is not None:
            raise RuntimeError(f"a server has ended: {(self._folder / 'bgone.log').read_text()[-3000:]}")
        return server

    def kill(self, number: int) -> None:
        """Dead at once, and another begins to start in its place."""
        victim = self.servers[number].running
        victim.kill()
        victim.wait()
        self.servers[number] = self.start(number)


@contextmanager
def open_fleet(folder: Path, settings: Mapping[str, object]) -> Iterator[Fleet]:
    """Servers that start; stopped kindly at the end."""
    fleet = Fleet(folder, settings)
    try:
        fleet.servers = [fleet.start(number) for number in range(SERVERS)]
        yield fleet
    finally:
        for server in fleet.servers:
            stop(server)


async def rage(fleet: Fleet, who: list[Customer], *, calls: int, clients: int, kills: int, seed: int) -> Storm:
    """So many calls by ``clients`` of each server."""
    storm = Storm([], who)
    kill_at = [calls * (number + 1) // (kills + 1) for number in range(kills)]
    photo = _photo()

    async def client(number: int, rng: random.Random) -> None:
        while len(storm.calls) < calls:
            if kill_at and len(storm.calls) >= kill_at[0]:
                del kill_at[0]
                # Not on a thread: until the kill is over nobody may take a port for the new server's.
                fleet.kill(len(storm.killed_at) % SERVERS)
                storm.killed_at.append(time.time())
            call, data = _any_call(rng, who, photo)
            call.port = fleet.servers[number].port
            storm.calls.append(call)
            while True:
                try:
                    await make(call, data, rng)
                except NobodyListensError:  # not started yet, or killed
                    await asyncio.sleep(0.05)
                    call.port = fleet.living(number).port
                else:
                    break

    started = time.monotonic()
    rngs = (random.Random(seed * 1_000_003 + index) for index in range(SERVERS * clients))
    await asyncio.gather(*(client(index % SERVERS, rng) for index, rng in enumerate(rngs)))
    storm.seconds = time.monotonic() - started
    return storm


_KINDS = {
    "well": 76,
    "no picture": 4,
    "half a picture": 4,
    "bad option": 5,
    "strange key": 3,
    "no key": 2,
    "account": 6,
}
_HANG_UPS: dict[Where, int] = {"": 84, "before": 3, "within": 3, "behind": 6, "first byte": 4}


def _any_call(rng: random.Random, who: Sequence[Customer], photo: bytes) -> tuple[Call, bytes]:
    (customer,) = rng.choices(who, [each.share for each in who])
    name = rng.choice(list(SPEAKERS))
    options, price = rng.choice(SPEAKERS[name].options)
    (kind,) = rng.choices(list(_KINDS), list(_KINDS.values()))
    call = Call(name, customer.name, rng.choice(customer.keys), price, kind)
    if kind == "strange key":
        call.account, call.key = "", f"{rng.getrandbits(192):048x}"
    elif kind == "no key":
        call.account = call.key = ""
    if kind != "account":
        (call.hang_up,) = rng.choices(list(_HANG_UPS), list(_HANG_UPS.values()))
        if call.hang_up == "first byte" and SPEAKERS[name].job is not None:
            call.hang_up = "behind"
    picture = {"no picture": b"no picture at all", "half a picture": photo[: len(photo) // 2]}.get(kind, photo)
    return call, compose(call, options, picture)


def _photo() -> bytes:
    pixels = np.full((60, 80, 3), (212, 205, 190), np.uint8)
    cv2.circle(pixels, (40, 30), 18, (40, 50, 210), -1, cv2.LINE_AA)
    return cv2.imencode(".jpg", pixels)[1].tobytes()


# --- the books ------------------------------------------------------------------------------------------------------


async def prepare(books: Books, who: Iterable[Customer], offered: Sequence[Plan]) -> None:
    """Plans, accounts, two keys for each."""
    for plan in offered:
        await books.accounts.put_plan(plan)
    quotas = {plan.name: plan.quota for plan in offered}
    for customer in who:
        beside = customer.given - quotas[customer.plan]
        account = await books.accounts.create(customer.name, plan=customer.plan, credits=beside)
        mode = "test" if customer.name == "tester" else "live"
        for _ in range(2):
            secret, _ = await books.keys.create(account.id, mode=mode)  # type: ignore[arg-type]
            customer.keys.append(secret)


async def quieten(books: Books, killed_at: Sequence[float], within_s: float = 30) -> None:
    """Wait until living servers hold nothing any more.

    Raises:
        RuntimeError: They do for ever.
    """
    last = max(killed_at, default=0.0)
    give_up_at = time.monotonic() + within_s
    while any(entry.at.timestamp() > last for entry in await _holds(books)):
        if time.monotonic() > give_up_at:
            raise RuntimeError("credits are held for ever by servers that live")
        await asyncio.sleep(0.2)


async def _holds(books: Books) -> list[Entry]:
    return [entry for entries in (await _ledgers(books)).values() for entry in entries if entry.reason == "hold"]


async def _ledgers(books: Books) -> dict[str, tuple[Entry, ...]]:
    """By name of the account."""
    accounts = await books.accounts.list(1000)
    return {account.name: await books.credits.entries(account.id, 1_000_000) for account in accounts}


async def judge(books: Books, storm: Storm) -> Verdict:
    """Everything that must hold, once nothing runs any more; holds of the killed are made to run out."""
    faults: list[str] = []
    held = await _holds(books)
    refused = {call.ledger_id for call in storm.calls if call.outcome == "refused"} - {""}
    faults += [f"{entry.request_id} was refused and is held" for entry in held if entry.request_id in refused]
    later = Credits(books.db, now=lambda: utc_now() + LONGEST_HOLD)
    expired = await later.expire()
    faults += [f"the books do not balance: {difference}" for difference in await books.credits.audit()]
    ledgers = await _ledgers(books)
    charged = 0
    for customer in storm.customers:
        calls = [call for call in storm.calls if call.account == customer.name]
        balance = await books.credits.balance(customer.name)
        if customer.pays:
            told, count = _judge_ledger(customer, calls, ledgers[customer.name], balance.credits + balance.held)
            charged += count
            faults += told
        elif any(entry.request_id for entry in ledgers[customer.name]):
            faults.append(f"{customer.name} pays")
    faults += _judge_limits(storm)
    faults += _judge_log(storm)
    outcomes = Counter(call.outcome for call in storm.calls)
    statuses = Counter(call.status for call in storm.calls if call.status)
    if statuses[500]:
        faults.append(f"{statuses[500]} answers were 500")
    counts = {
        "calls": len(storm.calls),
        **{f"known as {outcome}": number for outcome, number in sorted(outcomes.items())},
        **{f"status {status}": number for status, number in sorted(statuses.items())},
        "charges": charged,
        "held when the servers had ended": len(held),
        "ran out": expired,
    }
    return Verdict(faults, counts)


def _judge_ledger(
    customer: Customer, calls: Sequence[Call], ledger: Sequence[Entry], left: Decimal
) -> tuple[list[str], int]:
    """(faults, charges) of an account."""
    of_request: dict[str, list[Entry]] = defaultdict(list)
    for entry in ledger:
        of_request[entry.request_id].append(entry)
    given = sum((entry.subscription + entry.payg for entry in of_request.pop("", [])), NOTHING)
    faults = [] if given == customer.given else [f"{customer.name} was given {given} and not {customer.given}"]
    spent = {name: -sum((e.subscription + e.payg for e in rows), NOTHING) for name, rows in of_request.items()}
    charges = {name: [e for e in rows if e.reason == "charge"] for name, rows in of_request.items()}
    if customer.given - left != sum(spent.values()):
        faults.append(f"{customer.name} spent {customer.given - left}, its requests cost {sum(spent.values())}")
    for name, rows in charges.items():
        if len(rows) > 1:
            faults.append(f"{name} was charged {len(rows)} times")
        if not rows and spent[name]:
            faults.append(f"{name} was not charged and cost {spent[name]}")
        if rows and not spent[name] and not any(entry.free_calls for entry in rows):
            faults.append(f"{name} was charged nothing")
    faults += [f"{customer.name} had {e.balance_after}" for e in ledger if e.balance_after < 0]
    pictures = [call for call in calls if call.outcome == "picture"]
    for call in pictures:
        faults += _judge_picture(call, charges, spent)
    for call in calls:
        if call.outcome == "refused" and spent.get(call.ledger_id):
            faults.append(
                f"{call.speaker}: {call.ledger_id} was refused ({call.status}) and cost {spent[call.ledger_id]}"
            )
    made = sum(bool(rows) for rows in charges.values())
    unknown = sum(call.outcome == "unknown" for call in calls)
    if not len(pictures) <= made <= len(pictures) + unknown:
        faults.append(f"{customer.name}: {made} charges, {len(pictures)} pictures received, {unknown} unknown")
    return faults, made


def _judge_picture(call: Call, charges: Mapping[str, list[Entry]], spent: Mapping[str, Decimal]) -> list[str]:
    if not call.ledger_id:  # its answer does not tell the job's name: it is counted only
        return []
    rows = charges.get(call.ledger_id, [])
    if not rows:
        return [f"{call.speaker}: {call.ledger_id} was free"]
    expected = NOTHING if rows[0].free_calls else call.price
    if spent[call.ledger_id] != expected:
        return [f"{call.speaker}: {call.ledger_id} cost {spent[call.ledger_id]} and not {expected}"]
    return []


def _judge_limits(storm: Storm) -> list[str]:
    """What was let through and answered within any window, counted from outside, is no more than the amount."""
    (limited,) = (customer for customer in storm.customers if customer.plan == "slow")
    through = [
        call
        for call in storm.calls
        if call.account == limited.name and call.kind != "account" and call.ended and call.status not in UNCOUNTED
    ]
    faults = []
    for scope, window_s, amount in (
        ("key", KEY_WINDOW_S, storm.amounts[0]),
        ("account", ACCOUNT_WINDOW_S, storm.amounts[1]),
    ):
        groups: dict[object, list[Call]] = defaultdict(list)
        for call in through:
            groups[call.key if scope == "key" else "", None if storm.shared_limits else call.port].append(call)
        most = max((most_within(group, window_s) for group in groups.values()), default=0)
        if most > amount:
            faults.append(f"{most} calls of a {scope} in {window_s} s, {amount} are allowed")
    return faults


def most_within(calls: Sequence[Call], window_s: float) -> int:
    """Most calls that were begun and ended within any one window: so many at least were counted in it."""
    return max(
        (sum(start.began <= call.began and call.ended <= start.began + window_s for call in calls) for start in calls),
        default=0,
    )


def _judge_log(storm: Storm) -> list[str]:
    """Errors of the servers'; being busy is none, whatever status a dialect has for it."""
    lines = [orjson.loads(line) for line in storm.log.splitlines() if line.startswith(b"{") and line.endswith(b"}")]
    wrong = [line for line in lines if line["level"] in ("error", "critical") and line.get("error") != "overloaded"]
    return [f"logged: {line}" for line in wrong[:5]]


# --- all of it ------------------------------------------------------------------------------------------------------


async def weather(
    address: str,
    folder: Path,
    *,
    calls: int,
    clients: int,
    kills: int,
    seed: int = 0,
    amounts: tuple[int, int] = AMOUNTS,
    limits: str = "",
    model: str = "",
) -> tuple[Storm, Verdict]:
    """A storm over one database, and its verdict.

    Args:
        address: The database; its tables are made.
        folder: Of files.
        calls: In all.
        clients: Of each server.
        kills: How often a server is killed.
        seed: Of the clients' whims.
        amounts: See ``Storm``.
        limits: The store of limits that all servers share; "": each counts its own.
        model: The net; "": the embedded one.
    """
    database = await Database.open(address)
    await database.migrate()
    await database.aclose()
    settings: dict[str, object] = {"database_url": address, "job_wait_s": 20, "limits_outage": "closed"}
    settings["objects_url"] = f"file://{folder}/objects"  # any server may do any job
    settings |= {"limits_url": limits} if limits else {}
    settings |= {"model": model} if model else {}
    who = customers()
    async with open_books(address) as books:
        await prepare(books, who, plans(*amounts))
        with open_fleet(folder, settings) as fleet:
            storm = await rage(fleet, who, calls=calls, clients=clients, kills=kills, seed=seed)
            await quieten(books, storm.killed_at)
        storm.amounts, storm.shared_limits = amounts, bool(limits)
        storm.log = (folder / "bgone.log").read_bytes()
        return storm, await judge(books, storm)


@click.command()
@click.option("--database", type=click.Choice(["sqlite", "postgresql"]), default="sqlite", show_default=True)
@click.option("--calls", default=10_000, show_default=True, type=click.IntRange(min=1))
@click.option("--clients", default=50, show_default=True, type=click.IntRange(min=1), help="Of each server.")
@click.option("--kills", default=2, show_default=True, type=click.IntRange(min=0))
@click.option("--seed", default=0, show_default=True)
@click.option("--net", is_flag=True, help="With the embedded net instead of a fixed matte.")
@click.option("--postgres", default="postgresql+psycopg://postgres@127.0.0.1:5432/test", show_default=True)
@click.option("--redis", default="redis://127.0.0.1:6379/0", show_default=True)
def main(
    database: str, calls: int, clients: int, kills: int, seed: int, postgres: str, redis: str, *, net: bool
) -> None:
    """Raise a storm and look at the books."""
    with TemporaryDirectory() as name, _address(database, Path(name), postgres) as address:
        folder = Path(name)
        model = "" if net else str(models.save(models.no_net(), folder / "no-net.onnx"))
        limits = redis if database == "postgresql" else ""
        work = weather(
            address, folder, calls=calls, clients=clients, kills=kills, seed=seed, limits=limits, model=model
        )
        storm, verdict = asyncio.run(work)
    for words, number in verdict.counts.items():
        click.echo(f"{number:7,} {words}")
    per_s = len(storm.calls) / storm.seconds
    click.echo(f"{database}: {storm.seconds:.0f} s, {per_s:.0f} calls/s, {len(storm.killed_at)} kills")
    if verdict.faults:
        raise SystemExit("\n".join([*verdict.faults[:50], f"{len(verdict.faults)} faults"]))
    click.echo("the books balance")


@contextmanager
def _address(database: str, folder: Path, postgres: str) -> Iterator[str]:
    if database == "sqlite":
        yield f"sqlite+aiosqlite:///{folder}/bgone.db"
    else:
        with own_postgres(postgres) as address:
            yield address


if __name__ == "__main__":
    main()
