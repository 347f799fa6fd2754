"""The teller: what was asked meanwhile is one batch, and everybody has an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import pytest

from bgone.accounts import teller as module
from bgone.accounts.teller import Teller


class Counter:
    """Answers numbers with their squares, when it is let; refuses odd negative ones, breaks on 0."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.batches: list[list[int]] = []
        self.on_settled: Callable[[], object] = bool
        self.teller: Teller[int, int] = Teller(self.settle, lambda number: number < 100, self.undo)

    async def settle(self, numbers: Sequence[int]) -> list[int | Exception]:
        self.batches.append(list(numbers))
        await self.go.wait()
        asyncio.get_running_loop().call_soon(self.on_settled)
        if 0 in numbers:
            raise ZeroDivisionError
        return [ValueError(number) if number < 0 else number * number for number in numbers]

    @staticmethod
    def undo(number: int, answer: int) -> int | None:
        return 1000 + answer if number < 100 else None


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_whoever_waits_is_one_batch() -> None:
    """The first goes alone, the others together, each with its own answer."""

    async def main() -> None:
        counter = Counter()
        asking = [asyncio.create_task(counter.teller.ask(number)) for number in range(1, 6)]
        await turns()
        asking += [asyncio.create_task(counter.teller.ask(number)) for number in (7, -1, 8)]
        await turns()
        counter.go.set()
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert answers[:6] + answers[7:] == [1, 4, 9, 16, 25, 49, 64]
        assert isinstance(answers[6], ValueError)
        assert counter.batches == [[1, 2, 3, 4, 5], [7, -1, 8]]

    run(main())


def test_batches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that none lasts too long."""
    monkeypatch.setattr(module, "MOST", 3)

    async def main() -> None:
        counter = Counter()
        counter.go.set()
        await asyncio.gather(*(counter.teller.ask(number) for number in range(1, 8)))
        assert counter.batches == [[1, 2, 3], [4, 5, 6], [7]]

    run(main())


def test_broken_batch_is_told_to_all_and_the_next_is_served() -> None:
    """Nobody waits for ever."""

    async def main() -> None:
        counter = Counter()
        counter.go.set()
        answers = await asyncio.gather(*(counter.teller.ask(number) for number in (1, 0)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [ZeroDivisionError] * 2
        assert await counter.teller.ask(3) == 9

    run(main())


def test_cancelled_before_its_batch_is_not_asked_unless_it_must() -> None:
    """What only the caller wanted is left out; what must be done is done."""

    async def main() -> None:
        counter = Counter()
        first = asyncio.create_task(counter.teller.ask(1))
        await turns()
        others = [asyncio.create_task(counter.teller.ask(number)) for number in (2, 200, 3)]
        await turns()
        for task in others[:2]:
            task.cancel()
        await turns()
        counter.go.set()
        assert (await first, await others[2]) == (1, 9)
        assert counter.batches == [[1], [200, 3]]

    run(main())


def test_cancelled_with_its_answer_is_undone() -> None:
    """The answer is there, and the caller is cancelled before its turn: it will never know."""

    async def main() -> None:
        counter = Counter()
        task = asyncio.create_task(counter.teller.ask(5))
        await turns()
        counter.on_settled = task.cancel
        counter.go.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        await counter.teller.aclose()
        assert counter.batches == [[5], [1025]]

    run(main())


def test_cancelled_during_its_batch_is_undone() -> None:
    """What was found for nobody is given back; closing waits for that."""

    async def main() -> None:
        counter = Counter()
        tasks = [asyncio.create_task(counter.teller.ask(number)) for number in (5, 200)]
        await turns()
        for task in tasks:
            task.cancel()
        await turns()
        counter.go.set()
        await counter.teller.aclose()
        assert counter.batches == [[5, 200], [1025]]

    run(main())
