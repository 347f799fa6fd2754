"""The job book: from an order to a stored picture, in turn, within bounds."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TypeVar

import pytest

from bgone.errors import ApiError, no_credits, overloaded, unreadable_image
from bgone.jobs.book import BookLimits, JobBook, Made
from bgone.jobs.job import Failure, Job, new_id
from bgone.pipeline.order import Colour, Link, Order, PictureGround, RenderOptions, Upload
from bgone.storage.objects import Objects, new_key

Value = TypeVar("Value")
PROMPT = BookLimits(pause_s=0)


class Easel:
    """Makes pictures out of their sources: instant, unless told to wait or to fail."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.go.set()
        self.failures: list[BaseException] = []
        self.begun: list[bytes] = []
        self.at_once = self.most_at_once = self.left = 0

    @asynccontextmanager
    async def make(self, order: Order) -> AsyncIterator[Made]:
        assert isinstance(order.source, Upload)
        self.begun.append(order.source.data)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.go.wait()
            if self.failures:
                raise self.failures.pop()
            yield Made(_pieces(order.source.data), "image/png", ".png", 61, 40)
        finally:
            self.at_once -= 1
            self.left += 1


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(body), 5):
        yield body[at : at + 5]


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time


class Room:
    """A book with all around it."""

    def __init__(self, limits: BookLimits = PROMPT) -> None:
        self.objects = Objects("memory:///")
        self.easel = Easel()
        self.clock = Clock()
        self.ended: list[Job] = []
        self.book = JobBook(self.easel.make, self.objects, limits, on_end=self._hear, now=self.clock)

    async def _hear(self, job: Job) -> None:
        self.ended.append(job)

    async def submit(self, body: bytes = b"picture", owner: str = "me", dialect: str = "poofbg") -> Job:
        return await self.book.submit(new_id(), dialect, owner, Order(Upload(body)), {"note": "kept"}, Decimal(1))

    async def finish(self, job: Job) -> Job:
        return await self.book.wait(job.id, math.inf)


def in_room(main: Callable[[Room], Awaitable[Value]], limits: BookLimits = PROMPT) -> Value:
    """What ``main`` answers with a book that is open."""

    async def bounded() -> Value:
        room = Room(limits)
        try:
            async with asyncio.timeout(30):
                return await main(room)
        finally:
            await room.book.aclose()
            await room.objects.aclose()

    return asyncio.run(bounded())


async def turn() -> None:
    """Let everything that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)


async def forgotten(book: JobBook) -> None:
    """Whatever is to be removed from the store has been."""
    await turn()
    while any(task.get_name().startswith("forget") for task in book._tasks):
        await asyncio.sleep(0.005)


# --- a job's life ---------------------------------------------------------------------------------------------------


def test_job_goes_from_queued_to_done() -> None:
    """Queued at once, running while it is made, then done with its picture stored and everything about it known."""

    async def main(room: Room) -> None:
        room.easel.go.clear()
        job = await room.submit(b"a picture of eleven")
        assert (job.state, job.result, job.finished_at, job.is_over) == ("queued", None, None, False)
        assert (job.created_at, job.notes) == (room.clock.time, {"note": "kept"})
        await turn()
        assert (await room.book.get(job.id)).state == "running"  # type: ignore[union-attr]
        room.clock.time += timedelta(seconds=3)
        room.easel.go.set()
        done = await room.finish(job)
        assert (done.state, done.failure, done.price) == ("done", None, Decimal(1))
        assert done.finished_at == job.created_at + timedelta(seconds=3)
        assert done.result is not None
        assert (done.result.media_type, done.result.suffix, done.result.size_bytes) == ("image/png", ".png", 19)
        assert (done.result.width, done.result.height) == (61, 40)
        assert await room.objects.get(done.result.key) == b"a picture of eleven"
        assert room.easel.left == 1

    in_room(main)


def test_complaints_become_the_jobs_failure() -> None:
    """Kind and public words are kept, the private detail is not, and nothing is charged."""

    async def main(room: Room) -> None:
        room.easel.failures = [unreadable_image(detail="libjpeg: secret")]
        failed = await room.finish(await room.submit())
        assert failed.failure == Failure("unreadable_image", "The picture is damaged, truncated or not a picture.")
        assert (failed.state, failed.price, failed.result) == ("failed", Decimal(0), None)
        assert "secret" not in str(failed)

    in_room(main)


def test_accidents_fail_the_job_without_words_of_ours() -> None:
    """Whatever is raised, the job ends as failed, and the next one is made."""

    async def main(room: Room) -> None:
        room.easel.failures = [ZeroDivisionError("at line 7")]
        failed = await room.finish(await room.submit())
        assert failed.failure == Failure("internal", "Something went wrong on our side.")
        assert (await room.finish(await room.submit())).state == "done"

    in_room(main)


def test_failing_store_fails_the_job() -> None:
    """A picture that could not be stored is no result."""

    async def main(room: Room) -> None:
        await room.objects.aclose()
        failed = await room.finish(await room.submit())
        assert failed.failure is not None
        assert failed.failure.kind == "internal"
        assert room.easel.left == 1

    in_room(main)


def test_end_is_told_once_with_the_final_job() -> None:
    """The listener hears of success and failure, after everybody can see them."""

    async def main(room: Room) -> None:
        done = await room.finish(await room.submit())
        room.easel.failures = [unreadable_image(detail="")]
        failed = await room.finish(await room.submit())
        await turn()
        assert room.ended == [done, failed]

    in_room(main)


def test_a_failing_listener_harms_nobody() -> None:
    """The job stays done, and the next job's end is told as well."""

    async def main(room: Room) -> None:
        heard: list[str] = []

        async def hear(job: Job) -> None:
            heard.append(job.id)
            raise OSError("the webhook's host is gone")

        book = JobBook(room.easel.make, room.objects, PROMPT, on_end=hear)
        jobs = [await book.submit(new_id(), "jobid", "me", Order(Upload(b"x")), {}, Decimal(1)) for _ in range(2)]
        for job in jobs:
            assert (await book.wait(job.id, math.inf)).state == "done"
        await turn()
        assert heard == [job.id for job in jobs]
        await book.aclose()

    in_room(main)


