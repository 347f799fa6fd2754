"""Is anything lost when processes die? A server that accepts jobs and three workers, all killed at random.

    python -m benchmarks.chaos [--database sqlite|postgresql] [--jobs 2000] [--kills 20] [--seed N] [--hurried]

Clients hand in jobs over HTTP, each under a name of its own (``Idempotency-Key``), and ask again until they have its
id, while SIGKILL falls on whoever is up. A third of the calls wait for their job; one in twelve pictures is damaged. In
the end every accepted job is done or failed, once; results are behind their links; the ledger balances; every end was
told under one id; nothing is left running, nor in the queue, nor in the store.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from benchmarks import models
from benchmarks.bench_credits import own_postgres
from benchmarks.chaos_fleet import ACCOUNT_HOOK, Heard, Member, free_port, hand_in, receiver
from benchmarks.chaos_verdict import Customer, Verdict, judge, until_over
from bgone.accounts.books import open_books
from bgone.jobs.delivery_rows import StoredHooks
from bgone.storage.database import Database

WORKERS, CLIENTS, ACCOUNTS = 3, 6, 3
POSTGRES = "postgresql+psycopg://postgres@127.0.0.1:5432/test"


@dataclass(frozen=True, slots=True)
class Plan:
    """How much of it.

    Attributes:
        jobs: That are handed in.
        kills: At random moments.
        seed: Of the moments and of their victims.
        hurried: Leases and looks take seconds, not half a minute.
    """

    jobs: int
    kills: int
    seed: int
    hurried: bool


@dataclass(slots=True)
class Chaos:
    """What was done, and what came of it.

    Attributes:
        verdict: What was found.
        killed: How often the server was killed, and how often a worker.
        asked: Calls that it took to have all jobs accepted.
        messages: That the receiver heard.
        seconds: From the first call until all was over and told.
    """

    verdict: Verdict
    killed: tuple[int, int]
    asked: int
    messages: int
    seconds: float


def run(address: str, folder: Path, plan: Plan) -> Chaos:
    """A chaos on an empty database.

    Args:
        address: Of the database.
        folder: For objects and logs.
        plan: How much.
    """
    objects = folder / "objects"
    command = "benchmarks.hurried" if plan.hurried else "bgone"
    settings = {
        "BGONE_DATABASE_URL": address,
        "BGONE_DATA_DIR": str(folder),
        "BGONE_OBJECTS_URL": f"file://{objects}",
        "BGONE_LINK_SECRET": secrets.token_hex(16),
        "BGONE_MODEL": str(models.save(models.no_net(), folder / "no-net.onnx")),
        "BGONE_FETCH_ALLOW": "127.0.0.0/8",
        "BGONE_RATE_LIMITS": "off",
        "BGONE_JOBS_WAITING": str(plan.jobs + 1),
        "BGONE_THREADS": "1",
        "BGONE_JOB_WAIT_S": "5",
    }
    with ExitStack() as stack:
        heard = stack.enter_context(receiver(plan.seed))
        customers = asyncio.run(_open_accounts(address, plan.jobs, heard.url))
        members = []
        for number in range(1 + WORKERS):
            port = 0 if number else free_port()
            own = {**settings, **({} if number else {"BGONE_PORT": str(port)})}
            member = Member((command, "work" if number else "serve"), own, folder / f"{number}.log", port)
            stack.callback(member.stop)
            members.append(member)
        for member in members:
            member.await_ready()
        started = time.monotonic()
        accepted, asked, killed = _storm(plan, members, customers, heard)
        return asyncio.run(
            _end(address, objects, plan, members[0].port, customers, accepted, asked, killed, heard, started)
        )


def _storm(
    plan: Plan, members: list[Member], customers: list[Customer], heard: Heard
) -> tuple[dict[int, str], int, tuple[int, int]]:
    """(number → id of each accepted job, calls that it took, how often the server and workers were killed)."""
    accepted: dict[int, str] = {}
    asked, killed = [0], [0, 0]
    turn, ended = threading.Condition(), threading.Event()

    def client(number: int) -> None:
        # As many jobs go in between two kills as it takes to spread them over all.
        with turn:
            turn.wait_for(lambda: ended.is_set() or sum(killed) >= number * plan.kills // plan.jobs)
        key = customers[number % len(customers)].key
        job_id, count = hand_in(members[0].port, key, number, f"{heard.url}/job", ended.is_set)
        with turn:
            accepted[number] = job_id
            asked[0] += count
            turn.notify_all()

    with ThreadPoolExecutor(CLIENTS) as threads:
        handing_in = [threads.submit(client, number) for number in range(plan.jobs)]
        try:
            _kill(plan, members, killed, accepted, turn)
        except BaseException:
            ended.set()
            raise
        finally:
            with turn:
                turn.notify_all()
        for each in handing_in:
            each.result()
    for member in members:
        member.await_ready()
    return accepted, asked[0], (killed[0], killed[1])


def _kill(
    plan: Plan, members: list[Member], killed: list[int], accepted: dict[int, str], turn: threading.Condition
) -> None:
    chance = random.Random(plan.seed)
    while sum(killed) < plan.kills:
        victim = 0 if chance.random() < 0.4 else chance.randrange(1, len(members))
        members[victim].await_ready()
        with turn:  # something has come since the kill before
            turn.wait_for(lambda: len(accepted) >= sum(killed) * plan.jobs // plan.kills, timeout=120)
        time.sleep(chance.uniform(0, 0.8))
        members[victim].kill()
        with turn:
            killed[victim > 0] += 1
            turn.notify_all()


async def _open_accounts(address: str, jobs: int, hook: str) -> list[Customer]:
    database = await Database.open(address)
    await database.migrate()
    await database.aclose()
    found = []
    async with open_books(address) as books:
        for number in range(ACCOUNTS):
            given = Decimal(jobs)
            account = await books.accounts.create(f"customer {number}", credits=given)
            secret, _ = await books.keys.create(account.id)
            hooked = number < 2
            if hooked:
                await StoredHooks(books.db).set_url(account.id, hook + ACCOUNT_HOOK)
            found.append(Customer(account.id, secret, given, hooked=hooked))
    return found


async def _end(
    address: str,
    objects: Path,
    plan: Plan,
    port: int,
    customers: list[Customer],
    accepted: dict[int, str],
    asked: int,
    killed: tuple[int, int],
    heard: Heard,
    started: float,
) -> Chaos:
    async with open_books(address) as books:
        await until_over(books.db, plan.jobs)
        seconds = time.monotonic() - started
        verdict = await judge(books, objects, port, customers, accepted, heard)
        return Chaos(verdict, killed, asked, heard.messages, seconds)


@click.command()
@click.option("--database", type=click.Choice(["sqlite", "postgresql"]), default="sqlite", show_default=True)
@click.option("--postgres", default=POSTGRES, show_default=True)
@click.option("--jobs", default=2000, show_default=True, type=click.IntRange(1, 2000))
@click.option("--kills", default=20, show_default=True, type=click.IntRange(min=0))
@click.option("--seed", default=None, type=int, help="The same moments and victims again.")
@click.option("--hurried", is_flag=True, help="Leases and looks take seconds, not half a minute.")
@click.option("--keep", type=click.Path(path_type=Path), help="A folder whose logs stay.")
def main(
    database: str, postgres: str, jobs: int, kills: int, seed: int | None, hurried: bool, keep: Path | None
) -> None:
    """Make a chaos, and say what is left."""
    plan = Plan(jobs, kills, secrets.randbits(32) if seed is None else seed, hurried)
    click.echo(f"{database}, {plan}")
    with TemporaryDirectory() as name:
        folder = keep or Path(name)
        folder.mkdir(parents=True, exist_ok=True)
        sqlite = nullcontext(f"sqlite+aiosqlite:///{folder}/bgone.db")
        with own_postgres(postgres) if database == "postgresql" else sqlite as address:
            past = run(address, folder, plan)
    verdict = past.verdict
    click.echo(
        f"{verdict.done} done, {verdict.failed} failed, work begun {verdict.begun} times; server killed "
        f"{past.killed[0]} times, workers {past.killed[1]}; {past.asked} calls, {past.messages} messages; "
        f"{verdict.orphans} orphans before the sweep; {past.seconds:.0f} s"
    )
    for fault in verdict.faults[:20]:
        click.echo(fault)
    raise SystemExit(min(1, len(verdict.faults)))


if __name__ == "__main__":
    main()
