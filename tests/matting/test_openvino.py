"""OpenVINO's session, with the real package, against ONNX Runtime's."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from bgone.errors import StartError
from bgone.matting.engine import EngineOptions, Matte
from bgone.matting.models import EMBEDDED, MODELS, Recipe
from bgone.matting.onnx import OnnxNet
from bgone.matting.openvino import OpenVinoNet, installed
from bgone.matting.selfcheck import LARGEST, drawn
from bgone.matting.tensor import tensor_of
from tests.matting.nets import write_net
from tests.matting.test_onnx import net_file
from tests.pictures import ball, scene

FLOATS = Recipe(24, 32, number="float", layout="nchw")
IMAGENET = replace(FLOATS, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
# On a CPU with bf16 it computes in that: 8 bits of each number, summed up.
PRECISION = {"OpenVINO f32": 1e-5, "OpenVINO f16": 4e-3, "OpenVINO bf16": 5e-2}


@functools.cache
def embedded(max_batch: int = 1) -> OpenVinoNet:
    return OpenVinoNet(EngineOptions(model=EMBEDDED, device="openvino", max_batch=max_batch))


@functools.cache
def usual() -> OnnxNet:
    return OnnxNet(EngineOptions(model=EMBEDDED, device="cpu"))


def rounding() -> float:
    """How far mattes of the embedded net may be apart by rounding alone."""
    return LARGEST if embedded().device == "OpenVINO bf16" else 1e-3


def alone(code: str) -> list[str]:
    """What a process of its own prints, a word a line."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def apart(one: Matte, other: Matte) -> float:
    """Largest difference of mattes of one shape."""
    assert one.shape == other.shape
    assert one.dtype == other.dtype == np.float32
    return float(np.abs(one - other).max())


# --- the embedded net -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("picture", [scene(300, 200), ball(300, 200), *drawn(64, 48)])
def test_the_embedded_net_has_the_mattes_of_the_other_runtime(picture: np.ndarray) -> None:
    """To the last digits in f32; in bf16 within what the self-check lets pass."""
    tensor = tensor_of(picture, embedded().recipe)[None]

    assert apart(embedded().run(tensor), usual().run(tensor)) < rounding()


def test_it_tells_what_it_computes_in() -> None:
    """The precision is the compiled net's, not what was hoped for; and the recipe is the row's."""
    assert embedded().device in PRECISION
    assert embedded().recipe == MODELS[EMBEDDED].recipe


def test_bf16_is_nowhere_but_where_the_cpu_says_so() -> None:
    """Forced on others it was four times as slow."""
    flags = set(Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split())
    has = bool(flags & {"avx512_bf16", "amx_bf16", "avx_ne_convert"})

    assert has or embedded().device == "OpenVINO f32"


@pytest.mark.parametrize("threads", [1, 2])
def test_it_has_no_more_threads_than_were_said(threads: int) -> None:
    """Nor more than there are cores; one stream, on no core of its own."""
    compiled: Any = OpenVinoNet(EngineOptions(model=EMBEDDED, threads=threads))._request.get_compiled_model()

    assert compiled.get_property("INFERENCE_NUM_THREADS") == min(threads, len(os.sched_getaffinity(0)))
    assert compiled.get_property("NUM_STREAMS") == 1
    assert compiled.get_property("ENABLE_CPU_PINNING") is False


def test_threads_may_call_it_at_once() -> None:
    """Each gets its own picture's matte: answers lie in one place until they are copied."""
    tensors = [tensor_of(scene(61, 40, seed=seed), embedded().recipe)[None] for seed in range(6)]
    one_by_one = [embedded().run(tensor) for tensor in tensors]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(embedded().run, tensors * 3))

    assert all(np.array_equal(matte, one_by_one[place % 6]) for place, matte in enumerate(together))


def test_a_matte_outlives_the_next_run() -> None:
    """It is the caller's, not OpenVINO's memory."""
    first = embedded().run(tensor_of(ball(300, 200), embedded().recipe)[None])
    kept = first.copy()
    embedded().run(tensor_of(scene(61, 40), embedded().recipe)[None])

    assert np.array_equal(first, kept)


# --- batches --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_a_batch_gives_what_its_pictures_give_alone(count: int) -> None:
    """As many at once as were said, the rest after them."""
    net = embedded(4)
    batch = np.stack([tensor_of(scene(61, 40, seed=seed), net.recipe) for seed in range(count)])

    together = net.run(batch)

    assert net.batchable
    assert all(apart(together[place], net.run(batch[place : place + 1])[0]) < rounding() for place in range(count))


