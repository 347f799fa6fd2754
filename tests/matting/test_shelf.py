"""The folder of model files: the choice and the consents."""

from __future__ import annotations

from pathlib import Path

import pytest

from bgone.errors import StartError
from bgone.matting import shelf
from bgone.matting.models import EMBEDDED, MODELS
from bgone.settings import Settings, load

BRIA = MODELS["bria-rmbg-1.4"]


def test_nothing_is_chosen_at_first(tmp_path: Path) -> None:
    """Neither in a folder that is empty nor in one that is not there."""
    assert shelf.chosen(tmp_path) is shelf.chosen(tmp_path / "absent") is None
    assert load({"BGONE_MODELS_DIR": str(tmp_path)}).model == EMBEDDED


def test_the_choice_is_the_settings_default(tmp_path: Path) -> None:
    """BGONE_MODEL wins over it; the data folder's own models folder is where it lies by default."""
    shelf.choose(tmp_path / "models", "u2netp")

    assert load({"BGONE_DATA_DIR": str(tmp_path)}).model == "u2netp"
    assert load({"BGONE_MODELS_DIR": str(tmp_path / "models")}).model == "u2netp"
    assert load({"BGONE_DATA_DIR": str(tmp_path), "BGONE_MODEL": EMBEDDED}).model == EMBEDDED
    assert load({"BGONE_DATA_DIR": str(tmp_path)}, {"model": EMBEDDED}).model == EMBEDDED
    assert Settings(data_dir=str(tmp_path)).model == EMBEDDED


def test_a_later_choice_replaces_it(tmp_path: Path) -> None:
    """By rename: no reader finds half a name."""
    shelf.choose(tmp_path, "u2netp")
    shelf.choose(tmp_path, "/nets/own.onnx")

    assert shelf.chosen(tmp_path) == "/nets/own.onnx"
    assert [path.name for path in tmp_path.iterdir()] == ["in-use"]


@pytest.mark.parametrize("content", [b"", b"no such model", b"\xff\xfe", b"../etc/passwd"])
def test_a_damaged_choice_stops_the_start(tmp_path: Path, content: bytes) -> None:
    """The words name the file and the command that mends it."""
    (tmp_path / "in-use").write_bytes(content)

    with pytest.raises(StartError, match=r"in-use .*Type: bgone models use NAME"):
        load({"BGONE_MODELS_DIR": str(tmp_path)})


def test_consent_is_remembered_beside_the_file(tmp_path: Path) -> None:
    """What was accepted and when, for one model and no other."""
    assert shelf.consent(tmp_path, BRIA) is None

    shelf.accept(tmp_path, BRIA)
    text = shelf.consent(tmp_path, BRIA)
    assert text is not None
    assert BRIA.licence in text
    assert BRIA.terms in text
    assert "accepted 20" in text
    assert shelf.consent(tmp_path, MODELS["bria-rmbg-2.0"]) is None
