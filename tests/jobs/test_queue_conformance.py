"""What every queue must do, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from bgone.jobs.job import new_id
from bgone.jobs.making import DurableLimits
from bgone.jobs.queue import Queue, open_queue, utc_now
from bgone.storage.database import Database
from tests.databases import on_database
from tests.jobs import hand
from tests.jobs.plant import LEASE_S, plant

IDS = [new_id() for _ in range(20)]


class Bench:
    """A queue, and what was performed from it."""

    def __init__(self, database: Database, queue: Queue) -> None:
        self.database = database
        self.queue = queue
        self.begun: list[str] = []
        self.answers: dict[str, list[datetime | Exception | None]] = {}
        self.go = asyncio.Event()
        self.go.set()
        self.at_once = self.most_at_once = self.cancelled = 0

    async def add(self, job_id: str, priority: int = 0, at: datetime | None = None) -> None:
        await self.database.write(lambda link: self.queue.enqueue(link, job_id, priority, at or utc_now()))
        self.queue.wake()

    async def perform(self, job_id: str) -> datetime | None:
        self.begun.append(job_id)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.go.wait()
            answer = self.answers[job_id].pop(0) if self.answers.get(job_id) else None
            if isinstance(answer, Exception):
                raise answer
            return answer
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.at_once -= 1

    @asynccontextmanager
    async def working(self, places: int = 1) -> AsyncIterator[None]:
        task = asyncio.create_task(self.queue.work(self.perform, places))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until_begun(self, count: int) -> list[str]:
        while len(self.begun) < count:
            await asyncio.sleep(0.005)
        return self.begun

    async def until_idle(self) -> None:
        """Nothing waits and nothing is performed."""
        while await self.queue.waiting() or self.at_once:
            await asyncio.sleep(0.01)


def on_bench(address: str, main: Callable[[Bench], Awaitable[None]], lease_s: float = 30) -> None:
    async def on(database: Database) -> None:
        queue = await open_queue(database, lease_s)
        try:
            async with asyncio.timeout(100):
                await main(Bench(database, queue))
        finally:
            await queue.aclose()

    on_database(address, on)


def test_what_is_undone_is_never_handed_out(jobs_address: str) -> None:
    """Enqueueing is part of the caller's transaction."""

    async def main(bench: Bench) -> None:
        def fail(connection: object) -> None:
            bench.queue.enqueue(connection, IDS[0], 0, utc_now())  # type: ignore[arg-type]
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await bench.database.write(fail)
        await bench.add(IDS[1])
        async with bench.working():
            await bench.until_begun(1)
            await bench.until_idle()
        assert bench.begun == [IDS[1]]

    on_bench(jobs_address, main)


def test_lowest_number_first_then_first_come(jobs_address: str) -> None:
    """Whatever the order in which they were added."""

    async def main(bench: Bench) -> None:
        for number, priority in enumerate([3, 1, 2, 1, 0]):
            await bench.add(IDS[number], priority)
        async with bench.working():
            assert await bench.until_begun(5) == [IDS[4], IDS[1], IDS[3], IDS[2], IDS[0]]

    on_bench(jobs_address, main)


def test_nothing_before_its_time(jobs_address: str) -> None:
    """What is due later lets others pass."""

    async def main(bench: Bench) -> None:
        due = utc_now() + timedelta(seconds=0.7)
        await bench.add(IDS[0], 0, due)
        await bench.add(IDS[1], 9)
        async with bench.working():
            assert await bench.until_begun(2) == [IDS[1], IDS[0]]
            assert utc_now() >= due

    on_bench(jobs_address, main)


@pytest.mark.parametrize("failing", [False, True])
def test_again_means_again(jobs_address: str, failing: bool) -> None:
    """When it was said; after an accident when a dead worker's job would be taken over."""

    async def main(bench: Bench) -> None:
        at = utc_now() + timedelta(seconds=0.5)
        bench.answers[IDS[0]] = [ZeroDivisionError("?") if failing else at]
        await bench.add(IDS[0])
        await bench.add(IDS[1])
        async with bench.working():
            assert await bench.until_begun(3) == [IDS[0], IDS[1], IDS[0]]
            assert utc_now() >= at
            await bench.until_idle()

    on_bench(jobs_address, main, lease_s=0.8)


