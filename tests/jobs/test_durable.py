"""The durable job book: nothing that was accepted is lost, nothing is booked twice, whoever dies in between."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from bgone.errors import ApiError, overloaded, unreadable_image
from bgone.jobs.job import Failure, Waiting, new_id
from bgone.jobs.making import DurableLimits
from bgone.pipeline.order import Link, Order, PictureGround, RenderOptions, Upload
from tests.jobs.plant import Plant, in_plant, plant

# --- a job's life ---------------------------------------------------------------------------------------------------


def test_job_goes_from_queued_to_done(jobs_address: str, tmp_path: Path) -> None:
    """Queued at once, running while it is made, then done with its picture stored and everything about it known."""

    async def main(room: Plant) -> None:
        room.easel.go.clear()
        job = await room.submit(b"a picture of eleven")
        assert (job.state, job.result, job.finished_at, job.is_over) == ("queued", None, None, False)
        await room.until(lambda: bool(room.easel.begun))
        running = await room.book.get(job.id)
        assert running is not None
        assert (running.state, running.created_at, running.notes) == ("running", room.clock.time, {"note": "kept"})
        room.clock.time += timedelta(seconds=3)
        room.easel.go.set()
        done = await room.finish(job)
        assert (done.state, done.failure, done.price) == ("done", None, Decimal(1))
        assert done.finished_at == job.created_at + timedelta(seconds=3)
        assert done.result is not None
        assert (done.result.media_type, done.result.suffix, done.result.size_bytes) == ("image/png", ".png", 27)
        assert await room.objects.get(done.result.key) == b"made of a picture of eleven"

    in_plant(jobs_address, tmp_path, main)


def test_sources_go_when_the_job_ends(jobs_address: str, tmp_path: Path) -> None:
    """Photo and background wait in the object store; when the job is over, its result is all that is left."""

    async def main(room: Plant) -> None:
        room.easel.go.clear()
        order = Order(Upload(b"photo"), RenderOptions(background=PictureGround(Upload(b"ground"))))
        job = await room.book.submit(new_id(), "poofbg", "me", order, {}, Decimal(1))
        assert len(room.stored()) == 2
        room.easel.go.set()
        done = await room.finish(job)
        await room.closed()
        assert done.result is not None
        assert room.stored() == [done.result.key]

    in_plant(jobs_address, tmp_path, main)


def test_complaints_become_the_jobs_failure(jobs_address: str, tmp_path: Path) -> None:
    """Kind and public words are kept, the private detail is not, nothing is charged, and it is not tried again."""

    async def main(room: Plant) -> None:
        holder = await room.holder("10")
        room.easel.failures = [unreadable_image(detail="libjpeg: secret")]
        failed = await room.finish(await room.buy(holder))
        assert failed.failure == Failure("unreadable_image", "The picture is damaged, truncated or not a picture.")
        assert (failed.state, failed.price, failed.result) == ("failed", Decimal(0), None)
        assert len(room.easel.begun) == 1
        assert await room.left(holder) == (Decimal(10), Decimal(0))
        await room.closed()
        assert room.stored() == []

    in_plant(jobs_address, tmp_path, main)


@pytest.mark.parametrize(("accidents", "state"), [(2, "done"), (3, "failed")])
def test_accidents_are_tried_again(jobs_address: str, tmp_path: Path, accidents: int, state: str) -> None:
    """Twice; what fails a third time fails the job, without words of ours."""

    async def main(room: Plant) -> None:
        room.easel.failures = [ZeroDivisionError("at line 7")] * accidents
        ended = await room.finish(await room.submit())
        assert ended.state == state
        assert len(room.easel.begun) == 3
        if state == "failed":
            assert ended.failure == Failure("internal", "Something went wrong on our side.")

    in_plant(jobs_address, tmp_path, main)


def test_overloaded_studio_is_asked_again(jobs_address: str, tmp_path: Path) -> None:
    """Jobs have time: what refuses a request makes a job wait, in its place or in the queue; no try counts."""

    async def main(room: Plant) -> None:
        room.easel.failures = [overloaded(1, "queue")] * 5
        assert (await room.finish(await room.submit())).state == "done"
        assert len(room.easel.begun) == 6

    in_plant(jobs_address, tmp_path, main)
    in_plant(jobs_address, tmp_path, main, DurableLimits(pause_s=0, patience_s=0))


def test_end_is_told(jobs_address: str, tmp_path: Path) -> None:
    """The listener hears of success and failure, after everybody can see them."""

    async def main(room: Plant) -> None:
        done = await room.finish(await room.submit())
        room.easel.failures = [unreadable_image(detail="")]
        failed = await room.finish(await room.submit())
        await room.closed()
        assert room.ended == [done, failed]

    in_plant(jobs_address, tmp_path, main)


def test_untold_ends_are_told_by_the_sweep(jobs_address: str, tmp_path: Path) -> None:
    """A listener that failed, or died, is told again a minute later; one that heard is not."""

    async def main(room: Plant) -> None:
        room.deaf = [OSError("the webhook's host is gone")]
        done = await room.finish(await room.submit())
        await room.until(lambda: not room.deaf)
        await room.book.sweep()
        assert room.ended == []
        room.clock.move(seconds=61)
        await room.book.sweep()
        await room.book.sweep()
        assert room.ended == [done]
        room.clock.move(seconds=61)
        await room.book.sweep()
        assert room.ended == [done]

    in_plant(jobs_address, tmp_path, main)


# --- begun with the call that brought it ----------------------------------------------------------------------------


def test_who_waits_has_its_job_begun_at_once(jobs_address: str, tmp_path: Path) -> None:
    """In a free place of the process that took it, past the queue; it is paid, ended and told like any other."""

    async def main(room: Plant) -> None:
        await room.at_work()
        holder = await room.holder("10")
        room.easel.go.clear()
        job = await room.buy(holder, b"mine", waits=True)
        assert await room.book._queue.waiting() == 0
        running = await room.book.get(job.id)
        assert running is not None
        assert running.state == "running"
        assert await room.left(holder) == (Decimal(9), Decimal(1))
        room.easel.go.set()
        done = await room.finish(job)
        assert done.result is not None
        assert await room.objects.get(done.result.key) == b"made of mine"
        await room.closed()
        assert (room.ended, room.stored()) == ([done], [done.result.key])
        assert room.easel.begun == [b"mine"]
        assert await room.left(holder) == (Decimal(9), Decimal(0))

    in_plant(jobs_address, tmp_path, main)


def test_where_no_place_is_free_it_waits_like_others(jobs_address: str, tmp_path: Path) -> None:
    """Never more at once than may be; whoever comes later takes its turn."""

    async def main(room: Plant) -> None:
        await room.at_work()
        room.easel.go.clear()
        first = await room.submit(b"first", waits=True)
        second = await room.submit(b"second", waits=True)
        third = await room.submit(b"third")
        await room.until(lambda: room.easel.begun == [b"first"])
        assert (await room.book.counts("me", "poofbg"))["queued"] == 2
        room.easel.go.set()
        assert [(await room.finish(job)).state for job in (first, second, third)] == ["done"] * 3
        assert room.easel.begun == [b"first", b"second", b"third"]

    in_plant(jobs_address, tmp_path, main)


def test_what_was_begun_so_is_tried_again_like_others(jobs_address: str, tmp_path: Path) -> None:
    """After an accident the queue has it."""

    async def main(room: Plant) -> None:
        await room.at_work()
        room.easel.failures = [ZeroDivisionError("at line 7")] * 2
        assert (await room.finish(await room.submit(waits=True))).state == "done"
        assert len(room.easel.begun) == 3

    in_plant(jobs_address, tmp_path, main)


def test_what_was_begun_so_is_cancelled_like_others(jobs_address: str, tmp_path: Path) -> None:
    """Its work is left, its hold given back, its place another's; nothing of it stays in the queue."""

    async def main(room: Plant) -> None:
        await room.at_work()
        holder = await room.holder("10")
        room.easel.go.clear()
        job = await room.buy(holder, waits=True)
        cancelled = await room.book.cancel(job.id)
        assert cancelled is not None
        assert cancelled.state == "cancelled"
        room.easel.go.set()
        assert (await room.finish(await room.submit(b"next", waits=True))).state == "done"
        assert await room.left(holder) == (Decimal(10), Decimal(0))

    in_plant(jobs_address, tmp_path, main)


