"""Workers die at random: every job that was accepted ends once, is paid for once, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import func, select

from bgone.accounts.credits import Entry
from bgone.jobs.making import DurableLimits
from bgone.storage.database import Database
from bgone.storage.tables import jobs
from tests.databases import on_database
from tests.jobs import hand
from tests.jobs.plant import Plant, plant

WORKERS, LEASE_S, WORK_S = 3, 1.0, 0.05
JOBS, KILLS = (2000, 20) if os.environ.get("BGONE_TEST_CHAOS") == "full" else (300, 6)


async def _kill(workers: list[subprocess.Popen[bytes]], address: str, folder: Path) -> int:
    """Kill one that has begun something, and start another in its place; how many were killed while they worked."""
    place = random.randrange(len(workers))
    victim = workers[place]
    assert victim.stdout is not None
    await asyncio.to_thread(victim.stdout.readline)  # it is at work
    await asyncio.sleep(random.uniform(0, JOBS / 1500))
    was_alive = victim.poll() is None
    victim.kill()
    await asyncio.to_thread(victim.communicate)
    workers[place] = await asyncio.to_thread(hand.start, address, folder, LEASE_S, WORK_S)
    return int(was_alive)


async def _submit(room: Plant, count: int) -> tuple[list[str], list[str]]:
    """(ids of the jobs, ids of those who pay): three accounts, one with most of the jobs."""
    holders = [await room.holder("10000") for _ in range(3)]
    ids = []
    for number in range(count):
        holder = holders[0 if number % 5 else 1 + number % 2]
        ids.append((await room.buy(holder, b"source %d" % number)).id)
    return ids, [holder.account.id for holder in holders]


@pytest.mark.timeout(600)
def test_killed_workers_lose_nothing(jobs_address: str, tmp_path: Path) -> None:
    """300 jobs over three workers, six of which are killed at random moments; BGONE_TEST_CHAOS=full: 2,000, twenty."""
    folder = tmp_path / "objects"

    async def main(database: Database) -> None:
        # Here jobs are only taken and waited for.
        async with plant(database, folder, DurableLimits(), works=False, lease_s=LEASE_S) as room:
            workers = [
                await asyncio.to_thread(hand.start, jobs_address, folder, LEASE_S, WORK_S) for _ in range(WORKERS)
            ]
            try:
                submitting = asyncio.create_task(_submit(room, JOBS))
                killed = 0
                while killed < KILLS:
                    killed += await _kill(workers, jobs_address, folder)
                ids, accounts = await submitting
                ended = [await room.book.wait(job_id, 300) for job_id in ids]
            finally:
                for worker in workers:
                    worker.kill()
                    worker.communicate()
            assert {job.state for job in ended} == {"done"}
            begun = await database.query(lambda link: link.execute(select(func.sum(jobs.c.fence))).scalar_one())
            assert begun > JOBS  # some were taken over
            bodies = [await room.objects.get(job.result.key) for job in ended if job.result]
            assert bodies == [b"made of source %d" % number for number in range(JOBS)]
            # Workers may have died between an end and what follows it.
            room.clock.move(seconds=120)
            results = sorted(job.result.key for job in ended if job.result)
            for path in folder.iterdir():
                if path.name not in results:  # what the killed never finished: to the sweep it is old now
                    os.utime(path, (0, 0))
            await room.book.sweep()
            told = set((tmp_path / "told").read_text().split()) | {job.id for job in room.ended}
            assert told == set(ids)
            assert room.stored() == results
            assert await room.credits.audit() == []
            entries: list[Entry] = []
            for account in accounts:
                balance = await room.credits.balance(account)
                assert balance.held == 0
                entries += await room.credits.entries(account, 10_000)
                assert (await room.book.counts(account, "poofbg")).keys() == {"done"}
            charged = [entry.request_id for entry in entries if entry.reason == "charge"]
            assert sorted(charged) == sorted(ids)
            assert sum((entry.payg for entry in entries), Decimal(0)) == 3 * 10_000 - JOBS
            assert await room.book._queue.waiting() == 0

    on_database(jobs_address, main)
