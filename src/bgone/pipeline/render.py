"""Draw: photo, small maps and options → bytes, strip by strip, on a picture thread.

Geometry is decided before the first byte: the scale from the size cap, the tight box from a pass that computes alpha
alone, so that a crop is exact in the delivered picture and nothing is held back.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from bgone.errors import invalid_option
from bgone.imaging.formats import FORMATS, open_writer
from bgone.imaging.geometry import Box, SizeCap
from bgone.imaging.photo import Look, Photo, Pixels, picture, strips
from bgone.imaging.png import Channels as Bands
from bgone.matting.compose import Cut, Painter
from bgone.pipeline.order import WHITE, RenderOptions
from bgone.pipeline.steps.background import lay_on
from bgone.pipeline.steps.despill import despill

Check = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything about the answer that is known before its first byte.

    Attributes:
        options: What was asked.
        scale_width: Width in pixels to which the whole photo is brought.
        scale_height: Its height.
        box: The part of it that is delivered.
        subject: The subject's tight box in the scaled photo, or None when nothing was looked for or found.
        channels: 1, 3 or 4 bands of the answer.
    """

    options: RenderOptions
    scale_width: int
    scale_height: int
    box: Box
    subject: Box | None
    channels: Bands

    @property
    def width(self) -> int:
        return self.box.width

    @property
    def height(self) -> int:
        return self.box.height


@dataclass(frozen=True, slots=True)
class Drawing:
    """The values of one drawing: what ``plan`` and ``draw`` read.

    Attributes:
        photo: The picture in its file.
        seen: Pass 1.
        cut: The small maps.
        check: Called between strips; raises when nobody waits any more.
    """

    photo: Photo
    seen: Look
    cut: Cut
    check: Check


def plan(drawing: Drawing, options: RenderOptions) -> Plan:
    """Decide size, box and bands; blocking, reads the picture once or twice more where a crop is asked.

    Raises:
        invalid_option: The format cannot hold so long a side.
    """
    photo = drawing.photo
    subject = None
    if options.crop:
        width, height, subject = _tight(drawing, options.cap)
    else:
        width, height = options.cap.fit(photo.width, photo.height)
    box = subject or Box(0, 0, width, height)
    longest = FORMATS[options.format].max_side
    if max(box.width, box.height) > longest:
        raise invalid_option("format", f"one that holds {box.width} x {box.height} pixels", options.format)
    return Plan(options, width, height, box, subject, bands(options))


def draw(drawing: Drawing, plan: Plan, write: Callable[[bytes], object], pool: Executor) -> None:
    """Write the answer's bytes.

    Args:
        drawing: The picture and its maps.
        plan: What ``plan`` decided.
        write: Takes pieces of the file in order.
        pool: Where strips are deflated.

    Raises:
        unreadable_image: The second decode failed where the first did not.
        ClientGone: From ``write`` or ``check``.
    """
    options, box = plan.options, plan.box
    writer = open_writer(
        options.format,
        write,
        box.width,
        box.height,
        plan.channels,
        pool=pool,
        quality_percent=options.quality_percent,
        pixels_per_metre=drawing.photo.pixels_per_metre,
    )
    painter = Painter(drawing.cut, plan.scale_width, plan.scale_height)
    for y, rgb, own_alpha in _rows(drawing, plan.scale_width, plan.scale_height, painter.rows, box):
        rows = _times(painter.alpha(y, rgb), own_alpha) if plan.channels == 1 else painter.paint(y, rgb, own_alpha)
        rows = rows[box.top - y if y < box.top else 0 :, box.left : box.right]
        writer.add(np.ascontiguousarray(_finish(rows, plan)))
    writer.finish()


def _finish(rows: Pixels, plan: Plan) -> Pixels:
    options = plan.options
    if plan.channels == 1:
        return rows
    if options.despill:
        rows = despill(rows)
    ground = options.background
    if plan.channels == 3:
        return lay_on(rows, ground or WHITE, opaque=True)
    return rows if ground is None else lay_on(rows, ground, opaque=False)


def bands(options: RenderOptions) -> Bands:
    """1, 3 or 4: what the answer is made of."""
    if options.channels == "alpha":
        return 1
    ground = options.background
    flat = options.channels == "rgb" or not FORMATS[options.format].keeps_alpha
    # On an opaque ground nothing is transparent any more: three bands say the same in less.
    return 3 if flat or (ground is not None and ground.alpha == 255) else 4


def _rows(drawing: Drawing, width: int, height: int, rows: int, box: Box) -> Any:
    """(y, rgb uint8 (n, width, 3), own alpha uint8 (n, width) or None) for whole strips that touch ``box``."""
    image = picture(drawing.photo, drawing.seen, width, height)
    top = box.top // rows * rows
    for y, pixels in strips(image, Box(0, top, width, box.bottom), rows):
        drawing.check()
        if pixels.shape[2] == 4:
            yield y, cv2.cvtColor(pixels, cv2.COLOR_RGBA2RGB), np.ascontiguousarray(pixels[..., 3])
        else:
            yield y, pixels, None


def _times(alpha: Pixels, own_alpha: Pixels | None) -> Pixels:
    if own_alpha is None:
        return alpha
    return np.asarray(cv2.multiply(alpha, own_alpha, scale=1 / 255), np.uint8)


def _tight(drawing: Drawing, cap: SizeCap) -> tuple[int, int, Box | None]:
    """(width, height) of the scaled photo and the subject's exact box in it, such that the box keeps the cap.

    The scale is found from the box and the box at that scale: two or three rounds settle it.
    """
    width, height = drawing.photo.width, drawing.photo.height
    box = _subject_box(drawing, width, height)
    if box is None:
        width, height = cap.fit(width, height)
        return width, height, None
    while (factor := cap.scale(box.width, box.height)) < 1:
        # Rounding down makes every round smaller, so this ends.
        width, height = max(1, int(width * factor)), max(1, int(height * factor))
        smaller = _subject_box(drawing, width, height)
        if smaller is None:  # so small that nothing of it is left
            width, height = cap.fit(drawing.photo.width, drawing.photo.height)
            return width, height, None
        box = smaller
    return width, height, box


def _subject_box(drawing: Drawing, width: int, height: int) -> Box | None:
    """The tight box around alpha > 0 in the photo at (width, height), or None when all of it is transparent."""
    painter = Painter(drawing.cut, width, height)
    columns = np.zeros(width, bool)
    top, bottom = height, 0
    for y, rgb, own_alpha in _rows(drawing, width, height, painter.rows, Box(0, 0, width, height)):
        there = _times(painter.alpha(y, rgb), own_alpha) > 0
        lines = np.flatnonzero(there.any(axis=1))
        if lines.size:
            top, bottom = min(top, y + int(lines[0])), y + int(lines[-1]) + 1
            columns |= there.any(axis=0)
    if bottom == 0:
        return None
    found = np.flatnonzero(columns)
    return Box(int(found[0]), top, int(found[-1]) + 1, bottom)
