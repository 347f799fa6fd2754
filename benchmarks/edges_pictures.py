"""Pictures of docs/edges.md: a corner of every scene, laid on a saturated ground by each way and in truth.

``python -m benchmarks.edges_pictures FOLDER`` also writes the sheet of the model's card: what the embedded net itself
makes of scenes that are hard for it.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import cv2
import numpy as np

from benchmarks.edges import bilinear, ours, photo_of
from benchmarks.edges_metrics import GROUNDS
from benchmarks.edges_scenes import SCENES, Pixels, Plane
from bgone.matting.engine import EngineOptions
from bgone.matting.models import EMBEDDED
from bgone.matting.onnx import OnnxNet

SIZE, SIDE, SHOWN, GAP = "12mp", 480, 200, 4  # pixels: of the corner, and of its picture
# Middle of the corner, in parts of width and height.
CORNERS = {
    "hair": (0.36, 0.24),
    "fur": (0.69, 0.82),
    "lace": (0.32, 0.3),
    "glass": (0.4, 0.2),
    "motion": (0.66, 0.4),
    "sticks": (0.62, 0.2),
    "focus": (0.56, 0.72),
}
HARD = ("glass", "lace", "motion", "sticks", "hair", "fur")
WIDE, HIGH = 240, 180  # pixels of a picture on the sheet


def strip(name: str) -> Pixels:
    """Photo, bilinear, bgone, truth, side by side: uint8 (h, w, 3), RGB."""
    photo = photo_of(name, SIZE)
    plain, own, scene = bilinear(photo), ours(photo), photo.scene
    height, width = scene.alpha.shape
    left, top = (round(at * side) - SIDE // 2 for at, side in zip(CORNERS[name], (width, height), strict=True))
    part = np.s_[top : top + SIDE, left : left + SIDE]
    pictures = [photo.rgb[part]]
    pictures += [laid(rgb[part], alpha[part]) for rgb, alpha in ((plain.rgb, plain.alpha), (own.rgb, own.alpha))]
    pictures.append(laid(scene.subject[part], scene.alpha[part]))
    white = np.full((SHOWN, GAP, 3), 255, np.uint8)
    shown = [cv2.resize(picture, (SHOWN, SHOWN), interpolation=cv2.INTER_AREA) for picture in pictures]
    return np.hstack([piece for picture in shown for piece in (picture, white)][:-1]).astype(np.uint8)


def sheet() -> Pixels:
    """Photo, the embedded net's matte, cutout, truth; a row for every hard scene: uint8 (h, w, 3), RGB."""
    net = OnnxNet(EngineOptions(EMBEDDED, device="cpu", threads=1))
    rows = []
    for name in HARD:
        photo = photo_of(name, "1mp")
        side = (net.recipe.width, net.recipe.height)
        small = np.asarray(cv2.resize(photo.rgb, side, interpolation=cv2.INTER_AREA), np.uint8)
        matte = net.run(small[None])[0]
        own = ours(dataclasses.replace(photo, matte=np.asarray(matte, np.float32)))
        grey = cv2.cvtColor(np.rint(matte * 255).astype(np.uint8), cv2.COLOR_GRAY2RGB)
        row = [photo.rgb, grey, laid(own.rgb, own.alpha), laid(photo.scene.subject, photo.scene.alpha)]
        rows.append(np.hstack([cv2.resize(one, (WIDE, HIGH), interpolation=cv2.INTER_AREA) for one in row]))
    return np.vstack(rows).astype(np.uint8)


def laid(rgb: Pixels, alpha: Plane) -> Pixels:
    """On the saturated ground."""
    under = np.asarray(GROUNDS["saturated"], np.float32)
    return np.rint(alpha[..., None] * rgb + (1 - alpha[..., None]) * under).astype(np.uint8)


def main() -> None:
    """Write one JPEG for every scene, and the sheet."""
    folder = Path(sys.argv[1])
    for name, picture in [*((f"edges-{name}", strip(name)) for name in SCENES), ("hard-scenes", sheet())]:
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(folder / f"{name}.jpg"), bgr, [cv2.IMWRITE_JPEG_QUALITY, 72])


if __name__ == "__main__":
    main()
