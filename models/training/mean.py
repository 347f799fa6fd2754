"""The mean of two shipped nets' weights: often a little better than either, where one went on from the other.

python mean.py before.onnx after.onnx --out ../bgone-small-1.onnx
"""

import argparse
from pathlib import Path

import torch

from export import write_onnx
from net import Net
from unfold import read_net


@torch.no_grad()
def mean_of(one: Net, other: Net) -> Net:
    """A net half way between two whose norms are folded (``read_net``); changes and returns ``one``."""
    for ours, theirs in zip(one.parameters(), other.parameters(), strict=True):
        ours.lerp_(theirs, 0.5)
    return one


def main() -> None:
    parser = argparse.ArgumentParser(description="Half way between two shipped nets.")
    parser.add_argument("models", type=Path, nargs=2, help="two files that export.py wrote")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    write_onnx(mean_of(*map(read_net, given.models)), given.out)


if __name__ == "__main__":
    main()