def test_what_cannot_be_paid_takes_no_place(jobs_address: str, tmp_path: Path) -> None:
    """A call that is refused leaves room for the next."""

    async def main(room: Plant) -> None:
        await room.at_work()
        poor, rich = await room.holder("0"), await room.holder("10")
        with pytest.raises(ApiError, match="Not enough credits"):
            await room.buy(poor, waits=True)
        room.easel.go.clear()
        job = await room.buy(rich, waits=True)
        assert (await room.book.counts(rich.account.id, "poofbg")) == {"running": 1}
        room.easel.go.set()
        assert (await room.finish(job)).state == "done"

    in_plant(jobs_address, tmp_path, main)


def test_closing_hands_back_what_was_begun_so(jobs_address: str, tmp_path: Path) -> None:
    """To others, at once, no try counted; they make it from what was stored."""

    async def main(room: Plant) -> None:
        async with plant(room.database, room.folder) as other:
            await other.at_work()
            other.easel.go.clear()
            job = await other.submit(b"mine", waits=True)
            await other.until(lambda: bool(other.easel.begun))
        found = await room.book.get(job.id)
        assert found is not None
        assert found.state == "queued"
        async with plant(room.database, room.folder) as third:
            done = await third.finish(job)
            assert done.result is not None
            assert await room.objects.get(done.result.key) == b"made of mine"

    in_plant(jobs_address, tmp_path, main, works=False)


