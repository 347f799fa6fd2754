"""Which runtime is chosen, with the real ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from bgone.errors import StartError
from bgone.matting import devices, selfcheck
from bgone.matting.devices import open_net
from bgone.matting.engine import EngineOptions
from bgone.matting.models import EMBEDDED
from bgone.matting.onnx import OnnxNet, installed_runtimes
from bgone.matting.openvino import OpenVinoNet
from bgone.matting.tensor import tensor_of
from tests.pictures import ball

CPU_ALONE = pytest.mark.skipif(installed_runtimes() != ["onnxruntime"], reason="needs the CPU runtime alone")


def strange_net(folder: Path) -> str:
    """A net that ONNX Runtime runs and OpenVINO does not: it has no operators of ONNX's ML domain."""
    source = helper.make_tensor_value_info("picture", TensorProto.UINT8, ["n", 24, 16, 3])
    result = helper.make_tensor_value_info("matte", TensorProto.FLOAT, None)
    nodes = [
        helper.make_node("Cast", ["picture"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["numbers"], ["mean"], axes=[3], keepdims=0),
        helper.make_node("Scaler", ["mean"], ["matte"], domain="ai.onnx.ml", offset=[0.0], scale=[1 / 255]),
    ]
    graph = helper.make_graph(nodes, "strange", [source], [result])
    domains = [helper.make_opsetid("", 13), helper.make_opsetid("ai.onnx.ml", 1)]
    onnx.save(helper.make_model(graph, opset_imports=domains, ir_version=8), folder / "net.onnx")
    return str(folder / "net.onnx")


@CPU_ALONE
def test_auto_takes_what_showed_itself_faster() -> None:
    """A whole real start: the net is the check's, and it cuts."""
    opened = open_net(EngineOptions(model=EMBEDDED, device="auto"))
    check = opened.check

    print(check, opened.check_s)
    assert check is not None
    assert opened.net.device.startswith("OpenVINO ") is check.taken
    assert check.result in ("taken", "not_faster", "too_slow")
    (matte,) = opened.net.run(tensor_of(ball(300, 200), opened.net.recipe)[None])
    assert matte[matte.shape[0] // 2, matte.shape[1] // 2] > 0.5 > matte[10, 10]


@CPU_ALONE
@pytest.mark.parametrize(("enough", "result"), [(1000.0, "taken"), (0.0, "not_faster")])
def test_the_result_of_the_check_is_what_runs(monkeypatch: pytest.MonkeyPatch, enough: float, result: str) -> None:
    """Measured for real, with a bound that every time or none keeps."""
    monkeypatch.setattr(selfcheck, "ENOUGH", enough)
    monkeypatch.setattr(devices, "LONGEST_S", 60.0)  # whatever else the machine does
    opened = open_net(EngineOptions(model=EMBEDDED, device="auto"))

    assert opened.check is not None
    assert opened.check.result == result
    assert type(opened.net) is {"taken": OpenVinoNet, "not_faster": OnnxNet}[result]
    assert opened.check_s > 0


def test_openvino_that_was_asked_for_is_used_uncompared() -> None:
    """No check: whoever names a device has it, faster or not."""
    opened = open_net(EngineOptions(model=EMBEDDED, device="openvino"))

    assert opened.net.device.startswith("OpenVINO ")
    assert opened.check is None


def test_a_cpu_that_was_asked_for_is_not_compared() -> None:
    """Nor is anything looked for."""
    opened = open_net(EngineOptions(model=EMBEDDED, device="cpu"))

    assert (opened.net.device, opened.check, opened.check_s) == ("CPUExecutionProvider", None, 0)


@CPU_ALONE
def test_auto_starts_where_openvino_cannot(tmp_path: Path) -> None:
    """A graph that it does not know: told, and the other runtime runs it."""
    opened = open_net(EngineOptions(model=strange_net(tmp_path), device="auto"))

    assert opened.check is not None
    assert opened.check.result == "failed"
    assert "ai.onnx.ml.Scaler" in opened.check.words
    assert opened.net.device == "CPUExecutionProvider"
    assert np.allclose(opened.net.run(np.full((1, 24, 16, 3), 255, np.uint8)), 1)


def test_openvino_that_was_asked_for_and_cannot_is_a_failure(tmp_path: Path) -> None:
    """No silent fall to the other runtime."""
    with pytest.raises(StartError, match=r"OpenVINO cannot run .*net\.onnx: .*ai\.onnx\.ml\.Scaler"):
        open_net(EngineOptions(model=strange_net(tmp_path), device="openvino"))


@CPU_ALONE
def test_a_slow_net_is_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of them might not fit the memory, and the start would wait."""
    monkeypatch.setattr(devices, "LONGEST_S", 0.0)
    opened = open_net(EngineOptions(model=EMBEDDED, device="auto"))

    assert opened.check is not None
    assert opened.check.result == "too_slow"
    assert "BGONE_DEVICE=openvino" in opened.check.words
    assert opened.net.device == "CPUExecutionProvider"


def test_a_net_that_is_wrong_for_both_is_told_once(tmp_path: Path) -> None:
    """The usual runtime's words."""
    (tmp_path / "net.onnx").write_bytes(b"not a net" * 100)

    with pytest.raises(StartError, match=r"cannot load .*net\.onnx on CPUExecutionProvider"):
        open_net(EngineOptions(model=str(tmp_path / "net.onnx"), device="auto"))
