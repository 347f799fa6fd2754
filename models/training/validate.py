"""Figures of an exported net on pictures that it never saw, per group of pictures.

    python validate.py --data DATA --work WORK --model ../bgone-small-1.onnx

Mattes are compared at the pictures' own size, not the net's, since that is what users get.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from composites import Composer, cast_shadow, lay, place
from data import Cache, open_cache
from export import open_session

Pixels = NDArray[np.uint8]
Plane = NDArray[np.float32]

F_BETA = 0.3  # beta squared, as usual for salient objects (Achanta et al., CVPR 2009)
BOUNDARY_SHARE = 0.02  # of the diagonal (Cheng et al., "Boundary IoU", CVPR 2021)
THRESHOLDS = np.arange(0, 256, 5)
PHOTO_GROUPS = {
    "bearpaw/clothing-co-parsing": "people",
    "LTSACH/AILearningHub": "pets",
    "pcashman21/feral-cat-segmentation-dataset-and-model": "cats",
    "carlotavz/computer-vision-animal-segmentation": "wild animals",
    "KomaHomu/Applying-Mask-RCNN-in-endangered-animals-detection": "wild animals",
    "a-hwang/building-facade-segmentation": "buildings",
}
CUTOUT_GROUPS = {
    "debian:sweethome3d-furniture": "objects",
    "npm:@lobehub/fluent-emoji-3d@1.1.0": "emoji",
}
DRAWN_EACH = 40
DRAWN_SIZE = 448


@dataclass(frozen=True)
class Case:
    """A picture uint8 (H, W, 3), its alpha uint8 (H, W) and the group it counts for."""

    group: str
    picture: Pixels
    alpha: Pixels


@dataclass(frozen=True)
class Figures:
    """Of one picture; precision and recall have one value per threshold."""

    iou: float
    mae: float
    boundary_iou: float
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]


def cases(cache: Cache) -> Iterator[Case]:
    """Salient photos, held-out photos by source, then composites of held-out things."""
    for split in ("validation", "held-out"):
        for item in cache.choose("pair", split):
            rgba = cache.read(item)
            group = PHOTO_GROUPS.get(item.source, "everyday") if split == "held-out" else "salient"
            yield Case(group, rgba[..., :3].copy(), rgba[..., 3].copy())
    composer = Composer(cache, "held-out")
    rng = np.random.default_rng(7)
    for item in cache.choose("cutout", "held-out"):
        layer = place(cache.read(item), DRAWN_SIZE, rng.uniform(0.4, 0.9), 1.0, rng)
        canvas = composer.ground(DRAWN_SIZE, rng)
        if rng.random() < 0.5:
            canvas = cast_shadow(canvas, layer.alpha, rng)
        canvas, alpha = lay(canvas, np.zeros_like(layer.alpha), layer, rng)
        yield Case(CUTOUT_GROUPS.get(item.source, "stamps"), _bytes(canvas), _bytes(alpha * 255))
    for _ in range(DRAWN_EACH):
        sample = composer.graphic(DRAWN_SIZE, rng)
        yield Case("drawn, words, wires", sample.picture, sample.alpha)
    for _ in range(DRAWN_EACH):
        ground = _bytes(composer.ground(DRAWN_SIZE, rng))
        yield Case("empty", ground, np.zeros(ground.shape[:2], np.uint8))


def measure(matte: Plane, alpha: Pixels) -> Figures:
    """Compare a matte float32 (H, W), 0..1, with an alpha uint8 (H, W)."""
    truth, found = alpha > 127, matte > 0.5
    count = max(1, int(truth.sum()))
    levels = np.clip(matte * 255, 0, 255).astype(np.uint8)
    hits = np.bincount(levels[truth], minlength=256)[::-1].cumsum()[::-1]
    marked = np.bincount(levels.ravel(), minlength=256)[::-1].cumsum()[::-1]
    return Figures(
        iou=overlap(found, truth),
        mae=float(np.abs(matte - alpha.astype(np.float32) / 255).mean()),
        boundary_iou=overlap(rim(found), rim(truth)),
        precision=(hits / np.maximum(marked, 1))[THRESHOLDS],
        recall=(hits / count)[THRESHOLDS],
    )


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union; 1 when both are empty."""
    joined = int((a | b).sum())
    return int((a & b).sum()) / joined if joined else 1.0


