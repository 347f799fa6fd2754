"""Finding and verifying model files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from bgone.errors import StartError
from bgone.matting import weights
from bgone.matting.models import EMBEDDED, MODELS, Model, Recipe


def made(content: bytes) -> Model:
    sha = hashlib.sha256(content).hexdigest()
    return Model("tiny", "tiny.onnx", sha, "Apache-2.0", Recipe(8, 8), batchable=True, description="")


def test_the_embedded_model_is_found_and_sound() -> None:
    """A checkout and a wheel carry it, and it is the one of the table."""
    row = MODELS[EMBEDDED]

    content = weights.verify(weights.find(row), row)
    assert 1_000_000 < len(content) <= 15_000_000


def test_the_operators_folder_comes_first(tmp_path: Path) -> None:
    """A file there wins over the package's own."""
    row = MODELS[EMBEDDED]
    (tmp_path / row.file).write_bytes(b"another")

    assert weights.find(row, tmp_path) == tmp_path / row.file


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
