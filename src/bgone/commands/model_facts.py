"""What ``bgone models`` tells of models: one value a row, the same members in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

from bgone.matting import shelf
from bgone.matting.model import Model, Recipe
from bgone.matting.models import MODELS
from bgone.matting.weights import called, own_recipe, places
from bgone.settings import Settings


class ModelFacts(msgspec.Struct, frozen=True):
    """A row of ``bgone models list``.

    Attributes:
        here: ``yes``; ``part``: a pull broke off; ``no``.
        used: ``default`` and who said so, ``choice``: requests may ask for it, or empty.
        consent: Its licence was accepted; None where it asks for none.
    """

    name: str
    size_mb: float
    licence: str
    commercial: str
    here: str
    used: str
    description: str
    width: int
    height: int
    sha256: str
    sources: tuple[str, ...]
    terms: str
    memory_mb: int | None
    seconds_cpu: float | None
    seconds_gpu: float | None
    consent: bool | None


class ModelList(msgspec.Struct, frozen=True):
    """``bgone models list --json``."""

    models: list[ModelFacts]


class VerifiedFile(msgspec.Struct, frozen=True):
    """A row of ``bgone models verify``; ``state`` is ``sound``, or what is wrong."""

    name: str
    state: str
    file: str


class VerifiedList(msgspec.Struct, frozen=True):
    """``bgone models verify --json``."""

    models: list[VerifiedFile]


class BenchedModel(msgspec.Struct, frozen=True):
    """A row of ``bgone models bench``."""

    name: str
    device: str
    net_ms: float
    load_s: float
    memory_mb: int | None
    rounds: int


class BenchedList(msgspec.Struct, frozen=True):
    """``bgone models bench --json``."""

    models: list[BenchedModel]


def model_facts(settings: Settings, environment: Mapping[str, str]) -> list[ModelFacts]:
    """Every model of the table, and own files that are in use."""
    told = [_facts(model, settings, environment) for model in MODELS.values()]
    own = [name for name in settings.enabled_models if name not in MODELS]
    return told + [_facts(_own(name), settings, environment) for name in own]


def _facts(model: Model, settings: Settings, environment: Mapping[str, str]) -> ModelFacts:
    folder = settings.models_path
    return ModelFacts(
        name=model.name,
        size_mb=round(model.size_bytes / 1e6, 1),
        licence=model.licence,
        commercial=model.commercial,
        here=_here(model, settings),
        used=_used(model, settings, environment),
        description=model.description,
        width=model.recipe.width,
        height=model.recipe.height,
        sha256=model.sha256,
        sources=model.sources,
        terms=model.terms,
        memory_mb=model.memory_mb,
        seconds_cpu=model.seconds_cpu,
        seconds_gpu=model.seconds_gpu,
        consent=shelf.consent(folder, model) is not None if model.asks_consent else None,
    )


def _here(model: Model, settings: Settings) -> str:
    if any((place / model.file).is_file() for place in places(settings.models_path)):
        return "yes"
    return "part" if (settings.models_path / f"{model.file}.part").is_file() else "no"


def _used(model: Model, settings: Settings, environment: Mapping[str, str]) -> str:
    names = [called(name) for name in settings.enabled_models]
    if model.name not in names:
        return ""
    if model.name != names[0]:
        return "choice"
    if environment.get("BGONE_MODEL"):
        return "default (BGONE_MODEL)"
    return "default (models use)" if shelf.chosen(settings.models_path) else "default"


def _own(path: str) -> Model:
    """A row for an operator's own file."""
    file = Path(path)
    recipe = own_recipe(file) or Recipe(0, 0)
    size = file.stat().st_size if file.is_file() else 0
    return Model(called(path), path, "", "own", recipe, batchable=False, description="Your own file.", size_bytes=size)
