"""Shells complete our commands; bash is asked for real, others where they are installed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands.process import environment, run

BIN = Path(sys.executable).parent  # where pip has put bgone itself


def shell(name: str, script: str) -> list[str]:
    """Lines that a script of some shell prints, with bgone in the path."""
    command = shutil.which(name)
    assert command is not None
    path = environment()["PATH"]
    done = subprocess.run(
        [command, "-c", script], env=environment({"PATH": f"{BIN}:{path}"}), capture_output=True, check=True
    )
    assert done.stderr == b""
    return done.stdout.decode().splitlines()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("bgone c", ["completion", "cut"]),
        ("bgone completion ", ["bash", "fish", "zsh"]),
        ("bgone cut --over", ["--overwrite"]),
        ("bgone cut --background-", ["--background-fit", "--background-image", "--background-url"]),
        ("bgone cut --format w", ["webp"]),
        ("bgone cut --shadow ", ["3D", "car", "drop", "none", "offset"]),
        ("bgone serve --max-m", ["--max-mb", "--max-megapixels"]),
        ("bgone db b", ["backup"]),
    ],
)
def test_bash_completes(line: str, words: list[str]) -> None:
    """Commands, flags of every table, and words of options."""
    typed = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in typed)
    script = (
        f'eval "$(bgone completion bash)"; COMP_WORDS=({quoted}); COMP_CWORD={len(typed) - 1}; '
        "_bgone_completion bgone; printf '%s\\n' \"${COMPREPLY[@]}\""
    )

    assert sorted(shell("bash", script)) == words


def test_bash_leaves_files_to_itself() -> None:
    """Pictures are named by their paths."""
    script = 'eval "$(bgone completion bash)"; complete -p bgone'

    assert shell("bash", script) == ["complete -o nosort -F _bgone_completion bgone"]


@pytest.mark.parametrize(
    ("name", "how"), [("bash", "~/.bashrc"), ("zsh", "#compdef bgone"), ("fish", "complete --no-files --command bgone")]
)
def test_every_shell_has_its_script(name: str, how: str) -> None:
    """With a word on where it goes."""
    done = run("completion", name)

    assert done.returncode == 0
    assert how in done.stdout.decode()
    assert "_BGONE_COMPLETE" in done.stdout.decode()


def test_fish_and_zsh_read_theirs() -> None:
    """Where they are installed."""
    if shutil.which("fish"):
        assert "cut" in [
            line.split("\t")[0] for line in shell("fish", 'bgone completion fish | source; complete -C "bgone cu"')
        ]
    if shutil.which("zsh"):
        assert shell("zsh", "zsh -n <(bgone completion zsh) && echo fine") == ["fine"]


def test_an_unknown_shell_is_one_line() -> None:
    """With those that are known."""
    done = run("completion", "cmd")

    assert done.returncode == 2
    assert done.stderr.decode().startswith("bgone: Invalid value for '{bash|zsh|fish}': 'cmd' is not one of")
