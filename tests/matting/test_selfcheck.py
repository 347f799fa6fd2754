"""The self-check's decision, from figures; and the race that brings them, by both real runtimes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bgone.matting.engine import EngineOptions
from bgone.matting.models import EMBEDDED
from bgone.matting.onnx import OnnxNet
from bgone.matting.openvino import OpenVinoNet
from bgone.matting.selfcheck import ENOUGH, LARGEST, MEAN, PAIRS, Pair, decide, drawn, race, settled
from tests.matting.test_onnx import net_file

NAN = float("nan")


def pairs(*ratios: float, largest: float = 0.01, mean: float = 0.0001) -> list[Pair]:
    """Pairs of 20 ms by the one and as much as said by the other."""
    return [Pair(0.02, 0.02 * ratio, largest, mean) for ratio in ratios]


@pytest.mark.parametrize(
    ("measured", "result"),
    [
        (pairs(0.2, 0.2, 0.2, 0.2), "taken"),
        (pairs(0.79, 0.79, 0.79, 0.79), "taken"),
        (pairs(0.81, 0.81, 0.81, 0.81), "not_faster"),
        (pairs(4.0, 4.0, 4.0, 4.0), "not_faster"),
        # A neighbour's burst in some pairs moves neither.
        (pairs(0.3, 9.0, 0.3, 8.0, 0.3, 7.0, 0.3), "taken"),
        (pairs(1.1, 0.1, 1.1, 0.1, 1.1, 0.1, 1.1), "not_faster"),
        # Fast and wrong.
        (pairs(0.1, 0.1, 0.1, 0.1, largest=LARGEST * 1.01), "differs"),
        (pairs(0.1, 0.1, 0.1, 0.1, mean=MEAN * 1.01), "differs"),
        ([*pairs(0.1, 0.1), *pairs(0.1, largest=0.9)], "differs"),
        (pairs(0.1, largest=NAN, mean=NAN), "differs"),
    ],
)
def test_the_figures_decide(measured: list[Pair], result: str) -> None:
    """Clearly faster by the median, and every matte the same within the bounds."""
    check = decide(measured, "OpenVINO bf16")

    assert (check.result, check.taken) == (result, result == "taken")
    assert check.words.startswith("OpenVINO bf16")
    assert check.words.endswith(": used" if check.taken else ": not used")


def test_the_words_carry_the_figures() -> None:
    """One line for the log."""
    check = decide(pairs(0.2, 0.25, 0.3, 0.21), "OpenVINO bf16")

    assert check.words == "OpenVINO bf16: 0.23 of ONNX Runtime's time, mattes differ by at most 0.010: used"
    assert check.ratio == pytest.approx(0.23)
    assert check.largest == 0.01


@pytest.mark.parametrize(
    ("measured", "done"),
    [
        ([], False),
        (pairs(0.2, 0.2, 0.2), False),
        (pairs(0.2, 0.2, 0.2, 0.2), True),
        (pairs(1.2, 1.2, 1.2, 1.2), True),
        (pairs(0.2, 1.2, 0.2, 1.2, 0.2, 1.2), False),
        (pairs(0.2, 1.2, 0.2, 1.2, 0.2, 1.2, 0.2), True),
        (pairs(0.2, largest=0.5), True),
        (pairs(0.2, largest=NAN), True),
    ],
)
def test_it_ends_when_more_pairs_would_change_nothing(measured: list[Pair], done: bool) -> None:
    """After four of a kind, at the latest after seven; at once after a wrong matte."""
    assert settled(measured) is done


@pytest.mark.parametrize("seed", range(20))
def test_an_early_end_decides_as_all_pairs_would(seed: int) -> None:
    """Whatever the pairs that were left out would have shown."""
    every = pairs(*np.random.default_rng(seed).choice([0.5, 0.7, 0.8, 0.9, 2.0], PAIRS))
    first = next(every[:count] for count in range(1, PAIRS + 1) if settled(every[:count]))

    assert decide(first, "x").result == decide(every, "x").result
    assert decide(every, "x").taken is (float(np.median([pair.ratio for pair in every])) <= ENOUGH)


# --- the race -------------------------------------------------------------------------------------------------------


def test_both_runtimes_race_with_the_embedded_net() -> None:
    """Four to seven pairs, with mattes that agree; who wins is the machine's affair."""
    options = EngineOptions(model=EMBEDDED)
    other = OpenVinoNet(options)
    run = race(OnnxNet(options), other)

    assert PAIRS // 2 < len(run) <= PAIRS
    assert decide(run, other.device).result in ("taken", "not_faster")
    assert all(pair.usual_s > 0 < pair.other_s for pair in run)


def test_a_net_that_computes_something_else_is_seen(tmp_path: Path) -> None:
    """Half the brightness: after the first pair it is over."""
    (tmp_path / "dim").mkdir()
    right = OnnxNet(EngineOptions(model=net_file(tmp_path, [1, 24, 16, 3])))
    wrong = OpenVinoNet(EngineOptions(model=net_file(tmp_path / "dim", [1, 24, 16, 3], gain=1 / 510)))

    run = race(right, wrong)

    assert len(run) == 1
    assert decide(run, wrong.device).result == "differs"


@pytest.mark.parametrize(("width", "height"), [(320, 320), (61, 40), (1, 1)])
def test_the_pictures_are_those_of_the_net_in_size(width: int, height: int) -> None:
    """uint8, rows first."""
    assert {(picture.shape, picture.dtype.name) for picture in drawn(width, height)} == {((height, width, 3), "uint8")}


def test_the_embedded_net_has_something_to_say_of_them() -> None:
    """Equal mattes of nothing would prove nothing: each has a subject, and ground around it."""
    net = OnnxNet(EngineOptions(model=EMBEDDED, device="cpu"))

    for matte in (net.run(picture[None])[0] for picture in drawn(net.recipe.width, net.recipe.height)):
        assert 0.05 < matte.mean() < 0.6
        assert matte.max() > 0.9
