"""The benchmark's nets: rembg's twin answers what bgone's net answers."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from benchmarks.models import DEVIATION, MEAN, SIDE, fixed_matte, for_rembg, no_net, no_net_for_rembg, save
from onnx import TensorProto, helper, numpy_helper

from bgone.matting import weights
from bgone.matting.models import EMBEDDED, MODELS
from tests.pictures import ball

PICTURE = np.random.default_rng(0).integers(0, 256, (1, SIDE, SIDE, 3), np.uint8)


def run(model: onnx.ModelProto, batch: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {session.get_inputs()[0].name: batch})
    return np.asarray(answer)


def as_rembg_sends_it(batch: np.ndarray) -> np.ndarray:
    """Normalised as its session does it: in float64, then rounded to float32."""
    normal = (batch / 255 - MEAN.astype(float)) / DEVIATION.astype(float)
    return np.ascontiguousarray(normal.transpose(0, 3, 1, 2), np.float32)


def weighing_net() -> onnx.ModelProto:
    """uint8 (n, 320, 320, 3) → float32 (n, 320, 320), of which every byte of the picture tells."""
    weights = numpy_helper.from_array(np.array([1, 256, 65_536], np.float32) / 2**24, "weights")
    nodes = [
        helper.make_node("Cast", ["picture"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["float", "weights"], ["matte"]),
    ]
    source = helper.make_tensor_value_info("picture", TensorProto.UINT8, ["n", SIDE, SIDE, 3])
    answer = helper.make_tensor_value_info("matte", TensorProto.FLOAT, ["n", SIDE, SIDE])
    model = helper.make_model(
        helper.make_graph(nodes, "weighing", [source], [answer], [weights]),
        opset_imports=[helper.make_opsetid("", 17)],
    )
    model.ir_version = 8
    return model


def test_every_byte_reaches_the_net_unchanged() -> None:
    """Through the adapter, where the net sees what rembg's session shows."""
    net = weighing_net()

    ours, theirs = run(net, PICTURE), run(for_rembg(net), as_rembg_sends_it(PICTURE))

    assert theirs.shape == (1, 1, SIDE, SIDE)
    assert (theirs[:, 0] == ours).all()


def test_the_embedded_net_answers_rembg_the_same_matte() -> None:
    """It sees more than rembg's session shows: the picture enlarged, the matte shrunk."""
    net = onnx.load(weights.find(MODELS[EMBEDDED]))
    side = MODELS[EMBEDDED].recipe.width
    picture = ball(SIDE, SIDE)
    large = np.asarray(cv2.resize(picture, (side, side), interpolation=cv2.INTER_LINEAR), np.uint8)

    ours, theirs = run(net, large[None]), run(for_rembg(net), as_rembg_sends_it(picture[None]))

    assert theirs.shape == (1, 1, SIDE, SIDE)
    shrunk = cv2.resize(ours[0], (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    assert shrunk.max() > 0.9  # the ball is found
    assert np.abs(theirs[0, 0] - shrunk).mean() < 1e-3  # OpenCV rounds in another place


@pytest.mark.parametrize("count", [1, 3])
def test_no_net_answers_the_fixed_matte(count: int) -> None:
    """Whatever comes in, for any batch, in both signatures."""
    batch = np.repeat(PICTURE, count, axis=0)

    ours, theirs = run(no_net(), batch), run(no_net_for_rembg(), as_rembg_sends_it(batch))

    assert ours.shape == (count, SIDE, SIDE)
    assert (ours == fixed_matte()).all()
    assert (theirs[:, 0] == ours).all()


def test_the_fixed_matte_has_its_shares() -> None:
    """42 % transparent, 50 % opaque."""
    matte = fixed_matte()

    assert (matte == 0).mean() == pytest.approx(0.42, abs=0.01)
    assert (matte == 1).mean() == pytest.approx(0.50, abs=0.01)


def test_models_are_saved_where_servers_find_them(tmp_path: Path) -> None:
    """Folders are made on the way."""
    assert save(no_net(), tmp_path / "a" / "no-net.onnx").is_file()
