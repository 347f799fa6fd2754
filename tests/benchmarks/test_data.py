"""Benchmark pictures: the same every time, and of the size that their name says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from benchmarks.data import Album, add_noise, encode, scene

from tests.pictures import decode


def test_pictures_are_the_same_every_time() -> None:
    """Two runs draw the same file."""
    first, second = (encode(add_noise(scene(161, 120))) for _ in range(2))

    assert first == second


def test_noise_changes_the_picture_evenly() -> None:
    """Noise reaches every band of rows."""
    clean = scene(64, 1100)
    noisy = add_noise(clean.copy())

    apart = np.abs(noisy.astype(int) - clean).reshape(11, -1).mean(axis=1)

    assert (apart > 1).all()
    assert apart.max() < 2 * apart.min()


def test_an_album_keeps_its_pictures(tmp_path: Path) -> None:
    """A picture is made once; without the shared folder there are drawn ones only."""
    album = Album(tmp_path, None)

    (picture,) = album.pictures("1mp")

    assert decode(picture.data).shape == (864, 1152, 3)
    assert album.pictures("1mp") == [picture]
    assert album.photos(3) == []
