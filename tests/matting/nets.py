"""Small ONNX nets with the signatures of large ones, and what they answer, in numpy."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

# Of red, green, blue; apart, so that a channel in the wrong place shows.
WEIGHTS = (0.5, -0.25, 1.0)
BIAS = 0.125

Side = int | str


def write_net(
    path: Path,
    *,
    height: Side,
    width: Side,
    batch: Side = 1,
    half: bool = False,
    half_out: bool = False,
    source: str = "input",
    outputs: Sequence[str] = ("output",),
    sigmoid: bool = False,
    out_axes: int = 4,
) -> Path:
    """A net float (batch, 3, height, width) → (batch, 1, height, width): a weighted sum of the channels.

    Args:
        path: Where to write it.
        height: A number, or a name where the side is free.
        width: The same.
        batch: The same.
        half: It takes float16, else float32.
        half_out: It answers float16.
        source: Name of the input.
        outputs: Names; the last one is the matte, the others are its negative.
        sigmoid: The activation is inside.
        out_axes: 3 leaves the channel's axis out.
    """
    kind = TensorProto.FLOAT16 if half else TensorProto.FLOAT
    number = np.float16 if half else np.float32
    constants = [
        numpy_helper.from_array(np.asarray(WEIGHTS, number).reshape(1, 3, 1, 1), "kernel"),
        numpy_helper.from_array(np.asarray([BIAS], number), "bias"),
    ]
    nodes = [helper.make_node("Conv", [source, "kernel", "bias"], ["sum"])]
    last = "sum"

    def then(operator: str, **attributes: Any) -> None:
        nonlocal last
        nodes.append(helper.make_node(operator, [last], [f"{last}_{operator}"], **attributes))
        last = f"{last}_{operator}"

    if sigmoid:
        then("Sigmoid")
    if out_axes == 3:
        constants.append(numpy_helper.from_array(np.asarray([1], np.int64), "axes"))
        nodes.append(helper.make_node("Squeeze", [last, "axes"], ["flat"]))
        last = "flat"
    if half != half_out:
        then("Cast", to=TensorProto.FLOAT16 if half_out else TensorProto.FLOAT)
    nodes += [helper.make_node("Neg", [last], [name]) for name in outputs[:-1]]
    nodes.append(helper.make_node("Identity", [last], [outputs[-1]]))
    shape = [batch, 1, height, width] if out_axes == 4 else [batch, height, width]
    out_kind = TensorProto.FLOAT16 if half_out else TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "sum",
        [helper.make_tensor_value_info(source, kind, [batch, 3, height, width])],
        [helper.make_tensor_value_info(name, out_kind, shape) for name in outputs],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def summed(picture: NDArray[Any], mean: Sequence[float], std: Sequence[float]) -> NDArray[np.float64]:
    """What the net sums for a picture uint8 (h, w, 3), in double precision."""
    floats = (picture / 255 - np.asarray(mean)) / np.asarray(std)
    return np.asarray(floats @ np.asarray(WEIGHTS) + BIAS, np.float64)


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 / (1 + exp(-values))."""
    return np.asarray(1 / (1 + np.exp(-values)), np.float64)