def test_one_at_a_time_is_no_batch() -> None:
    """The graph is made for one picture then; several come one after the other."""
    batch = np.stack([tensor_of(scene(61, 40, seed=seed), embedded().recipe) for seed in range(3)])

    assert not embedded().batchable
    assert apart(embedded().run(batch), embedded(4).run(batch)) < rounding()


def test_a_fixed_batch_axis_is_not_batchable(tmp_path: Path) -> None:
    """Whatever was said."""
    net = OpenVinoNet(EngineOptions(model=net_file(tmp_path, [1, 24, 16, 3]), max_batch=4))
    pictures = np.stack([scene(16, 24), scene(16, 24, seed=1)])

    assert not net.batchable
    assert np.allclose(net.run(pictures), pictures.mean(axis=3) / 255, atol=PRECISION[net.device])


# --- nets of other signatures ---------------------------------------------------------------------------------------

KINDS: dict[str, tuple[Recipe, dict[str, Any]]] = {
    "logits by name": (
        replace(IMAGENET, output="output_image", activation="sigmoid"),
        {"outputs": ["output_image"]},
    ),
    "the last of several": (
        replace(FLOATS, output="output_image"),
        {"outputs": [*(f"side{place}" for place in range(11)), "output_image"], "sigmoid": True},
    ),
    "the first of several": (replace(IMAGENET, activation="minmax"), {"outputs": ["1959", "1960"], "sigmoid": True}),
    "an input by name": (replace(FLOATS, input="picture", activation="sigmoid"), {"source": "picture"}),
    "half precision": (FLOATS, {"half": True, "half_out": True, "sigmoid": True}),
    "half precision out": (replace(FLOATS, activation="minmax"), {"half_out": True}),
    "no channel axis": (replace(FLOATS, activation="minmax"), {"batch": "n", "out_axes": 3}),
    "blue first": (replace(FLOATS, order="bgr", mean=(0.1, 0.2, 0.3)), {"sigmoid": True}),
    "by its own peak": (replace(FLOATS, by_peak=True, activation="sigmoid"), {"batch": "n"}),
}


def both(path: Path, recipe: Recipe, **options: Any) -> tuple[OpenVinoNet, OnnxNet]:
    """The net as an operator's own file, its recipe beside it, by both runtimes."""
    path.with_suffix(".json").write_text(json.dumps(asdict(recipe)))
    asked = EngineOptions(model=str(path), **options)
    return OpenVinoNet(asked), OnnxNet(asked)


@pytest.mark.parametrize("kind", KINDS)
def test_nets_of_every_kind_have_the_mattes_of_the_other_runtime(tmp_path: Path, kind: str) -> None:
    """Fixed and free batches, float16 in and out, one output of several, three axes or four."""
    recipe, facts = KINDS[kind]
    net, other = both(write_net(tmp_path / "net.onnx", height=32, width=24, **facts), recipe, max_batch=3)
    count = 3 if other.batchable else 1
    pictures = np.stack([tensor_of(scene(61, 40, seed=seed), recipe) for seed in range(count)])
    bound = max(PRECISION[net.device], 4e-3 if "half" in kind else 0)  # float16 has 11 bits

    assert net.batchable is other.batchable
    assert apart(net.run(pictures), other.run(pictures)) < bound


def test_pictures_of_any_aspect_follow_one_another(tmp_path: Path) -> None:
    """MODNet's kind: the graph leaves rows and columns open."""
    recipe = Recipe(64, 64, fit="shortest", multiple=32, number="float", layout="nchw")
    path = write_net(tmp_path / "net.onnx", batch="n", height="h", width="w", sigmoid=True)
    net, other = both(path, recipe, max_batch=4)

    assert not net.batchable
    for width, height in [(61, 40), (40, 61), (50, 50), (300, 30), (61, 40)]:
        tensor = tensor_of(scene(width, height), recipe)[None]
        assert apart(net.run(tensor), other.run(tensor)) < PRECISION[net.device]


