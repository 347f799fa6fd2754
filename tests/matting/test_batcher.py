"""The batcher, with small nets that really compute."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import numpy as np
import pytest

from bgone.matting.batcher import Batcher
from bgone.matting.engine import Matte, Tensor
from bgone.matting.models import Recipe

SIZE = Recipe(width=6, height=4)


class BrightNet:
    """Brightness as matte; refuses pictures whose first value is 255; waits at a gate where there is one."""

    recipe = SIZE
    device = "test"

    def __init__(self, *, batchable: bool = True, gated: bool = False) -> None:
        self.batchable = batchable
        self.gate = threading.Event()
        self.entered = threading.Event()
        if not gated:
            self.gate.set()
        self.sizes: list[int] = []
        self.at_once = 0

    def run(self, batch: Tensor) -> Matte:
        self.sizes.append(len(batch))
        self.at_once += 1
        assert self.at_once == 1
        self.entered.set()
        assert self.gate.wait(10)
        self.at_once -= 1
        if (batch[:, 0, 0, 0] == 255).any():
            raise ValueError("a bad picture")
        return np.asarray(batch.mean(axis=3) / 255, np.float32)


def picture(value: int) -> Tensor:
    return np.full((4, 6, 3), value, np.uint8)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


def test_everybody_gets_their_own_matte() -> None:
    """Forty at once, each with its own brightness."""

    async def main() -> list[Matte]:
        batcher = Batcher(BrightNet(), max_batch=8)
        mattes = await asyncio.gather(*(batcher.predict(picture(value)) for value in range(40)))
        await batcher.aclose()
        return mattes

    for value, matte in enumerate(asyncio.run(main())):
        assert np.allclose(matte, value / 255, atol=1e-6)


def test_a_batch_is_whatever_waits() -> None:
    """One is running, five come: they are the next batch, up to the most allowed; sizes are reported."""

    async def main() -> tuple[list[int], list[int]]:
        net = BrightNet(gated=True)
        reported: list[int] = []
        batcher = Batcher(net, max_batch=4, on_run=lambda pictures, _seconds: reported.append(pictures))
        first = asyncio.create_task(batcher.predict(picture(1)))
        await until(net.entered.is_set)
        rest = [asyncio.create_task(batcher.predict(picture(2))) for _ in range(5)]
        await until(lambda: batcher.waiting == 5)
        net.gate.set()
        await asyncio.gather(first, *rest)
        await batcher.aclose()
        return net.sizes, reported

    assert asyncio.run(main()) == ([1, 4, 1], [1, 4, 1])


def test_a_net_that_takes_one_gets_one() -> None:
    """Whatever the most allowed says."""

    async def main() -> list[int]:
        net = BrightNet(batchable=False)
        batcher = Batcher(net, max_batch=8)
        await asyncio.gather(*(batcher.predict(picture(1)) for _ in range(5)))
        await batcher.aclose()
        return net.sizes

    assert asyncio.run(main()) == [1] * 5


def test_nobody_computes_for_those_who_left() -> None:
    """A caller cancelled while it waits is not in any batch."""

    async def main() -> list[int]:
        net = BrightNet(gated=True)
        batcher = Batcher(net, max_batch=8)
        first = asyncio.create_task(batcher.predict(picture(1)))
        await until(net.entered.is_set)
        rest = [asyncio.create_task(batcher.predict(picture(2))) for _ in range(5)]
        await until(lambda: batcher.waiting == 5)
        for task in rest[:4]:
            task.cancel()
        await asyncio.gather(*rest[:4], return_exceptions=True)
        net.gate.set()
        await asyncio.gather(first, rest[4])
        await batcher.aclose()
        return net.sizes

    assert asyncio.run(main()) == [1, 1]


def test_a_caller_who_leaves_during_the_run_harms_nobody() -> None:
    """The batch goes on for the others."""

    async def main() -> list[object]:
        net = BrightNet(gated=True)
        batcher = Batcher(net, max_batch=8)
        both = [asyncio.create_task(batcher.predict(picture(value))) for value in (10, 20)]
        await until(net.entered.is_set)
        both[0].cancel()
        await asyncio.sleep(0)
        net.gate.set()
        results: list[object] = list(await asyncio.gather(*both, return_exceptions=True))
        assert (await batcher.predict(picture(30))).shape == (4, 6)
        await batcher.aclose()
        return results

    left, stayed = asyncio.run(main())
    assert isinstance(left, asyncio.CancelledError)
    assert isinstance(stayed, np.ndarray)


def test_a_bad_picture_fails_alone() -> None:
    """A batch that fails is tried again one by one: the others get their mattes, the bad one the net's words."""

    async def main() -> tuple[list[object], list[int]]:
        net = BrightNet(gated=True)
        batcher = Batcher(net, max_batch=8)
        first = asyncio.create_task(batcher.predict(picture(1)))
        await until(net.entered.is_set)
        rest = [asyncio.create_task(batcher.predict(picture(value))) for value in (10, 255, 20)]
        await until(lambda: batcher.waiting == 3)
        net.gate.set()
        results: list[object] = list(await asyncio.gather(first, *rest, return_exceptions=True))
        assert batcher.trouble is None
        await batcher.aclose()
        return results, net.sizes

    (_, ten, bad, twenty), sizes = asyncio.run(main())
    assert isinstance(bad, ValueError)
    assert isinstance(ten, np.ndarray)
    assert isinstance(twenty, np.ndarray)
    assert np.allclose(twenty, 20 / 255)
    assert sizes == [1, 3, 1, 1, 1]


