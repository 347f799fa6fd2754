"""What is told of pictures."""

from __future__ import annotations

import io

import pytest

from bgone.commands.cutting.outcomes import Answer, Outcome, Tally, clock
from bgone.commands.cutting.report import Report, bar
from tests.commands.process import lines

DONE = Outcome("a.jpg", "done", "out/a.png", 0.25, Answer("png", 4, 3), 99)
FAILED = Outcome("b.jpg", "failed", kind="unreadable_image", words="It is\ndamaged.", detail="why")


@pytest.mark.parametrize(
    ("tally", "width", "text"),
    [
        (Tally(100, 42, 0, 0, 6.0), 80, "[##########..............] 42/100  7.0/s  8.3 s left"),
        (Tally(100, 40, 1, 1, 6.0), 80, "[##########..............] 42/100  6.8/s  8.5 s left  1 failed"),
        (Tally(100, 42, 0, 0, 6.0), 34, "[##....] 42/100  7.0/s  8.3 s left"),
        (Tally(100, 42, 0, 0, 6.0), 10, "42/100  7."),
        (Tally(2000, 0, 0, 0, 0.0), 60, "[........................] 0/2,000"),
        (Tally(2000, 0, 500, 0, 1.0), 60, "[######..................] 500/2,000"),
        (Tally(None, 3, 0, 0, 60.0), 60, "3  watching"),
    ],
)
def test_the_bar_fits_its_terminal(tally: Tally, width: int, text: str) -> None:
    """How many, how fast, how long; what does not fit is left out."""
    assert bar(tally, width) == text
    assert len(bar(tally, width)) <= width


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (12.4, "12 s"), (60, "1:00"), (185.2, "3:05"), (3723, "1:02:03")],
)
def test_time_is_told_shortly(seconds: float, text: str) -> None:
    """As exactly as anybody wants it."""
    assert clock(seconds) == text


def test_json_has_a_line_for_each_and_one_for_all() -> None:
    """Each is whole when it is written."""
    written = io.StringIO()
    report = Report(Tally(3), json_to=written, shows_bar=False, summed=False)
    report.hear(DONE)
    report.hear(FAILED)
    report.end()
    first, second, summary = lines(written.getvalue().encode())

    assert first == {
        "source": "a.jpg", "target": "out/a.png", "status": "done", "format": "png", "width": 4, "height": 3,
        "bytes": 99, "seconds": 0.25,
    }  # fmt: skip
    assert second["error"] == {"kind": "unreadable_image", "message": "It is\ndamaged."}
    assert {name: summary["summary"][name] for name in ("done", "skipped", "failed", "not_begun", "interrupted")} == {
        "done": 1, "skipped": 0, "failed": 1, "not_begun": 1, "interrupted": False,
    }  # fmt: skip


def test_a_failure_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever its words are; nothing is said of what went well."""
    report = Report(Tally(2), json_to=None, shows_bar=False, summed=True)
    report.hear(DONE)
    report.hear(FAILED)
    report.end()
    printed = capsys.readouterr()

    assert printed.out == ""
    first, second = printed.err.splitlines()
    assert first == "bgone: b.jpg: It is damaged."
    assert second.startswith("1 done, 1 failed in 0.0 s")
