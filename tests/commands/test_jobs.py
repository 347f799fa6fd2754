"""``bgone jobs``: looked at, ended, told again, beside a server that may be running."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypeVar, cast

import pytest

from bgone.accounts.books import Books, open_books
from bgone.accounts.slips import Slips
from bgone.jobs.book import Made
from bgone.jobs.deliveries import Delivery, Try, message_id
from bgone.jobs.delivery_rows import TableDeliveries
from bgone.jobs.durable import DurableBook
from bgone.jobs.hooks import key_of
from bgone.jobs.job import Job, new_id, read_id
from bgone.jobs.job_rows import find_job
from bgone.jobs.queue import open_queue
from bgone.pipeline.order import Link, Order
from bgone.storage.objects import Objects
from tests.commands.conftest import Run

Told = Callable[..., dict[str, Any]]
Value = TypeVar("Value")
NOW = datetime.now(UTC)


def on_books(tmp_path: Path, work: Callable[[Books], Awaitable[Value]]) -> Value:
    """Run ``work`` on the books that the commands use."""

    async def main() -> Value:
        async with open_books(f"sqlite+aiosqlite:///{tmp_path}/state/bgone.db") as books:
            return await work(books)

    return asyncio.run(main())


@pytest.fixture
def waiting(told: Told, tmp_path: Path) -> Job:
    """A job of an account named shop that nobody works on; 2 of its 5 credits are held."""
    told("accounts", "create", "shop", "--credits", "5")
    secret = told("keys", "create", "--account", "shop")["key"]

    async def submit(books: Books) -> Job:
        holder = await books.keys.find(secret)
        queue, job_id = await open_queue(books.db), new_id()
        book = DurableBook(books.db, queue, cast(Any, None), Objects("memory:///"), works=False)
        pay = partial(Slips(books.db).hold, holder, Decimal(2), job_id, "foner")
        order = Order(Link("https://a.test/x.jpg"))
        job = await book.submit(job_id, "foner", holder.account.id, order, {}, Decimal(2), pay=pay)
        await book.aclose()
        return job

    return on_books(tmp_path, submit)


def failed(job_id: str) -> Delivery:
    """A message that was given up."""
    tried = (Try(NOW, 500, 12.5, "answered 500"), Try(NOW, None, 10_000, "no answer within 10 s"))
    url = "https://a.test/hook"
    until = NOW + timedelta(days=3)
    return Delivery(
        message_id(job_id, url), job_id, "acc_1", url, b"{}", NOW, until, "failed", None, NOW, 10, 10, tried
    )


def test_jobs_are_shown(bgone: Run, told: Told, waiting: Job) -> None:
    """In a list, narrowed by account and state, and one by its id as any API spells it."""
    (line,) = told("jobs", "list")["jobs"]
    assert (line["id"], line["state"], line["dialect"], line["price"]) == (waiting.id, "queued", "foner", "2")
    assert told("jobs", "list", "--state", "done")["jobs"] == []
    assert len(told("jobs", "list", "--account", "shop")["jobs"]) == 1
    assert told("jobs", "show", f"job_{waiting.id.upper()}")["id"] == waiting.id
    assert waiting.id in bgone("jobs", "list").stdout
    missing = bgone("jobs", "show", "0" * 32)
    assert missing.exit_code == 1
    assert "no such job" in missing.stderr


def test_a_cancelled_job_gives_its_credits_back(bgone: Run, told: Told, waiting: Job) -> None:
    """The ledger stays balanced; a second time changes nothing; its end is left for a server to tell."""
    assert told("accounts", "show", "shop")["balance"] == "3"
    assert told("jobs", "cancel", waiting.id)["state"] == "cancelled"
    assert told("accounts", "show", "shop")["balance"] == "5"
    assert told("jobs", "cancel", waiting.id)["state"] == "cancelled"
    assert told("accounts", "show", "shop")["balance"] == "5"
    assert bgone("accounts", "audit").exit_code == 0
    assert bgone("jobs", "cancel", "0" * 32).exit_code == 1


def finish(tmp_path: Path, job: Job, address: str) -> str:
    """Make the job, as a server would, with its result at ``address``: the result's key."""

    async def work(books: Books) -> str:
        objects = Objects(address)

        @asynccontextmanager
        async def make(_order: Order) -> AsyncIterator[Made]:
            async def pieces() -> AsyncIterator[bytes]:
                yield b"picture"

            yield Made(pieces(), "image/png", ".png", 61, 40)

        book = DurableBook(books.db, await open_queue(books.db), make, objects)
        book.start()
        async with asyncio.timeout(60):
            done = await book.wait(job.id, math.inf)
            while not (line := await find_job(books.db, job.id)) or not line.is_told:
                await asyncio.sleep(0.01)
        await book.aclose()
        await objects.aclose()
        assert done.result is not None
        return done.result.key

    return on_books(tmp_path, work)


