"""Models that requests choose, over real HTTP, with nets that really run."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from httpx2 import Response

import bgone.nets
from bgone.matting.models import EMBEDDED, Recipe
from bgone.pipeline.sight import seat_bytes
from tests.conftest import ROOT
from tests.matting.nets import write_net
from tests.pictures import ball, decode, encode, photo
from tests.pipeline.test_studio import RedEngine, open_studio
from tests.serving import Served, free_port, serve, start

# Left half dark, right half light; the nets' weights give light a high logit: blue counts most.
HALVES = np.zeros((90, 160, 3), np.uint8)
HALVES[:, 80:] = 255
PHOTO = encode(HALVES, "PNG")
LIGHT = Recipe(
    64, 64, fit="letterbox", number="float", layout="nchw", mean=(0.5, 0.5, 0.5), std=(0.05, 0.05, 0.05),
    activation="sigmoid",
)  # fmt: skip
DARK = Recipe(
    64, 64, number="float", layout="nchw", mean=(0.5, 0.5, 0.5), std=(0.05, 0.05, 0.05), output="dark",
    activation="sigmoid",
)  # fmt: skip


def nets(folder: Path) -> tuple[Path, Path]:
    """Two nets with recipes beside them: one cuts what is light, one what is dark."""
    light = write_net(folder / "light.onnx", height=64, width=64)
    dark = write_net(folder / "dark.onnx", height=64, width=64, outputs=["dark", "light"])
    for path, recipe in ((light, LIGHT), (dark, DARK)):
        path.with_suffix(".json").write_text(json.dumps(asdict(recipe)))
    return light, dark


@pytest.fixture(scope="module")
def choosing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with the embedded net and two of the operator's own."""
    folder = tmp_path_factory.mktemp("choosing")
    light, dark = nets(folder)
    with serve(folder, models=f"{light},{dark}") as served:
        yield served


def cut(server: Served, **options: str) -> Response:
    return server.post("/cut/v1", files={"image": ("photo.png", PHOTO)}, data=options)


def sides(answer: Response) -> tuple[float, float]:
    """Mean alpha, 0..1, of the left and of the right half, the middle left out."""
    assert answer.status_code == 200, answer.text
    alpha = decode(answer.content)[..., 3] / 255
    return float(alpha[:, :70].mean()), float(alpha[:, 90:].mean())


def test_a_request_chooses_its_model(choosing: Served) -> None:
    """Each net's own recipe and output: one keeps the light half, one the dark one; a letterbox leaves no shift."""
    assert sides(cut(choosing, model="light")) == pytest.approx((0, 1), abs=0.01)
    assert sides(cut(choosing, model="dark")) == pytest.approx((1, 0), abs=0.01)


def test_the_log_names_the_model_that_was_chosen(choosing: Served) -> None:
    """And is silent of the default."""
    chose, did_not = cut(choosing, model="dark"), cut(choosing)

    assert choosing.logged(chose.headers["x-request-id"])["model"] == "dark"
    assert "model" not in choosing.logged(did_not.headers["x-request-id"])


def test_many_at_once_get_their_own_models(choosing: Served) -> None:
    """Three nets in turn over one lane: nobody gets another's matte."""
    names = ["light", "dark", "light", "dark", "dark", "light"]
    with ThreadPoolExecutor(len(names)) as pool:
        answers = list(pool.map(lambda name: cut(choosing, model=name), names))

    for name, answer in zip(names, answers, strict=True):
        assert sides(answer) == pytest.approx((0, 1) if name == "light" else (1, 0), abs=0.01)


def test_the_default_has_a_name_too(choosing: Served) -> None:
    """Said or not, the same bytes."""
    assert cut(choosing, model=EMBEDDED).content == cut(choosing).content


def test_the_query_of_a_raw_body_may_choose(choosing: Served) -> None:
    """Like every other option."""
    answer = choosing.post("/cut/v1?model=dark", content=PHOTO)

    assert sides(answer) == pytest.approx((1, 0), abs=0.01)


@pytest.mark.parametrize("name", ["u2netp", "nothing", "../light", "light.onnx"])
def test_a_model_that_is_not_enabled_is_refused(choosing: Served, name: str) -> None:
    """With the list of those that are; no path, no download, nothing of the table beyond it."""
    answer = cut(choosing, model=name)

    assert answer.status_code == 400
    assert f"model: expected one of {EMBEDDED}, light, dark, got '{name}'." in answer.text


def test_a_job_is_refused_before_it_is_taken(choosing: Served) -> None:
    """Not hours later, in a worker."""
    answer = choosing.post("/cut/v1/jobs", files={"image": ("photo.png", PHOTO)}, data={"model": "nothing"})

    assert answer.status_code == 400
    assert "expected one of" in answer.text


def test_other_dialects_take_the_default(choosing: Served) -> None:
    """A provider's field of that name is none of ours."""
    fields = {"image_file": ("photo.png", photo(161, 120, of=ball))}
    with_model = choosing.post("/v1.0/removebg", files=fields, data={"model": "dark"})
    without = choosing.post("/v1.0/removebg", files=fields)

    assert with_model.status_code == without.status_code == 200
    assert with_model.content == without.content


def test_the_budget_is_what_the_nets_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the machine's memory, less what every seat takes for a large net; never more than was asked for."""
    monkeypatch.setattr(bgone.nets, "resident_bytes", lambda: 300_000_000)

    async def left(memory_bytes: int, recipe: Recipe) -> int:
        monkeypatch.setattr(bgone.nets, "memory_bytes", lambda: memory_bytes)
        engine = RedEngine()
        engine.recipe = recipe
        async with open_studio(seats=2, budget_bytes=500_000_000, engine=engine) as studio:
            bgone.nets.keep_room(studio)
            return studio.budget.limit_bytes

    large = Recipe(1024, 1024)
    assert asyncio.run(left(800_000_001, Recipe(320, 320))) == 500_000_000
    assert asyncio.run(left(700_000_000, Recipe(320, 320))) == 400_000_000
    assert asyncio.run(left(1_000_000_000, large)) == 700_000_000 - 2 * seat_bytes(large)
    assert asyncio.run(left(200_000_000, large)) == 0


def test_a_model_that_is_not_here_stops_the_start(tmp_path: Path) -> None:
    """One line that names the command; nothing is fetched."""
    process = start(tmp_path, free_port(), models="u2netp", drain_s=0)

    assert process.wait(60) == 78
    assert "Type: bgone models pull u2netp" in (tmp_path / "log").read_text()


def test_two_models_of_one_name_stop_the_start(tmp_path: Path) -> None:
    """Requests could not tell them apart."""
    light, _ = nets(tmp_path)
    (tmp_path / "other").mkdir()
    other, _ = nets(tmp_path / "other")
    process = start(tmp_path, free_port(), models=f"{light},{other}", drain_s=0)

    assert process.wait(60) == 78
    assert "Two models are called light" in (tmp_path / "log").read_text()


def test_the_server_starts_with_what_was_chosen(tmp_path: Path) -> None:
    """``bgone models use``, then ``bgone serve`` without a word about models."""
    light, _ = nets(tmp_path)
    data = {"XDG_DATA_HOME": str(tmp_path / "data")}
    command = [sys.executable, "-m", "bgone", "models", "use", str(light)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BGONE_")}
    subprocess.run(command, cwd=ROOT, check=True, env=clean | data, stdout=subprocess.DEVNULL)

    with serve(tmp_path) as served:
        assert sides(cut(served)) == pytest.approx((0, 1), abs=0.01)
        (ready,) = (line for line in served.log() if line.get("event") == "ready")
        assert ready["model"] == str(light)
