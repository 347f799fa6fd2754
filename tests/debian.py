"""Debian programs that tests run: installed where we may; elsewhere the test is skipped, with the reason."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

INSTALL_S = 110
_APT = ("apt-get", "-o", "DPkg::Lock::Timeout=90", "--quiet", "--yes")


def program(name: str, *packages: str) -> str:
    """The path of a program; ``packages`` carry it and what it needs.

    Args:
        name: Looked for on the PATH.
        packages: Debian packages, installed as root where the program is missing.
    """
    if (found := shutil.which(name)) is not None:
        return found
    if shutil.which("apt-get") is None or os.geteuid() != 0:
        pytest.skip(f"needs {name}: install {' '.join(packages)}")
    install = (*_APT, "install", "--no-install-recommends", *packages)
    done = _run(install)
    if done.returncode:  # lists of packages may be old or missing
        _run((*_APT, "update"))
        done = _run(install)
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} could not be installed: {(done.stderr or done.stdout).strip()[-300:]}")
    return found


def _run(command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    clean = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    try:
        return subprocess.run(command, env=clean, capture_output=True, text=True, timeout=INSTALL_S, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"{' '.join(command[-3:])} did not install in {INSTALL_S} s")
