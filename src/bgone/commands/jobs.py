"""``bgone jobs``: what is under way, what became of it, and whether those who wanted to know were told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import click

from bgone.commands.frame import as_json, ask, on_database, show, show_json, show_table
from bgone.errors import ApiError, job_not_found

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bgone.accounts.books import Books
    from bgone.jobs.deliveries import Delivery
    from bgone.jobs.job import Job
    from bgone.jobs.job_rows import JobLine

MOST = 1000
_SHOWN = ("id", "state", "dialect", "owner", "created_at", "finished_at", "price", "error")
_DELIVERIES = ("id", "job_id", "state", "url", "created_at", "due_at", "tries", "status", "ms", "error")
_STATES = ("queued", "running", "done", "failed", "cancelled", "expired")


@click.group()
def jobs() -> None:
    """Jobs: list, show, cancel; their webhooks: deliveries, redeliver, hook."""


@jobs.command(name="list")
@click.option("--account", metavar="NAME", help="Only this account's.")
@click.option("--state", type=click.Choice(_STATES), default=None, help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1, MOST), default=50, help="Most rows.  [default: 50]")
@as_json
@on_database
def show_all(account: str | None, state: str | None, limit: int, as_json: bool, database_url: str | None) -> None:
    """Show jobs, newest first."""
    from bgone.commands.job_facts import JobList, job_facts
    from bgone.jobs.job_rows import newest_jobs

    async def find(books: Books) -> list[JobLine]:
        owner = "" if account is None else (await books.accounts.get(account)).id
        return await newest_jobs(books.db, limit, owner, state or "")

    told = JobList(jobs=[job_facts(line) for line in ask(database_url, find)])
    if as_json:
        show_json(told)
    else:
        show_table(told.jobs, _SHOWN)


@jobs.command(name="show")
@click.argument("job")
@as_json
@on_database
def show_one(job: str, as_json: bool, database_url: str | None) -> None:
    """Show a job, by its id as its API told it."""
    from bgone.commands.job_facts import job_facts
    from bgone.jobs.job_rows import find_job

    async def find(books: Books) -> JobLine:
        line = await find_job(books.db, job_id_of(job))
        if line is None:
            raise job_not_found()
        return line

    show(job_facts(ask(database_url, find)), json=as_json)


@jobs.command()
@click.argument("job")
@as_json
@on_database
def cancel(job: str, as_json: bool, database_url: str | None) -> None:
    """End a job that is not over; what it holds is given back. A server tells its end, within minutes."""
    from bgone.commands.job_facts import job_facts

    show(job_facts(ask(database_url, lambda books: _cancel(books, job_id_of(job)))), json=as_json)


@jobs.command()
@click.argument("job", required=False)
@click.option("--limit", type=click.IntRange(1, MOST), default=50, help="Most rows.  [default: 50]")
@as_json
@on_database
def deliveries(job: str | None, limit: int, as_json: bool, database_url: str | None) -> None:
    """Show what was to be told, newest first; of one job, each try of it."""
    from bgone.commands.job_facts import TryFacts, delivery_list
    from bgone.jobs.delivery_rows import TableDeliveries

    async def find(books: Books) -> Sequence[Delivery]:
        kept = TableDeliveries(books.db)
        return await kept.of_job(job_id_of(job)) if job else await kept.recent(limit)

    told = delivery_list(ask(database_url, find), with_tries=job is not None)
    if as_json:
        show_json(told)
        return
    show_table(told.deliveries, _DELIVERIES)
    if told.tries:
        click.echo()
        show_table(told.tries, TryFacts.__struct_fields__)


@jobs.command()
@click.argument("job")
@as_json
@on_database
def redeliver(job: str, as_json: bool, database_url: str | None) -> None:
    """Tell all that was to be told of a job again, with the same ids; a running server sends it."""
    from bgone.commands.job_facts import Redelivered
    from bgone.jobs.delivery_rows import TableDeliveries

    async def again(books: Books) -> int:
        count = await TableDeliveries(books.db).redeliver(job_id_of(job), datetime.now(UTC))
        if count == 0:
            raise ApiError("job_not_found", "Nothing was to be told of such a job, or it is forgotten.")
        return count

    show(Redelivered(messages=ask(database_url, again), job_id=job_id_of(job)), json=as_json)


@jobs.command()
@click.argument("account")
@click.option("--url", metavar="URL", help='Where the ends of all its jobs are told; "": nowhere.')
@as_json
@on_database
def hook(account: str, url: str | None, as_json: bool, database_url: str | None) -> None:
    """Show what signs an account's webhooks, or set where all its jobs are told."""
    from bgone.commands.job_facts import HookFacts
    from bgone.jobs.delivery_rows import StoredHooks
    from bgone.pipeline.addresses import read_url

    if url:
        try:
            read_url(url)
        except ApiError as error:
            raise click.BadParameter(f"--url: expected an http or https URL, got {url!r}.") from error

    async def its_hook(books: Books) -> HookFacts:
        owner = await books.accounts.get(account)
        known = StoredHooks(books.db)
        its = await (known.of(owner.id) if url is None else known.set_url(owner.id, url or None))
        return HookFacts(account=owner.name, url=its.url or "", secret=its.secret)

    show(ask(database_url, its_hook), json=as_json)


def job_id_of(text: str) -> str:
    """Our id of a job as any dialect spells it: the last 32 hex digits, whatever stands before or between."""
    return text.replace("-", "")[-32:].lower()


# --- work -----------------------------------------------------------------------------------------------------------


async def _cancel(books: Books, job_id: str) -> JobLine:
    from bgone.accounts.slips import Slips
    from bgone.jobs.durable import DurableBook
    from bgone.jobs.job_rows import find_job
    from bgone.jobs.queue import open_queue
    from bgone.storage.objects import Objects

    slips = Slips(books.db)

    def give_back(connection: Connection, slip: str, ended: Job) -> None:
        slips.settle(connection, slip, charge=False, reason=f"job {ended.state}")

    async def leave(_ended: Job) -> None:
        # Only a server knows how to tell it, and where its pictures are: its sweep does both.
        await asyncio.Event().wait()

    objects = Objects("memory:///")
    book = DurableBook(
        books.db, await open_queue(books.db), cast(Any, None), objects, on_end=leave, settle=give_back, works=False
    )
    try:
        if not job_id.isalnum() or await book.cancel(job_id) is None:
            raise job_not_found()
    finally:
        await book.aclose()
        await objects.aclose()
    line = await find_job(books.db, job_id)
    assert line is not None
    return line
