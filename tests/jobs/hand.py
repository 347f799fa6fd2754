"""A worker of its own, made to be killed: ``python -m tests.jobs.hand ADDRESS FOLDER LEASE_S SECONDS PLACES``.

It makes pictures out of bytes, each in so many seconds, and says the name of each source that it begins.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bgone.jobs.book import Made
from bgone.jobs.making import DurableLimits
from bgone.pipeline.order import Order
from bgone.storage.database import Database
from tests.jobs.plant import Easel, plant

ROOT = Path(__file__).parents[2]


def start(address: str, folder: Path, lease_s: float, seconds: float, places: int = 1) -> subprocess.Popen[bytes]:
    """One such worker; its standard output has a line for each job that it begins."""
    arguments = [address, str(folder), str(lease_s), str(seconds), str(places)]
    command = [sys.executable, "-m", "tests.jobs.hand", *arguments]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"}
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


class _Telling(Easel):
    @asynccontextmanager
    async def make(self, order: Order) -> AsyncIterator[Made]:
        print("begun", flush=True)
        async with super().make(order) as made:
            yield made


async def main(address: str, folder: str, lease_s: str, seconds: str, places: str) -> None:
    """Work until killed."""
    limits = DurableLimits(running=int(places), pause_s=0.01, again_s=0.01, tries=20)
    database = await Database.open(address)
    async with plant(database, Path(folder), limits, lease_s=float(lease_s), easel=_Telling(float(seconds))) as room:
        room.told = room.folder.parent / "told"
        while True:
            await asyncio.sleep(1)
            await room.book.sweep()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
