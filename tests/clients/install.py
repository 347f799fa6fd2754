"""Client programs of other people, at pinned versions, each set in a folder of its own outside the tree.

Installed once and kept in ``$XDG_CACHE_HOME/bgone-clients`` (``~/.cache/bgone-clients``); delete the folder to install
anew. Where a set cannot be installed the test is skipped with the reason.
"""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

# A cold install takes 5 to 20 s; a registry that answers more slowly is not waited for.
INSTALL_S = 90
RUN_S = 60


def node_packages(
    name: str,
    packages: Mapping[str, str],
    *,
    overrides: Mapping[str, str] | None = None,
    edit: Callable[[Path], None] | None = None,
) -> Path:
    """npm packages, whose scripts are not run; returns a folder in which ``node -e "require('PACKAGE')"`` finds them.

    Args:
        name: Of the set.
        packages: Name → version.
        overrides: Versions of what they depend on.
        edit: Changes the installed copies; gets the ``node_modules`` folder.
    """
    wanted = json.dumps(
        {"private": True, "dependencies": dict(packages), "overrides": dict(overrides or {})}, sort_keys=True
    )
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("needs node and npm, which are not on the PATH")

    def fill(folder: Path) -> None:
        (folder / "package.json").write_text(wanted)
        _install(
            ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts", "--loglevel=error"],
            folder,
        )
        if edit is not None:
            edit(folder / "node_modules")

    edits = inspect.getsource(edit) if edit is not None else ""
    return _once(f"node-{name}", wanted + edits, fill)


def python_packages(name: str, *requirements: str) -> Path:
    """PyPI packages in a virtual environment of their own; returns its interpreter."""

    def fill(folder: Path) -> None:
        _install([sys.executable, "-m", "venv", "--without-pip", str(folder)], folder)
        pip = [sys.executable, "-m", "pip", "--python", str(_python(folder)), "install", "--quiet"]
        _install([*pip, "--disable-pip-version-check", *requirements], folder)

    return _python(_once(f"python-{name}", f"{sys.version_info[:2]} {' '.join(requirements)}", fill))


def run(command: list[str], folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a client program to its end; proxies of the environment are not for the local server."""
    clean = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    return subprocess.run(
        command, cwd=folder, env=clean | environment, capture_output=True, text=True, timeout=RUN_S, check=False
    )


def _python(folder: Path) -> Path:
    return folder / "bin" / "python"


def _once(name: str, wanted: str, fill: Callable[[Path], None]) -> Path:
    """The folder of a set, filled unless an earlier session has done it; another session waits meanwhile."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bgone-clients"
    folder = home / f"{name}-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
    home.mkdir(parents=True, exist_ok=True)
    with (home / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / ".installed").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            fill(folder)
            (folder / ".installed").touch()
    return folder


def _install(command: list[str], folder: Path) -> None:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{command[0]} did not install in {INSTALL_S} s")
    if done.returncode:
        pytest.skip(f"{command[0]} could not install: {(done.stderr or done.stdout).strip()[-300:]}")
