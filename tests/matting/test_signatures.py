"""Nets with the signatures of the table's models, run by the real runtime, against numpy."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from bgone.errors import StartError
from bgone.matting.engine import EngineOptions
from bgone.matting.models import MODELS, Recipe
from bgone.matting.onnx import OnnxNet, check_file
from bgone.matting.tensor import matte_of, tensor_of
from tests.matting.nets import sigmoid, summed, write_net
from tests.pictures import scene

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's
FLOATS = Recipe(24, 32, number="float", layout="nchw")
IMAGENET = replace(FLOATS, mean=MEAN, std=STD)


def opened(path: Path, recipe: Recipe) -> OnnxNet:
    """The net as an operator's own file, its recipe beside it."""
    path.with_suffix(".json").write_text(json.dumps(asdict(recipe)))
    return OnnxNet(EngineOptions(model=str(path), device="cpu"))


def stretched(values: np.ndarray) -> np.ndarray:
    """A picture's own range on 0..1."""
    return np.asarray((values - values.min()) / (values.max() - values.min()))


def test_logits_become_mattes(tmp_path: Path) -> None:
    """BiRefNet's kind: ImageNet's mean and deviation, one output by name, the sigmoid outside."""
    recipe = replace(IMAGENET, output="output_image", activation="sigmoid")
    net = opened(write_net(tmp_path / "net.onnx", height=32, width=24, outputs=["output_image"]), recipe)
    picture = tensor_of(scene(61, 40), recipe)

    (matte,) = net.run(picture[None])

    assert (matte.dtype, matte.shape, net.batchable) == (np.float32, (32, 24), False)
    assert np.abs(matte - sigmoid(summed(picture, MEAN, STD))).max() < 1e-5  # float32 against float64


def test_the_named_output_of_several_is_the_matte(tmp_path: Path) -> None:
    """IS-Net's kind: twelve outputs, the wanted one last; mean 0.5, the sigmoid inside."""
    names = [f"side{place}" for place in range(11)]
    recipe = Recipe(24, 32, number="float", layout="nchw", mean=(0.5, 0.5, 0.5), output="output_image")
    path = write_net(tmp_path / "net.onnx", height=32, width=24, outputs=[*names, "output_image"], sigmoid=True)
    picture = tensor_of(scene(61, 40), recipe)

    (matte,) = opened(path, recipe).run(picture[None])

    assert np.abs(matte - sigmoid(summed(picture, (0.5, 0.5, 0.5), (1, 1, 1)))).max() < 1e-5


def test_the_first_output_is_the_matte_where_no_name_is_said(tmp_path: Path) -> None:
    """U²-Net's kind, whose outputs have numbers for names; each picture's range is stretched to 0..1."""
    recipe = replace(IMAGENET, activation="minmax")
    path = write_net(tmp_path / "net.onnx", height=32, width=24, outputs=["1959", "1960"], sigmoid=True)
    picture = tensor_of(scene(61, 40), recipe)

    (matte,) = opened(path, recipe).run(picture[None])

    assert np.abs(matte - stretched(-sigmoid(summed(picture, MEAN, STD)))).max() < 1e-5


def test_a_dark_picture_may_count_by_its_own_peak(tmp_path: Path) -> None:
    """U²-Net's loader: each picture of a batch by its own largest value; a black one stays black."""
    recipe = replace(FLOATS, by_peak=True, activation="sigmoid")
    net = opened(write_net(tmp_path / "net.onnx", batch="n", height=32, width=24), recipe)
    dark = tensor_of(scene(61, 40), recipe) // 3
    black = np.zeros_like(dark)

    mattes = net.run(np.stack([dark, black]))

    assert np.abs(mattes[0] - sigmoid(summed(dark * (255 / dark.max()), (0, 0, 0), (1, 1, 1)))).max() < 1e-5
    assert np.abs(mattes[1] - sigmoid(summed(black, (0, 0, 0), (1, 1, 1)))).max() < 1e-5


def test_half_precision_in_and_out(tmp_path: Path) -> None:
    """The tensor's kind is the graph's: float16 here, with the digits that it has."""
    path = write_net(tmp_path / "net.onnx", height=32, width=24, half=True, half_out=True, sigmoid=True)
    picture = tensor_of(scene(61, 40), FLOATS)

    (matte,) = opened(path, FLOATS).run(picture[None])

    assert matte.dtype == np.float32
    assert np.abs(matte - sigmoid(summed(picture, (0, 0, 0), (1, 1, 1)))).max() < 4e-3  # 11 bits


def test_half_precision_out_alone(tmp_path: Path) -> None:
    """BEN2's kind: float32 in, float16 out."""
    recipe = Recipe(24, 32, number="float", layout="nchw", activation="minmax")
    path = write_net(tmp_path / "net.onnx", height=32, width=24, half_out=True)
    picture = tensor_of(scene(61, 40), recipe)

    (matte,) = opened(path, recipe).run(picture[None])

    assert np.abs(matte - stretched(summed(picture, (0, 0, 0), (1, 1, 1)))).max() < 4e-3


@pytest.mark.parametrize(("width", "height"), [(61, 40), (40, 61), (50, 50), (300, 30)])
def test_a_free_size_keeps_the_aspect(tmp_path: Path, width: int, height: int) -> None:
    """MODNet's kind: the short side as the recipe says, multiples of it, one picture at a time."""
    recipe = Recipe(64, 64, fit="shortest", multiple=32, number="float", layout="nchw")
    net = opened(write_net(tmp_path / "net.onnx", batch="n", height="h", width="w", sigmoid=True), recipe)
    picture = tensor_of(scene(width, height), recipe)

    (matte,) = net.run(picture[None])

    assert not net.batchable
    assert matte.shape == picture.shape[:2]
    assert min(matte.shape) in (32, 64)
    assert max(matte.shape) <= 128
    assert all(side % 32 == 0 for side in matte.shape)
    assert np.abs(matte - sigmoid(summed(picture, (0, 0, 0), (1, 1, 1)))).max() < 1e-5


