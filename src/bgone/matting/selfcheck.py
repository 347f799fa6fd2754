"""Whether OpenVINO is taken where nobody said: both nets run the same pictures in turn, and the figures decide.

What a CPU gains depends on what it can (bf16 on AMX: 4 to 6 times as fast; on AVX-512: twice; AVX2: nothing), on its
neighbours and on the net, so it is measured where it runs, at every start, in a fraction of a second.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from bgone.matting.batcher import Net
from bgone.matting.engine import Matte, Tensor

PAIRS = 7
# At least a fifth less time, or the memory and the second library are not worth it.
ENOUGH = 0.8
# bf16 keeps 8 bits of a number. On a CPU that has it the embedded net's mattes of these pictures moved by at most
# 0.096, on the average by 0.0003 (docs/performance.md); what computes something else is off by far more.
LARGEST, MEAN = 0.25, 1 / 255
# Of one run. Beyond it seven pairs are no short check any more, and two of such nets may not fit the memory.
LONGEST_S = 0.4

Floats = npt.NDArray[np.float32]
Result = Literal["taken", "not_faster", "differs", "failed", "too_slow"]


@dataclass(frozen=True, slots=True)
class Pair:
    """One picture, run by both.

    Attributes:
        usual_s: Seconds that ONNX Runtime took.
        other_s: Seconds that OpenVINO took.
        largest: Largest difference of the mattes, 0..1.
        mean: The mean of it.
    """

    usual_s: float
    other_s: float
    largest: float
    mean: float

    @property
    def ratio(self) -> float:
        """OpenVINO's time by ONNX Runtime's."""
        return self.other_s / self.usual_s


@dataclass(frozen=True, slots=True)
class Check:
    """What became of it.

    Attributes:
        result: ``taken``, or why not.
        words: The same for people, with the figures, in one line.
        ratio: OpenVINO's time by ONNX Runtime's, the median of the pairs; None where nothing was measured.
        largest: Largest difference of the mattes.
    """

    result: Result
    words: str
    ratio: float | None = None
    largest: float | None = None

    @property
    def taken(self) -> bool:
        return self.result == "taken"


def settled(pairs: Sequence[Pair]) -> bool:
    """Whether further pairs could not move the median of ``PAIRS`` across ``ENOUGH``, or a difference is too large."""
    faster = sum(pair.ratio <= ENOUGH for pair in pairs)
    most = max(faster, len(pairs) - faster)
    return most > PAIRS // 2 or not all(_agrees(pair) for pair in pairs)


def decide(pairs: Sequence[Pair], device: str) -> Check:
    """From the figures alone; not a number in a matte counts as a difference.

    Args:
        pairs: At least one.
        device: Of OpenVINO's net, for the words.
    """
    ratio = statistics.median(pair.ratio for pair in pairs)
    largest = float(np.max([pair.largest for pair in pairs]))
    if not all(_agrees(pair) for pair in pairs):
        mean = float(np.max([pair.mean for pair in pairs]))
        words = (
            f"{device}: mattes differ by up to {largest:.3f}, {mean:.4f} on the average; "
            f"at most {LARGEST:g} and {MEAN:.4f} are let pass: not used"
        )
        return Check("differs", words, ratio, largest)
    took = f"{device}: {ratio:.2f} of ONNX Runtime's time"
    if ratio > ENOUGH:
        return Check("not_faster", f"{took}, at most {ENOUGH:g} is asked: not used", ratio, largest)
    return Check("taken", f"{took}, mattes differ by at most {largest:.3f}: used", ratio, largest)


def race(usual: Net, other: Net) -> list[Pair]:
    """Run both in turn, each first every other time, until it is settled; both are warm.

    Args:
        usual: ONNX Runtime's net.
        other: OpenVINO's.
    """
    pictures = drawn(usual.recipe.width, usual.recipe.height)
    pairs: list[Pair] = []
    while not settled(pairs):
        picture = pictures[len(pairs) % len(pictures)]
        order = [usual, other] if len(pairs) % 2 else [other, usual]
        done = {id(net): _timed(net, picture) for net in order}
        (usual_s, matte), (other_s, same) = done[id(usual)], done[id(other)]
        apart = np.abs(matte - same)
        pairs.append(Pair(usual_s, other_s, float(apart.max()), float(apart.mean())))
    return pairs


def _agrees(pair: Pair) -> bool:
    return pair.largest <= LARGEST and pair.mean <= MEAN  # false where one is not a number


def _timed(net: Net, picture: Tensor) -> tuple[float, Matte]:
    began = time.perf_counter()
    mattes = net.run(picture[None])
    return time.perf_counter() - began, mattes


def drawn(width: int, height: int) -> list[Tensor]:
    """Pictures uint8 (height, width, 3) with subjects: a ball, two on a busy ground, the first as a negative.

    A picture of nothing would not do: recipes that stretch each matte's range would stretch its rounding.
    """
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j].astype(np.float32)
    wall = np.stack([205 - 20 * y, 212 - 25 * y, 220 - 30 * y], axis=-1).astype(np.float32)
    grain = np.random.default_rng(0).normal(0, 25, (height, width, 1)).astype(np.float32)
    one = _with_ball(wall, x, y, 0.6, (215, 45, 35))
    two = _with_ball(
        _with_ball(wall * 0.5 + grain, x + 0.4, y, 0.45, (40, 90, 200)), x - 0.5, y - 0.2, 0.3, (230, 200, 60)
    )
    return [np.clip(picture, 0, 255).astype(np.uint8) for picture in (one, two, 255 - one)]


def _with_ball(ground: Floats, x: Floats, y: Floats, radius: float, colour: tuple[int, int, int]) -> Floats:
    away = np.hypot(x, y) / radius
    depth = np.sqrt(np.clip(1 - away**2, 0, 1))
    inside = np.clip((1 - away) * 40, 0, 1)[..., None]  # a soft edge, 1/40 of the radius wide
    lit = np.asarray(colour, np.float32) * (0.3 + 0.7 * depth)[..., None]
    return np.asarray(ground * (1 - inside) + lit * inside, np.float32)
