"""bgone's work without the server: the same steps called one after the other, for as many rounds as a line says.

``python -m benchmarks.direct MODEL PICTURE`` reads numbers from standard input and answers each with a line of JSON
once it has cut the picture that often: seconds of the net per round. Who started it weighs its CPU from outside, as
it does with servers.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import Executor, ThreadPoolExecutor
from pathlib import Path

import cv2
import orjson

from bgone.imaging.photo import PhotoLimits, look, open_photo
from bgone.imaging.writer import Write
from bgone.machine import cores, settle_malloc
from bgone.matting.compose import cut
from bgone.matting.edges import fit_matte
from bgone.matting.engine import EngineOptions
from bgone.matting.onnx import OnnxNet
from bgone.matting.tensor import tensor_of
from bgone.pipeline.drawing import Drawing
from bgone.pipeline.order import RenderOptions
from bgone.pipeline.render import draw, plan
from bgone.pipeline.sight import working_side


def open_net(model: str) -> OnnxNet:
    """The net as the server opens it."""
    return OnnxNet(EngineOptions(model=model, threads=cores()))


def cut_out(data: bytes, net: OnnxNet, write: Write, pool: Executor) -> float:
    """One picture, file to PNG; gives the seconds that the net took."""
    photo = open_photo(data, PhotoLimits())
    seen = look(photo, working_side(photo))
    tensor = tensor_of(seen.working, net.recipe)
    started = time.perf_counter()
    (matte,) = net.run(tensor[None])
    net_s = time.perf_counter() - started
    height, width = seen.working.shape[:2]
    drawing = Drawing(photo, seen, cut(seen.working, fit_matte(matte, width, height)), lambda: None)
    draw(drawing, plan(drawing, RenderOptions()), write, pool)
    return net_s


def main() -> None:
    """See the module."""
    settle_malloc()
    model, picture = sys.argv[1:]
    cv2.setNumThreads(1)
    net, data = open_net(model), Path(picture).read_bytes()
    with ThreadPoolExecutor(cores()) as pool:
        for line in sys.stdin:
            net_s = sum(cut_out(data, net, len, pool) for _ in range(int(line)))
            sys.stdout.write(orjson.dumps({"net_s": net_s / int(line)}).decode() + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
