"""The net: an ImageNet encoder looks, a light decoder draws; nearly all weights are the encoder's.

Every stage halves the picture; the decoder climbs back adding what each stage saw. The last step
works at half size beside the untouched pixels (pixel-unshuffle), so outlines follow the picture.
"""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

# (expansion, kernel, stride, channels, repeats): EfficientNet-Lite0 of github.com/tensorflow/tpu
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
# 16 channels at 1/2, 24 at 1/4, 40 at 1/8, 112 at 1/16, 320 at 1/32
TAPPED_BLOCKS = (0, 2, 4, 10, 15)
STEM_CHANNELS = 32


class Conv(nn.Module):
    """Convolution, batch norm and, if ``active``, ReLU6; strides pad as TensorFlow's SAME does."""

    def __init__(
        self,
        inner: int,
        outer: int,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        active: bool = True,
    ) -> None:
        super().__init__()
        # On even sides SAME pads one pixel more behind than in front.
        self.pad = ((kernel - stride) // 2, (kernel - stride + 1) // 2) if stride > 1 else None
        inside = 0 if stride > 1 else kernel // 2
        self.conv = nn.Conv2d(inner, outer, kernel, stride, inside, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outer, eps=1e-3, momentum=0.03)
        self.active = active

    def forward(self, x: Tensor) -> Tensor:
        if self.pad is not None:
            x = F.pad(x, self.pad * 2)
        x = self.norm(self.conv(x))
        return F.relu6(x) if self.active else x


class Block(nn.Module):
    """Inverted residual: widen, look around per channel, narrow."""

    def __init__(self, inner: int, outer: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inner * expansion
        self.expand = Conv(inner, wide, 1) if expansion > 1 else None
        self.depthwise = Conv(wide, wide, kernel, stride, groups=wide)
        self.project = Conv(wide, outer, 1, active=False)
        self.residual = stride == 1 and inner == outer

    def forward(self, x: Tensor) -> Tensor:
        y = self.expand(x) if self.expand is not None else x
        y = self.project(self.depthwise(y))
        return x + y if self.residual else y


class Encoder(nn.Module):
    """EfficientNet-Lite0 without head and classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, STEM_CHANNELS, 3, 2)
        blocks: list[Block] = []
        inner = STEM_CHANNELS
        for expansion, kernel, stride, outer, repeats in STAGES:
            for repeat in range(repeats):
                blocks.append(Block(inner, outer, kernel, stride if repeat == 0 else 1, expansion))
                inner = outer
        self.blocks = nn.ModuleList(blocks)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features at 1/2, 1/4, 1/8, 1/16 and 1/32 of float (N, 3, H, W), -1..1."""
        x = self.stem(x)
        taps: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in TAPPED_BLOCKS:
                taps.append(x)
        return taps

    def load_imagenet(self, path: Path) -> None:
        """Start from ImageNet weights kept as an ``.npz`` with EfficientNet-PyTorch's names."""
        weights = np.load(path)

        def put(target: Conv, conv: str, norm: str) -> None:
            target.conv.weight.data.copy_(torch.from_numpy(weights[f"{conv}.weight"]))
            for name in ("weight", "bias", "running_mean", "running_var"):
                getattr(target.norm, name).data.copy_(torch.from_numpy(weights[f"{norm}.{name}"]))

        put(self.stem, "_conv_stem", "_bn0")
        for index, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            prefix = f"_blocks.{index}."
            if block.expand is not None:
                put(block.expand, prefix + "_expand_conv", prefix + "_bn0")
            put(block.depthwise, prefix + "_depthwise_conv", prefix + "_bn1")
            put(block.project, prefix + "_project_conv", prefix + "_bn2")


class Climb(nn.Module):
    """Double the size, add what the encoder saw there, smooth with one 5x5 depthwise block."""

    def __init__(self, seen: int, inner: int, outer: int) -> None:
        super().__init__()
        self.lateral = Conv(seen, outer, 1)
        self.narrow = Conv(inner, outer, 1)
        self.mix = nn.Sequential(Conv(outer, outer, 5, groups=outer), Conv(outer, outer, 1))

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        larger = F.interpolate(self.narrow(x), scale_factor=2.0, mode="bilinear", align_corners=False)
        y = larger + self.lateral(seen)
        return y + self.mix(y)


class Net(nn.Module):
    """Picture to matte logits; sides must be multiples of 32."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.top = nn.Sequential(Conv(320, 128, 1), Conv(128, 128, 5, groups=128), Conv(128, 128, 1))
        self.context = Conv(320, 128, 1)
        self.climb16 = Climb(112, 128, 96)
        self.climb8 = Climb(40, 96, 64)
        self.climb4 = Climb(24, 64, 40)
        self.climb2 = Climb(16, 40, 24)
        self.sides = nn.ModuleList([nn.Conv2d(channels, 1, 1) for channels in (96, 64, 40)])
        self.last = nn.Sequential(Conv(24 + 12, 24, 3), nn.Conv2d(24, 4, 1))

    def draw(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        f2, f4, f8, f16, f32 = self.encoder(x)
        top = self.top(f32) + self.context(f32.mean((2, 3), keepdim=True))
        d16 = self.climb16(top, f16)
        d8 = self.climb8(d16, f8)
        d4 = self.climb4(d8, f4)
        d2 = self.climb2(d4, f2)
        logits = self.last(torch.cat([d2, F.pixel_unshuffle(x, 2)], 1))
        return F.pixel_shuffle(logits, 2), [d16, d8, d4]

    def forward(self, x: Tensor) -> Tensor:
        """Matte logits float (N, 1, H, W) of a picture float (N, 3, H, W), -1..1."""
        return self.draw(x)[0]

    def with_sides(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Matte logits and coarse logits at 1/16, 1/8 and 1/4, which only training looks at."""
        logits, drawn = self.draw(x)
        return logits, [head(d) for head, d in zip(self.sides, drawn, strict=True)]


class PictureToMatte(nn.Module):
    """The net as it ships: pictures in as they lie in memory, mattes out ready to use."""

    def __init__(self, net: Net) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor) -> Tensor:
        """Matte (N, H, W), 0..1, in the net's own numbers, of sRGB pictures uint8 (N, H, W, 3)."""
        x = (picture.to(self.net.last[-1].weight.dtype) - 127.5) / 127.5
        return torch.sigmoid(self.net(x.permute(0, 3, 1, 2))).squeeze(1)
