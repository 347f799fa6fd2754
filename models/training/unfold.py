"""Read the training net back from a shipped ONNX file, so that training can go on from it.

The export folds every batch norm into the convolution before it. Here the norms come back: their statistics are
measured over training samples, and scale and shift are set so that the net computes what the file does.
"""

from pathlib import Path

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from composites import Composer
from net import Conv, Net
from packing import unpack

SAMPLES, SIDE, TOGETHER = 64, 320, 8
LEAST_VARIANCE = 1e-4


def unfold(path: Path, composer: Composer, seed: int = 5) -> Net:
    """The net of a file that ``export.py`` wrote; its side outputs, which only training has, begin anew.

    Raises:
        KeyError: A convolution of the net is not in the file.
    """
    net = read_net(path)
    set_norms(net, samples(composer, np.random.default_rng(seed)))
    return net


def read_net(path: Path) -> Net:
    """The net of a file that ``export.py`` wrote, its norms folded as they are there: to predict, not to train.

    Raises:
        KeyError: A convolution of the net is not in the file.
    """
    net = Net().eval()
    take_weights(net, onnx.load(str(path)))
    return net


def take_weights(net: Net, model: onnx.ModelProto) -> None:
    """Copy the folded convolutions; every norm is left as "add the bias"."""
    constants = unpack(model)
    stored = {node.name: node for node in model.graph.node if node.op_type == "Conv"}
    norms = {module.conv: module.norm for module in net.modules() if isinstance(module, Conv)}
    for name, module in net.named_modules():
        if not isinstance(module, nn.Conv2d) or name.startswith("sides."):
            continue
        node = stored[name_in_file(name)]
        weight, bias = (torch.from_numpy(constants[given].copy()) for given in node.input[1:3])
        module.weight.data.copy_(weight)
        if module in norms:
            norm = norms[module]
            norm.running_mean.zero_()
            norm.running_var.fill_(1 - norm.eps)
            norm.weight.data.fill_(1)
            norm.bias.data.copy_(bias)
        else:
            module.bias.data.copy_(bias)


def name_in_file(name: str) -> str:
    """``top.0.conv`` of the net is ``/net/top/top.0/conv/Conv`` of the file, ``blocks.0`` is ``/blocks.0``."""
    parts: list[str] = []
    for part in name.split("."):
        if part.isdigit():
            # A sequence is called and written itself; a mere list of modules is not.
            owner = parts.pop() if parts[-1] == "blocks" else parts[-1]
            part = f"{owner}.{part}"
        parts.append(part)
    return "/".join(["/net", *parts, "Conv"])


def samples(composer: Composer, rng: np.random.Generator) -> list[Tensor]:
    """Batches float32 (N, 3, side, side), -1..1."""
    batches = []
    for _ in range(SAMPLES // TOGETHER):
        pictures = np.stack([composer.compose(SIDE, rng).picture for _ in range(TOGETHER)])
        batches.append(((torch.from_numpy(pictures).float() - 127.5) / 127.5).permute(0, 3, 1, 2).contiguous())
    return batches


@torch.inference_mode()
def set_norms(net: Net, batches: list[Tensor]) -> None:
    """Measure what goes into each norm, and make it normalise that without changing what comes out."""
    sums: dict[Conv, list[Tensor]] = {}

    def add(layer: Conv, seen: Tensor) -> None:
        count = torch.tensor(seen.numel() / seen.shape[1], dtype=torch.float64)
        values = seen.double()
        new = [count, values.sum((0, 2, 3)), values.square().sum((0, 2, 3))]
        sums[layer] = [a + b for a, b in zip(sums[layer], new, strict=True)] if layer in sums else new

    hooks = [
        layer.conv.register_forward_hook(lambda _module, _given, seen, layer=layer: add(layer, seen))
        for layer in net.modules()
        if isinstance(layer, Conv)
    ]
    for batch in batches:
        net(batch)
    for hook in hooks:
        hook.remove()
    for layer, (count, total, squares) in sums.items():
        mean = total / count
        variance = (squares / count - mean.square()).clamp(min=LEAST_VARIANCE).float()
        norm = layer.norm
        norm.bias.data += mean.float()
        norm.weight.data.copy_((variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean.float())
        norm.running_var.copy_(variance)