def test_nobody_sees_a_picture_before_it_is_settled() -> None:
    """The job is running until then, and whoever settles has the finished job before him."""

    async def main(room: Room) -> None:
        seen: list[tuple[str, str]] = []

        async def settle(made: Job) -> None:
            shown = await book.get(made.id)
            assert shown is not None
            seen.append((made.state, shown.state))

        book = JobBook(room.easel.make, room.objects, PROMPT, settle=settle)
        job = await book.submit(new_id(), "jobid", "me", Order(Upload(b"x")), {}, Decimal(1))
        assert (await book.wait(job.id, math.inf)).state == "done"
        assert seen == [("done", "running")]

    in_room(main)


def test_what_cannot_be_settled_has_failed() -> None:
    """Its picture is thrown away; a till that is busy is asked again."""

    async def main(room: Room) -> None:
        made: list[Job] = []
        refusals = [no_credits("1", "0"), overloaded(1, "locked")]

        async def settle(job: Job) -> None:
            made.append(job)
            raise refusals.pop()

        book = JobBook(room.easel.make, room.objects, PROMPT, settle=settle, on_end=room._hear)
        job = await book.submit(new_id(), "jobid", "me", Order(Upload(b"x")), {}, Decimal(1))
        failed = await book.wait(job.id, math.inf)
        await forgotten(book)
        assert failed.failure is not None
        assert (failed.state, failed.failure.kind, failed.result) == ("failed", "no_credits", None)
        assert len(room.easel.begun) == 1
        assert room.ended == [failed]
        assert made[-1].result is not None
        with pytest.raises(KeyError):
            await room.objects.get(made[-1].result.key)

    in_room(main)


def test_closing_cancels_what_is_under_way() -> None:
    """Waiters hear of it, the easel is left, nothing is charged, nobody is told of an end."""

    async def main(room: Room) -> None:
        room.easel.go.clear()
        job = await room.submit()
        waiter = asyncio.create_task(room.finish(job))
        await turn()
        await room.book.aclose()
        assert ((await waiter).state, (await waiter).price) == ("cancelled", Decimal(0))
        assert (room.easel.left, room.ended) == (1, [])

    in_room(main)


# --- waiting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, 0.01])
def test_waiting_ends_with_its_time(seconds: float) -> None:
    """A job that is not over after so long is answered as it stands."""

    async def main(room: Room) -> None:
        room.easel.go.clear()
        job = await room.submit()
        assert not (await room.book.wait(job.id, seconds)).is_over

    in_room(main)


def test_waiting_ends_with_the_job() -> None:
    """Who waits for an hour has the answer when there is one."""

    async def main(room: Room) -> None:
        assert (await room.book.wait((await room.submit()).id, 3600)).state == "done"

    in_room(main)


def test_unknown_jobs() -> None:
    """Nothing is known of them, and nobody waits for them."""

    async def main(room: Room) -> None:
        assert (await room.book.get("0" * 32)) is None
        with pytest.raises(KeyError):
            await room.book.wait("0" * 32, 1)

    in_room(main)


