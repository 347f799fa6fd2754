"""Many ``predict`` → few ``run``: a batch is whatever waits when the model thread falls free; no timer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bgone.matting.engine import Matte, Tensor
from bgone.matting.model import Recipe


class Net(Protocol):
    """A blocking net: ``matting.onnx.OnnxNet``, ``matting.openvino.OpenVinoNet``."""

    recipe: Recipe
    device: str
    batchable: bool

    def run(self, batch: Tensor) -> Matte:
        """uint8 (n, height, width, 3) → float32 (n, height, width)."""
        ...


@dataclass(slots=True)
class _Waiting:
    tensor: Tensor
    matte: asyncio.Future[Matte]


def _nobody(_pictures: int, _seconds: float) -> None:
    """Hears of runs where nobody wants to."""


class Batcher:
    """One lane to the net: one thread, one run at a time (two runs at once double the arena and lose throughput).

    Args:
        net: What runs.
        max_batch: Most pictures of one run.
        on_run: Hears of every run: pictures, seconds.
        thread: The lane, where several nets share one: cores are shared too.
    """

    def __init__(
        self,
        net: Net,
        max_batch: int,
        on_run: Callable[[int, float], None] = _nobody,
        thread: ThreadPoolExecutor | None = None,
    ) -> None:
        self._net = net
        self._max_batch = max_batch if net.batchable else 1
        self._on_run = on_run
        self._thread = thread or ThreadPoolExecutor(1, thread_name_prefix="net")
        self._queue: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self._running: list[_Waiting] = []
        self._began = 0.0

    @property
    def recipe(self) -> Recipe:
        return self._net.recipe

    @property
    def device(self) -> str:
        return self._net.device

    @property
    def trouble(self) -> str | None:
        if self._task is not None and self._task.done():
            return "the batcher has died"
        return None

    @property
    def waiting(self) -> int:
        """Tensors in the queue."""
        return self._queue.qsize()

    async def predict(self, tensor: Tensor) -> Matte:
        """See ``Engine.predict``. Raises whatever the net raised for this picture alone."""
        loop = asyncio.get_running_loop()
        if self._task is None:
            self._task = loop.create_task(self._work(), name="batcher")
            self._task.add_done_callback(self._ended)
        if self._task.done():
            raise RuntimeError("the batcher has died")
        waiting = _Waiting(tensor, loop.create_future())
        self._queue.put_nowait(waiting)
        return await waiting.matte

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _work(self) -> None:
        while True:
            batch = [await self._queue.get()]
            while len(batch) < self._max_batch and not self._queue.empty():
                batch.append(self._queue.get_nowait())
            # A caller who hung up has cancelled its future: do not compute for nobody.
            self._running = [waiting for waiting in batch if not waiting.matte.done()]
            if self._running:
                await self._run(self._running)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Whatever ended the task: those who wait must hear of it."""
        error = None if task.cancelled() else task.exception()
        waiting = self._running
        while not self._queue.empty():
            waiting.append(self._queue.get_nowait())
        for caller in waiting:
            if error is None:
                caller.matte.cancel()
            elif not caller.matte.done():
                caller.matte.set_exception(RuntimeError(f"the batcher has died: {error!r}"))

    async def _run(self, batch: list[_Waiting]) -> None:
        loop = asyncio.get_running_loop()
        tensors = [waiting.tensor for waiting in batch]
        self._began, failure = time.perf_counter(), None
        mattes: Matte | list[Matte] = []
        try:
            mattes = await loop.run_in_executor(self._thread, self._run_stacked, tensors)
        except Exception as error:  # noqa: BLE001 - the caller hears whatever the net raised
            failure = error
        self._on_run(len(batch), time.perf_counter() - self._began)
        if failure is None:
            for waiting, matte in zip(batch, mattes, strict=True):
                if not waiting.matte.done():
                    waiting.matte.set_result(matte)
        elif len(batch) == 1:
            if not batch[0].matte.done():
                batch[0].matte.set_exception(failure)
        else:
            # One bad input must fail alone.
            for waiting in batch:
                if not waiting.matte.done():
                    await self._run([waiting])

    def _run_stacked(self, tensors: list[Tensor]) -> Matte:
        self._began = time.perf_counter()  # now the lane is ours
        mattes = self._net.run(tensors[0][None] if len(tensors) == 1 else np.stack(tensors))
        if len(mattes) != len(tensors):
            raise ValueError(f"the net answered {len(mattes)} mattes to {len(tensors)} pictures")
        return mattes
