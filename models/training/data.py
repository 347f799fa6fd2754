"""Items to train with: every picture is decoded once into one flat array on disk.

Decoding JPEG and WebP again for every sample costs more than drawing it; a memory map costs
nothing and is shared by all workers. The manifest's tier decides what may be trained with;
validation items lie in the same array and only ever validate.
"""

import csv
import json
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

TRAINING_TIERS = ("open", "sharealike")
VALIDATION_TIER = "research"
# Sources whose licence could not be confirmed, as they are named in the manifest; not trained with. None today.
UNCONFIRMED_SOURCES: frozenset[str] = frozenset()
# One training item in this many is held out, chosen by its id alone, within every source.
HELD_OUT_EVERY = 20
LONGEST_SIDE = 512
_AHEAD = 64


@dataclass(frozen=True)
class Item:
    """One picture of the manifest and where its pixels lie in the cache."""

    id: str
    kind: str  # pair, cutout or background
    subject_class: str
    soft: bool
    source: str
    split: str  # train, held-out or validation
    offset: int
    height: int
    width: int


def read_manifest(folders: Sequence[Path]) -> list[dict[str, str]]:
    """Rows of the folders' manifests that may be used, in their order; ``shard`` is the shard's whole path."""
    rows = []
    for folder in folders:
        with (folder / "manifest.tsv").open(encoding="utf-8", newline="") as lines:
            table = csv.DictReader(lines, delimiter="\t")
            rows.extend({**row, "shard": str(folder / row["shard"])} for row in table)
    return [row for row in rows if split_of(row)]


def split_of(row: dict[str, str]) -> str:
    """``train``, ``held-out``, ``validation``, or empty for what must not be used at all."""
    if row["tier"] == VALIDATION_TIER:
        return "validation" if Path(row["shard"]).name == "validation.zip" else ""
    if row["tier"] not in TRAINING_TIERS or row["source"] in UNCONFIRMED_SOURCES:
        return ""
    return "held-out" if zlib.crc32(row["id"].encode()) % HELD_OUT_EVERY == 0 else "train"


class Cache:
    """The decoded items: RGBA pixels in one memory-mapped file, their whereabouts in an index."""

    def __init__(self, folder: Path) -> None:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
        self.items = [Item(**entry) for entry in index]
        self._pixels = np.memmap(folder / "pixels.u8", np.uint8, "r")

    def read(self, item: Item) -> Pixels:
        """RGBA uint8 (H, W, 4), read-only; alpha is a pair's mask and 0 all over a background."""
        size = item.height * item.width * 4
        flat = self._pixels[item.offset : item.offset + size]
        return np.asarray(flat).reshape(item.height, item.width, 4)

    def choose(self, kind: str, split: str) -> list[Item]:
        """Items of one kind in one split, in the manifest's order."""
        return [item for item in self.items if item.kind == kind and item.split == split]


def open_cache(data: Sequence[Path], work: Path) -> Cache:
    """The cache in ``work``, decoded from the shards in the folders ``data`` the first time."""
    folder = work / "cache"
    if not (folder / "index.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _fill(data, folder)
    return Cache(folder)


def _fill(data: Sequence[Path], folder: Path) -> None:
    index: list[dict[str, object]] = []
    offset = 0
    with (folder / "pixels.u8").open("wb") as sink:
        for row, rgba in _decode_all(read_manifest(data)):
            height, width = rgba.shape[:2]
            item = Item(
                id=row["id"],
                kind=row["kind"],
                subject_class=row["cls"],
                soft=row["soft"] == "1",
                source=row["source"],
                split=split_of(row),
                offset=offset,
                height=height,
                width=width,
            )
            index.append(asdict(item))
            sink.write(rgba.tobytes())
            offset += rgba.nbytes
    aside = folder / "index.json.part"
    aside.write_text(json.dumps(index), encoding="utf-8")
    os.replace(aside, folder / "index.json")


def _decode_all(rows: list[dict[str, str]]) -> Iterator[tuple[dict[str, str], Pixels]]:
    shards = {name: zipfile.ZipFile(name) for name in sorted({row["shard"] for row in rows})}
    with ThreadPoolExecutor(2) as pool:
        for start in range(0, len(rows), _AHEAD):
            some = rows[start : start + _AHEAD]
            parts = [
                (shards[row["shard"]].read(row["file"]),
                 shards[row["shard"]].read(row["mask"]) if row["mask"] else b"")
                for row in some
            ]  # fmt: skip
            yield from zip(some, pool.map(lambda part: decode(*part), parts), strict=True)
    for shard in shards.values():
        shard.close()


def decode(picture: bytes, mask: bytes) -> Pixels:
    """RGBA uint8 (H, W, 4), longest side at most ``LONGEST_SIDE``; alpha from ``mask`` if any."""
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError("an item of the shards cannot be decoded")
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    if image.shape[2] == 3:
        plane = (
            cv2.imdecode(np.frombuffer(mask, np.uint8), cv2.IMREAD_GRAYSCALE)
            if mask
            else np.zeros(image.shape[:2], np.uint8)
        )
        image = np.dstack([image, plane])
    rgba = cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA)
    scale = LONGEST_SIDE / max(rgba.shape[:2])
    if scale < 1:
        height, width = (max(1, round(side * scale)) for side in rgba.shape[:2])
        rgba = cv2.resize(rgba, (width, height), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(rgba)
