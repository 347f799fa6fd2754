"""The ONNX Runtime session, with the real runtime."""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bgone.errors import StartError
from bgone.matting.engine import EngineOptions
from bgone.matting.models import EMBEDDED, MODELS, Recipe
from bgone.matting.onnx import OnnxNet, check_runtimes, installed_runtimes
from bgone.matting.tensor import tensor_of
from tests.pictures import ball, scene

Shape = list[int | str]


@functools.cache
def embedded() -> OnnxNet:
    return OnnxNet(EngineOptions(model=EMBEDDED, device="cpu"))


def net_file(
    folder: Path, shape: Shape, *, kind: int = TensorProto.UINT8, axes: tuple[int, ...] = (3,), gain: float = 1 / 255
) -> str:
    """A real ONNX file: brightness as matte."""
    source = helper.make_tensor_value_info("picture", kind, shape)
    result = helper.make_tensor_value_info("matte", TensorProto.FLOAT, None)
    nodes = [
        helper.make_node("Cast", ["picture"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["mean"], axes=axes, keepdims=0),
        helper.make_node("Constant", [], ["gain"], value=helper.make_tensor("g", TensorProto.FLOAT, [], [gain])),
        helper.make_node("Mul", ["mean", "gain"], ["matte"]),
    ]
    graph = helper.make_graph(nodes, "brightness", [source], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, folder / "net.onnx")
    return str(folder / "net.onnx")


# --- the embedded net -----------------------------------------------------------------------------------------------


def test_the_embedded_net_finds_the_subject() -> None:
    """A red disc on a calm ground: high inside, low in the corners, nothing beyond 0..1."""
    net = embedded()
    (matte,) = net.run(tensor_of(ball(300, 200), net.recipe)[None])

    assert (matte.shape, matte.dtype) == ((net.recipe.height, net.recipe.width), np.float32)
    assert 0 <= matte.min() <= matte.max() <= 1
    assert matte[160, 160] > 0.5 > matte[10, 10]


def test_the_same_picture_has_the_same_matte() -> None:
    """Bit for bit, run after run."""
    net = embedded()
    tensor = tensor_of(scene(), net.recipe)[None]

    assert np.array_equal(net.run(tensor), net.run(tensor))


def test_a_batch_gives_what_its_pictures_give_alone() -> None:
    """Pictures do not see each other; kernels of other sizes round differently in the last digits."""
    net = embedded()
    assert net.batchable
    batch = np.stack([tensor_of(scene(61, 40, seed=seed), net.recipe) for seed in range(3)])

    together = net.run(batch)
    assert together.shape == (3, net.recipe.height, net.recipe.width)
    assert np.abs(together[1] - net.run(batch[1:2])[0]).max() < 1e-3


def test_the_table_says_what_the_graph_takes() -> None:
    """Recipe and batch axis of the row are those of the file, and it runs on the CPU here."""
    row = MODELS[EMBEDDED]

    assert (embedded().recipe, embedded().batchable) == (row.recipe, row.batchable)
    assert embedded().device == "CPUExecutionProvider"


def test_a_damaged_embedded_net_does_not_start(tmp_path: Path) -> None:
    """One flipped byte in the operator's folder is found before the runtime sees it."""
    row = MODELS[EMBEDDED]
    content = bytearray((Path(__file__).parents[2] / "models" / row.file).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / row.file).write_bytes(content)

    with pytest.raises(StartError, match="damaged or another file"):
        OnnxNet(EngineOptions(model=EMBEDDED, models_dir=tmp_path, device="cpu"))


# --- an operator's own net ------------------------------------------------------------------------------------------


def test_an_own_net_runs_in_its_own_size(tmp_path: Path) -> None:
    """Width and height come from its graph."""
    net = OnnxNet(EngineOptions(model=net_file(tmp_path, ["n", 24, 16, 3]), device="cpu"))
    pictures = np.stack([scene(16, 24), scene(16, 24, seed=1)])

    assert net.recipe == Recipe(width=16, height=24)
    assert np.allclose(net.run(pictures), pictures.mean(axis=3) / 255, atol=1e-5)


def test_mattes_are_clipped(tmp_path: Path) -> None:
    """A net that goes beyond 1 is held to it."""
    net = OnnxNet(EngineOptions(model=net_file(tmp_path, ["n", 24, 16, 3], gain=1.0), device="cpu"))

    assert net.run(scene(16, 24)[None]).max() == 1


def test_a_fixed_batch_axis_is_not_batchable(tmp_path: Path) -> None:
    """Such a net gets one picture at a time."""
    assert not OnnxNet(EngineOptions(model=net_file(tmp_path, [1, 24, 16, 3]), device="cpu")).batchable


@pytest.mark.parametrize(
    ("shape", "kind", "words"),
    [
        (["n", 3, 24, 16], TensorProto.UINT8, "expected an input uint8"),
        (["n", 24, 16, 3], TensorProto.FLOAT, r"got tensor\(float\)"),
        (["n", "h", 16, 3], TensorProto.UINT8, "fixed height and width"),
        (["n", 24, "w", 3], TensorProto.UINT8, "fixed height and width"),
        ([24, 16, 3], TensorProto.UINT8, "expected an input uint8"),
    ],
)
def test_a_net_of_another_input_does_not_start(tmp_path: Path, shape: Shape, kind: int, words: str) -> None:
    """The words say what is expected and what the graph has."""
    axes = (len(shape) - 1,)
    with pytest.raises(StartError, match=words):
        OnnxNet(EngineOptions(model=net_file(tmp_path, shape, kind=kind, axes=axes), device="cpu"))


def test_a_net_of_another_output_does_not_start(tmp_path: Path) -> None:
    """One number a row is no matte; the words tell both shapes."""
    with pytest.raises(StartError, match=r"an output .*\(n, 24, 16\) .*; the graph has .*matte .*\['n', 24\]"):
        OnnxNet(EngineOptions(model=net_file(tmp_path, ["n", 24, 16, 3], axes=(2, 3)), device="cpu"))


def test_a_file_that_is_no_net_does_not_start(tmp_path: Path) -> None:
    """The runtime's own complaint becomes one line for the operator."""
    (tmp_path / "net.onnx").write_bytes(b"not a net" * 100)

    with pytest.raises(StartError, match=r"cannot load .*net\.onnx on CPUExecutionProvider"):
        OnnxNet(EngineOptions(model=str(tmp_path / "net.onnx"), device="cpu"))


# --- runtimes and devices -------------------------------------------------------------------------------------------


@pytest.mark.skipif(installed_runtimes() != ["onnxruntime"], reason="needs the CPU runtime alone")
def test_a_device_that_is_not_there_is_a_failure_with_its_cure() -> None:
    """Asked for and not there: no silent fall to the CPU."""
    with pytest.raises(StartError, match=r"BGONE_DEVICE=cuda: .* pip install 'bgone\[gpu\]'"):
        OnnxNet(EngineOptions(model=EMBEDDED, device="cuda"))


def test_auto_takes_what_is_there() -> None:
    """Without a GPU runtime that is the CPU."""
    if installed_runtimes() != ["onnxruntime"]:
        pytest.skip("needs the CPU runtime alone")

    assert OnnxNet(EngineOptions(model=EMBEDDED, device="auto")).device == "CPUExecutionProvider"


def test_two_runtimes_are_a_failure_with_its_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installed beside each other they overwrite each other's files: found by their package records."""
    record = tmp_path / "onnxruntime_gpu-1.30.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.30.0\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])

    assert "onnxruntime-gpu" in installed_runtimes()
    with pytest.raises(StartError, match=r"Several ONNX Runtimes .*pip uninstall -y onnxruntime onnxruntime-gpu &&"):
        OnnxNet(EngineOptions(model=EMBEDDED, device="cpu"))


def test_no_runtime_is_a_failure_with_its_cure() -> None:
    """The words say what to type."""
    with pytest.raises(StartError, match=r"pip install 'bgone\[cpu\]'"):
        check_runtimes([])