# --- money ----------------------------------------------------------------------------------------------------------


def test_price_is_held_then_charged(jobs_address: str, tmp_path: Path) -> None:
    """Set aside when the job is taken, final when it is done."""

    async def main(room: Plant) -> None:
        holder = await room.holder("10")
        room.easel.go.clear()
        job = await room.buy(holder)
        assert await room.left(holder) == (Decimal(9), Decimal(1))
        room.easel.go.set()
        await room.finish(job)
        assert await room.left(holder) == (Decimal(9), Decimal(0))

    in_plant(jobs_address, tmp_path, main)


def test_what_cannot_be_paid_is_not_taken(jobs_address: str, tmp_path: Path) -> None:
    """No row, no picture in the store, nothing in the queue."""

    async def main(room: Plant) -> None:
        holder = await room.holder("0")
        with pytest.raises(ApiError, match="Not enough credits"):
            await room.buy(holder)
        assert room.stored() == []
        assert await room.book.list(holder.account.id, "poofbg", 9) == ()
        assert await room.book._queue.waiting() == 0

    in_plant(jobs_address, tmp_path, main, works=False)


def test_a_hold_that_ran_out_and_cannot_be_paid_fails_the_job(jobs_address: str, tmp_path: Path) -> None:
    """Nothing is delivered that nobody paid for."""

    async def main(room: Plant) -> None:
        holder = await room.holder("1")
        room.easel.go.clear()
        job = await room.buy(holder)
        await room.until(lambda: bool(room.easel.begun))
        room.clock.move(days=8)
        assert await room.credits.expire() == 1
        await room.credits.hold(holder, Decimal(1), "another", "poofbg")
        room.easel.go.set()
        failed = await room.finish(job)
        assert (failed.state, failed.failure) == ("failed", Failure("no_credits", "Not enough credits."))
        await room.closed()
        assert room.stored() == []

    in_plant(jobs_address, tmp_path, main)


# --- the client's name for a call -----------------------------------------------------------------------------------


