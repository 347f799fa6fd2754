"""Where the CPU time of a picture goes, one step after the other, without server.

``python -m benchmarks.steps PICTURE [MODEL]``
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import cv2

from benchmarks import direct
from benchmarks.direct import cut_out, open_net
from bgone.imaging import photo
from bgone.imaging.deflate import Deflater
from bgone.imaging.png import PngWriter
from bgone.matting.compose import Painter
from bgone.matting.onnx import OnnxNet
from bgone.pipeline import drawing

# What is timed, from the outside in: the time of a step within another one counts for the inner one only.
STEPS: tuple[tuple[Any, str, str], ...] = (
    (direct, "open_photo", "header"),
    (direct, "look", "look: decode, shrink"),
    (direct, "tensor_of", "tensor"),
    (OnnxNet, "run", "net"),
    (direct, "fit_matte", "matte to working size"),
    (direct, "cut", "maps: lines, colours"),
    (Painter, "__init__", "maps to output grid"),
    (Painter, "paint", "compose"),
    (PngWriter, "_lay_filtered", "filter"),
    (Deflater, "pack", "deflate"),
    (Deflater, "adler32", "checksums"),
    (Deflater, "crc32", "checksums"),
)


class Patient(Executor):
    """Works in a thread of its own while the caller waits, so that every second has one owner.

    Not in the caller's: ISA-L leaves the upper halves of AVX registers dirty, and SSE code that comes after it in the
    same thread (OpenCV's resize) takes three times as long. The server's deflate pool keeps the two apart as well.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        done = self._thread.submit(work, *args, **kwargs)
        done.exception()
        return done


class Clock:
    """Adds up CPU seconds per step, whatever thread of the process spends them."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def watch(self, work: Callable[..., Any], step: str) -> Callable[..., Any]:
        """``work``, its time counted."""

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.measure(step):
                return work(*args, **kwargs)

        return timed

    def watch_strips(self, work: Callable[..., Iterator[Any]]) -> Callable[..., Iterator[Any]]:
        """The decoder, which works when it is asked for its next strip."""

        def timed(*args: Any, **kwargs: Any) -> Iterator[Any]:
            strips = work(*args, **kwargs)
            while True:
                with self.measure("decode strips"):
                    strip = next(strips, None)
                if strip is None:
                    return
                yield strip

        return timed

    @contextmanager
    def measure(self, step: str) -> Iterator[None]:
        started = time.process_time()
        self._inner.append(0.0)
        try:
            yield
        finally:
            spent = time.process_time() - started
            self.seconds[step] += spent - self._inner.pop()
            self._inner[-1] += spent


def profile(data: bytes, net: OnnxNet, rounds: int) -> dict[str, float]:
    """CPU milliseconds of each step for one picture, and ``all``; deflate runs in its turn, not beside."""
    pool = Patient()
    cut_out(data, net, len, pool)
    clock = Clock()
    with ExitStack() as patches:
        for owner, name, step in STEPS:
            patches.enter_context(patch.object(owner, name, clock.watch(getattr(owner, name), step)))
        patches.enter_context(patch.object(drawing, "strips", clock.watch_strips(photo.strips)))
        for _ in range(rounds):
            with clock.measure("rest"):
                cut_out(data, net, len, pool)
    steps = {step: seconds * 1000 / rounds for step, seconds in clock.seconds.items()}
    return steps | {"all": sum(steps.values())}


def words(steps: dict[str, float]) -> str:
    """One line: every step with its share."""
    parts = [f"{step} {ms:.1f} ({ms / steps['all']:.0%})" for step, ms in steps.items() if step != "all"]
    return f"{steps['all']:.0f} ms CPU: " + ", ".join(parts)


def main() -> None:
    """Profile the picture of the command line with the net of the second argument, or the embedded one."""
    cv2.setNumThreads(1)
    net = open_net(sys.argv[2] if len(sys.argv) > 2 else "bgone-small-1")
    print(words(profile(Path(sys.argv[1]).read_bytes(), net, 10)))


if __name__ == "__main__":
    main()
