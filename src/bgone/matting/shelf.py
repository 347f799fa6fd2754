"""The folder of model files: what lies there, which licences were accepted, which model was chosen."""

from __future__ import annotations

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from bgone.errors import StartError
from bgone.matting.model import Model
from bgone.matting.models import MODELS

_CHOICE = "in-use"


def chosen(folder: Path) -> str | None:
    """The model that ``bgone models use`` made the default, or None.

    Raises:
        StartError: Its file names none.
    """
    path = folder / _CHOICE
    try:
        name = path.read_text().strip()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"{path} cannot be read: {error}. Type: bgone models use NAME") from error
    if name not in MODELS and not name.endswith(".onnx"):
        raise StartError(f"{path} names no model: {name[:80]!r}. Type: bgone models use NAME")
    return name


def choose(folder: Path, name: str) -> Path:
    """Make a model the default of all that read this folder; gives the file that says so.

    Raises:
        OSError: The folder cannot be written.
    """
    return write_aside(folder / _CHOICE, name + "\n")


def consent(folder: Path, model: Model) -> str | None:
    """When its licence was accepted, or None."""
    try:
        return _consent_path(folder, model).read_text()
    except FileNotFoundError:
        return None


def accept(folder: Path, model: Model) -> None:
    """Remember beside the file that the operator accepted its licence.

    Raises:
        OSError: The folder cannot be written.
    """
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    write_aside(_consent_path(folder, model), f"{model.licence}\n{model.terms}\naccepted {at}\n")


def write_aside(path: Path, text: str) -> Path:
    """Write a small file so that readers see the old one or the new one, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, aside = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o644)
        file.write(text)
    os.replace(aside, path)
    return path


def _consent_path(folder: Path, model: Model) -> Path:
    return folder / f"{model.file}.licence"
