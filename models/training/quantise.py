"""Try the net in int8 arithmetic: static QDQ, uint8 activations, int8 weights per channel.

    python quantise.py --data DATA --work WORK --model ../bgone-small-1.onnx --out WORK/int8.onnx

Compare it with ``validate.py``. The last convolutions stay in float: their steps would show as bands in mattes.
"""

import argparse
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from composites import Composer
from data import open_cache
from export import milliseconds

SAMPLES = 64
IN_FLOAT = ("/net/last/", "/net/climb2/", "/net/encoder/stem/")


class Samples(CalibrationDataReader):
    """Training samples, one by one, as the net takes them."""

    def __init__(self, composer: Composer, side: int) -> None:
        rng = np.random.default_rng(3)
        self.left = iter([{"picture": composer.compose(side, rng).picture[None]} for _ in range(SAMPLES)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next sample, None at the end."""
        return next(self.left, None)


def quantise(model: Path, out: Path, composer: Composer) -> None:
    """Write ``out``; weights packed by ``packing.py`` are widened first."""
    plain = out.with_suffix(".plain")
    quant_pre_process(str(model), str(plain), skip_symbolic_shape=True)
    graph = onnx.load(str(plain)).graph
    quantize_static(
        str(plain),
        str(out),
        Samples(composer, graph.input[0].type.tensor_type.shape.dim[1].dim_value),
        quant_format=QuantFormat.QDQ,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        op_types_to_quantize=["Conv", "Add", "Clip"],
        nodes_to_exclude=[node.name for node in graph.node if node.name.startswith(IN_FLOAT)],
        calibrate_method=CalibrationMethod.MinMax,
    )
    plain.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description="Static int8 QDQ of a shipped net.")
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    quantise(given.model, given.out, Composer(open_cache(given.data, given.work), "train"))
    for threads in (1, 2):
        for path in (given.model, given.out):
            print(f"{path.name}: {milliseconds(path, threads):.1f} ms with {threads} threads")
    print(given.out.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
