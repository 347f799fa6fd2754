"""Find a model's file and verify it: a request never names a file, and no request waits on a download."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import msgspec

from bgone.errors import StartError
from bgone.matting.model import Model, Recipe
from bgone.matting.models import MODELS

_PACKAGE = Path(__file__).resolve().parent.parent
_SMALL = 64 << 20  # above it ONNX Runtime reads the file itself: the bytes would lie in memory twice


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
    raise StartError(
        f"The model {name!r} (BGONE_MODEL, BGONE_MODELS or `bgone models use`): "
        f"expected one of {known} or the path of an existing .onnx file."
    )


def called(name: str) -> str:
    """What requests call a model: its name, or an own file's without folder and ending."""
    return name if name in MODELS else Path(name).stem


def own_recipe(path: Path) -> Recipe | None:
    """What the operator wrote beside an own file, ``NET.json`` beside ``NET.onnx``: members of ``Recipe``.

    Raises:
        StartError: It is there and is none.
    """
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return None
    known = {field.name for field in fields(Recipe)}
    try:
        said = msgspec.json.decode(beside.read_bytes(), type=dict[str, object])
        if strange := sorted(said.keys() - known):
            raise msgspec.ValidationError(f"no such member: {strange[0]}")
        return msgspec.convert(said, Recipe)
    except (OSError, msgspec.MsgspecError) as error:
        raise StartError(f"{beside}: expected a recipe, as docs/models.md tells it: {error}.") from error


def require_loadable(names: Sequence[str], models_dir: Path | None, memory_bytes: int) -> None:
    """Refuse what cannot be served together, before seconds are spent on loading it.

    Raises:
        StartError: Two have one name, one is missing, or the weights alone are more than the machine's memory.
    """
    total = 0
    for place, name in enumerate(names):
        if called(name) in [called(other) for other in names[:place]]:
            raise StartError(f"Two models are called {called(name)}: requests could not tell them apart.")
        row = model_row(name)
        total += (Path(name) if row is None else find(row, models_dir)).stat().st_size
    if total > memory_bytes:
        raise StartError(
            f"The weights of {', '.join(names)} are {total // 1_000_000} MB; "
            f"this machine lets bgone use {memory_bytes // 1_000_000} MB."
        )


def places(models_dir: Path | None = None) -> list[Path]:
    """Folders that model files are looked for in: ``models_dir`` or the user's own, the wheel, a checkout's."""
    return [models_dir or _own_folder(), _PACKAGE / "models", _PACKAGE.parent.parent / "models"]


def _own_folder() -> Path:
    """Where ``bgone models pull`` puts files when nobody says otherwise: for the library, which has no settings."""
    home = os.environ.get("XDG_DATA_HOME", "")
    return Path(home or Path.home() / ".local" / "share") / "bgone" / "models"


def find(model: Model, models_dir: Path | None = None) -> Path:
    """Where the model's file lies.

    Raises:
        StartError: In none of the ``places``; the words name the command that brings it.
    """
    for place in places(models_dir):
        if (place / model.file).is_file():
            return place / model.file
    cure = f" Type: bgone models pull {model.name}" if model.sources else ""
    looked = ", ".join(map(str, places(models_dir)))
    raise StartError(f"The model {model.name} ({model.file}) is in none of: {looked}.{cure}")


def verify(path: Path, model: Model) -> bytes | str:
    """Compare the file's SHA-256 with the table's.

    Returns:
        A small file's bytes, so that what was verified is what is loaded; a large one's path.

    Raises:
        StartError: The file differs or cannot be read.
    """
    try:
        content: bytes | str = str(path)
        if path.stat().st_size > _SMALL:
            got = digest(path)
        else:
            content = path.read_bytes()
            got = hashlib.sha256(content).hexdigest()
    except OSError as error:
        raise StartError(f"The model {path} cannot be read: {error.strerror}.") from error
    if got != model.sha256:
        cure = f"Type: bgone models pull {model.name}" if model.sources else "Reinstall bgone"
        raise StartError(
            f"{path} is damaged or another file: sha256 {got}, expected {model.sha256}. "
            f"{cure}, or name your own file with BGONE_MODEL=/path/file.onnx."
        )
    return content


def load(name: str, models_dir: Path | None = None) -> tuple[bytes | str, Recipe | None]:
    """What a runtime is given: the model's verified bytes or its path, and its recipe.

    Returns:
        As of ``verify``; an own file's path, and None where it has no recipe beside it.

    Raises:
        StartError: As of ``model_row``, ``own_recipe``, ``find`` and ``verify``.
    """
    row = model_row(name)
    if row is None:
        return name, own_recipe(Path(name))
    return verify(find(row, models_dir), row), row.recipe


def digest(path: Path) -> str:
    """SHA-256 of a file, lower-case hex.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
