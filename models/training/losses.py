"""What the net is asked for: the right subject, crisp outlines where trusted, calm elsewhere."""

import torch
from torch import Tensor
from torch.nn import functional as F

OUTLINE_WEIGHT = 4.0
OUTLINE_REACH = 4  # pixels to either side
SIDE_WEIGHT = 0.3
GRADIENT_WEIGHT = 2.0
DETAIL_WEIGHT = 1.0
CALM_WEIGHT = 0.3
DETAIL_LEVELS = 3
# How far a teacher is believed instead of a label that is not trusted at all: near the outline, and elsewhere.
TAUGHT_OUTLINE = 0.8
TAUGHT_ELSEWHERE = 0.2


def matte_loss(logits: Tensor, sides: list[Tensor], target: Tensor, trust: Tensor) -> Tensor:
    """Loss of a batch, one number.

    Args:
        logits: float32 (N, 1, H, W) before the sigmoid.
        sides: float32 (N, 1, h, w) each, coarse logits.
        target: float32 (N, 1, H, W), alpha 0..1.
        trust: float32 (N,), how far each outline may be believed, 0..1.
    """
    believed = trust.view(-1, 1, 1, 1)
    band = outline_of(target)
    weight = 1 + (OUTLINE_WEIGHT - 1) * band * believed
    matte = torch.sigmoid(logits)
    crossed = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    difference = (matte - target).abs()
    slopes = difference_of_slopes(matte, target, believed)
    # Off the outline a matte must be all or nothing: users judge by clean grounds.
    calm = (matte * (1 - matte) * (1 - band)).mean()
    loss = (
        (crossed * weight).mean()
        + overlap_loss(matte, target)
        + difference.mean()
        + GRADIENT_WEIGHT * slopes
        + CALM_WEIGHT * calm
        + DETAIL_WEIGHT * detail_loss(matte, target, (trust >= 1).float())
    )
    for side in sides:
        coarse = F.adaptive_avg_pool2d(target, side.shape[-2:])
        entropy = F.binary_cross_entropy_with_logits(side, coarse)
        loss = loss + SIDE_WEIGHT * (entropy + overlap_loss(torch.sigmoid(side), coarse))
    return loss


def outline_of(target: Tensor) -> Tensor:
    """Near an outline of alpha, float32 (N, 1, H, W): 0 to 1, how far alpha ranges within ``OUTLINE_REACH``."""
    window = 2 * OUTLINE_REACH + 1
    spread = F.max_pool2d(target, window, 1, OUTLINE_REACH)
    return (spread + F.max_pool2d(-target, window, 1, OUTLINE_REACH)).clamp(0, 1)


def taught(target: Tensor, opinion: Tensor, trust: Tensor) -> Tensor:
    """A target (N, 1, H, W) as a teacher's matte moves it: most where a label's outline is not trusted, float (N,)."""
    band = outline_of(target)
    share = (TAUGHT_ELSEWHERE + (TAUGHT_OUTLINE - TAUGHT_ELSEWHERE) * band) * (1 - trust.view(-1, 1, 1, 1))
    return target.lerp(opinion, share)


def overlap_loss(matte: Tensor, target: Tensor) -> Tensor:
    """1 - soft intersection over union, mean of the batch."""
    shared = (matte * target).sum((1, 2, 3))
    joined = (matte + target).sum((1, 2, 3)) - shared
    return (1 - (shared + 1) / (joined + 1)).mean()


def difference_of_slopes(matte: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """L1 between horizontal and vertical slopes."""
    error = matte - target
    across = (error[..., 1:] - error[..., :-1]).abs() * weight
    down = (error[..., 1:, :] - error[..., :-1, :]).abs() * weight
    return across.mean() + down.mean()


def detail_loss(matte: Tensor, target: Tensor, chosen: Tensor) -> Tensor:
    """L1 of a Laplacian pyramid over ``chosen`` (0 or 1, float (N,)) items: hair, fur, wires."""
    error = matte - target
    total = error.new_zeros(())
    share = chosen.view(-1, 1, 1, 1)
    for level in range(DETAIL_LEVELS):
        smaller = F.avg_pool2d(error, 2)
        detail = error - F.interpolate(smaller, scale_factor=2.0, mode="nearest")
        total = total + (detail.abs() * share).mean() * 2**level
        error = smaller
    return total
