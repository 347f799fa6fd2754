"""One picture's way into its file, and what is never written over."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from bgone.commands.cutting.crew import Stop
from bgone.commands.cutting.errand import Claims, Errand, Existing, Task, without_answers
from bgone.commands.cutting.naming import Naming
from bgone.commands.cutting.outcomes import Answer, Failure, Outcome
from bgone.commands.cutting.sources import Source, find


class Copies:
    """Scissors that give back what they get; a file with ``bad`` in its name fails."""

    def cut(self, source: Source, write: Callable[[bytes], object]) -> Answer:
        assert source.path is not None
        write(source.path.read_bytes())
        if "bad" in source.name:
            raise Failure("unreadable_image", "The picture is damaged.", is_final="very" in source.name)
        return Answer("jpg" if "opaque" in source.name else "png", 4, 3)

    def close(self) -> None:
        """Nothing to let go of."""


def cut(
    names: Iterable[Path | str],
    naming: Naming,
    existing: Existing = "refuse",
    endings: tuple[str, ...] = ("png",),
    claims: Claims | None = None,
    stop: Stop | None = None,
) -> list[Outcome]:
    """Everything, as ``bgone cut`` does it, in one thread."""
    claims = claims or Claims()
    sources = without_answers(find(map(str, names), recursive=False), naming, endings)
    for source in sources:
        claims.note_source(source)
    errand = Errand(Copies(), naming, endings, existing, claims, Stop() if stop is None else stop)
    return [errand(Task(source, index)) for index, source in enumerate(sources, 1)]


def fill(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text(name)
    return folder


def states(outcomes: list[Outcome]) -> dict[str, str]:
    return {Path(outcome.source).name: outcome.status for outcome in outcomes}


def test_answers_lie_in_their_folder(tmp_path: Path) -> None:
    """Each says what became of it."""
    (outcome,) = cut([fill(tmp_path / "in", "a.jpg")], Naming(tmp_path / "out"))

    assert (outcome.status, outcome.target, outcome.written) == ("done", str(tmp_path / "out" / "a.png"), 5)
    assert (tmp_path / "out" / "a.png").read_text() == "a.jpg"


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    """The others are done."""
    outcomes = cut([fill(tmp_path / "in", "a.jpg", "bad.jpg", "c.jpg")], Naming(tmp_path / "out"))

    assert states(outcomes) == {"a.jpg": "done", "bad.jpg": "failed", "c.jpg": "done"}
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "c.png"]


@pytest.mark.parametrize(
    ("existing", "status", "left"),
    [("refuse", "failed", "old"), ("skip", "skipped", "old"), ("overwrite", "done", "a.jpg")],
)
def test_what_is_there_is_written_over_only_when_asked(
    tmp_path: Path, existing: Existing, status: str, left: str
) -> None:
    """Without a word that is a failure: an answer that was asked for is not there."""
    fill(tmp_path / "out")
    (tmp_path / "out" / "a.png").write_text("old")
    (outcome,) = cut([fill(tmp_path / "in", "a.jpg")], Naming(tmp_path / "out"), existing)

    assert outcome.status == status
    assert (tmp_path / "out" / "a.png").read_text() == left
    if status == "failed":
        assert outcome.words.endswith("exists: say --overwrite or --skip-existing")


@pytest.mark.parametrize("existing", ["refuse", "skip", "overwrite"])
def test_a_source_is_never_written_over(tmp_path: Path, existing: Existing) -> None:
    """Neither its own nor another's, by whatever path."""
    fill(tmp_path / "in", "a.png", "b.jpg", "b.png")
    (tmp_path / "way").symlink_to(tmp_path / "in")
    cut(
        [tmp_path / "in" / "a.png", tmp_path / "in" / "b.jpg", tmp_path / "in" / "b.png"],
        Naming(tmp_path / "way"),
        existing,
    )

    assert {path.name: path.read_text() for path in (tmp_path / "in").iterdir()} == {
        name: name for name in ("a.png", "b.jpg", "b.png")
    }


def test_two_sources_with_one_answer_are_told_apart(tmp_path: Path) -> None:
    """The second fails, and hears what to do."""
    fill(tmp_path / "in", "a.jpg", "a.tif")
    first, second = cut([tmp_path / "in"], Naming(tmp_path / "out"), "overwrite")

    assert (first.status, second.status) == ("done", "failed")
    assert "{stem}-{suffix}.{format}" in second.words
    assert (tmp_path / "out" / "a.png").read_text() == "a.jpg"


def test_answers_of_an_earlier_run_are_no_sources(tmp_path: Path) -> None:
    """They lie beside their sources, and are found with them."""
    folder, naming = fill(tmp_path / "in", "a.jpg", "b.jpg"), Naming(None, "{stem}-cut.{format}")
    cut([folder], naming)
    fill(folder, "c.jpg")
    outcomes = cut([folder], naming, "skip")

    assert states(outcomes) == {"a.jpg": "skipped", "b.jpg": "skipped", "c.jpg": "done"}
    assert not (folder / "a-cut-cut.png").exists()


def test_auto_is_named_after_what_came_out(tmp_path: Path) -> None:
    """And skipped by either name."""
    folder = fill(tmp_path / "in", "a.jpg", "opaque.jpg")
    first = cut([folder], Naming(tmp_path / "out"), endings=("png", "jpg"))
    again = cut([folder], Naming(tmp_path / "out"), "skip", endings=("png", "jpg"))

    assert [Path(str(outcome.target)).name for outcome in first] == ["a.png", "opaque.jpg"]
    assert states(again) == {"a.jpg": "skipped", "opaque.jpg": "skipped"}


def test_an_answer_of_this_run_may_be_replaced(tmp_path: Path) -> None:
    """By its own source, which has changed."""
    claims, folder = Claims(), fill(tmp_path / "in", "a.jpg")
    cut([folder], Naming(tmp_path / "out"), claims=claims)
    (folder / "a.jpg").write_text("changed")
    (outcome,) = cut([folder], Naming(tmp_path / "out"), "skip", claims=claims)

    assert outcome.status == "done"
    assert (tmp_path / "out" / "a.png").read_text() == "changed"
    assert claims.is_ours(str(tmp_path / "out" / "a.png"))


def test_a_folder_that_cannot_be_written_is_a_failure(tmp_path: Path) -> None:
    """Of each picture, in words."""
    (tmp_path / "out").write_text("a file")
    (outcome,) = cut([fill(tmp_path / "in", "a.jpg")], Naming(tmp_path / "out"))

    assert (outcome.status, outcome.kind) == ("failed", "unwritable")
    assert outcome.words == f"cannot be written: {tmp_path / 'out'} is no folder"


def test_a_failure_that_the_next_would_share_ends_the_work(tmp_path: Path) -> None:
    """A key that is wrong is wrong for all."""
    stop = Stop()
    cut([fill(tmp_path / "in", "very-bad.jpg")], Naming(tmp_path / "out"), stop=stop)

    assert stop
    assert stop.sign is None
