"""One picture, from its source to its file."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from bgone.commands.cutting.crew import Stop
from bgone.commands.cutting.naming import Naming
from bgone.commands.cutting.outcomes import Answer, Failure, Outcome, Scissors
from bgone.commands.cutting.sources import RealPaths, Source
from bgone.commands.cutting.writing import Aside
from bgone.imaging.formats import FORMATS

Existing = Literal["refuse", "skip", "overwrite"]


@dataclass(frozen=True, slots=True)
class Task:
    """A source and its number among all."""

    source: Source
    index: int


class Claims:
    """Which answer belongs to which source, and which files are sources: no answer is written over either."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sources: set[str] = set()
        self._owners: dict[str, str] = {}
        self._written: set[str] = set()

    def note_source(self, source: Source) -> None:
        """This file is a source."""
        if source.path is not None:
            with self._lock:
                self._sources.add(os.path.realpath(source.path))

    def claim(self, target: Path, source: Source) -> None:
        """``target`` is the answer of ``source``.

        Raises:
            Failure: It is a source itself, or another's answer.
        """
        real = os.path.realpath(target)
        with self._lock:
            if real in self._sources:
                raise Failure("exists", f"{target} is a source and is not written over: name another folder or --name")
            owner = self._owners.setdefault(real, source.text)
        if owner != source.text:
            cure = "name them apart, as with --name '{stem}-{suffix}.{format}'"
            raise Failure("exists", f"{target} is the answer of {owner} already: {cure}")

    def is_ours(self, path: str) -> bool:
        """It is an answer of this run."""
        return os.path.realpath(path) in self._written

    @contextmanager
    def writing(self, target: Path) -> Iterator[None]:
        """``target`` is ours from now on, unless writing it fails: whoever watches the folder must not take it."""
        real = os.path.realpath(target)
        was_ours = real in self._written
        try:
            self._written.add(real)
            yield
        except BaseException:
            if not was_ours:
                self._written.discard(real)
            raise


class Errand:
    """What is done with each source; called by several threads at once.

    Args:
        scissors: Cut.
        naming: Names the answers.
        endings: What ``{format}`` may be: one, or all that ``auto`` may choose.
        existing: What becomes of answers that are there already.
        claims: Shared by all.
        stop: Set where going on is of no use.
        stdout: Where the one answer goes instead of into a file, or None.
    """

    def __init__(
        self,
        scissors: Scissors,
        naming: Naming,
        endings: tuple[str, ...],
        existing: Existing,
        claims: Claims,
        stop: Stop,
        stdout: IO[bytes] | None = None,
    ) -> None:
        self._scissors = scissors
        self._naming = naming
        self._endings = endings
        self._existing = existing
        self._claims = claims
        self._stop = stop
        self._stdout = stdout

    def __call__(self, task: Task) -> Outcome:
        """Cut one picture; whatever it or a disk can do becomes an outcome."""
        began = time.monotonic()
        try:
            if self._stdout is not None:
                return self._to_stdout(task.source, self._stdout, began)
            if (there := self._look(task)) is not None:
                return Outcome(task.source.text, "skipped", str(there), words=f"{there} exists; skipped")
            return self._to_file(task, began)
        except Failure as failure:
            if failure.is_final:
                self._stop.set()
            kind, words, detail = failure.kind, failure.words, failure.detail
        except FileExistsError as error:
            kind, words, detail = "exists", f"{error.filename2 or error.filename or error} appeared meanwhile", ""
        except OSError as error:
            words = f"cannot be written: {error.strerror or error}"
            kind, detail = "unwritable", str(error.filename or "")
        seconds = time.monotonic() - began
        return Outcome(task.source.text, "failed", None, seconds, kind=kind, words=words, detail=detail)

    def _look(self, task: Task) -> Path | None:
        """An answer that is there and that this source is to be skipped for.

        Raises:
            Failure: There is one, and nobody said what to do then.
        """
        for target in self._targets(task):
            self._claims.claim(target, task.source)
            if self._may_overwrite(target) or not os.path.lexists(target):
                continue
            if self._existing == "skip":
                return target
            raise Failure("exists", f"{target} exists: say --overwrite or --skip-existing")
        return None

    def _to_file(self, task: Task, began: float) -> Outcome:
        source = task.source
        with Aside(self._targets(task)[0].parent) as aside:
            answer = self._scissors.cut(source, aside.write)
            target = self._naming.target(source, task.index, _ending(answer))
            with self._claims.writing(target):
                aside.keep(target, overwrite=self._may_overwrite(target))
            written = aside.written
        return Outcome(source.text, "done", str(target), time.monotonic() - began, answer, written)

    def _to_stdout(self, source: Source, stdout: IO[bytes], began: float) -> Outcome:
        pieces: list[bytes] = []
        answer = self._scissors.cut(source, pieces.append)
        data = b"".join(pieces)
        stdout.write(data)
        stdout.flush()
        return Outcome(source.text, "done", "-", time.monotonic() - began, answer, len(data))

    def _targets(self, task: Task) -> list[Path]:
        return [self._naming.target(task.source, task.index, ending) for ending in self._endings]

    def _may_overwrite(self, target: Path) -> bool:
        return self._existing == "overwrite" or self._claims.is_ours(str(target))


def without_answers(sources: Iterable[Source], naming: Naming, endings: Collection[str]) -> list[Source]:
    """``sources`` but those that were found and are the answer of another: an earlier run's, in the same folder."""
    listed = list(sources)
    if naming.exact is not None:
        return listed
    real = RealPaths()
    answers = {
        real(str(naming.target(source, index, ending))): source.text
        for index, source in enumerate(listed, 1)
        for ending in endings
    }
    return [
        source for source in listed if not source.found or answers.get(real(source.text), source.text) == source.text
    ]


def _ending(answer: Answer) -> str:
    return FORMATS[answer.format].suffix.removeprefix(".")
