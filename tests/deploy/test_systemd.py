"""The systemd units: judged by systemd's own tools; and a server that works behind their filter of system calls.

Units cannot be started here: that takes systemd as the first process.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bgone.settings import load
from tests.clients.install import python_packages
from tests.deploy.programs import DEPLOY, installed_program, output
from tests.deploy.running import running
from tests.deploy.test_packaging import clean
from tests.pictures import ball, decode, photo
from tests.serving import Served, free_port

UNITS = DEPLOY / "systemd"
NAMES = ("bgone", "bgone-work")
MOST_EXPOSED = 15  # tenths of systemd's scale of 10; most units of a Debian have 90 and more

# What MemoryDenyWriteExecute= and SystemCallFilter= do, for a process of which systemd is not the parent.
JAIL = """
import ctypes, errno, os, sys
import pyseccomp
PR_SET_NO_NEW_PRIVS, PR_SET_MDWE, REFUSE_GAIN = 38, 65, 1
program, *allowed = sys.argv[1].split(","), *sys.argv[2].split(",")
libc = ctypes.CDLL(None, use_errno=True)
jail = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
for name in allowed:
    try:
        jail.add_rule(pyseccomp.ALLOW, name)
    except (ValueError, OSError):
        pass  # of another architecture, or newer than the library
if libc.prctl(PR_SET_MDWE, REFUSE_GAIN, 0, 0, 0) and ctypes.get_errno() != errno.EINVAL:  # Linux before 6.3
    raise OSError(ctypes.get_errno(), "PR_SET_MDWE")
jail.load()
os.execv(program[0], program)
"""


def values(unit: str, key: str) -> list[str]:
    """What a unit says of a key, in order."""
    return re.findall(rf"^{key}=(.*)$", (UNITS / f"{unit}.service").read_text(), re.MULTILINE)


@pytest.fixture(scope="module")
def analyze() -> Path:
    """``systemd-analyze``."""
    return installed_program("systemd", "systemd-analyze")


@pytest.mark.parametrize("name", NAMES)
def test_units_please_systemd(analyze: Path, name: str, tmp_path: Path) -> None:
    """Every key known, every value possible, with a program that is there."""
    text = (UNITS / f"{name}.service").read_text()
    program = Path(sys.executable).parent / "bgone"
    (tmp_path / f"{name}.service").write_text(text.replace("/opt/bgone/bin/bgone", str(program)))

    said = output(analyze, "--man=no", "verify", tmp_path / f"{name}.service")
    assert [line for line in said.splitlines() if name in line] == []


def test_a_misspelled_key_is_seen(analyze: Path, tmp_path: Path) -> None:
    """By the check above."""
    (tmp_path / "wrong.service").write_text("[Service]\nExecStart=/bin/true\nProtectSistem=strict\n")

    assert "ProtectSistem" in output(analyze, "--man=no", "verify", tmp_path / "wrong.service")


@pytest.mark.parametrize("name", NAMES)
def test_units_expose_little(analyze: Path, name: str) -> None:
    """By systemd's own scale."""
    unit = UNITS / f"{name}.service"
    said = output(analyze, "security", "--no-pager", "--offline=true", f"--threshold={MOST_EXPOSED}", unit)

    assert "Overall exposure level" in said


def test_units_agree_with_settings_and_with_each_other() -> None:
    """Time to stop, the status that is not tried again, one user and one folder for both."""
    settings = load({})
    for name in NAMES:
        (patience,) = values(name, "TimeoutStopSec")
        assert int(patience) > settings.drain_s + settings.grace_s
        assert values(name, "RestartPreventExitStatus") == ["78"]
        assert values(name, "Environment") == ["BGONE_DATA_DIR=/var/lib/" + values(name, "StateDirectory")[0]]
        assert values(name, "ReadWritePaths") == []
    server, worker = ((UNITS / f"{name}.service").read_text().split("\nUser=")[1] for name in NAMES)
    strip = re.compile(r"^#.*\n", re.MULTILINE)
    assert strip.sub("", server) == strip.sub("", worker)


def calls(analyze: Path, group: str) -> set[str]:
    """The system calls of one of systemd's groups."""
    found = set()
    for line in output(analyze, "--no-pager", "syscall-filter", group).splitlines()[1:]:
        word = line.strip()
        if word.startswith("@"):
            found |= calls(analyze, word)
        elif word and not word.startswith("#"):
            found.add(word)
    return found


def test_server_works_behind_the_units_filter(analyze: Path, tmp_path: Path) -> None:
    """With the system calls that the unit allows, and no memory that is writable and executable."""
    wanted, unwanted = values("bgone", "SystemCallFilter")
    allowed = calls(analyze, "@default") | calls(analyze, wanted)
    for group in unwanted.removeprefix("~").split():
        allowed -= calls(analyze, group)
    assert {"read", "mmap"} <= allowed
    assert not {"mount", "ptrace", "chown", "sched_setaffinity"} & allowed
    port = free_port()
    words = [str(Path(sys.executable).parent / "bgone"), "serve", "--port", str(port)]
    jailer = python_packages("seccomp", "pyseccomp==0.1.2")
    command: list[str | Path] = [jailer, "-c", JAIL, ",".join(words), ",".join(sorted(allowed))]
    # Only what the log's end needs; nobody asks this process for anything else.
    with subprocess.Popen(["true"]) as nobody:
        served = Served(nobody, port, tmp_path / "log")
    with running(command, tmp_path / "log", served.ready, clean(tmp_path)):
        answer = served.post("/v1.0/removebg", files={"image_file": ("a.jpg", photo(161, 120, of=ball))})
        filters = re.findall(r"^Seccomp:\s+(\d)", status_of(port), re.MULTILINE)

    assert filters == ["2"]
    assert answer.status_code == 200
    assert decode(answer.content).shape == (120, 161, 4)


def status_of(port: int) -> str:
    """What the kernel says of the process that was told this port."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().endswith(f"--port\0{port}\0".encode()):
                return (path.parent / "status").read_text()
        except OSError:
            continue
    raise AssertionError("it is gone")
