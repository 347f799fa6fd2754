"""What many tests need: the shared pictures, and a real server on a real port."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.serving import Served, serve

ROOT = Path(__file__).resolve().parent.parent


def pytest_configure() -> None:
    """A shell's background jobs ignore Ctrl-C, and so would every command that the tests start and interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell in full why a test was run again: it is a defect to be found, of the test or of bgone."""
    for report in terminalreporter.stats.get("rerun", ()):
        terminalreporter.section(f"run again: {report.nodeid}")
        terminalreporter.line(report.longreprtext)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared test material; tests that need it say so where it is absent."""
    folder = Path(os.environ.get("BGONE_SHARED", "../shared"))
    folder = folder if folder.is_absolute() else ROOT / folder
    if not (folder / "corpus" / "manifest.csv").is_file():
        pytest.skip(f"needs the shared corpus: {folder}/corpus is absent (set BGONE_SHARED)")
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One running ``bgone serve`` with default settings and the embedded model, for all tests that change nothing."""
    with serve(tmp_path_factory.mktemp("server"), fetch_allow="127.0.0.0/8,::1/128") as served:
        yield served
