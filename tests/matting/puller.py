"""A process that pulls one file, for tests that kill it: ``python -m tests.matting.puller URL FOLDER SHA256 BYTES``."""

from __future__ import annotations

import sys
from pathlib import Path

from bgone.matting.models import Model, Recipe
from bgone.matting.parts import PullError
from bgone.matting.pulling import pull


def row(sha256: str, size_bytes: int) -> Model:
    """A row for a file that is no net."""
    return Model(
        "tiny", "tiny.onnx", sha256, "MIT", Recipe(8, 8), batchable=False, description="", size_bytes=size_bytes
    )


def main() -> None:
    """See the module."""
    url, folder, sha256, size_bytes = sys.argv[1:]
    try:
        pull(row(sha256, int(size_bytes)), Path(folder), sources=[url], check=lambda path, model: None)
    except PullError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
