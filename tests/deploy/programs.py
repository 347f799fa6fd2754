"""Programs that the examples are checked with: the real ones, from Debian's packages, hardly one of them installed.

A package is unpacked in ``$XDG_CACHE_HOME/bgone-programs`` (``~/.cache/bgone-programs``), once; no service is ever
started. Where the program is on the PATH that one is taken.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.conftest import ROOT

DEPLOY = ROOT / "deploy"
DOWNLOAD_S = 90


def debian_program(package: str, inside: str) -> Path:
    """A program of a Debian package.

    Args:
        package: Its name.
        inside: Where the program lies in it, without a leading slash.
    """
    found = shutil.which(Path(inside).name, path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is not None:
        return Path(found)
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        pytest.skip(f"needs {Path(inside).name} on the PATH, or a Debian to get its package {package} from")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bgone-programs"
    home.mkdir(parents=True, exist_ok=True)
    with (home / f"{package}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / package / inside).exists():
            _unpack(package, home)
    return home / package / inside


def installed_program(package: str, name: str) -> Path:
    """A program that works in its place alone: where it is absent, its package is installed, if we may."""
    if shutil.which(name) is None and os.geteuid() == 0 and shutil.which("apt-get") is not None:
        _apt(ROOT, "update")
        done = _apt(ROOT, "install", "--yes", "--no-install-recommends", package)
        assert done.returncode == 0, f"apt-get could not install {package}: {done.stderr}"
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: apt-get install {package}")
    return Path(found)


def _unpack(package: str, home: Path) -> None:
    with tempfile.TemporaryDirectory(dir=home) as name:
        folder = Path(name)
        done = _apt(folder, "download", package)
        if done.returncode:  # lists that are old, or not there yet
            _apt(folder, "update")
            done = _apt(folder, "download", package)
        assert done.returncode == 0, f"apt-get could not get {package}: {done.stderr}"
        (file,) = folder.glob("*.deb")
        subprocess.run(["dpkg", "-x", file, folder / "files"], check=True)
        shutil.rmtree(home / package, ignore_errors=True)
        (folder / "files").rename(home / package)


def _apt(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = ["apt-get", "-o", "APT::Sandbox::User=root", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=DOWNLOAD_S, check=False)


def output(*command: str | Path, status: int = 0, environment: Mapping[str, str] | None = None) -> str:
    """What a program prints on both its channels; it must end with ``status``."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | dict(environment or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DOWNLOAD_S,
        check=False,
    )
    assert done.returncode == status, f"{command}:\n{done.stdout}"
    return done.stdout
