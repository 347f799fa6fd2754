"""Nets to measure with: one that answers a fixed matte at no cost, and bgone's own net in rembg's clothes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

SIDE = 320  # rembg's session shows its nets no other
OPSET = 17
# What rembg's session makes of a picture (its sessions/u2net_custom.py): RGB 0..1, less the mean, by the deviation.
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)


def fixed_matte(side: int = SIDE) -> npt.NDArray[np.float32]:
    """A soft ellipse, float32 (side, side): 42 % of it 0, 50 % of it 1, the rest the edge between."""
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    distance = np.hypot(x, y * 0.9)
    inner, outer = np.quantile(distance, [0.5, 0.58])
    return np.asarray(np.clip((outer - distance) / (outer - inner), 0, 1), np.float32)


def no_net() -> onnx.ModelProto:
    """bgone's signature, uint8 (n, 320, 320, 3) → float32 (n, 320, 320); whatever comes in, ``fixed_matte``."""
    matte = numpy_helper.from_array(fixed_matte()[None], "matte")
    picture = helper.make_tensor_value_info("picture", TensorProto.UINT8, ["n", SIDE, SIDE, 3])
    return _constant(picture, matte, ["n", SIDE, SIDE])


def no_net_for_rembg() -> onnx.ModelProto:
    """The same in rembg's signature, float32 (n, 3, 320, 320) → float32 (n, 1, 320, 320)."""
    matte = numpy_helper.from_array(fixed_matte()[None, None], "matte")
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])
    return _constant(picture, matte, ["n", 1, SIDE, SIDE])


def for_rembg(net: onnx.ModelProto) -> onnx.ModelProto:
    """``net`` as rembg's ``u2net_custom`` session can run it: the same graph, its input and output in other words.

    Args:
        net: uint8 (n, h, w, 3) → float32 (n, h, w) or (n, 1, h, w), of any opset.

    Returns:
        float32 (n, 3, 320, 320), normalised as ``MEAN`` and ``DEVIATION`` say → float32 (n, 1, 320, 320). A net that
        sees more is shown the same enlarged.
    """
    inner = compose.add_prefix(net, "net/")
    graph = inner.graph
    (picture,), output = graph.input, graph.output[0]
    _, height, width, _ = (side.dim_value for side in picture.type.tensor_type.shape.dim)
    constants = {
        "scale": (DEVIATION * 255).reshape(1, 3, 1, 1),
        "shift": (MEAN * 255).reshape(1, 3, 1, 1),
        "least": np.float32(0),
        "most": np.float32(255),
        "shape": np.array([-1, 1, height, width], np.int64),
        "larger": np.array([1, 1, height / SIDE, width / SIDE], np.float32),
        "smaller": np.array([1, 1, SIDE / height, SIDE / width], np.float32),
    }
    linear = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    before = [
        helper.make_node("Mul", ["x", "scale"], ["x_scaled"]),
        helper.make_node("Add", ["x_scaled", "shift"], ["x_bytes"]),
        helper.make_node("Resize", ["x_bytes", "", "larger"], ["x_large"], **linear),
        helper.make_node("Round", ["x_large"], ["x_round"]),
        helper.make_node("Clip", ["x_round", "least", "most"], ["x_clipped"]),
        helper.make_node("Cast", ["x_clipped"], ["x_uint8"], to=TensorProto.UINT8),
        helper.make_node("Transpose", ["x_uint8"], [picture.name], perm=[0, 2, 3, 1]),
    ]
    after = [
        helper.make_node("Reshape", [output.name, "shape"], ["matte_large"]),
        helper.make_node("Resize", ["matte_large", "", "smaller"], ["matte"], **linear),
    ]
    adapted = helper.make_graph(
        [*before, *graph.node, *after],
        "for rembg",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("matte", TensorProto.FLOAT, ["n", 1, SIDE, SIDE])],
        [*graph.initializer, *(numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items())],
    )
    model = helper.make_model(adapted, opset_imports=inner.opset_import)
    model.ir_version = inner.ir_version
    model.functions.extend(inner.functions)
    onnx.checker.check_model(model)
    return model


def save(model: onnx.ModelProto, path: Path) -> Path:
    """Write it, folders included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
    return path


def _constant(picture: onnx.ValueInfoProto, matte: onnx.TensorProto, shape: list[str | int]) -> onnx.ModelProto:
    """A graph that looks at its input's batch size only."""
    rest = numpy_helper.from_array(np.array(matte.dims[1:], np.int64), "rest")
    nodes = [
        helper.make_node("Shape", [picture.name], ["batch"], start=0, end=1),
        helper.make_node("Concat", ["batch", "rest"], ["shape"], axis=0),
        helper.make_node("Expand", ["matte", "shape"], ["answer"]),
    ]
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, shape)
    graph = helper.make_graph(nodes, "fixed matte", [picture], [answer], [matte, rest])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model