# --- bounds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("running", [1, 3])
def test_jobs_are_made_in_turn(running: int) -> None:
    """Never more at one time than the limit says, first come, first served."""

    async def main(room: Room) -> None:
        jobs = [await room.submit(b"%d" % number) for number in range(7)]
        ended = [await room.finish(job) for job in jobs]
        assert room.easel.most_at_once == running
        assert room.easel.begun == [b"%d" % number for number in range(7)]
        assert [job.state for job in ended] == ["done"] * 7

    in_room(main, BookLimits(running=running))


def test_too_many_jobs_are_refused() -> None:
    """One is made, two wait, the next is told to come again; when they are done there is room."""

    async def main(room: Room) -> None:
        room.easel.go.clear()
        await room.submit()
        await turn()
        jobs = [await room.submit(), await room.submit()]
        with pytest.raises(ApiError) as refused:
            await room.submit()
        assert (refused.value.kind, refused.value.retry_after_s) == ("overloaded", 10)
        room.easel.go.set()
        await room.finish(jobs[-1])
        assert (await room.finish(await room.submit())).state == "done"

    in_room(main, BookLimits(waiting=2))


def test_too_many_bytes_are_refused() -> None:
    """Uploads are counted, those of backgrounds too; links weigh nothing; one alone always fits."""

    async def main(room: Room) -> None:
        room.easel.go.clear()
        await room.submit(bytes(150))
        for order in (
            Order(Upload(bytes(60))),
            Order(Link("http://x/"), RenderOptions(background=PictureGround(Upload(bytes(60))))),
        ):
            with pytest.raises(ApiError, match="busy"):
                await room.book.submit(new_id(), "poofbg", "me", order, {}, Decimal(1))

    async def links(room: Room) -> None:
        room.easel.go.clear()
        await room.submit(bytes(100))
        grounded = Order(Link("http://x/"), RenderOptions(background=Colour(1, 2, 3)))
        await room.book.submit(new_id(), "poofbg", "me", grounded, {}, Decimal(1))

    in_room(main, BookLimits(waiting_bytes=100))
    in_room(links, BookLimits(waiting_bytes=100))


def test_overloaded_studio_is_asked_again() -> None:
    """Jobs have time: what refuses a request makes a job wait."""

    async def main(room: Room) -> None:
        room.easel.failures = [overloaded(1, "queue"), overloaded(1, "memory")]
        assert (await room.finish(await room.submit())).state == "done"
        assert len(room.easel.begun) == 3

    in_room(main)


def test_patience_ends() -> None:
    """A studio that stays overloaded fails the job in the end."""

    async def main(room: Room) -> None:
        room.easel.failures = [overloaded(1, "queue")] * 3
        failed = await room.finish(await room.submit())
        assert failed.failure == Failure("overloaded", "The server is busy; try again later.")
        assert len(room.easel.begun) == 1

    in_room(main, BookLimits(patience_s=0))


# --- lists ----------------------------------------------------------------------------------------------------------


def test_lists_are_the_owners_newest_first() -> None:
    """Neither another's jobs nor those of another dialect; pages do not overlap."""

    async def main(room: Room) -> None:
        jobs = [await room.submit() for _ in range(5)]
        await room.submit(owner="you")
        await room.submit(dialect="foner")
        newest_first = [job.id for job in reversed(jobs)]
        assert [job.id for job in (await room.book.list("me", "poofbg", 2))] == newest_first[:2]
        assert [job.id for job in (await room.book.list("me", "poofbg", 9, 2))] == newest_first[2:]
        assert (await room.book.list("me", "poofbg", 9, 5)) == ()

    in_room(main)


def test_counts_by_state() -> None:
    """How many of one's jobs are done, failed and under way."""

    async def main(room: Room) -> None:
        room.easel.failures = [unreadable_image(detail="")]
        for job in [await room.submit() for _ in range(3)]:
            await room.finish(job)
        room.easel.go.clear()
        await room.submit()
        await room.submit(owner="you")
        await room.submit(dialect="foner")
        assert (await room.book.counts("me", "poofbg")) == {"done": 2, "failed": 1, "queued": 1}
        await turn()
        assert (await room.book.counts("me", "poofbg")) == {"done": 2, "failed": 1, "running": 1}
        room.easel.go.set()

    in_room(main)


def test_forgotten_jobs_are_not_counted() -> None:
    """Counts are of the jobs that are known."""

    async def main(room: Room) -> None:
        for job in [await room.submit() for _ in range(5)]:
            await room.finish(job)
        assert (await room.book.counts("me", "poofbg")) == {"done": 2}
        room.clock.time += timedelta(days=9)
        await room.book.sweep()
        assert (await room.book.counts("me", "poofbg")) == {}

    in_room(main, BookLimits(kept=2))


# --- forgetting -----------------------------------------------------------------------------------------------------


