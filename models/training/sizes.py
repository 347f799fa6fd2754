"""What quality costs: the same weights at several side lengths, and ways to look twice.

    python sizes.py --data DATA --work WORK --model ../bgone-small-1.onnx

One table: milliseconds in the net and figures of ``validate.py``. *flip* averages the logits of a picture and of its
mirror image, *a + b* those of two side lengths.
"""

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np

from data import open_cache
from export import milliseconds, write_onnx
from unfold import read_net
from validate import Figures, Pixels, Plane, Predictor, cases, measure, summarise

SIDES = (256, 320, 384, 448, 512)
LEAST = 1e-4
Way = Callable[[Pixels], Plane]


class Ladder:
    """One net exported at several side lengths."""

    def __init__(self, model: Path, folder: Path, threads: int) -> None:
        net = read_net(model)
        self.looks, self.cost = {}, {}
        for side in SIDES:
            path = folder / f"{side}.onnx"
            write_onnx(net, path, side)
            self.looks[side] = Predictor(path, threads)
            self.cost[side] = milliseconds(path, threads)

    def logits(self, picture: Pixels, side: int) -> Plane:
        """Float32 (H, W) of a picture uint8 (H, W, 3)."""
        matte = np.clip(self.looks[side].predict(picture), LEAST, 1 - LEAST)
        return np.log(matte / (1 - matte))

    def ways(self) -> dict[str, tuple[float, Way]]:
        """Name of each way, its milliseconds and itself."""
        found: dict[str, tuple[float, Way]] = {}
        for side in SIDES:
            found[str(side)] = self.cost[side], lambda picture, side=side: matte_of(self.logits(picture, side))
        for side in (320, 384):
            found[f"{side} flip"] = (
                2 * self.cost[side],
                lambda picture, side=side: matte_of(self.both_ways(picture, side)),
            )
        for one, other in ((256, 384), (320, 448)):
            found[f"{one} + {other}"] = (
                self.cost[one] + self.cost[other],
                lambda picture, one=one, other=other: matte_of(
                    (self.logits(picture, one) + self.logits(picture, other)) / 2
                ),
            )
        return found

    def both_ways(self, picture: Pixels, side: int) -> Plane:
        """Mean logits of a picture and its mirror image."""
        mirrored = self.logits(np.ascontiguousarray(picture[:, ::-1]), side)[:, ::-1]
        return (self.logits(picture, side) + mirrored) / 2


def matte_of(logits: Plane) -> Plane:
    return 1 / (1 + np.exp(-logits))


def main() -> None:
    parser = argparse.ArgumentParser(description="Quality against milliseconds of one net.")
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()

    pictures = [case for case in cases(open_cache(given.data, given.work)) if case.group != "empty"]
    print("| way | ms | salient IoU | MAE | boundary IoU | all: IoU | max F | MAE | boundary IoU |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name, (cost, look) in Ladder(given.model, Path(folder), given.threads).ways().items():
            groups: dict[str, list[Figures]] = defaultdict(list)
            for case in pictures:
                figures = measure(look(case.picture), case.alpha)
                groups[case.group].append(figures)
                groups["all"].append(figures)
            salient, every = summarise(groups["salient"]), summarise(groups["all"])
            shown = [salient[key] for key in ("IoU", "MAE", "boundary IoU")]
            shown += [every[key] for key in ("IoU", "max F", "MAE", "boundary IoU")]
            print(f"| {name} | {cost:.0f} | " + " | ".join(f"{value:.3f}" for value in shown) + " |", flush=True)


if __name__ == "__main__":
    main()
