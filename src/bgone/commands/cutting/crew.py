"""Several threads that cut, one that reports; Ctrl-C lets what is begun end, and begins nothing more."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from bgone.commands.cutting.outcomes import Outcome
from bgone.commands.cutting.report import Report
from bgone.commands.cutting.writing import remove_leftovers

Task = TypeVar("Task")

TICK_S = 0.2
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Whether to end: set by a signal, or by whoever finds that going on is of no use.

    Attributes:
        sign: Number of the signal that set it, if one did.
    """

    def __init__(self) -> None:
        self.sign: int | None = None
        self._set = False
        # Unlike an Event's, its put may be interrupted by itself: a signal may come while it is being set.
        self._bell: queue.SimpleQueue[None] = queue.SimpleQueue()

    def set(self, sign: int | None = None) -> None:
        """Begin nothing more."""
        self.sign = sign if sign is not None else self.sign
        self._set = True
        self._bell.put(None)

    def __bool__(self) -> bool:
        return self._set

    def wait(self, seconds: float) -> bool:
        """Wait so long at most; True when it is time to end."""
        try:
            self._bell.get(timeout=seconds)
        except queue.Empty:
            return self._set
        self._bell.put(None)  # for the next who waits
        return True


def work(tasks: Iterable[Task], cut: Callable[[Task], Outcome], jobs: int, report: Report, stop: Stop) -> None:
    """Cut everything and report it; returns when all threads have ended.

    Args:
        tasks: Taken one by one; may wait for more to come.
        cut: Never raises what a picture or a disk can do.
        jobs: How many threads.
        report: Hears of each outcome, in this thread.
        stop: Looked at before each picture.
    """
    outcomes: queue.SimpleQueue[Outcome | BaseException | None] = queue.SimpleQueue()
    waiting, taking = iter(tasks), threading.Lock()

    def labour() -> None:
        try:
            while True:
                with taking:
                    task = None if stop else next(waiting, None)
                if task is None:
                    return
                outcomes.put(cut(task))
        except BaseException as error:  # noqa: BLE001 - a fault of ours: the main thread raises it
            outcomes.put(error)
        finally:
            outcomes.put(None)

    threads = [threading.Thread(target=labour, name=f"cut-{number}") for number in range(jobs)]
    with _signals(stop):
        for thread in threads:
            thread.start()
        try:
            _listen(outcomes, jobs, report)
        finally:
            report.wipe()
            stop.set()  # a report that nobody reads any more ends the work
            for thread in threads:
                thread.join()


def _listen(outcomes: queue.SimpleQueue[Outcome | BaseException | None], jobs: int, report: Report) -> None:
    running = jobs
    report.tick()
    while running:
        try:
            heard = outcomes.get(timeout=TICK_S)
        except queue.Empty:
            report.tick()
            continue
        if heard is None:
            running -= 1
        elif isinstance(heard, BaseException):
            raise heard
        else:
            report.hear(heard)


@contextmanager
def _signals(stop: Stop) -> Iterator[None]:
    """The first signal sets ``stop``; the second ends the process at once, without leftovers."""

    def hear(sign: int, _frame: FrameType | None) -> None:
        if stop.sign is not None:
            remove_leftovers()
            os._exit(128 + sign)
        stop.set(sign)

    # What the shell or nohup has told us to ignore stays ignored.
    heard = [sign for sign in _SIGNALS if signal.getsignal(sign) != signal.SIG_IGN]
    before = [(sign, signal.signal(sign, hear)) for sign in heard]
    try:
        yield
    finally:
        for sign, handler in before:
            signal.signal(sign, handler)