def rim(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The part of a mask near its own outline, the picture's border counting as outside."""
    height, width = mask.shape
    reach = max(1, round(BOUNDARY_SHARE * float(np.hypot(height, width))))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT)
    inner = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=reach)[1:-1, 1:-1]
    return mask & (inner == 0)


class Predictor:
    """An exported net that takes pictures of any size."""

    def __init__(self, model: Path, threads: int) -> None:
        self.session = open_session(model, threads)
        self.side = self.session.get_inputs()[0].shape[1]

    def predict(self, picture: Pixels) -> Plane:
        """Matte float32 (H, W) of a picture uint8 (H, W, 3), by way of the net's square."""
        height, width = picture.shape[:2]
        smaller = max(height, width) > self.side
        size = (self.side, self.side)
        square = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)
        matte = self.session.run(["matte"], {"picture": square[None]})[0][0]
        return cv2.resize(matte, (width, height), interpolation=cv2.INTER_LINEAR)


def summarise(figures: list[Figures]) -> dict[str, float]:
    """Means of one group; max F over the thresholds of the mean precision and recall."""
    precision = np.mean([one.precision for one in figures], 0)
    recall = np.mean([one.recall for one in figures], 0)
    f = (1 + F_BETA) * precision * recall / np.maximum(F_BETA * precision + recall, 1e-9)
    return {
        "pictures": len(figures),
        "IoU": float(np.mean([one.iou for one in figures])),
        "max F": float(f.max()),
        "MAE": float(np.mean([one.mae for one in figures])),
        "boundary IoU": float(np.mean([one.boundary_iou for one in figures])),
    }


def table(groups: dict[str, list[Figures]]) -> str:
    """The figures as a Markdown table; an empty picture has only MAE, which is its mean matte."""
    lines = [
        "| group | pictures | IoU | max F | MAE | boundary IoU |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for group, figures in groups.items():
        s = summarise(figures)
        shown = [f"{s[name]:.3f}" for name in ("IoU", "max F", "MAE", "boundary IoU")]
        if group == "empty":
            shown = ["", "", shown[2], ""]
        lines.append(f"| {group} | {s['pictures']} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def draw_sheet(shown: list[tuple[Pixels, Pixels, Plane]], path: Path, side: int = 200) -> None:
    """A contact sheet: picture, alpha asked for, matte, and the cutout on magenta."""
    tiles = []
    for picture, alpha, matte in shown:
        on = matte[..., None]
        cutout = picture * on + np.array([255, 0, 255]) * (1 - on)
        planes = [np.repeat(_bytes(plane)[..., None], 3, 2) for plane in (alpha, matte * 255)]
        parts = [cv2.resize(_bytes(part), (side, side)) for part in (picture, *planes, cutout)]
        tiles.append(np.hstack(parts))
    half = (len(tiles) + 1) // 2
    columns = [
        np.vstack(part + [np.zeros_like(tiles[0])] * (half - len(part))) for part in (tiles[:half], tiles[half:])
    ]
    cv2.imwrite(str(path), cv2.cvtColor(np.hstack(columns), cv2.COLOR_RGB2BGR))


def _bytes(values: NDArray[np.generic]) -> Pixels:
    return np.clip(values, 0, 255).astype(np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description="Figures per group of an exported net.")
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--sheet", type=Path, help="also draw a contact sheet here, some pictures of each group")
    given = parser.parse_args()

    predictor = Predictor(given.model, given.threads)
    groups: dict[str, list[Figures]] = defaultdict(list)
    shown: list[tuple[Pixels, Pixels, Plane]] = []
    for case in cases(open_cache(given.data, given.work)):
        matte = predictor.predict(case.picture)
        if len(groups[case.group]) < (12 if case.group == "salient" else 3):
            shown.append((case.picture, case.alpha, matte))
        groups[case.group].append(measure(matte, case.alpha))
    groups["all but empty"] = [one for group, some in groups.items() if group != "empty" for one in some]
    print(table(groups))
    summary = {group: summarise(figures) for group, figures in groups.items()}
    (given.work / "figures.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
    if given.sheet:
        draw_sheet(shown, given.sheet)


if __name__ == "__main__":
    main()