def test_same_key_is_the_same_job(jobs_address: str, tmp_path: Path) -> None:
    """Held once, also when both arrive together; another owner's same key is another's job."""

    async def main(room: Plant) -> None:
        holder, other = await room.holder("10"), await room.holder("10")
        several = await asyncio.gather(*(room.buy(holder, key="order 1") for _ in range(5)))
        assert len({job.id for job in several}) == 1
        assert await room.left(holder) == (Decimal(9), Decimal(1))
        assert len(room.stored()) == 1
        assert (await room.buy(holder, key="order 2")).id != several[0].id
        assert (await room.buy(other, key="order 1")).id != several[0].id

    in_plant(jobs_address, tmp_path, main, works=False)


def test_same_key_for_another_order_is_refused(jobs_address: str, tmp_path: Path) -> None:
    """Whoever reuses a name by mistake must not get a stranger's picture."""

    async def main(room: Plant) -> None:
        await room.submit(b"one", key="order 1")
        with pytest.raises(ApiError, match="Idempotency-Key"):
            await room.submit(b"two", key="order 1")
        assert len(room.stored()) == 1

    in_plant(jobs_address, tmp_path, main, works=False)


def test_keys_are_honoured_for_a_day(jobs_address: str, tmp_path: Path) -> None:
    """Then the same name is another job's."""

    async def main(room: Plant) -> None:
        first = await room.finish(await room.submit(key="order 1"))
        await room.closed()
        room.clock.move(hours=23)
        assert await room.submit(key="order 1") == first
        room.clock.move(hours=2)
        assert (await room.submit(key="order 1")).id != first.id

    in_plant(jobs_address, tmp_path, main)


def test_keys_outlive_short_results(jobs_address: str, tmp_path: Path) -> None:
    """A result that is kept for less than a day is known to have gone: the job is not made and paid for again."""

    async def main(room: Plant) -> None:
        first = await room.finish(await room.submit(key="order 1"))
        await room.closed()
        room.clock.move(hours=2)
        await room.book.sweep()
        assert await room.book.get(first.id) is None
        assert room.stored() == []
        again = await room.submit(key="order 1")
        assert (again.id, again.state, again.result) == (first.id, "expired", None)
        room.clock.move(hours=23)
        await room.book.sweep()
        assert (await room.submit(key="order 1")).id != first.id

    in_plant(jobs_address, tmp_path, main, DurableLimits(ttl_s=3600))


# --- waiting and looking --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0, 0.01])
def test_waiting_ends_with_its_time(jobs_address: str, tmp_path: Path, seconds: float) -> None:
    """A job that is not over after so long is answered as it stands."""

    async def main(room: Plant) -> None:
        assert not (await room.book.wait((await room.submit()).id, seconds)).is_over

    in_plant(jobs_address, tmp_path, main, works=False)


def test_waiting_ends_with_a_job_that_ends_elsewhere(jobs_address: str, tmp_path: Path) -> None:
    """One process takes it and waits, another makes it."""

    async def main(room: Plant) -> None:
        job = await room.submit()
        waiting = asyncio.create_task(room.book.wait(job.id, 90))
        async with plant(room.database, room.folder):
            assert (await waiting).state == "done"

    in_plant(jobs_address, tmp_path, main, works=False)


def test_unknown_jobs(jobs_address: str, tmp_path: Path) -> None:
    """Nothing is known of them, nobody waits for them, nobody ends them."""

    async def main(room: Plant) -> None:
        assert await room.book.get("0" * 32) is None
        assert await room.book.cancel("0" * 32) is None
        assert not await room.book.delete("me", "0" * 32)
        with pytest.raises(KeyError):
            await room.book.wait("0" * 32, 1)

    in_plant(jobs_address, tmp_path, main, works=False)


