"""A picture under everything, read from its file in step with the rows that are laid on it."""

from __future__ import annotations

import cv2
import numpy as np

from bgone.errors import unreadable_image
from bgone.imaging import vips
from bgone.imaging.photo import Photo, look, picture
from bgone.pipeline.order import WHITE, Fit
from bgone.pipeline.steps.background import filled
from bgone.pipeline.steps.over import Layer, Pixels, over

GLANCE = 64  # pixels: small enough for the decoder's own shrinking, and every decoding error shows


def picture_layer(photo: Photo, fit: Fit, width: int, height: int) -> Layer:
    """Lay the rows on a picture, centred; upright, in sRGB, its own transparency on white.

    The file is read twice: once now, small, so that damage shows before the first byte of an answer, and once in step
    with the rows. It is never whole in memory unless ``photo.whole``. It may be enlarged.

    Args:
        photo: The picture, opened.
        fit: ``cover``, ``contain`` (white beside it), ``scale-down`` (contain, never enlarged) or ``fill``.
        width: Pixels across the answer.
        height: Pixels down the answer.

    Raises:
        unreadable_image: The file is damaged or truncated.
    """
    across, down = _size(photo, fit, width, height)
    image = picture(photo, look(photo, GLANCE), across, down)
    if image.bands == 4:
        image = image.flatten(background=255)
    region = vips.Region.new(image)
    # Where the picture's corner falls in the answer; negative where it stands over.
    left, top = (width - across) // 2, (height - down) // 2
    columns = max(0, left), min(width, left + across)

    # A region does not hold its image in Python: without ``_held`` the pixels are freed under it.
    def lay(y: int, rows: Pixels, _held: object = image) -> Pixels:
        below = filled(WHITE, len(rows), width)
        first, end = max(y, top), min(y + len(rows), top + down)
        if first < end:
            try:
                raw = region.fetch(columns[0] - left, first - top, columns[1] - columns[0], end - first)
            except vips.Error as error:
                raise unreadable_image(str(error)) from error
            pixels = np.frombuffer(raw, np.uint8).reshape(end - first, -1, 3)
            below[first - y : end - y, slice(*columns)] = cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA)
        return over(rows, below)

    return lay


def _size(photo: Photo, fit: Fit, width: int, height: int) -> tuple[int, int]:
    """(width, height) in pixels to which the picture is brought."""
    if fit == "fill":
        return width, height
    across, down = width / photo.width, height / photo.height
    scale = max(across, down) if fit == "cover" else min(across, down)
    if fit == "scale-down":
        scale = min(1.0, scale)
    return max(1, round(photo.width * scale)), max(1, round(photo.height * scale))