def test_a_net_that_answers_too_few_fails_its_callers() -> None:
    """Nobody gets another's matte, nobody waits for ever, and the batcher lives."""

    class ShortNet(BrightNet):
        def run(self, batch: Tensor) -> Matte:
            return super().run(batch)[1:]

    async def main() -> None:
        batcher = Batcher(ShortNet(), max_batch=4)
        async with asyncio.timeout(10):
            results = await asyncio.gather(*(batcher.predict(picture(1)) for _ in range(3)), return_exceptions=True)
        assert all(isinstance(result, ValueError) for result in results)
        assert batcher.trouble is None
        await batcher.aclose()

    asyncio.run(main())


def test_a_dead_batcher_says_so() -> None:
    """What nobody foresaw ends the task: those who wait and those who come hear of it, and so does readiness."""

    def broken(pictures: int, _seconds: float) -> None:
        raise KeyError(pictures)

    async def main() -> None:
        batcher = Batcher(BrightNet(), max_batch=1, on_run=broken)
        assert batcher.trouble is None
        async with asyncio.timeout(10):
            results = await asyncio.gather(*(batcher.predict(picture(1)) for _ in range(3)), return_exceptions=True)
        assert [str(result)[:23] for result in results] == ["the batcher has died: K"] * 3
        assert batcher.trouble == "the batcher has died"
        with pytest.raises(RuntimeError, match="died"):
            await batcher.predict(picture(1))
        await batcher.aclose()

    asyncio.run(main())


def test_closing_cancels_those_who_wait() -> None:
    """In the queue and in the run alike: nobody waits for ever."""

    async def main() -> list[object]:
        net = BrightNet(gated=True)
        batcher = Batcher(net, max_batch=1)
        tasks = [asyncio.create_task(batcher.predict(picture(1))) for _ in range(3)]
        await until(net.entered.is_set)
        await batcher.aclose()
        net.gate.set()
        async with asyncio.timeout(10):
            return list(await asyncio.gather(*tasks, return_exceptions=True))

    assert all(isinstance(result, asyncio.CancelledError) for result in asyncio.run(main()))


def test_a_batcher_that_never_worked_closes() -> None:
    """Its task is made by the first picture only."""

    async def main() -> None:
        batcher = Batcher(BrightNet(), max_batch=1)
        assert (batcher.trouble, batcher.recipe, batcher.device) == (None, SIZE, "test")
        await batcher.aclose()

    asyncio.run(main())