def test_an_own_net_tells_its_size(tmp_path: Path) -> None:
    """Width and height come from its graph."""
    net = OpenVinoNet(EngineOptions(model=net_file(tmp_path, ["n", 24, 16, 3])))

    assert net.recipe == Recipe(width=16, height=24)


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("recipe", "facts"),
    [
        (FLOATS, {"height": 32, "width": 16}),
        (replace(FLOATS, input="input"), {"height": 32, "width": 24, "source": "x"}),
        (replace(FLOATS, output="output"), {"height": 32, "width": 24, "outputs": ["y"]}),
        (replace(FLOATS, number="uint8"), {"height": 32, "width": 24}),
    ],
)
def test_a_net_that_does_not_fit_is_refused_in_the_same_words(
    tmp_path: Path, recipe: Recipe, facts: dict[str, Any]
) -> None:
    """Both runtimes tell what is expected and what the graph has."""
    path = write_net(tmp_path / "net.onnx", **facts)
    path.with_suffix(".json").write_text(json.dumps(asdict(recipe)))
    openings: list[Callable[[EngineOptions], object]] = [OpenVinoNet, OnnxNet]
    told = []
    for opening in openings:
        with pytest.raises(StartError, match="expected an input") as refused:
            opening(EngineOptions(model=str(path)))
        told.append(str(refused.value))

    assert told[0] == told[1]


def test_a_float_net_without_a_recipe_is_refused(tmp_path: Path) -> None:
    """Nobody guesses means and activations."""
    with pytest.raises(StartError, match=r"expected an input uint8 .* got tensor\(float\)"):
        OpenVinoNet(EngineOptions(model=net_file(tmp_path, ["n", 24, 16, 3], kind=TensorProto.FLOAT)))


def test_a_file_that_is_no_net_does_not_start(tmp_path: Path) -> None:
    """OpenVINO's own complaint becomes one line, without the places in its sources."""
    (tmp_path / "net.onnx").write_bytes(b"not a net" * 100)
    (tmp_path / "net.json").write_text(json.dumps(asdict(FLOATS)))

    with pytest.raises(StartError, match=r"OpenVINO cannot run .*net\.onnx: Unable to read the model") as refused:
        OpenVinoNet(EngineOptions(model=str(tmp_path / "net.onnx")))
    assert "\n" not in str(refused.value)
    assert ".cpp" not in str(refused.value)


def test_a_damaged_net_of_the_table_does_not_start(tmp_path: Path) -> None:
    """It is compared with its row before OpenVINO sees it."""
    row = MODELS[EMBEDDED]
    (tmp_path / row.file).write_bytes(b"another file")

    with pytest.raises(StartError, match="damaged or another file"):
        OpenVinoNet(EngineOptions(model=EMBEDDED, models_dir=tmp_path))


# --- the package ----------------------------------------------------------------------------------------------------

OPEN = """
import sys
from bgone.errors import StartError
from bgone.matting.devices import open_net
from bgone.matting.engine import EngineOptions
{before}
try:
    opened = open_net(EngineOptions(model="bgone-small-1", device="{device}"))
    print(opened.net.device)
    print(opened.check)
except StartError as error:
    print(error)
print(sorted(name for name in ("openvino", "openvino_telemetry", "onnxruntime") if name in sys.modules))
"""


def test_its_telemetry_is_not_loaded() -> None:
    """Although pip brings it along; the program around us may still import it for itself."""
    assert importlib.metadata.version("openvino-telemetry")
    *_, modules = alone(OPEN.format(device="openvino", before=""))

    assert modules == "['openvino']"


def test_a_cpu_that_was_asked_for_imports_no_openvino() -> None:
    """Its import takes longer than a net's loading."""
    device, check, modules = alone(OPEN.format(device="cpu", before=""))

    assert (device, check, modules) == ("CPUExecutionProvider", "None", "['onnxruntime']")


# None in sys.modules is Python's own way to say that a module is not to be found.
MISSING = "sys.modules['openvino'] = None"


def test_openvino_that_is_missing_is_a_failure_with_its_cure() -> None:
    """Asked for and not there: no silent fall to another runtime."""
    told, *_ = alone(OPEN.format(device="openvino", before=MISSING))

    assert "OpenVINO cannot be imported" in told
    assert told.endswith("Type: pip install 'bgone[openvino]'.")


def test_auto_does_without_openvino_where_it_is_missing() -> None:
    """There is nothing to compare, and nothing to say."""
    device, check, _ = alone(OPEN.format(device="auto", before=MISSING))

    assert (device, check) == ("CPUExecutionProvider", "None")


def test_looking_for_it_does_not_import_it() -> None:
    """A server without it pays nothing."""
    code = "import sys; from bgone.matting.openvino import installed; print(installed(), 'openvino' in sys.modules)"

    assert (installed(), alone(code)) == (True, ["True False"])