def test_lists_are_the_owners_newest_first(jobs_address: str, tmp_path: Path) -> None:
    """Neither another's jobs nor those of another dialect; pages do not overlap; counts are by state."""

    async def main(room: Plant) -> None:
        jobs = []
        for _ in range(5):
            jobs.append(await room.submit())
            room.clock.move(seconds=1)
        await room.submit(owner="you")
        await room.submit(dialect="foner")
        newest_first = [job.id for job in reversed(jobs)]
        assert [job.id for job in await room.book.list("me", "poofbg", 2)] == newest_first[:2]
        assert [job.id for job in await room.book.list("me", "poofbg", 9, 2)] == newest_first[2:]
        assert await room.book.list("me", "poofbg", 9, 5) == ()
        await room.book.cancel(jobs[0].id)
        assert await room.book.counts("me", "poofbg") == {"queued": 4, "cancelled": 1}

    in_plant(jobs_address, tmp_path, main, works=False)


def test_what_waits_is_counted_since_the_first(jobs_address: str, tmp_path: Path) -> None:
    """Everybody's; cancelled ones wait no more."""

    async def main(room: Plant) -> None:
        assert await room.book.waiting() == Waiting(0)
        first = await room.submit(owner="one")
        second = await room.submit(owner="two")
        assert await room.book.waiting() == Waiting(2, first.created_at)
        await room.book.cancel(first.id)
        assert await room.book.waiting() == Waiting(1, second.created_at)
        assert room.book.running == 0

    in_plant(jobs_address, tmp_path, main, works=False)


def test_too_many_jobs_are_refused(jobs_address: str, tmp_path: Path) -> None:
    """Whoever comes when as many wait as may is told to come again."""

    async def main(room: Plant) -> None:
        await room.submit()
        await room.submit()
        with pytest.raises(ApiError) as refused:
            await room.submit()
        assert (refused.value.kind, refused.value.retry_after_s) == ("overloaded", 10)
        assert len(room.stored()) == 2

    in_plant(jobs_address, tmp_path, main, DurableLimits(waiting=2), works=False)


def test_accounts_take_turns(jobs_address: str, tmp_path: Path) -> None:
    """A small account that comes late waits for one of a large one's jobs, not for all."""

    async def main(room: Plant) -> None:
        for number in range(4):
            await room.submit(b"large %d" % number, owner="large")
        for number in range(2):
            await room.submit(b"small %d" % number, owner="small")
        await room.submit(b"late", owner="late")
        async with plant(room.database, room.folder) as other:
            await room.until(lambda: len(other.easel.begun) == 7)
            assert other.easel.begun == [
                b"large 0", b"small 0", b"late", b"large 1", b"small 1", b"large 2", b"large 3",
            ]  # fmt: skip

    in_plant(jobs_address, tmp_path, main, works=False)


def test_newcomers_do_not_pass_those_who_waited(jobs_address: str, tmp_path: Path) -> None:
    """A new account begins where the queue stands, not before it: a stream of them cannot hold up a large one."""

    async def main(room: Plant) -> None:
        for number in range(3):
            await room.submit(b"large %d" % number, owner="large")
        async with plant(room.database, room.folder) as other:
            begun, go = other.easel.begun, other.easel.go
            go.clear()
            for number in range(3):
                await room.until(lambda count=number + 1: len(begun) == count)  # type: ignore[misc]
                await room.submit(b"new %d" % number, owner=f"new {number}")
                go.set()  # for the one that waits, and not for the next
                go.clear()
            go.set()
            assert begun[:3] == [b"large 0", b"large 1", b"new 0"]

    in_plant(jobs_address, tmp_path, main, works=False)


# --- ending otherwise -----------------------------------------------------------------------------------------------


def test_waiting_job_is_cancelled(jobs_address: str, tmp_path: Path) -> None:
    """Its hold is given back, its source goes, nobody makes it, whoever listens is told."""

    async def main(room: Plant) -> None:
        holder = await room.holder("10")
        job = await room.buy(holder)
        cancelled = await room.book.cancel(job.id)
        assert cancelled is not None
        assert (cancelled.state, cancelled.price) == ("cancelled", Decimal(0))
        assert await room.left(holder) == (Decimal(10), Decimal(0))
        await room.until(lambda: room.ended == [cancelled])
        assert room.stored() == []
        assert await room.book._queue.waiting() == 0
        assert await room.book.cancel(job.id) == cancelled

    in_plant(jobs_address, tmp_path, main, works=False)


