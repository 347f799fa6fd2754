"""Draw the pictures of docs/options.md by the server's own studio, and write the page.

Run by ``make pictures``. One row of ``SHOWN`` is one option: its words, its scene, what is asked.
"""

from __future__ import annotations

import asyncio
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL.Image

from bgone.imaging.geometry import Length, SizeCap
from bgone.matting.batcher import Batcher
from bgone.matting.engine import EngineOptions
from bgone.matting.models import EMBEDDED
from bgone.matting.onnx import OnnxNet
from bgone.pipeline.budget import Budget
from bgone.pipeline.fetch import Fetcher
from bgone.pipeline.order import (
    WHITE,
    BlurGround,
    Colour,
    Order,
    Outline,
    PictureGround,
    RenderOptions,
    Shadow,
    Upload,
)
from bgone.pipeline.studio import Studio, StudioOptions
from bgone.pipeline.timings import Timings

sys.path.insert(0, str(Path(__file__).parent))
import scenes

Pixels = npt.NDArray[np.uint8]

HERE = Path(__file__).parent
LONGEST, MOST_BYTES, QUALITY = 480, 30_000, 80
SQUARE = 12  # pixels of the checkerboard that shows through what is transparent


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of the page.

    Attributes:
        name: Of its file.
        asked: How a dialect says it, for whoever looks it up.
        words: What it does.
        scene: Name of a photo.
        options: What is asked of the studio.
    """

    name: str
    asked: str
    words: str
    scene: str
    options: RenderOptions


def png(pixels: Pixels) -> bytes:
    """The pixels as a file."""
    file = io.BytesIO()
    PIL.Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


PHOTOS = {
    "mug": scenes.mug(),
    "green": scenes.mug(screen=True),
    "car": scenes.car(),
    "person": scenes.person(),
}
LANDSCAPE = Upload(png(scenes.landscape()))
TEN = Length(10, "%")
SKY, SUN, PAPER = Colour(174, 205, 224), Colour(246, 170, 60), Colour(244, 242, 238)


def asked(**options: Any) -> RenderOptions:
    """Render options of one picture, no larger than the page shows."""
    return RenderOptions(cap=SizeCap(longest=LONGEST), **options)


SHOWN = {
    "The cutout": (
        Shown("cut", "`format=png`", "Hair stays fine and loses the old background's colour.", "person", asked()),
        Shown("alpha", "`channels=alpha`", "The mask alone.", "person", asked(channels="alpha")),
        Shown("glass", "`semitransparency=true`", "The background shows through glass.", "car", asked(background=SUN)),
        Shown(
            "solid", "`semitransparency=false`", "Or it does not.", "car",
            asked(background=SUN, semitransparency=False),
        ),
        Shown("spill", "`despill=false`", "A green screen shines on its subject.", "green", asked()),
        Shown("despill", "`despill=true`", "Its green is taken back.", "green", asked(despill=True)),
    ),
    "Size and place": (
        Shown("crop", "`crop=true`", "Cut to the subject, exact to the pixel.", "mug", asked(crop=True)),
        Shown(
            "margin", "`crop_margin=10%`", "With room around it, in percent of the subject or in pixels.", "mug",
            asked(crop=True, margin=(TEN,) * 4),
        ),
        Shown(
            "scale", "`scale=80%`", "The subject's larger side takes that much of the picture's.", "mug",
            asked(subject_scale=0.8, position=(0.5, 0.5)),
        ),
        Shown("position", "`position=0% 100%`", "Across and down the room left.", "mug", asked(position=(0.0, 1.0))),
        Shown(
            "roi", "`roi=0% 0% 50% 100%`", "Only this part is looked at; the rest is background.", "mug",
            asked(region=(Length(0, "%"), Length(0, "%"), Length(50, "%"), Length(100, "%"))),
        ),
    ),
    "Backgrounds": (
        Shown("colour", "`bg_color=aecde0`", "A colour; it may be transparent too.", "person", asked(background=SKY)),
        Shown(
            "cover", "`bg_image`, cover", "A picture that fills the frame.", "person",
            asked(background=PictureGround(LANDSCAPE, "cover")),
        ),
        Shown(
            "contain", "`bg_image`, contain", "All of a picture, white beside it.", "person",
            asked(background=PictureGround(LANDSCAPE, "contain")),
        ),
        Shown(
            "fill", "`bg_image`, fill", "A picture, stretched.", "person",
            asked(background=PictureGround(LANDSCAPE, "fill")),
        ),
        Shown(
            "blur", "`bg_blur=30`", "The photo's own background, out of focus.", "person",
            asked(background=BlurGround(30)),
        ),
        Shown(
            "blur-most", "`bg_blur=100`", "As far out of focus as it goes.", "person",
            asked(background=BlurGround(100)),
        ),
    ),
    "Shadows and outlines": (
        Shown(
            "shadow-drop", "`shadow_type=drop`", "Soft, below and behind.", "mug",
            asked(background=WHITE, shadow=Shadow("drop")),
        ),
        Shown(
            "shadow-3d", "`shadow_type=3D`", "Cast on the ground by a light in front, on the left.", "mug",
            asked(background=PAPER, shadow=Shadow("3D")),
        ),
        Shown(
            "shadow-car", "`shadow_type=car`", "Where it touches the ground.", "car",
            asked(background=PAPER, shadow=Shadow("car", 70)),
        ),
        Shown(
            "shadow-alone", "`shadow_type=car`", "Without a background: black with alpha.", "car",
            asked(shadow=Shadow("car", 70)),
        ),
        Shown(
            "shadow-offset", "`shadow=custom`", "The silhouette moved, as soft as asked.", "person",
            asked(background=SKY, shadow=Shadow("offset", 40, blur_percent=15, offset_x_px=14, offset_y_px=8)),
        ),
        Shown(
            "outline", "`stroke_size=7`", "A line around the subject, which casts the shadow with it.", "person",
            asked(background=SKY, outline=Outline(7), shadow=Shadow("drop", 60)),
        ),
    ),
}  # fmt: skip


async def draw_all() -> dict[str, Pixels]:
    """Every picture of the page by name, uint8 (h, w, bands)."""
    fetcher = Fetcher()
    studio = Studio(fetcher, StudioOptions(threads=2, seats=1, queue=0, deadline_s=60), Budget(10**9))
    net = await asyncio.to_thread(OnnxNet, EngineOptions(EMBEDDED, device="cpu", threads=2))
    studio.set_engine(Batcher(net, 1, lambda _pictures, _seconds: None))
    try:
        return {row.name: await draw(studio, row) for rows in SHOWN.values() for row in rows}
    finally:
        await fetcher.aclose()
        await studio.aclose()


async def draw(studio: Studio, row: Shown) -> Pixels:
    """One of them."""
    holding = studio.budget.open()
    try:
        order = Order(Upload(png(PHOTOS[row.scene])), row.options)
        result = await studio.make(order, holding, Timings())
        data = await result.spool.read()
        result.spool.close()
    finally:
        holding.release()
    with PIL.Image.open(io.BytesIO(data)) as image:
        return np.asarray(image)


def on_checkerboard(pixels: Pixels) -> Pixels:
    """What is transparent shows a checkerboard."""
    if pixels.ndim == 2 or pixels.shape[2] == 3:
        return pixels
    down, across = np.indices(pixels.shape[:2])
    board = np.where((down // SQUARE + across // SQUARE) % 2, 255, 222)[..., np.newaxis]
    alpha = pixels[..., 3:] / 255
    return np.asarray(np.rint(pixels[..., :3] * alpha + board * (1 - alpha)), np.uint8)


def save(name: str, pixels: Pixels) -> None:
    """Write docs/pictures/NAME.jpg."""
    path = HERE / "pictures" / f"{name}.jpg"
    PIL.Image.fromarray(on_checkerboard(pixels)).save(path, "JPEG", quality=QUALITY, optimize=True)
    assert path.stat().st_size <= MOST_BYTES, f"{path}: {path.stat().st_size} bytes"


def page() -> str:
    """docs/options.md."""
    text = [
        "# Options in pictures",
        "",
        "What each option does, drawn by bgone itself (`make pictures`) from photos that are drawn in code",
        "([scenes.py](scenes.py)). Names differ from dialect to dialect: [api.md](api.md) says which of them has what.",
        "A checkerboard is what is transparent.",
        "",
        "| | | |",
        "|---|---|---|",
        "| " + " | ".join(f"![](pictures/photo-{name}.jpg)" for name in ("mug", "car", "person")) + " |",
    ]
    for title, rows in SHOWN.items():
        text += ["", f"## {title}", "", "| option | | |", "|---|---|---|"]
        text += [f"| {row.asked} | {row.words} | ![{row.words}](pictures/{row.name}.jpg) |" for row in rows]
    return "\n".join(text) + "\n"


def main() -> None:
    """Write all pictures, then the page."""
    (HERE / "pictures").mkdir(exist_ok=True)
    for name, pixels in PHOTOS.items():
        save(f"photo-{name}", pixels)
    for name, pixels in asyncio.run(draw_all()).items():
        save(name, pixels)
    (HERE / "options.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
