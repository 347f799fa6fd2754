"""Databases of both kinds, and the command line on a data folder of the test's own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from bgone.__main__ import cli
from tests.databases import address, empty, migrated_postgres

__all__ = ["address", "empty", "migrated_postgres"]

Run = Callable[..., Result]


@pytest.fixture
def bgone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``bgone ARGUMENTS`` in this process, nothing set but the data folder and the device (as in process.py)."""
    for name in [name for name in os.environ if name.startswith("BGONE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BGONE_DATA_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("BGONE_DEVICE", "cpu")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(cli, arguments)

    return run


@pytest.fixture
def told(bgone: Run) -> Callable[..., dict[str, object]]:
    """What ``bgone ARGUMENTS --json`` prints; it must end well."""

    def read(*arguments: str) -> dict[str, object]:
        done = bgone(*arguments, "--json")
        assert (done.exit_code, done.stderr) == (0, "")
        answer: dict[str, object] = msgspec.json.decode(done.stdout)
        return answer

    return read
