"""Which runtime runs a net: what was asked for, or what shows here that it is faster and gives the same mattes."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from bgone.errors import StartError
from bgone.matting import openvino
from bgone.matting.batcher import Net
from bgone.matting.engine import EngineOptions
from bgone.matting.onnx import PROVIDERS, OnnxNet
from bgone.matting.selfcheck import LONGEST_S, Check, decide, race


@dataclass(frozen=True, slots=True)
class Opened:
    """A net that is loaded and warm.

    Attributes:
        net: It.
        check: What became of the self-check; None where there was nothing to choose.
        check_s: Seconds that it took, OpenVINO's loading included.
    """

    net: Net
    check: Check | None = None
    check_s: float = 0.0


def open_net(options: EngineOptions) -> Opened:
    """Load, verify and warm a net; blocking.

    ``auto`` takes CUDA where it works; else the CPU, by OpenVINO where that is installed and wins its self-check. What
    goes wrong with OpenVINO is then told and ends nothing.

    Raises:
        StartError: No runtime or two, an unknown model, a damaged file, or a device that is not really used.
    """
    if options.device == "openvino":
        return Opened(openvino.OpenVinoNet(options))
    net = OnnxNet(options)
    if options.device != "auto" or net.device != PROVIDERS["cpu"] or not openvino.installed():
        return Opened(net)
    began = time.perf_counter()
    chosen, check = _checked(net, options)
    return Opened(chosen, check, time.perf_counter() - began)


def _checked(usual: OnnxNet, options: EngineOptions) -> tuple[Net, Check]:
    usual_s = _run_s(usual)
    if usual_s > LONGEST_S:
        words = f"a run takes {usual_s:.1f} s, too long to compare at the start; BGONE_DEVICE=openvino goes without"
        return usual, Check("too_slow", words)
    try:
        other = openvino.OpenVinoNet(options)
        check = decide(race(usual, other), other.device)
    except (StartError, *openvino.FAILURES) as error:
        return usual, Check("failed", f"{error}: not used")
    return (other if check.taken else usual), check


def _run_s(net: OnnxNet) -> float:
    """Seconds of a run: of the first one, or of a second where the first may have met a busy moment."""
    if not LONGEST_S < net.first_s < 5 * LONGEST_S:
        return net.first_s
    began = time.perf_counter()
    net.run(np.zeros((1, net.recipe.height, net.recipe.width, 3), np.uint8))
    return time.perf_counter() - began
