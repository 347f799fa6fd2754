"""Bundles: written here, read elsewhere, and never trusted."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from bgone.matting import bundles
from bgone.matting.parts import PullError
from tests.matting.test_pulling import CONTENT, OTHER, TINY


def taken(tmp_path: Path, tar: Path) -> Path:
    return bundles.take(
        TINY, tmp_path / "models", tar, check=lambda path, model: None, on_progress=lambda done, total: None
    )


def test_a_bundle_brings_the_file_elsewhere(tmp_path: Path) -> None:
    """Written here, read there; the same files make the same bundle."""
    (tmp_path / "own.onnx").write_bytes(CONTENT)
    for name in ("one.tar", "two.tar"):
        bundles.write([(TINY, tmp_path / "own.onnx")], tmp_path / name)

    assert bundles.models_in(tmp_path / "one.tar", [TINY]) == [TINY]
    assert taken(tmp_path, tmp_path / "one.tar").read_bytes() == CONTENT
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_a_bundle_of_another_file_is_refused(tmp_path: Path) -> None:
    """The sum decides, not the name."""
    (tmp_path / "own.onnx").write_bytes(OTHER)
    bundles.write([(TINY, tmp_path / "own.onnx")], tmp_path / "one.tar")

    with pytest.raises(PullError, match="another file"):
        taken(tmp_path, tmp_path / "one.tar")
    assert [path.name for path in (tmp_path / "models").iterdir()] == [".tiny.onnx.lock"]


def test_a_hostile_bundle_writes_nothing_else(tmp_path: Path) -> None:
    """Links and names that climb are never followed: only the table's file is read, only one file written."""
    with tarfile.open(tmp_path / "one.tar", "w") as tar:
        link = tarfile.TarInfo("tiny.onnx")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
        climbing = tarfile.TarInfo("../outside")
        tar.addfile(climbing)

    assert bundles.models_in(tmp_path / "one.tar", [TINY]) == []
    with pytest.raises(PullError, match="cannot be read from"):
        taken(tmp_path, tmp_path / "one.tar")
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("content", [b"no tar", b""])
def test_what_is_no_bundle_is_told(tmp_path: Path, content: bytes) -> None:
    """One line."""
    (tmp_path / "one.tar").write_bytes(content)

    with pytest.raises(PullError, match="is no bundle"):
        bundles.models_in(tmp_path / "one.tar", [TINY])