def test_a_job_is_removed_with_its_result(bgone: Run, told: Told, waiting: Job, tmp_path: Path) -> None:
    """At once, where the server keeps it; it stays paid for, and its name is forgotten."""
    objects = tmp_path / "state" / "objects"
    key = finish(tmp_path, waiting, f"file://{objects}")
    assert (objects / key).is_file()
    assert told("jobs", "delete", f"job_{waiting.id}") == {"job_id": waiting.id, "deleted": True, "state": "gone"}
    assert not [*objects.iterdir()]
    assert bgone("jobs", "show", waiting.id).exit_code == 1
    assert bgone("jobs", "delete", waiting.id).exit_code == 1


def test_a_result_that_is_elsewhere_keeps_its_job(bgone: Run, waiting: Job, tmp_path: Path) -> None:
    """An operator whose environment is not the server's removes nothing by half."""
    finish(tmp_path, waiting, f"file://{tmp_path}/elsewhere")
    refused = bgone("jobs", "delete", waiting.id)
    assert refused.exit_code == 1
    assert "BGONE_OBJECTS_URL" in refused.stderr
    assert bgone("jobs", "show", waiting.id).exit_code == 0


def test_a_job_that_waits_is_cancelled_instead(told: Told, waiting: Job) -> None:
    """Its end is still to be told; nothing is kept of it but that."""
    assert told("jobs", "delete", waiting.id) == {"job_id": waiting.id, "deleted": False, "state": "cancelled"}
    assert told("accounts", "show", "shop")["balance"] == "5"


def test_a_cancelled_job_is_told_by_the_next_server(told: Told, waiting: Job, tmp_path: Path) -> None:
    """The sweep finds it, and whoever listens hears of it."""
    told("jobs", "cancel", waiting.id)

    async def sweep(books: Books) -> list[Job]:
        heard: list[Job] = []

        async def hear(job: Job) -> None:
            heard.append(job)

        later = partial(datetime.now, UTC)
        book = DurableBook(
            books.db,
            await open_queue(books.db),
            cast(Any, None),
            Objects("memory:///"),
            on_end=hear,
            now=lambda: later() + timedelta(minutes=2),
            works=False,
        )
        await book.sweep()
        await book.aclose()
        return heard

    (ended,) = on_books(tmp_path, sweep)
    assert (ended.id, ended.state) == (waiting.id, "cancelled")


def test_deliveries_are_shown_and_sent_again(bgone: Run, told: Told, waiting: Job, tmp_path: Path) -> None:
    """With each try of one job's; told again they are due now, with the same id."""
    lost = failed(waiting.id)
    on_books(tmp_path, lambda books: TableDeliveries(books.db).add(lost))
    (shown,) = told("jobs", "deliveries")["deliveries"]
    assert (shown["id"], shown["state"], shown["tries"], shown["error"]) == (
        lost.id,
        "failed",
        2,
        "no answer within 10 s",
    )
    of_job = told("jobs", "deliveries", waiting.id)
    assert [(one["status"], one["ms"]) for one in of_job["tries"]] == [(500, 12.5), (None, 10_000)]
    assert "answered 500" in bgone("jobs", "deliveries", waiting.id).stdout
    assert told("jobs", "redeliver", waiting.id) == {"job_id": waiting.id, "messages": 1}
    (again,) = told("jobs", "deliveries", waiting.id)["deliveries"]
    assert (again["id"], again["state"], again["due_at"] is not None) == (lost.id, "waiting", True)
    assert bgone("jobs", "redeliver", "0" * 32).exit_code == 1


def test_hooks_are_shown_and_set(bgone: Run, told: Told, waiting: Job) -> None:
    """The secret is made once; the URL comes and goes."""
    first = told("jobs", "hook", "shop")
    assert (first["account"], first["url"], len(key_of(first["secret"]))) == ("shop", "", 32)
    assert told("jobs", "hook", "shop", "--url", "https://a.test/hook") == {**first, "url": "https://a.test/hook"}
    assert told("jobs", "hook", "shop") == {**first, "url": "https://a.test/hook"}
    assert told("jobs", "hook", "shop", "--url", "") == first
    assert bgone("jobs", "hook", "shop", "--url", "nowhere").exit_code == 2
    assert bgone("jobs", "hook", "nobody").exit_code == 1


@pytest.mark.parametrize("prefix", ["", "job_", "poofbg-", "JOB_"])
def test_ids_are_read_as_every_api_spells_them(prefix: str) -> None:
    """The last 32 digits, with or without dashes."""
    assert read_id(prefix + "0123456789abcdef" * 2) == "0123456789abcdef" * 2
    assert read_id("01234567-89ab-cdef-0123-456789ABCDEF") == "0123456789abcdef" * 2