def test_running_job_is_cancelled(jobs_address: str, tmp_path: Path) -> None:
    """Its work is left at once, and the place is another's."""

    async def main(room: Plant) -> None:
        holder = await room.holder("10")
        room.easel.go.clear()
        job = await room.buy(holder)
        await room.until(lambda: bool(room.easel.begun))
        await room.book.cancel(job.id)
        room.easel.go.set()
        assert (await room.finish(await room.submit(b"next"))).state == "done"
        assert (await room.finish(job)).state == "cancelled"
        assert await room.left(holder) == (Decimal(10), Decimal(0))

    in_plant(jobs_address, tmp_path, main)


def test_job_cancelled_elsewhere_ends_cancelled(jobs_address: str, tmp_path: Path) -> None:
    """Whoever makes it finds that it may not end it any more, and removes what it made."""

    async def main(room: Plant) -> None:
        job = await room.submit()
        async with plant(room.database, room.folder) as other:
            other.easel.go.clear()
            await room.until(lambda: bool(other.easel.begun))
            await room.book.cancel(job.id)
            other.easel.go.set()
            await other.finish(await room.submit(b"next"))
            assert (await room.finish(job)).state == "cancelled"
            await room.until(lambda: len(room.stored()) == 1)
            assert [ended.id for ended in room.ended] == [job.id]

    in_plant(jobs_address, tmp_path, main, works=False)


def test_late_double_books_nothing(jobs_address: str, tmp_path: Path) -> None:
    """Of two who make one job, the one who began last ends it: one charge, one result, one end."""

    async def main(room: Plant) -> None:
        holder = await room.holder("10")
        room.easel.go.clear()
        job = await room.buy(holder)
        slow = asyncio.create_task(room.book._making.perform(job.id))
        await room.until(lambda: len(room.easel.begun) == 1)
        async with plant(room.database, room.folder, works=False) as other:
            assert await other.book._making.perform(job.id) is None
            room.easel.go.set()
            assert await slow is None
            done = await room.finish(job)
            assert done.state == "done"
            assert done.result is not None
            await room.until(lambda: bool(other.ended))
            assert room.stored() == [done.result.key]
        assert (room.ended, other.ended) == ([], [done])
        assert await room.left(holder) == (Decimal(9), Decimal(0))
        assert await room.book._making.perform(job.id) is None

    in_plant(jobs_address, tmp_path, main, works=False)


def test_job_that_kills_its_workers_is_given_up(jobs_address: str, tmp_path: Path) -> None:
    """Begun three times and never heard of again: failed, its price given back."""

    async def main(room: Plant) -> None:
        holder = await room.holder("10")
        job = await room.buy(holder)
        room.easel.go.clear()
        for number in range(3):
            dying = asyncio.create_task(room.book._making.perform(job.id))
            await room.until(lambda number=number: len(room.easel.begun) == number + 1)  # type: ignore[misc]
            room.book._making.under_way.pop(job.id)
            del dying
        assert await room.book._making.perform(job.id) is None
        failed = await room.finish(job)
        assert failed.failure == Failure("internal", "Something went wrong on our side.")
        assert await room.left(holder) == (Decimal(10), Decimal(0))
        room.easel.go.set()

    in_plant(jobs_address, tmp_path, main, works=False)


def test_closing_hands_jobs_back(jobs_address: str, tmp_path: Path) -> None:
    """A server that is told to stop leaves its jobs to the next, at once, and no try counts."""

    async def main(room: Plant) -> None:
        job = await room.submit()
        for _ in range(4):
            async with plant(room.database, room.folder) as other:
                other.easel.go.clear()
                await room.until(lambda other=other: bool(other.easel.begun))  # type: ignore[misc]
            found = await room.book.get(job.id)
            assert found is not None
            assert found.state == "queued"
        async with plant(room.database, room.folder):
            assert (await room.finish(job)).state == "done"

    in_plant(jobs_address, tmp_path, main, works=False)


