"""``bgone`` as its users start it: a process of its own, with nothing set but what the test says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "bgone")


def environment(said: Mapping[str, str] | None = None) -> dict[str, str]:
    """The developer's without ``BGONE_*`` but for the device, and without what changes how programs speak."""
    strange = ("NO_COLOR", "TERM", "COLUMNS", "LINES")
    clean = {
        name: value
        for name, value in os.environ.items()
        # What is asked here is on loopback: no proxy has anything to do with it.
        if not name.startswith("BGONE_") and not name.lower().endswith("_proxy") and name not in strange
    }
    # On auto every call would compare OpenVINO with the usual runtime, and the machine choose.
    return clean | {"TERM": "xterm-256color", "BGONE_DEVICE": "cpu"} | dict(said or {})


def run(
    *arguments: str | Path, said: Mapping[str, str] | None = None, data: bytes = b"", folder: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """``bgone ARGUMENTS`` to its end.

    Args:
        said: Variables of its environment.
        data: Its standard input.
        folder: In which it is started.
    """
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        env=environment(said),
        input=data,
        cwd=folder,
        capture_output=True,
        check=False,
    )


def lines(output: bytes) -> list[dict[str, Any]]:
    """JSON, one value a line."""
    return [json.loads(line) for line in output.splitlines()]
