"""Model files in a tar, for machines without network: verified like what was fetched, whatever the tar says."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Sequence
from pathlib import Path

from bgone.matting.model import Model
from bgone.matting.parts import (
    Check,
    Progress,
    PullError,
    locked,
    part_of,
    require_room,
    require_same,
    show,
    throw_away,
)

PIECE = 1 << 20


def write(models: Sequence[tuple[Model, Path]], target: Path) -> None:
    """Write a tar of model files that ``take`` reads on a machine without network.

    Raises:
        OSError: It cannot be written.
    """
    aside = target.with_name(target.name + ".part")
    with tarfile.open(aside, "w") as tar:
        for model, path in models:
            tar.add(path, arcname=model.file, filter=_plain)
    os.replace(aside, target)


def models_in(source: Path, known: Sequence[Model]) -> list[Model]:
    """Models whose files are in a bundle.

    Raises:
        PullError: It is no bundle.
    """
    try:
        with tarfile.open(source) as tar:
            inside = {member.name for member in tar if member.isreg()}
    except (OSError, tarfile.TarError) as error:
        raise PullError(f"{source} is no bundle: {error}.") from error
    return [model for model in known if model.file in inside]


def take(model: Model, folder: Path, source: Path, *, check: Check, on_progress: Progress) -> Path:
    """Bring a model's file out of a bundle, verified like one that was fetched.

    Raises:
        PullError: It is not in there, or it is another file.
    """
    with locked(model, folder):
        path, part = folder / model.file, part_of(model, folder)
        throw_away(part)
        require_room(model, folder)
        try:
            # Never extracted by its name: whatever a tar says, only this one file is written.
            with tarfile.open(source) as tar, part.open("wb") as file:
                inside = tar.extractfile(model.file)
                if inside is None:
                    raise KeyError(model.file)
                for piece in iter(lambda: inside.read(PIECE), b""):
                    file.write(piece)
                    on_progress(file.tell(), model.size_bytes)
        except (OSError, tarfile.TarError, KeyError) as error:
            raise PullError(f"{model.file} cannot be read from {source}: {error}.") from error
        require_same(part, model)
        return show(part, path, model, check)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Nothing of this machine in the bundle: the same files make the same tar."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    member.mode = 0o644
    return member
