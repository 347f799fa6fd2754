"""The spool: a thread writes, the loop reads, and neither waits for the other's pace."""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import pytest

from bgone.errors import ClientGone, unreadable_image
from bgone.pipeline.spool import MOST_BYTES, PIECE_BYTES, Spool

Value = TypeVar("Value")


@pytest.fixture
def disk() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def on_loop(main: Callable[[], Awaitable[Value]]) -> Value:
    async def bounded() -> Value:
        async with asyncio.timeout(30):
            return await main()

    return asyncio.run(bounded())


def numbered(size: int) -> bytes:
    """Bytes that differ by place, so that a swap shows."""
    return b"".join(index.to_bytes(4, "big") for index in range(size // 4))


def test_bytes_come_in_order() -> None:
    """Whatever sizes a thread writes and whenever the loop reads: a hundred runs with dice, with and without disk."""

    async def main() -> None:
        dice = random.Random(5)
        text = numbered(400_000)
        for run in range(100):
            with ThreadPoolExecutor(2) as pool:
                spool = Spool(pool, dice.choice((0, 1000, 100_000, 8 << 20)))
                cuts = sorted(dice.randrange(len(text)) for _ in range(dice.randrange(12)))
                parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

                def write(spool: Spool = spool, parts: list[bytes] = parts) -> None:
                    for part in parts:
                        spool.write(part)
                    spool.finish()

                writer = asyncio.get_running_loop().run_in_executor(pool, write)
                if run % 2:
                    await spool.begun()
                if run % 3 == 0:
                    await writer
                assert await spool.read() == text
                await writer
                assert spool.finished
                assert spool.written == len(text)
                spool.close()

    on_loop(main)


def test_no_wake_up_is_lost(disk: ThreadPoolExecutor) -> None:
    """Three hundred times one small write and the end, while the reader already waits."""

    async def main() -> None:
        for _ in range(300):
            spool = Spool(disk)
            reading = asyncio.create_task(spool.read())
            await asyncio.sleep(0)
            writer = threading.Thread(target=lambda spool=spool: (spool.write(b"x"), spool.finish()))
            writer.start()
            assert await reading == b"x"
            writer.join()

    on_loop(main)


def test_pieces_are_neither_tiny_nor_huge(disk: ThreadPoolExecutor) -> None:
    """Small writes are gathered; whole pieces are sent before the end is there."""

    async def main() -> None:
        spool = Spool(disk)
        for _ in range(1000):
            spool.write(bytes(1000))
        first = await anext(spool.pieces())
        assert PIECE_BYTES <= len(first) <= MOST_BYTES + 1000
        spool.finish()
        sizes = [len(piece) async for piece in spool.pieces()]
        assert sum(sizes) + len(first) == 1_000_000
        assert max(sizes) <= MOST_BYTES + 1000
        assert min(sizes[:-1]) >= PIECE_BYTES

    on_loop(main)


def test_the_writer_never_waits_and_memory_is_bounded(
    disk: ThreadPoolExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond its limit the spool goes to a file without a name; what was read from it comes in order."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    text = numbered(3_000_000)

    async def main() -> None:
        before = len(os.listdir("/proc/self/fd"))
        spool = Spool(disk, memory_bytes=100_000)
        for start in range(0, len(text), 50_000):  # nobody reads, and this does not block
            spool.write(text[start : start + 50_000])
        spool.finish()
        assert spool._backlog <= 100_000
        assert list(tmp_path.iterdir()) == []
        assert len(os.listdir("/proc/self/fd")) == before + 1
        assert await spool.read() == text
        spool.close()
        assert len(os.listdir("/proc/self/fd")) == before

    on_loop(main)


def test_what_was_read_is_dropped(disk: ThreadPoolExecutor) -> None:
    """A reader that keeps up needs no memory and no file."""

    async def main() -> None:
        spool = Spool(disk, memory_bytes=PIECE_BYTES)
        pieces = spool.pieces()
        for _ in range(50):
            spool.write(bytes(PIECE_BYTES))
            assert len(await anext(pieces)) == PIECE_BYTES
        assert (spool._backlog, spool._file) == (0, None)

    on_loop(main)


def test_a_failure_before_the_first_bytes_is_heard_at_the_beginning(disk: ThreadPoolExecutor) -> None:
    """So that the answer can still be an error."""

    async def main() -> None:
        spool = Spool(disk)
        waiting = asyncio.create_task(spool.begun())
        await asyncio.sleep(0)
        spool.fail(unreadable_image("late"))
        with pytest.raises(Exception, match="damaged"):
            await waiting
        assert not spool.finished

    on_loop(main)


def test_a_failure_after_bytes_comes_after_them(disk: ThreadPoolExecutor) -> None:
    """All that was written is read, then the failure: the connection is cut, never ended as if whole."""

    async def main() -> None:
        spool = Spool(disk)
        spool.write(bytes(PIECE_BYTES))
        await spool.begun()
        spool.write(b"more")
        spool.fail(OSError("the disk"))
        pieces = spool.pieces()
        assert await anext(pieces) == bytes(PIECE_BYTES) + b"more"
        with pytest.raises(OSError, match="the disk"):
            await anext(pieces)

    on_loop(main)


def test_a_small_answer_begins_when_it_is_whole(disk: ThreadPoolExecutor) -> None:
    """Less than a piece waits for the end, so that its length is known."""

    async def main() -> None:
        spool = Spool(disk)
        spool.write(b"small")
        waiting = asyncio.create_task(spool.begun())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        spool.finish()
        await waiting
        assert (spool.finished, spool.written) == (True, 5)

    on_loop(main)


@pytest.mark.parametrize("memory_bytes", [0, 1 << 20])
def test_writing_for_nobody_stops(disk: ThreadPoolExecutor, memory_bytes: int) -> None:
    """After the reader has closed, the next write raises; closing twice and ending late do no harm."""

    async def main() -> None:
        spool = Spool(disk, memory_bytes)
        spool.write(bytes(100_000))
        spool.close()
        spool.close()
        with pytest.raises(ClientGone):
            spool.write(b"x")
        spool.fail(ClientGone())

    on_loop(main)


def test_a_reader_without_bytes_sleeps(disk: ThreadPoolExecutor) -> None:
    """It looks once when news come, and not in between."""

    async def main() -> None:
        spool = Spool(disk)
        turns = 0

        class Counted(asyncio.Event):
            async def wait(self) -> bool:  # type: ignore[override]
                nonlocal turns
                turns += 1
                return await super().wait()

        spool._news = Counted()
        reading = asyncio.create_task(spool.read())
        await asyncio.sleep(0.02)
        spool.write(b"x")
        await asyncio.sleep(0.02)
        spool.finish()
        assert await reading == b"x"
        assert turns <= 3

    on_loop(main)


def test_a_closed_loop_is_a_client_that_left(disk: ThreadPoolExecutor) -> None:
    """At shutdown a drawing thread hears of it at its next write."""

    async def main() -> Spool:
        return Spool(disk)

    spool = asyncio.run(main())
    spool.write(b"heard by nobody")
    with pytest.raises(ClientGone):
        spool.write(b"x")
