"""Group commit: a batch is whatever was asked while the last transaction was under way; each gets its own answer.

One caller alone waits for its own transaction only. Fifty on one account need few more transactions than one does, and
none of them waits for the row's lock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")
MOST = 256  # of one batch


class Teller(Generic[Asked, Answer]):
    """Lives on one event loop.

    Args:
        settle: Does a batch in one transaction; an answer, or an exception as a value, for each.
        is_idle: Whether a question need not be put when nobody waits for its answer any more.
        undo: What to ask when an answer was found and nobody waits for it any more; None: nothing.
    """

    def __init__(
        self,
        settle: Callable[[Sequence[Asked]], Awaitable[Sequence[Answer | Exception]]],
        is_idle: Callable[[Asked], bool],
        undo: Callable[[Asked, Answer], Asked | None],
    ) -> None:
        self._settle = settle
        self._is_idle = is_idle
        self._undo = undo
        self._waiting: list[tuple[Asked, asyncio.Future[Answer]]] = []
        self._work: asyncio.Task[None] | None = None

    async def ask(self, asked: Asked) -> Answer:
        """The answer, after its transaction has been committed; raises what ``settle`` found."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._put(asked, answer)
        try:
            return await answer
        except asyncio.CancelledError:
            # Cancelled between the answer and the caller's next turn: it will never know.
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                self._give_up(asked, answer.result())
            raise

    async def aclose(self) -> None:
        """Settle all that was asked."""
        while self._work is not None:
            await asyncio.wait([self._work])

    def _put(self, asked: Asked, answer: asyncio.Future[Answer]) -> None:
        self._waiting.append((asked, answer))
        if self._work is None:
            self._work = asyncio.create_task(self._serve(), name="teller")

    async def _serve(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
            batch = [(asked, answer) for asked, answer in batch if not (answer.cancelled() and self._is_idle(asked))]
            if not batch:
                continue
            answers: Sequence[Answer | Exception]
            try:
                answers = await self._settle([asked for asked, _ in batch])
            except Exception as error:  # noqa: BLE001 - each caller hears it; the teller serves the next
                answers = [error] * len(batch)
            for (asked, future), answer in zip(batch, answers, strict=True):
                self._tell(asked, future, answer)
        self._work = None

    def _tell(self, asked: Asked, future: asyncio.Future[Answer], answer: Answer | Exception) -> None:
        if not future.cancelled():
            if isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
        elif not isinstance(answer, Exception):
            self._give_up(asked, answer)

    def _give_up(self, asked: Asked, answer: Answer) -> None:
        if (undoing := self._undo(asked, answer)) is not None:
            # Cancelled from the start: nobody waits for this answer either.
            nobody: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            nobody.cancel()
            self._put(undoing, nobody)
