"""The figures of ``benchmarks.fine``, and which photographs they are made of."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from benchmarks.fine import HELD_OUT_EVERY, figures, overlap, photographs, rim

from tests.pictures import encode, scene


def test_overlap_is_of_the_union() -> None:
    """1 where both are empty."""
    one, other = np.zeros((4, 6), np.bool_), np.zeros((4, 6), np.bool_)
    assert overlap(one, other) == 1
    one[:, :4], other[:, 2:] = True, True
    assert overlap(one, other) == pytest.approx(8 / 24)


def test_a_rim_reaches_inwards_from_the_outline_and_the_pictures_border() -> None:
    """As wide as said, a pixel at least."""
    mask = np.zeros((30, 40), np.bool_)
    mask[:, 10:] = True
    assert np.array_equal(np.flatnonzero(rim(mask, 0.001)[15]), [10, 39])
    assert np.array_equal(np.flatnonzero(rim(mask, 0.06)[15]), [10, 11, 12, 37, 38, 39])


def test_a_finer_edge_has_better_figures() -> None:
    """Every one of them; the truth itself has none to mend."""
    true = np.zeros((60, 80), np.float32)
    cv2.circle(true, (40, 30), 20, 1, -1, cv2.LINE_AA)
    perfect, blurred = figures(true, true), figures(np.asarray(cv2.GaussianBlur(true, (0, 0), 5), np.float32), true)

    assert perfect == pytest.approx([1, 0, 1, 1, 0, 0], abs=1e-9)
    assert all(worse < 1 for worse in (blurred[0], blurred[2], blurred[3]))
    assert all(worse > 0 for worse in (blurred[1], blurred[4], blurred[5]))


@pytest.mark.parametrize("shard", ["validation.zip", "open-1.zip"])
def test_only_pictures_that_training_never_saw_are_judged(tmp_path: Path, shard: str) -> None:
    """All of those that validate, and one in so many of the others, by their ids."""
    (tmp_path / "training").mkdir()
    names = [f"ccp_{number:04}" for number in range(100)]
    mask = io.BytesIO(encode(np.full((40, 61, 3), 255, np.uint8), "PNG")).getvalue()
    with zipfile.ZipFile(tmp_path / "training" / shard, "w") as file:
        for number, name in enumerate(names):
            file.writestr(f"pair/{name}.jpg", encode(scene(seed=number)))
            file.writestr(f"pair/{name}.png", mask)
        file.writestr("cutout/other.jpg", b"")
    held_out = [number for number, name in enumerate(names) if zlib.crc32(name.encode()) % HELD_OUT_EVERY == 0]

    cases = list(photographs(tmp_path, shard, 1))
    kept = range(100) if shard == "validation.zip" else held_out
    assert [case.data for case in cases] == [encode(scene(seed=number)) for number in kept]
    assert 0 < len(held_out) < 20
    assert cases[0].true.shape == (40, 61)
    assert cases[0].true.min() == 1
    assert len(list(photographs(tmp_path, shard, 2))) == (len(cases) + 1) // 2
