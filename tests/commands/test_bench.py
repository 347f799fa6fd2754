"""``bgone bench``: figures of this machine, in the form that is promised."""

from __future__ import annotations

import json

import pytest

from bgone.commands.bench import _table
from bgone.commands.benching.drawn import photo
from bgone.commands.benching.figures import Figures, Machine, Pictures
from bgone.imaging.photo import PhotoLimits, open_photo
from bgone.machine import cores
from tests.commands.process import run


def test_figures_are_told_in_json() -> None:
    """Each is a number that can be true."""
    done = run("bench", "--seconds", "0", "--json")
    told = json.loads(done.stdout)

    assert (done.returncode, done.stderr) == (0, b"")
    assert told["machine"]["cores"] == cores()
    assert told["machine"]["load_average"] >= 0
    assert told["net_p50_ms"] > 0
    assert [row["megapixels"] for row in told["pictures"]] == [1, 12]
    for row in told["pictures"]:
        assert all(row[name] > 0 for name in ("p50_ms", "cpu_ms", "per_second", "per_second_at_once"))
        assert row["at_once"] == cores() + 1
        assert row["peak_mb"] >= told["idle_mb"] // 2


def test_figures_are_told_as_a_table() -> None:
    """With what they stand on: machine, device, load average; a busy machine is told."""
    row = Pictures(12, 250.5, 220.0, 3.9, 3, 4.5, 290)
    calm, busy = (Machine("1.2.3", 4, 8000, load, "small", "CPUExecutionProvider") for load in (0.5, 3.0))

    first, *_, last = _table(Figures(calm, 33.0, 190, [row])).splitlines()
    assert first == "bgone 1.2.3, small on CPUExecutionProvider: 4 cores, 8,000 MB, load average 0.50"
    assert last.split() == ["12", "MP", "250.5", "ms", "220", "ms", "3.9/s", "4.5/s", "(3)", "290", "MB"]
    assert "Something else is working" in _table(Figures(busy, 33.0, 190, [row]))


@pytest.mark.parametrize(("width", "height"), [(61, 40), (400, 300)])
def test_pictures_are_drawn_alike_every_time(width: int, height: int) -> None:
    """No data file is needed."""
    header = open_photo(photo(width, height), PhotoLimits())

    assert (header.kind, header.width, header.height) == ("jpeg", width, height)
    assert photo(width, height) == photo(width, height) != photo(width, height, seed=1)
