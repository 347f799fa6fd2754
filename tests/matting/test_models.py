"""The table of models: facts that hold for every row."""

from __future__ import annotations

import re
from dataclasses import fields

import pytest

from bgone.matting.models import EMBEDDED, MODELS, Model, Recipe
from tests.test_house import marked, rows

SPDX = {"Apache-2.0", "MIT", "CC-BY-NC-4.0"}
OTHERS = [model for name, model in MODELS.items() if name != EMBEDDED]


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
def test_a_row_is_whole(model: Model) -> None:
    """A name that is a file name and a word of a comma list, a sum, a size, a licence by its SPDX name."""
    assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", model.name)
    assert model.file == f"{model.name}.onnx"
    assert re.fullmatch(r"[0-9a-f]{64}", model.sha256)
    assert model.size_bytes > 1_000_000
    assert model.licence in SPDX or model.licence.startswith("LicenseRef-")
    assert model.description.endswith((".", ")"))
    assert min(model.recipe.std) > 0


@pytest.mark.parametrize("model", OTHERS, ids=lambda model: model.name)
def test_a_row_can_be_pulled(model: Model) -> None:
    """From pinned addresses: a commit on the hub, a release elsewhere; its terms can be read."""
    pinned = r"https://huggingface\.co/[^/]+/[^/]+/resolve/[0-9a-f]{40}/\S+\.onnx"
    released = r"https://github\.com/[^/]+/[^/]+/releases/download/[^/]+/\S+\.onnx"

    assert model.sources
    assert all(re.fullmatch(f"{pinned}|{released}", source) for source in model.sources)
    assert model.terms.startswith("https://")


def test_names_and_sums_are_apart() -> None:
    """No two rows are one file."""
    assert len({model.sha256 for model in MODELS.values()}) == len({model.file for model in MODELS.values()})
    assert len(MODELS) == len({model.sha256 for model in MODELS.values()})


def test_licences_that_bar_business_ask_for_consent() -> None:
    """And nothing else does."""
    asking = {model.name for model in MODELS.values() if model.asks_consent}

    assert asking == {"isnet-general-use", "bria-rmbg-1.4", "bria-rmbg-2.0"}
    assert all(model.licence not in ("MIT",) for model in MODELS.values() if model.asks_consent)


def shown(value: float | None) -> str:
    """How the table of docs/models.md writes a figure."""
    return "-" if value is None else f"{value:g}" if isinstance(value, float) else f"{value:,}"


def test_page_shows_every_row() -> None:
    """The table of docs/models.md is the table itself."""
    expected = [
        [
            f"`{model.name}`",
            model.licence,
            model.commercial,
            f"{model.size_bytes / 1e6:,.1f}",
            f"{model.recipe.width} x {model.recipe.height}",
            shown(model.memory_mb),
            shown(model.seconds_cpu),
            shown(model.seconds_gpu),
            model.description,
        ]
        for model in MODELS.values()
    ]

    assert rows(marked("docs/models.md", "models")) == expected


def test_page_explains_every_member_of_a_recipe() -> None:
    """And no other."""
    told = [name for cells in rows(marked("docs/models.md", "recipe")) for name in re.findall(r"`(\w+)`", cells[0])]

    assert told == [field.name for field in fields(Recipe)]
