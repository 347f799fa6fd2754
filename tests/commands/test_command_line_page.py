"""docs/command-line.md tells of every command as it is."""

from __future__ import annotations

import subprocess
import sys

from bgone.__main__ import cli
from bgone.commands.checkup.environment import OTHERS
from bgone.commands.cutting.naming import WORDS
from bgone.commands.menu import SECTIONS
from tests.conftest import ROOT

PAGE = ROOT / "docs" / "command-line.md"


def test_the_reference_is_the_commands_own() -> None:
    """Every command with every flag; ``make command-line`` writes it."""
    script = ROOT / "docs" / "make_command_line.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, f"docs/command-line.md is old: make command-line. {done.stderr}"


def test_the_page_explains_every_word_of_names() -> None:
    """As the code does."""
    text = PAGE.read_text(encoding="utf-8")

    assert [word for word, meaning in WORDS.items() if f"| `{{{word}}}` | {meaning} |" not in text] == []


def test_the_page_names_variables_that_are_no_settings() -> None:
    """Those of the command line."""
    text = PAGE.read_text(encoding="utf-8")

    assert [name for name in OTHERS if name != "BGONE_SHARED" and name not in text] == []


def test_help_has_a_section_for_every_command() -> None:
    """None is left over, and none is said twice."""
    named = [name for _, names in SECTIONS for name in names]

    assert sorted(named) == sorted(set(named)) == sorted(cli.commands)
