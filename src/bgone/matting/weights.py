"""Find a model's file and verify it: a request never names a file, and no request waits on a download."""

from __future__ import annotations

import hashlib
from pathlib import Path

from bgone.errors import StartError
from bgone.matting.models import MODELS, Model

_PACKAGE = Path(__file__).resolve().parent.parent


def model_row(name: str) -> Model | None:
    """The table's row of that name, or None when ``name`` is an operator's own ``.onnx`` path.

    Raises:
        StartError: Neither a known name nor an existing ``.onnx`` file.
    """
    if name in MODELS:
        return MODELS[name]
    if name.endswith(".onnx") and Path(name).is_file():
        return None
    known = ", ".join(MODELS)
    raise StartError(f"BGONE_MODEL={name}: expected one of {known} or the path of an existing .onnx file.")


def find(model: Model, models_dir: Path | None = None) -> Path:
    """Where the model's file lies: ``models_dir``, the wheel, or a checkout's ``models/``.

    Raises:
        StartError: In none of them.
    """
    places = [_PACKAGE / "models", _PACKAGE.parent.parent / "models"]
    if models_dir is not None:
        places.insert(0, models_dir)
    for place in places:
        if (place / model.file).is_file():
            return place / model.file
    raise StartError(f"The model {model.name} ({model.file}) is in none of: {', '.join(map(str, places))}.")


def verify(path: Path, model: Model) -> bytes:
    """Read the file whole and compare its SHA-256 with the table's.

    Returns:
        The file's bytes, so that what was verified is what is loaded.

    Raises:
        StartError: The file differs or cannot be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise StartError(f"The model {path} cannot be read: {error.strerror}.") from error
    got = hashlib.sha256(content).hexdigest()
    if got != model.sha256:
        raise StartError(
            f"{path} is damaged or another file: sha256 {got}, expected {model.sha256}. "
            "Reinstall bgone, or name your own file with BGONE_MODEL=/path/file.onnx."
        )
    return content
