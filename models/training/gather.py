"""Rebuild a data folder from local clones of public repositories: their photos, masks drawn from their labels.

    python gather.py --list ../SOURCES-extra.tsv --clones CLONES --out FOLDER

``CLONES`` holds one git repository per source, bare or not, as OWNER+NAME or OWNER/NAME. Files are read at the
commits that the list names; no work tree and no network is needed. ``FOLDER`` gets ``manifest.tsv`` and one stored zip.
The list holds facts alone: who published which photo, under which licence, and where its label lies.
"""

import argparse
import csv
import io
import json
import os
import subprocess
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]
Row = dict[str, str]

COLUMNS = ("id", "shard", "file", "mask", "kind", "cls", "soft", "tier", "licence", "source", "path", "commit")
COLUMNS += ("w", "h", "note")
SHARD = "extra-1.zip"
LONGEST_SIDE = 640
JPEG_QUALITY = 92
# Polygons are drawn this many times larger and averaged down, so that their outlines are grey by coverage.
OVERSAMPLING = 2
# What makes the subject, and what then hides it, by source. A source without a rule counts everything labelled.
COUNTED = {"a-hwang/building-facade-segmentation": {"facade", "window", "shop", "balcony-fence"}}
SUBTRACTED = {
    "a-hwang/building-facade-segmentation": {
        "vegetation",
        "car",
        "street",
        "fence",
        "traffic-infrastructure",
        "non-building-infrastructure",
    }
}


@dataclass
class Label:
    """What a COCO file says about one picture: its size and (class, polygons) of every object."""

    width: int
    height: int
    objects: list[tuple[str, list[list[float]]]] = field(default_factory=list)

    def draw(self, counted: set[str] | None, subtracted: set[str]) -> Pixels:
        """Mask uint8 (H, W): objects of the classes ``counted`` (None: of all), less those ``subtracted``."""
        mask = np.zeros((self.height, self.width), np.uint8)
        for name, polygons in self.objects:
            if counted is None or name in counted:
                mask = np.maximum(mask, self._fill(polygons))
        for name, polygons in self.objects:
            if name in subtracted:
                mask[self._fill(polygons) > 127] = 0
        return mask

    def _fill(self, polygons: list[list[float]]) -> Pixels:
        large = np.zeros((self.height * OVERSAMPLING, self.width * OVERSAMPLING), np.uint8)
        for flat in polygons:
            # One call each: in a common call polygons that overlap would cancel each other out.
            points = (np.array(flat, float).reshape(-1, 2) * OVERSAMPLING).round().astype(np.int32)
            cv2.fillPoly(large, [points], 255)
        return cv2.resize(large, (self.width, self.height), interpolation=cv2.INTER_AREA)


def read_labels(coco: bytes) -> dict[str, Label]:
    """Labels of a COCO file by the pictures' ids, which are text here as in the list."""
    told = json.loads(coco)
    names = {category["id"]: category["name"] for category in told["categories"]}
    labels = {str(image["id"]): Label(image["width"], image["height"]) for image in told["images"]}
    for entry in told["annotations"]:
        labels[str(entry["image_id"])].objects.append((names[entry["category_id"]], entry["segmentation"]))
    return labels


class Clones:
    """Files of the local repositories, each at its pinned commit."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.labels = cache(self._labels)

    def read(self, source: str, commit: str, path: str) -> bytes:
        """Bytes of one file; a clone, commit or path that is missing ends the program with its name."""
        asked = ["git", "-C", str(self._where(source)), "cat-file", "blob", f"{commit}:{path}"]
        answer = subprocess.run(asked, capture_output=True, check=False)
        if answer.returncode:
            raise SystemExit(f"{source} has no {path} at {commit}: {answer.stderr.decode().strip()}")
        return answer.stdout

    def _where(self, source: str) -> Path:
        for name in (source.replace("/", "+"), source):
            if (self._folder / name).is_dir():
                return self._folder / name
        raise SystemExit(f"no clone of {source} in {self._folder}; README.md tells how to make one")

    def _labels(self, source: str, commit: str, path: str) -> dict[str, Label]:
        return read_labels(self.read(source, commit, path))


def make_pair(row: Row, clones: Clones) -> tuple[bytes, bytes, tuple[int, int]]:
    """JPEG and PNG of one item of the list, and the (width, height) that both have."""
    photo = open_picture(clones.read(row["source"], row["commit"], row["photo"])).convert("RGB")
    if row["image"]:
        label = clones.labels(row["source"], row["commit"], row["annotation"])[row["image"]]
        if photo.size != (label.width, label.height):
            raise SystemExit(f"{row['id']}: the photo is {photo.size}, its label says {label.width} x {label.height}")
        mask = label.draw(COUNTED.get(row["source"]), SUBTRACTED.get(row["source"], set()))
    else:  # the publisher's own mask, maybe of another size than the photo
        mask = np.array(open_picture(clones.read(row["source"], row["commit"], row["annotation"])).convert("L"))
    scale = min(1.0, LONGEST_SIDE / max(photo.size))
    size = max(1, round(photo.width * scale)), max(1, round(photo.height * scale))
    if size != photo.size:
        photo = photo.resize(size, Image.Resampling.LANCZOS)
    mask = cv2.resize(mask, size, interpolation=cv2.INTER_AREA)
    sink = io.BytesIO()
    photo.save(sink, "JPEG", quality=JPEG_QUALITY)
    return sink.getvalue(), cv2.imencode(".png", mask)[1].tobytes(), size


def open_picture(blob: bytes) -> Image.Image:
    """A picture from the bytes of its file."""
    return Image.open(io.BytesIO(blob))


def where_from(row: Row) -> str:
    """The manifest's ``path``: photo, label and, where it is known, the photo's address."""
    path = f"{row['photo']} + {row['annotation']}"
    return f"{path} ; photo {row['address']}" if row["address"] else path


def gather(rows: Iterable[Row], clones: Clones, out: Path) -> int:
    """Write ``out`` whole: the zip first, the manifest last. Returns the number of items."""
    out.mkdir(parents=True, exist_ok=True)
    told: list[Row] = []
    aside = out / f"{SHARD}.part"
    with zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as shard:
        for row in rows:
            jpeg, png, (width, height) = make_pair(row, clones)
            names = {"file": f"pair/{row['id']}.jpg", "mask": f"pair/{row['id']}.png"}
            # A fixed date: the same list and clones give the same bytes.
            shard.writestr(zipfile.ZipInfo(names["file"]), jpeg)
            shard.writestr(zipfile.ZipInfo(names["mask"]), png)
            size = {"w": str(width), "h": str(height)}
            told.append({**row, **names, **size, "shard": SHARD, "soft": "0", "path": where_from(row)})
    os.replace(aside, out / SHARD)
    with (out / "manifest.tsv").open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, COLUMNS, extrasaction="ignore", delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(told)
    return len(told)


def main() -> None:
    parser = argparse.ArgumentParser(description="Photos and masks from clones of public repositories.")
    parser.add_argument("--list", type=Path, required=True, help="table of items: SOURCES-extra.tsv")
    parser.add_argument("--clones", type=Path, required=True, help="folder of repositories: OWNER+NAME")
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    with given.list.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t"))
    print(gather(rows, Clones(given.clones), given.out), "items in", given.out)


if __name__ == "__main__":
    main()
