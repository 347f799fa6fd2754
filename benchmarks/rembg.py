"""rembg, the peer: its own environment, its own HTTP server, and nets from a folder that it may read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from benchmarks.server import Kind

VERSION = "2.0.86"
# What pip chose for it on the day of the first measurement; pinned, so that later runs meet the same peer.
FRIENDS = ("onnxruntime==1.31.1", "pillow==12.3.0", "numpy==2.4.6", "fastapi==0.128.8", "uvicorn==0.40.0")


class Rembg:
    """An installed rembg.

    Args:
        work: Where the environment and the nets are kept.
    """

    def __init__(self, work: Path) -> None:
        self.home = work / "rembg-home"  # rembg reads nets from its home only
        self._venv = work / "rembg-venv"
        self.home.mkdir(parents=True, exist_ok=True)

    def install(self) -> None:
        """Make the environment; minutes the first time, nothing after that."""
        done = self._venv / f".installed-{VERSION}"
        if done.is_file():
            return
        print(f"installing rembg {VERSION} into {self._venv} ...", flush=True)
        subprocess.run([sys.executable, "-m", "venv", self._venv], check=True)
        pip: list[str | Path] = [
            self._venv / "bin" / "python",
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
        ]
        subprocess.run([*pip, f"rembg[cpu,cli]=={VERSION}", *FRIENDS], check=True)
        # The first start compiles Python and numba for a minute or more: not in anybody's figures.
        subprocess.run([self._venv / "bin" / "rembg", "s", "--help"], check=True, stdout=subprocess.DEVNULL)
        done.touch()

    def kind(self, model: Path) -> Kind:
        """``rembg s`` with this net, a file inside ``home``.

        Its web page is off (``--no-ui``), which saves it memory, start-up time and work while idle; all else is as it
        comes.
        """
        extras = quote(json.dumps({"model_path": str(model)}))
        return Kind(
            name="rembg",
            command=(str(self._venv / "bin" / "rembg"), "s", "--no-ui", "--host", "127.0.0.1", "--port", "{port}"),
            environment={"U2NET_HOME": str(self.home), "BROWSER": "true", "PATH": os.environ.get("PATH", "")},
            ready_path="/openapi.json",
            post_path=f"/api/remove?extras={extras}",
            file_field="file",
            texts={"model": "u2net_custom"},
        )