@pytest.mark.parametrize("place", ["middle", "corner"])
@pytest.mark.parametrize(("width", "height"), [(61, 40), (40, 61), (50, 50)])
def test_a_letterbox_gives_the_picture_back_alone(tmp_path: Path, width: int, height: int, place: str) -> None:
    """isnet-anime's kind: the whole picture on black, and only its part of the matte is the picture's."""
    recipe = Recipe(48, 48, fit="letterbox", place=place, number="float", layout="nchw")  # type: ignore[arg-type]
    net = opened(write_net(tmp_path / "net.onnx", height=48, width=48, sigmoid=True), recipe)
    working = scene(width, height)

    (answer,) = net.run(tensor_of(working, recipe)[None])
    matte = matte_of(answer, recipe, width, height)

    scale = 48 / max(width, height)
    assert matte.shape == (round(height * scale), round(width * scale))
    stretch = Recipe(matte.shape[1], matte.shape[0])
    expected = sigmoid(summed(tensor_of(working, stretch), (0, 0, 0), (1, 1, 1)))
    assert np.abs(matte - expected).max() < 1e-5


def test_a_free_batch_takes_several(tmp_path: Path) -> None:
    """Each gets its own matte, its range stretched alone."""
    recipe = Recipe(24, 32, number="float", layout="nchw", activation="minmax")
    net = opened(write_net(tmp_path / "net.onnx", batch="n", height=32, width=24, out_axes=3), recipe)
    batch = np.stack([tensor_of(scene(61, 40, seed=seed), recipe) for seed in range(3)])

    assert net.batchable
    for picture, matte in zip(batch, net.run(batch), strict=True):
        assert np.abs(matte - stretched(summed(picture, (0, 0, 0), (1, 1, 1)))).max() < 1e-5


def test_channels_are_turned_where_the_recipe_says_so(tmp_path: Path) -> None:
    """Blue first: the weights meet the other channels; mean and deviation are in the net's order."""
    recipe = Recipe(24, 32, number="float", layout="nchw", order="bgr", mean=(0.1, 0.2, 0.3))
    path = write_net(tmp_path / "net.onnx", height=32, width=24, sigmoid=True)
    picture = tensor_of(scene(61, 40), recipe)

    (matte,) = opened(path, recipe).run(picture[None])

    assert np.abs(matte - sigmoid(summed(picture[..., ::-1], (0.1, 0.2, 0.3), (1, 1, 1)))).max() < 1e-5


@pytest.mark.parametrize(
    ("net", "words"),
    [
        ({"height": 32, "width": 16}, r"expected an input \(any name\) float32 or float16 \(n, 3, 32, 24\)"),
        ({"height": 32, "width": 24, "source": "x"}, r"the graph has x tensor\(float\) \[1, 3, 32, 24\] and output"),
        ({"height": 32, "width": 24, "outputs": ["y"]}, r"an output output \(n, 32, 24\) or \(n, 1, 32, 24\)"),
    ],
)
def test_a_file_that_does_not_fit_its_recipe_is_refused(tmp_path: Path, net: dict[str, object], words: str) -> None:
    """The words tell what is expected and what the graph has, inputs and outputs."""
    named = "source" in net
    recipe = Recipe(24, 32, number="float", layout="nchw", input="input" if named else "", output="output")
    path = write_net(tmp_path / "net.onnx", **net)  # type: ignore[arg-type]

    with pytest.raises(StartError, match=words):
        check_file(path, recipe, "net.onnx")
    with pytest.raises(StartError, match=words):
        opened(path, recipe)


def test_a_float_net_without_a_recipe_is_refused(tmp_path: Path) -> None:
    """Nobody guesses means and activations."""
    path = write_net(tmp_path / "net.onnx", height=32, width=24)

    with pytest.raises(StartError, match="expected an input uint8"):
        OnnxNet(EngineOptions(model=str(path), device="cpu"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"width": 24}', "height"),
        ('{"width": 24, "height": 32, "deviation": 1}', "no such member: deviation"),
        ('{"width": 24, "height": 32, "fit": "crop"}', "fit"),
        ("{", "expected a recipe"),
    ],
)
def test_a_recipe_that_is_none_is_told(tmp_path: Path, text: str, words: str) -> None:
    """With the file's name and what is wrong in it."""
    path = write_net(tmp_path / "net.onnx", height=32, width=24)
    path.with_suffix(".json").write_text(text)

    with pytest.raises(StartError, match=rf"net\.json.*{words}"):
        OnnxNet(EngineOptions(model=str(path), device="cpu"))


@pytest.mark.parametrize("name", [name for name, row in MODELS.items() if row.recipe.number == "float"])
def test_every_recipe_of_the_table_runs(tmp_path: Path, name: str) -> None:
    """A net of that very signature loads, warms up and answers; a row whose data do not agree would not."""
    recipe = MODELS[name].recipe
    free = recipe.fit == "shortest"
    path = write_net(
        tmp_path / "net.onnx",
        height="h" if free else recipe.height,
        width="w" if free else recipe.width,
        source=recipe.input or "x",
        outputs=[recipe.output or "y"],
    )
    picture = tensor_of(scene(61, 40), recipe)

    (matte,) = opened(path, recipe).run(picture[None])

    assert matte.shape == picture.shape[:2]
    assert 0 <= matte.min() <= matte.max() <= 1
