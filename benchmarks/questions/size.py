"""How large are the PNGs, against Pillow at level 6 with the same pixels?"""

from __future__ import annotations

import io

import PIL.Image

from benchmarks.bench import Bench, Row
from benchmarks.compare import spread

LIMIT = 1.15
PILLOW_LEVEL = 6  # what rembg writes with


def ask(bench: Bench) -> list[Row]:
    """Cutouts of every kind of picture that the other questions use, and of photographs as they are."""
    pictures = [*bench.pictures("1mp"), *bench.pictures("12mp"), *bench.album.photos(bench.count(12, 2))]
    ratios, megabytes = [], []
    with bench.bgone(net=True) as server:
        for picture in pictures:
            png = server.cut(picture.data, keep=True).body
            ratios.append(len(png) / _by_pillow(png))
            megabytes.append(f"{picture.name} {picture.width} x {picture.height}: {len(png) / 1e6:.2f} MB")
    found = spread(ratios)
    notes = (f"{len(pictures)} pictures; median (least-most)", *megabytes[:4])
    return [
        Row(
            f"PNG size against Pillow level {PILLOW_LEVEL}",
            f"≤ {LIMIT} x",
            found.words(" x", 3),
            found.median <= LIMIT,
            notes,
        )
    ]


def _by_pillow(png: bytes) -> int:
    buffer = io.BytesIO()
    with PIL.Image.open(io.BytesIO(png)) as image:
        image.save(buffer, "PNG", compress_level=PILLOW_LEVEL)
    return len(buffer.getvalue())
