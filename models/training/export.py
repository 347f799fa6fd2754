"""Write the net as ONNX and prove that it says what the training code says.

python export.py --work WORK --out ../bgone-small-1.onnx
python export.py --check --out ../bgone-small-1.onnx
"""

import argparse
import copy
import hashlib
import os
import statistics
import time
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

from net import Net, PictureToMatte
from packing import pack
from unfold import read_net

SIDE = 384
OPSET = 17
# Of a matte, between the file and the training code with the file's weights. What ships is at 1e-6; nets that were
# trained for seconds differ by up to 1e-5, because float32 sums in another order. A wrong border shows from 1e-2 on.
TOLERANCE = 1e-4
LIMIT_BYTES = 15_000_000


def load_net(checkpoint: Path) -> Net:
    """The averaged weights of a checkpoint, ready to predict."""
    net = Net()
    net.load_state_dict(torch.load(checkpoint, map_location="cpu")["average"])
    return net.eval()


def write_onnx(net: Net, out: Path, side: int = SIDE) -> None:
    """Export with batch norms folded into convolutions, weights packed; written aside, then renamed."""
    example = torch.zeros((1, side, side, 3), dtype=torch.uint8)
    aside = out.with_suffix(".part")
    torch.onnx.export(
        PictureToMatte(net).eval(),
        (example,),
        str(aside),
        input_names=["picture"],
        output_names=["matte"],
        dynamic_axes={"picture": {0: "n"}, "matte": {0: "n"}},
        opset_version=OPSET,
        do_constant_folding=True,
        dynamo=False,
    )
    model = simplify(aside)
    for value in model.graph.output:  # the exporter forgets what it knows about the output
        for axis, size in zip(value.type.tensor_type.shape.dim[1:], (side, side), strict=True):
            axis.Clear()
            axis.dim_value = size
    model = onnx.shape_inference.infer_shapes(pack(model), strict_mode=True)
    model.graph.name = "bgone"
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, str(aside))
    os.replace(aside, out)


def simplify(path: Path) -> onnx.ModelProto:
    """The exported graph without its constant arithmetic and free-standing paddings."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    model = onnx.load(str(path))
    stored = model.graph.initializer
    constants = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in stored}
    pads = {node.output[0]: node for node in model.graph.node if node.op_type == "Pad"}
    for node in model.graph.node:
        pad = pads.get(node.input[0]) if node.op_type == "Conv" else None
        if pad is not None:  # a padding of its own costs a copy and a change of layout
            before, after = constants[pad.input[1]].reshape(2, -1)[:, 2:]
            inside = next(attribute for attribute in node.attribute if attribute.name == "pads")
            inside.ints[:] = [*before.tolist(), *after.tolist()]
            node.input[0] = pad.input[0]
            model.graph.node.remove(pad)
    used = {name for node in model.graph.node for name in node.input}
    for tensor in [tensor for tensor in stored if tensor.name not in used]:
        stored.remove(tensor)
    del model.graph.value_info[:]
    kept = [entry for entry in model.opset_import if entry.domain == ""]
    del model.opset_import[:]
    model.opset_import.extend(kept)
    return model


def open_session(path: Path, threads: int) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def side_of(path: Path) -> int:
    """Side of the square that a file takes."""
    return int(onnx.load(str(path)).graph.input[0].type.tensor_type.shape.dim[1].dim_value)


def largest_difference(path: Path) -> float:
    """Largest difference between a file and the training code with the file's weights, over the test pictures."""
    return float(differences(read_net(path), path).max())


def differences(net: Net, path: Path) -> np.ndarray:
    """How far a file is from a net that counts in float64, for each pixel of the test pictures."""
    pictures = test_pictures(side_of(path))
    with torch.inference_mode():
        ours = PictureToMatte(copy.deepcopy(net).double()).eval()(torch.from_numpy(pictures)).numpy()
    theirs = open_session(path, 2).run(["matte"], {"picture": pictures})[0]
    assert theirs.shape == ours.shape == pictures.shape[:3]
    return np.abs(ours - theirs)


def milliseconds(path: Path, threads: int, rounds: int = 40) -> float:
    """Median time of one picture."""
    session = open_session(path, threads)
    side = side_of(path)
    picture = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        session.run(["matte"], {"picture": picture})
        times.append(time.perf_counter() - began)
    return statistics.median(times[5:]) * 1000


def test_pictures(side: int) -> np.ndarray:
    """Noise, a ramp and a disc, uint8 (3, side, side, 3)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[0:side, 0:side]
    ramp = np.stack([x * 255 // side, y * 255 // side, (x + y) * 255 // (2 * side)], 2)
    disc = np.where((np.hypot(x / side - 0.5, y / side - 0.47) < 0.28)[..., None], (200, 60, 40), (235, 235, 230))
    return np.stack([rng.integers(0, 256, ramp.shape), ramp, disc]).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description="Export a checkpoint's averaged weights.")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--work", type=Path, help="folder with checkpoint.pt")
    what.add_argument(
        "--check", action="store_true", help="export nothing, only compare the file with the training code"
    )
    parser.add_argument("--out", type=Path, required=True, help="the file")
    given = parser.parse_args()

    if given.work:
        net = load_net(given.work / "checkpoint.pt")
        write_onnx(net, given.out)
        print(f"mean difference to the weights before packing {differences(net, given.out).mean():.2e}")
    blob = given.out.read_bytes()
    difference = largest_difference(given.out)
    nodes = Counter(node.op_type for node in onnx.load(str(given.out)).graph.node)
    print("nodes", dict(nodes.most_common()))
    print(f"bytes {len(blob)}, largest difference to the training code {difference:.2e}")
    if given.work:
        for threads in (1, 2):
            print(f"{milliseconds(given.out, threads):.1f} ms a picture with {threads} threads")
    print("sha256", hashlib.sha256(blob).hexdigest())
    if difference > TOLERANCE or len(blob) > LIMIT_BYTES:
        raise SystemExit(f"parity {TOLERANCE} or size {LIMIT_BYTES} exceeded")


if __name__ == "__main__":
    main()