def test_sweep_forgets_by_age() -> None:
    """A job is kept for its time after its end, then it and its picture are gone; one under way is never forgotten."""

    async def main(room: Room) -> None:
        old = await room.finish(await room.submit())
        room.clock.time += timedelta(seconds=99)
        young = await room.finish(await room.submit())
        room.easel.go.clear()
        running = await room.submit()
        await room.book.sweep()
        assert (await room.book.get(old.id)) == old
        room.clock.time += timedelta(seconds=1)
        await room.book.sweep()
        await forgotten(room.book)
        assert (await room.book.get(old.id)) is None
        assert (await room.book.get(young.id)) == young
        room.clock.time += timedelta(seconds=9999)
        await room.book.sweep()
        assert (await room.book.get(running.id)) is not None
        assert old.result is not None
        with pytest.raises(KeyError):
            await room.objects.get(old.result.key)

    in_room(main, BookLimits(ttl_s=100))


@pytest.mark.parametrize("limits", [BookLimits(kept=2), BookLimits(kept_bytes=20)])
def test_oldest_are_forgotten_beyond_the_numbers(limits: BookLimits) -> None:
    """Two of three fit, by number or by bytes: the first is gone with its picture, the others stay."""

    async def main(room: Room) -> None:
        jobs = [await room.finish(await room.submit(b"ten bytes.")) for _ in range(3)]
        await forgotten(room.book)
        assert [(await room.book.get(job.id)) for job in jobs] == [None, *jobs[1:]]
        keys = [job.result.key for job in jobs if job.result]
        with pytest.raises(KeyError):
            await room.objects.get(keys[0])
        assert await room.objects.head(keys[1]) == 10

    in_room(main, limits)


def test_newest_result_is_kept_whatever_its_size() -> None:
    """Whoever has just been told that a job is done can fetch it."""

    async def main(room: Room) -> None:
        job = await room.finish(await room.submit(bytes(1000)))
        assert (await room.book.get(job.id)) == job

    in_room(main, BookLimits(kept_bytes=20))


def test_results_of_earlier_processes_are_swept() -> None:
    """The book does not know them; the store tells their age."""

    async def main(room: Room) -> None:
        key = new_key()
        await room.objects.put(key, b"from before the restart", "image/png")
        await room.book.sweep()
        with pytest.raises(KeyError):
            await room.objects.head(key)

    in_room(main, BookLimits(ttl_s=0))


# --- the client's name for a call, and ending otherwise -------------------------------------------------------------


def test_same_key_is_the_same_job() -> None:
    """As long as the job is known; another owner's same key is another's job."""

    async def main(room: Room) -> None:
        async def submit(owner: str, key: str) -> str:
            job = await room.book.submit(
                new_id(), "poofbg", owner, Order(Upload(b"x")), {}, Decimal(1), idempotency_key=key
            )
            return (await room.finish(job)).id

        first = await submit("me", "order 1")
        assert await submit("me", "order 1") == first
        assert len({first, await submit("me", "order 2"), await submit("you", "order 1")}) == 3
        await room.book.delete("me", first)
        assert await submit("me", "order 1") != first

    in_room(main)


@pytest.mark.parametrize("state", ["queued", "running"])
def test_jobs_are_cancelled(state: str) -> None:
    """Waiting or running: it ends at once, whoever listens is told, and the place is another's."""

    async def main(room: Room) -> None:
        room.easel.go.clear()
        first = await room.submit()
        if state == "running":
            await turn()
        assert (await room.book.get(first.id)).state == state  # type: ignore[union-attr]
        cancelled = await room.book.cancel(first.id)
        assert cancelled is not None
        assert (cancelled.state, cancelled.price) == ("cancelled", Decimal(0))
        room.easel.go.set()
        done = await room.finish(await room.submit())
        assert done.state == "done"
        await turn()
        assert room.ended == [cancelled, done]
        assert await room.book.cancel(done.id) == done
        assert await room.book.find_many([first.id, done.id, "0" * 32]) == {first.id: cancelled, done.id: done}

    in_room(main)


def test_owner_deletes_at_once() -> None:
    """Done or under way, job and picture are gone; nobody else's can be deleted."""

    async def main(room: Room) -> None:
        done = await room.finish(await room.submit())
        assert not await room.book.delete("you", done.id)
        room.easel.go.clear()
        running = await room.submit()
        for job in (done, running):
            assert await room.book.delete("me", job.id)
            assert await room.book.get(job.id) is None
        await forgotten(room.book)
        assert done.result is not None
        with pytest.raises(KeyError):
            await room.objects.get(done.result.key)
        assert await room.book.counts("me", "poofbg") == {}

    in_room(main)