def test_waiting_too_long_expires(jobs_address: str, tmp_path: Path) -> None:
    """The hold is given back, and the queue forgets it."""

    async def main(room: Plant) -> None:
        holder = await room.holder("10")
        job = await room.buy(holder)
        room.clock.move(hours=23)
        await room.book.sweep()
        assert await room.book.counts(holder.account.id, "poofbg") == {"queued": 1}
        room.clock.move(hours=1)
        await room.book.sweep()
        expired = await room.book.get(job.id)
        assert expired is not None
        assert expired.state == "expired"
        assert await room.left(holder) == (Decimal(10), Decimal(0))
        assert await room.book._queue.waiting() == 0
        await room.closed()
        assert room.stored() == []

    in_plant(jobs_address, tmp_path, main, works=False)


# --- forgetting -----------------------------------------------------------------------------------------------------


def test_sweep_forgets_by_age(jobs_address: str, tmp_path: Path) -> None:
    """A job is kept for its time after its end, then it and its picture are gone; one under way is never forgotten."""

    async def main(room: Plant) -> None:
        old = await room.finish(await room.submit())
        room.clock.move(seconds=99)
        young = await room.finish(await room.submit())
        await room.closed()
        room.easel.go.clear()
        running = await room.submit()
        assert await room.book.get(old.id) == old
        room.clock.move(seconds=1)
        await room.book.sweep()
        assert await room.book.get(old.id) is None
        assert await room.book.get(young.id) == young
        room.clock.move(seconds=9999)
        await room.book.sweep()
        assert await room.book.get(running.id) is not None
        assert len(room.stored()) == 1

    in_plant(jobs_address, tmp_path, main, DurableLimits(ttl_s=100))


def test_owner_deletes_at_once(jobs_address: str, tmp_path: Path) -> None:
    """Done or under way: job and pictures are gone, a hold is given back; nobody else's job can be deleted."""

    async def main(room: Plant) -> None:
        holder = await room.holder("10")
        done = await room.finish(await room.buy(holder, key="order 1"))
        assert not await room.book.delete("somebody", done.id)
        assert await room.book.delete(holder.account.id, done.id)
        assert await room.book.get(done.id) is None
        room.easel.go.clear()
        job = await room.buy(holder)
        assert await room.book.delete(holder.account.id, job.id)
        assert await room.book.get(job.id) is None
        assert await room.left(holder) == (Decimal(9), Decimal(0))
        await room.closed()
        assert room.stored() == []

    in_plant(jobs_address, tmp_path, main)


def test_links_need_no_store(jobs_address: str, tmp_path: Path) -> None:
    """A URL waits as it is, with every option of the order."""

    async def main(room: Plant) -> None:
        await room.book.submit(new_id(), "poofbg", "me", Order(Link("https://a.test/x.jpg")), {}, Decimal(1))
        assert room.stored() == []

    in_plant(jobs_address, tmp_path, main, works=False)


def test_what_cannot_be_stored_is_not_taken(jobs_address: str, tmp_path: Path) -> None:
    """A picture that the store refuses leaves neither a job nor the pictures that were stored before it, nor a hold."""

    async def main(room: Plant) -> None:
        holder = await room.holder("10")
        put = room.objects.put

        async def refuse(key: str, data: bytes, media_type: str) -> int:
            if data == b"photo":
                raise OSError("no space left")
            return await put(key, data, media_type)

        room.objects.put = refuse  # type: ignore[method-assign,assignment]
        order = Order(Upload(b"photo"), RenderOptions(background=PictureGround(Upload(b"ground"))))
        with pytest.raises(OSError, match="no space"):
            await room.book.submit(new_id(), "poofbg", holder.account.id, order, {}, Decimal(1))
        assert room.stored() == []
        assert await room.book.list(holder.account.id, "poofbg", 9) == ()

    in_plant(jobs_address, tmp_path, main, works=False)
