"""Examples and container name only settings, commands and paths that there are."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest
import yaml
from starlette.routing import Route

from bgone.__main__ import cli
from bgone.api.routes import routes
from bgone.settings import describe
from tests.conftest import ROOT
from tests.deploy.programs import DEPLOY

FILES = [ROOT / "Dockerfile", *sorted(path for path in DEPLOY.rglob("*") if path.is_file())]
SETTINGS = {f"BGONE_{name.upper()}" for name, *_ in describe()}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_setting_that_is_named_exists(path: Path) -> None:
    """A variable that bgone does not read would be believed for years."""
    named = set(re.findall(r"\bBGONE_[A-Z_]+\b", path.read_text(encoding="utf-8")))

    assert named - SETTINGS == set()


def test_settings_are_named_at_all() -> None:
    """The search above finds them."""
    assert sum("BGONE_" in path.read_text(encoding="utf-8") for path in FILES) > 8


def test_every_probe_asks_a_path_that_is_served() -> None:
    """``/readyz`` and its kin, wherever an example has them."""
    served = {route.path for route in routes() if isinstance(route, Route)}
    probe = re.compile(r"(?:path:|health_uri|metrics_path:|:8000|:9100|') ?(/(?:livez|readyz|metrics|health)\b)")
    asked = {path for file in FILES for path in probe.findall(file.read_text(encoding="utf-8"))}

    assert asked >= {"/livez", "/readyz", "/metrics"}
    assert asked <= served


def commands() -> list[list[str]]:
    """The words after ``bgone`` that manifests start containers with, and units services."""
    found: list[list[str]] = []
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".service":
            found += [line.split() for line in re.findall(r"^ExecStart=/opt/bgone/bin/bgone (.*)$", text, re.MULTILINE)]
        elif path.suffix in (".yaml", ".yml"):
            found += [yaml.safe_load(words) for words in re.findall(r"^ +args: (\[.*\])$", text, re.MULTILINE)]
    compose = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text())["services"]
    found += [compose[name]["command"] for name in ("upgrade", "work")]
    return found


def test_every_command_that_is_started_exists() -> None:
    """With its flags."""
    assert len(commands()) >= 7
    for words in commands():
        group: click.Command = cli
        rest = list(words)
        while rest and isinstance(group, click.Group):
            found = group.get_command(click.Context(group), rest.pop(0))
            assert found is not None, words
            group = found
        flags = {flag for option in group.get_params(click.Context(group)) for flag in option.opts}
        assert {word for word in rest if word.startswith("--")} <= flags, words
