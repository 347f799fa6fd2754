"""``bgone jobs``: what is under way, what became of it, and whether those who wanted to know were told."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import click

from bgone.commands.frame import as_json, ask, on_database, show, show_json, show_table
from bgone.errors import ApiError, job_not_found
from bgone.jobs.job import read_id

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
    """Jobs: list, show, cancel, delete; their webhooks: deliveries, redeliver, hook."""


@jobs.command(name="list")
@click.option("--account", metavar="NAME", help="Only this account's.")
@click.option("--state", type=click.Choice(_STATES), default=None, help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1, MOST), default=50, help="Most rows.  [default: 50]")
@as_json
@on_database
def show_all(account: str | None, state: str | None, limit: int, as_json: bool, database_url: str | None) -> None:
    """Show jobs, newest first."""
    from bgone.api.job_values import JobList, job_facts
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
    from bgone.api.job_values import job_facts
    from bgone.jobs.job_rows import find_job

    async def find(books: Books) -> JobLine:
        line = await find_job(books.db, read_id(job))
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
    from bgone.api.job_values import job_facts

    show(job_facts(ask(database_url, lambda books: _cancel(books, read_id(job)))), json=as_json)


@jobs.command()
@click.argument("job")
@as_json
@on_database
def delete(job: str, as_json: bool, database_url: str | None) -> None:
    """Remove a job that is over with its result, at once; one that is not over is cancelled, and keeps nothing.

    Results lie where BGONE_OBJECTS_URL says, as for the server.
    """
    from bgone.api.job_values import Deleted

    job_id = read_id(job)
    removed = ask(database_url, lambda books: _delete(books, job_id))
    show(Deleted(job_id=job_id, deleted=removed, state="gone" if removed else "cancelled"), json=as_json)


@jobs.command()
@click.argument("job", required=False)
@click.option("--limit", type=click.IntRange(1, MOST), default=50, help="Most rows.  [default: 50]")
@as_json
@on_database
def deliveries(job: str | None, limit: int, as_json: bool, database_url: str | None) -> None:
    """Show what was to be told, newest first; of one job, each try of it."""
    from bgone.api.job_values import TryFacts, delivery_list
    from bgone.jobs.delivery_rows import TableDeliveries

    async def find(books: Books) -> Sequence[Delivery]:
        kept = TableDeliveries(books.db)
        return await kept.of_job(read_id(job)) if job else await kept.recent(limit)

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
    from bgone.api.job_values import Redelivered
    from bgone.jobs.delivery_rows import TableDeliveries

    async def again(books: Books) -> int:
        count = await TableDeliveries(books.db).redeliver(read_id(job), datetime.now(UTC))
        if count == 0:
            raise ApiError("job_not_found", "Nothing was to be told of such a job, or it is forgotten.")
        return count

    show(Redelivered(messages=ask(database_url, again), job_id=read_id(job)), json=as_json)


@jobs.command()
@click.argument("account")
@click.option("--url", metavar="URL", help='Where the ends of all its jobs are told; "": nowhere.')
@as_json
@on_database
def hook(account: str, url: str | None, as_json: bool, database_url: str | None) -> None:
    """Show what signs an account's webhooks, or set where all its jobs are told."""
    from bgone.api.job_values import HookFacts
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


# --- work -----------------------------------------------------------------------------------------------------------


async def _delete(books: Books, job_id: str) -> bool:
    """Whether it is gone; False: it is cancelled, and a server still has to tell so.

    Raises:
        job_not_found: There is none.
        click.ClickException: Its result is elsewhere, or its end is being told at this moment.
    """
    from bgone.jobs.durable import DurableBook
    from bgone.jobs.job_rows import find_job
    from bgone.jobs.queue import open_queue
    from bgone.storage.objects import Objects

    line = await find_job(books.db, job_id)
    if line is None:
        raise job_not_found()
    if line.state in ("queued", "running"):
        line = await _cancel(books, job_id)
        if line.state == "cancelled":
            return False
    objects = Objects(_objects_address())
    book = DurableBook(books.db, await open_queue(books.db), cast(Any, None), objects, works=False)
    try:
        job = await book.get(job_id)
        if job is not None and job.result is not None:
            try:
                await objects.head(job.result.key)
            except KeyError:
                words = f"its result is not in {objects.address}: set BGONE_OBJECTS_URL as the server has it."
                raise click.ClickException(f"Nothing was removed, {words}") from None
        if not line.is_told:
            raise click.ClickException("Its end is being told: try again in a minute.")
        await book.delete(line.owner, job_id)
        return True
    finally:
        await book.aclose()
        await objects.aclose()


def _objects_address() -> str:
    """Where a server with the same environment keeps pictures."""
    from bgone.settings import load

    said = {name: os.environ.get(name, "") for name in ("BGONE_DATA_DIR", "BGONE_DATABASE_URL", "BGONE_OBJECTS_URL")}
    settings = load(said)
    return settings.objects_url or f"file://{(settings.data_path / 'objects').resolve()}"


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