def test_forgotten_is_never_handed_out(jobs_address: str) -> None:
    """A waiting job that is over leaves the queue with its transaction; to forget what is not there is no error."""

    async def main(bench: Bench) -> None:
        await bench.add(IDS[0])
        await bench.add(IDS[1])
        for _ in range(2):
            await bench.database.write(lambda link: bench.queue.forget(link, IDS[0]))
        assert await bench.queue.waiting() == 1
        async with bench.working():
            await bench.until_begun(1)
            await bench.until_idle()
        assert bench.begun == [IDS[1]]

    on_bench(jobs_address, main)


@pytest.mark.parametrize("places", [1, 3])
def test_no_more_at_once_than_places(jobs_address: str, places: int) -> None:
    """All are performed, each once."""

    async def main(bench: Bench) -> None:
        for job_id in IDS:
            await bench.add(job_id)
        bench.go.clear()
        async with bench.working(places):
            await bench.until_begun(places)
            await asyncio.sleep(0.1)
            assert bench.at_once == places
            bench.go.set()
            await bench.until_begun(len(IDS))
            await bench.until_idle()
        assert sorted(bench.begun) == sorted(IDS)
        assert bench.most_at_once == places

    on_bench(jobs_address, main)


def test_two_workers_share(jobs_address: str) -> None:
    """Each job is one's or the other's."""

    async def main(bench: Bench) -> None:
        other = Bench(bench.database, await open_queue(bench.database, 30))
        for job_id in IDS:
            await bench.add(job_id)
        try:
            async with bench.working(2), other.working(2):
                while len(bench.begun) + len(other.begun) < len(IDS):
                    await asyncio.sleep(0.01)
                await bench.until_idle()
            assert sorted(bench.begun + other.begun) == sorted(IDS)
        finally:
            await other.queue.aclose()

    on_bench(jobs_address, main)


def test_closing_hands_back(jobs_address: str) -> None:
    """What a worker leaves because it is told to stop is handed out at once."""

    async def main(bench: Bench) -> None:
        await bench.add(IDS[0])
        bench.go.clear()
        async with bench.working():
            await bench.until_begun(1)
        assert bench.cancelled == 1
        bench.go.set()
        before = utc_now()
        async with bench.working():
            await bench.until_begun(2)
            await bench.until_idle()
        assert utc_now() - before < timedelta(seconds=25)  # not when a lease of 30 s has run out

    on_bench(jobs_address, main)


def test_long_work_is_not_taken_over(jobs_address: str) -> None:
    """Whoever gives signs of life keeps its job, however long it takes."""

    async def main(bench: Bench) -> None:
        other = Bench(bench.database, await open_queue(bench.database, 2.5))
        await bench.add(IDS[0])
        bench.go.clear()
        try:
            async with bench.working():
                await bench.until_begun(1)
                async with other.working():
                    await asyncio.sleep(6)
                    bench.go.set()
                    await bench.until_idle()
            assert (bench.begun, other.begun) == ([IDS[0]], [])
        finally:
            await other.queue.aclose()

    on_bench(jobs_address, main, lease_s=2.5)


def test_killed_workers_job_is_taken_over(jobs_address: str, tmp_path: Path) -> None:
    """SIGKILL in the middle of a job: another worker ends it when the lease has run out, booked once."""
    folder = tmp_path / "objects"

    async def main(database: Database) -> None:
        async with plant(database, folder, works=False) as room:
            holder = await room.holder("10")
            job = await room.buy(holder)
            worker = await asyncio.to_thread(hand.start, jobs_address, folder, LEASE_S, 600)
            assert worker.stdout is not None
            assert await asyncio.to_thread(worker.stdout.readline) == b"begun\n"
            worker.kill()
            await asyncio.to_thread(worker.communicate)
            running = await room.book.get(job.id)
            assert running is not None
            assert running.state == "running"
            async with plant(database, folder, DurableLimits()) as other:
                done = await room.book.wait(job.id, 90)
                assert done.state == "done"
                assert done.result is not None
                await other.closed()
                assert room.stored() == [done.result.key]
            left = await room.credits.balance(holder.account.id)
            assert (left.credits, left.held) == (Decimal(9), Decimal(0))

    on_database(jobs_address, main)
