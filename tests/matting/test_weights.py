"""Finding and verifying model files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from bgone.errors import StartError
from bgone.matting import weights
from bgone.matting.models import EMBEDDED, MODELS, Model, Recipe
from bgone.settings import Settings


def made(content: bytes) -> Model:
    sha = hashlib.sha256(content).hexdigest()
    return Model("tiny", "tiny.onnx", sha, "Apache-2.0", Recipe(8, 8), batchable=True, description="")


def test_the_embedded_model_is_found_and_sound() -> None:
    """A checkout and a wheel carry it, and it is the one of the table."""
    row = MODELS[EMBEDDED]

    content = weights.verify(weights.find(row), row)
    assert isinstance(content, bytes)
    assert len(content) == row.size_bytes <= 15_000_000


def test_the_operators_folder_comes_first(tmp_path: Path) -> None:
    """A file there wins over the package's own."""
    row = MODELS[EMBEDDED]
    (tmp_path / row.file).write_bytes(b"another")

    assert weights.find(row, tmp_path) == tmp_path / row.file


def test_the_users_own_folder_is_looked_in_where_none_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the command pulled is there for the library too, at the settings' own default."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    folder = Settings().models_path
    folder.mkdir(parents=True)
    (folder / "tiny.onnx").write_bytes(b"a net")

    assert weights.find(made(b"a net")) == folder / "tiny.onnx"


def test_a_model_that_is_nowhere_says_where_it_was_looked_for(tmp_path: Path) -> None:
    """The words name the model, its file and the folders."""
    with pytest.raises(StartError, match=r"tiny \(tiny\.onnx\) is in none of: .*" + tmp_path.name):
        weights.find(made(b""), tmp_path)


def test_one_flipped_byte_is_found(tmp_path: Path) -> None:
    """The words say what to do about it."""
    content = bytearray(b"a net" * 100)
    row = made(bytes(content))
    content[200] ^= 1
    (tmp_path / row.file).write_bytes(content)

    with pytest.raises(StartError, match=rf"damaged or another file: sha256 [0-9a-f]{{64}}, expected {row.sha256}"):
        weights.verify(tmp_path / row.file, row)


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """No traceback for the operator."""
    with pytest.raises(StartError, match="cannot be read"):
        weights.verify(tmp_path, made(b""))


def test_what_was_verified_is_what_is_returned(tmp_path: Path) -> None:
    """The bytes themselves, so that nobody can change the file in between."""
    (tmp_path / "tiny.onnx").write_bytes(b"a net")

    assert weights.verify(tmp_path / "tiny.onnx", made(b"a net")) == b"a net"


def test_names_and_own_files_are_told_apart(tmp_path: Path) -> None:
    """A known name has a row, an existing .onnx file none."""
    own = tmp_path / "own.onnx"
    own.write_bytes(b"")

    assert weights.model_row(EMBEDDED) is MODELS[EMBEDDED]
    assert weights.model_row(str(own)) is None


@pytest.mark.parametrize("name", ["other", "/nowhere/net.onnx", "/etc/passwd", ""])
def test_an_unknown_name_lists_the_known_ones(name: str) -> None:
    """Neither a typo nor any other file is loaded."""
    with pytest.raises(StartError, match=f"expected one of {EMBEDDED}"):
        weights.model_row(name)


def test_a_model_that_can_be_pulled_says_how(tmp_path: Path) -> None:
    """The command is part of the words; the embedded one has none."""
    with pytest.raises(StartError, match=r"u2netp\.onnx\) is in none of: .*\. Type: bgone models pull u2netp$"):
        weights.find(MODELS["u2netp"], tmp_path)


def test_large_files_are_verified_without_being_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their path comes back, for the runtime to read; a flipped byte is found all the same."""
    monkeypatch.setattr(weights, "_SMALL", 10)
    (tmp_path / "tiny.onnx").write_bytes(b"a net" * 100)
    row = made(b"a net" * 100)

    assert weights.verify(tmp_path / "tiny.onnx", row) == str(tmp_path / "tiny.onnx")
    (tmp_path / "tiny.onnx").write_bytes(b"a net" * 99 + b"a nut")
    with pytest.raises(StartError, match="damaged or another file"):
        weights.verify(tmp_path / "tiny.onnx", row)


def test_own_files_are_called_by_their_stem() -> None:
    """No folder of the operator's shows in an answer."""
    assert weights.called("/nets/own.v2.onnx") == "own.v2"
    assert weights.called("birefnet-general") == "birefnet-general"
    assert weights.called("bria-rmbg-1.4") == "bria-rmbg-1.4"


def test_what_can_be_loaded_together_is_known_before(tmp_path: Path) -> None:
    """Two of one name, a missing one, and more weights than memory are refused."""
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.onnx").write_bytes(b"x" * 2_000_000)
    own, other = (str(tmp_path / folder / "own.onnx") for folder in ("a", "b"))

    weights.require_loadable([EMBEDDED, own], None, 15_000_000)
    with pytest.raises(StartError, match=r"are 5 MB; this machine lets bgone use 4 MB"):
        weights.require_loadable([EMBEDDED, own], None, 4_000_000)
    with pytest.raises(StartError, match="Two models are called own"):
        weights.require_loadable([own, other], None, 15_000_000)
    with pytest.raises(StartError, match="bgone models pull u2netp"):
        weights.require_loadable([EMBEDDED, "u2netp"], tmp_path, 15_000_000)
    with pytest.raises(StartError, match="expected one of"):
        weights.require_loadable(["nothing"], None, 15_000_000)
