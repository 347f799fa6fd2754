"""Weights stored in a byte or two each and widened while the file is loaded.

A runtime folds ``Cast`` and ``Mul`` of constants once, so time and memory are those of a float32 file; only the file is
a quarter of its size. Wide convolutions take int8 with a scale for each output channel; depthwise and small ones, which
have few weights and feel every one of them, float16.
"""

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

FEW = 4096
LEVELS = 127
# Clipping a channel's largest weights often costs less than coarser steps for all others.
SHARES = np.linspace(0.7, 1.0, 31)


def pack(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with packed convolution weights; biases stay float32. Changes ``model``."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    widening: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.op_type != "Conv":
            continue
        name = node.input[1]
        weight = numpy_helper.to_array(stored[name]).astype(np.float32)
        model.graph.initializer.remove(stored[name])
        node.input[1] = f"{name}.wide"
        if weight.shape[1] == 1 or weight.size < FEW:
            packed = {f"{name}.half": weight.astype(np.float16)}
            widening.append(_cast(f"{name}.half", f"{name}.wide"))
        else:
            scale = best_scales(weight)
            levels = np.clip(np.round(weight / scale), -LEVELS, LEVELS).astype(np.int8)
            packed = {f"{name}.levels": levels, f"{name}.scale": scale}
            widening.append(_cast(f"{name}.levels", f"{name}.whole"))
            widening.append(_named("Mul", [f"{name}.whole", f"{name}.scale"], f"{name}.wide"))
        model.graph.initializer.extend(numpy_helper.from_array(value, key) for key, value in packed.items())
    nodes = [*widening, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


def unpack(model: onnx.ModelProto) -> dict[str, NDArray[np.float32]]:
    """All constants of a packed or plain file by name, widened weights among them."""
    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.output[0].endswith(".wide") or node.output[0].endswith(".whole"):
            given = [values[name] for name in node.input]
            values[node.output[0]] = given[0].astype(np.float32) if node.op_type == "Cast" else given[0] * given[1]
    return values


def best_scales(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Steps float32 (O, 1, 1, 1) of weights (O, I, H, W) with the least squared error."""
    flat = weight.reshape(len(weight), -1)
    top = np.abs(flat).max(1, keepdims=True)
    top[top == 0] = 1
    steps = top[None] * SHARES[:, None, None] / LEVELS
    errors = np.square(np.clip(np.round(flat / steps), -LEVELS, LEVELS) * steps - flat).sum(2)
    best = np.take_along_axis(steps[..., 0], errors.argmin(0)[None], 0)[0]
    return best.reshape(-1, 1, 1, 1).astype(np.float32)


def _cast(source: str, target: str) -> onnx.NodeProto:
    return _named("Cast", [source], target, to=TensorProto.FLOAT)


def _named(kind: str, sources: list[str], target: str, **attributes: int) -> onnx.NodeProto:
    return helper.make_node(kind, sources, [target], name=f"{target}/{kind}", **attributes)
