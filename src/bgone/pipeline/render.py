"""Draw: photo, small maps and options → bytes, strip by strip, on a picture thread.

Everything about the answer is decided before its first byte (``plan``), so that nothing is held back: a crop is exact
in the delivered picture, and what nothing can be drawn of is an error and not half an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor

import cv2
import numpy as np

from bgone.errors import ApiError, ground_failed, invalid_option, nothing_found
from bgone.imaging.formats import open_writer, row_of
from bgone.imaging.geometry import Box
from bgone.imaging.photo import Photo, Pixels
from bgone.imaging.png import Channels as Bands
from bgone.matting.compose import BACKGROUND, SUBJECT
from bgone.pipeline.drawing import Drawing
from bgone.pipeline.layers import Layers, open_layers
from bgone.pipeline.order import Colour, RenderOptions
from bgone.pipeline.placement import Placement, place
from bgone.pipeline.plan import Plan
from bgone.pipeline.steps.despill import despill
from bgone.pipeline.subject import likely_box, tight_box, times

AUTO = "auto"
BLANK_ROWS = 64
# What may be wrong with a picture: of a background it is told apart from the same of the photo.
PICTURE_KINDS = ("fetch_failed", "unreadable_image", "unsupported_image", "too_many_pixels", "too_many_bytes")


def plan(drawing: Drawing, options: RenderOptions) -> Plan:
    """Decide size, place, format and bands; blocking, reads the picture again where the subject's box decides.

    Raises:
        nothing_found: There is no subject, and one is needed.
        invalid_option: The format cannot hold so long a side.
    """
    photo, seen = drawing.photo, drawing.seen

    def measure(width: int, height: int) -> Box | None:
        return tight_box(drawing, width, height)

    # What the maps say of the subject, the photo's own alpha may take back.
    doubtful = options.needs_subject and not seen.opaque
    size = photo.width, photo.height
    placed = place(options, size, seen.region, measure, likely_box(drawing), must_measure=doubtful)
    if options.needs_subject and (placed.subject is None if placed.measured else _empty(drawing, placed)):
        raise nothing_found()
    name = options.format
    if name == AUTO:
        name = "png" if options.channels == "alpha" or _transparent(drawing, placed, options) else "jpg"
    longest = row_of(name).max_side
    if max(placed.width, placed.height) > longest:
        raise invalid_option("format", f"one that holds {placed.width} x {placed.height} pixels", name)
    source = placed.source or Box(0, 0, 0, 0)
    return Plan(
        options=options,
        format=name,
        channels=bands(options, name),
        width=placed.width,
        height=placed.height,
        region=seen.region,
        scaled_width=placed.scaled[0],
        scaled_height=placed.scaled[1],
        source=source,
        left=placed.left + source.left,
        top=placed.top + source.top,
        subject=placed.subject and placed.subject.inside(placed.answer),
    )


def draw(
    drawing: Drawing, plan: Plan, write: Callable[[bytes], object], pool: Executor, ground: Photo | None = None
) -> None:
    """Write the answer's bytes.

    Args:
        drawing: The picture and its maps.
        plan: What ``plan`` decided.
        write: Takes pieces of the file in order.
        pool: Where strips are deflated.
        ground: The picture of a ``PictureGround``.

    Raises:
        unreadable_image: The second decode failed where the first did not.
        ground_failed: The picture under the subject is damaged.
        ClientGone: From ``write`` or ``check``.
    """
    try:
        layers = None if plan.channels == 1 else open_layers(drawing, plan, ground)
    except ApiError as error:
        if ground is not None and error.kind in PICTURE_KINDS:
            raise ground_failed(error) from error
        raise
    writer = open_writer(
        plan.format,
        write,
        plan.width,
        plan.height,
        plan.channels,
        pool=pool,
        quality_percent=plan.options.quality_percent,
        pixels_per_metre=drawing.photo.pixels_per_metre,
    )
    for y, rows in _laid(drawing, plan):
        writer.add(np.ascontiguousarray(rows if layers is None else _finish(y, rows, plan, layers)))
    writer.finish()


def bands(options: RenderOptions, format_name: str) -> Bands:
    """1, 3 or 4: what the answer is made of."""
    if options.channels == "alpha":
        return 1
    flat = options.channels == "rgb" or not row_of(format_name).keeps_alpha
    # On an opaque ground nothing is transparent any more: three bands say the same in less.
    return 3 if flat or _opaque(options) else 4


def _opaque(options: RenderOptions) -> bool:
    """What lies under the subject leaves nothing transparent."""
    ground = options.background
    return ground is not None and (not isinstance(ground, Colour) or ground.alpha == 255)


def _transparent(drawing: Drawing, placed: Placement, options: RenderOptions) -> bool:
    """Anything in the answer may be transparent."""
    if options.channels == "rgb" or _opaque(options):
        return False
    whole = placed.source is not None and placed.source == placed.answer.moved(-placed.left, -placed.top)
    if not (whole and drawing.seen.opaque):
        return True
    return not (drawing.as_is or bool((drawing.painter(*placed.scaled).classes == SUBJECT).all()))


def _empty(drawing: Drawing, placed: Placement) -> bool:
    return bool((drawing.painter(*placed.scaled).classes == BACKGROUND).all())


def _finish(y: int, rows: Pixels, plan: Plan, layers: Layers) -> Pixels:
    rows = layers.under(y, rows)
    # Under three bands lies something opaque: alpha says nothing any more.
    return np.asarray(cv2.cvtColor(rows, cv2.COLOR_RGBA2RGB), np.uint8) if plan.channels == 3 else rows


# --- rows of the answer ---------------------------------------------------------------------------------------------


def _laid(drawing: Drawing, plan: Plan) -> Iterator[tuple[int, Pixels]]:
    """(y, uint8 (n, width, 4), or (n, width) of a mask) for all rows of the answer, with nothing under the subject."""
    shape = (plan.width,) if plan.channels == 1 else (plan.width, 4)
    left, right = plan.left, plan.left + plan.source.width
    yield from _blank(0, plan.top, shape)
    y = plan.top
    for rows in _painted(drawing, plan):
        if plan.source.width == plan.width:
            yield y, rows
        else:
            wide = np.zeros((len(rows), *shape), np.uint8)
            wide[:, left:right] = rows
            yield y, wide
        y += len(rows)
    yield from _blank(y, plan.height, shape)


def _blank(top: int, bottom: int, shape: tuple[int, ...]) -> Iterator[tuple[int, Pixels]]:
    for y in range(top, bottom, BLANK_ROWS):
        yield y, np.zeros((min(BLANK_ROWS, bottom - y), *shape), np.uint8)


def _painted(drawing: Drawing, plan: Plan) -> Iterator[Pixels]:
    """The rows of ``plan.source``, cut out: uint8 (n, source.width, 4), or (n, source.width) of a mask."""
    source = plan.source
    if source.width == 0:
        return
    painter = drawing.painter(plan.scaled_width, plan.scaled_height)
    # The painter works from whole cells on.
    x, top = source.left // painter.pitch * painter.pitch, source.top // painter.pitch * painter.pitch
    full_colour = row_of(plan.format).full_colour
    box = Box(x, top, source.right, source.bottom)
    for y, rgb, own_alpha in drawing.rows(plan.scaled_width, plan.scaled_height, box, painter.rows):
        if plan.channels == 1:
            rows = times(painter.alpha(y, rgb, x), own_alpha)
        else:
            rows = painter.paint(y, rgb, own_alpha, x, full_colour=full_colour)
            if plan.options.despill and not drawing.as_is:
                rows = despill(rows)
        yield rows[max(0, source.top - y) :, source.left - x :]
