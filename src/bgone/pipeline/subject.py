"""Where the subject is: its tight box, exact at the size that is drawn, for as little work as possible.

Cells that are surely subject make an inner box for nothing. Only cells that are unsure and not inside the box known so
far are looked at; every pixel that is found leaves fewer of them, and rows are read no farther than to the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from bgone.imaging.geometry import Box
from bgone.imaging.photo import Pixels
from bgone.matting.compose import BACKGROUND, SUBJECT
from bgone.pipeline.drawing import Drawing

Cells = NDArray[np.bool_]

LIKELY = 0.1  # of the small matte: what a guess counts as subject


def tight_box(drawing: Drawing, width: int, height: int) -> Box | None:
    """The box around alpha > 0 in the region at (width, height), or None when all of it is transparent."""
    painter = drawing.painter(width, height)
    pitch, everything = painter.pitch, Box(0, 0, width, height)
    unsure = painter.classes != BACKGROUND
    box: Box | None = None
    # The photo's own alpha may leave nothing of what is surely subject.
    if drawing.seen.opaque:
        sure = painter.classes == SUBJECT
        unsure &= ~sure
        box = _bounds(sure, pitch, everything)
        _forget(unsure, pitch, box, everything)
    reach = _bounds(unsure, pitch, everything)
    if reach is None:
        return box

    def wanted(top: int, bottom: int) -> bool:
        return bool(unsure[top // pitch : ceil(bottom / pitch)].any())

    for y, rgb, own_alpha in drawing.rows(width, height, reach, painter.rows, wanted):
        rows = np.s_[y // pitch : ceil((y + len(rgb)) / pitch)]
        for left, right in _runs(unsure[rows].any(axis=0)):
            x = left * pitch
            part = np.s_[:, x - reach.left : right * pitch - reach.left]
            alpha = times(painter.alpha(y, rgb[part], x), None if own_alpha is None else own_alpha[part])
            found = around(alpha)
            box = box if found is None else found.moved(x, y).around(box)
        unsure[rows] = False
        _forget(unsure, pitch, box, everything)
        if not unsure.any():
            break
    return box


def likely_box(drawing: Drawing) -> Box:
    """About where the subject is, in the photo's pixels: from the small maps, all of the region where they say none."""
    region, matte = drawing.seen.region, drawing.cut.matte
    likely = matte > LIKELY
    if drawing.seen.alpha is not None:
        likely &= drawing.seen.alpha > 0
    box = around(likely.astype(np.uint8))
    if box is None:
        return region
    across, down = region.width / matte.shape[1], region.height / matte.shape[0]
    left, top = int(box.left * across), int(box.top * down)
    right, bottom = max(left + 1, round(box.right * across)), max(top + 1, round(box.bottom * down))
    return Box(left, top, right, bottom).moved(region.left, region.top)


def around(alpha: Pixels) -> Box | None:
    """The box around alpha > 0, or None where there is none."""
    left, top, width, height = cv2.boundingRect(alpha)
    return Box(left, top, left + width, top + height) if width else None


def times(alpha: Pixels, own_alpha: Pixels | None) -> Pixels:
    """Alpha multiplied by the photo's own, where it brings one."""
    if own_alpha is None:
        return alpha
    return np.asarray(cv2.multiply(alpha, own_alpha, scale=1 / 255), np.uint8)


def _bounds(cells: Cells, pitch: int, everything: Box) -> Box | None:
    box = around(cells.astype(np.uint8))
    return box and Box(box.left * pitch, box.top * pitch, box.right * pitch, box.bottom * pitch).inside(everything)


def _forget(unsure: Cells, pitch: int, box: Box | None, everything: Box) -> None:
    """Cells that lie inside the box cannot widen it."""
    if box is None:
        return
    bottom = len(unsure) if box.bottom == everything.bottom else box.bottom // pitch
    right = unsure.shape[1] if box.right == everything.right else box.right // pitch
    unsure[ceil(box.top / pitch) : bottom, ceil(box.left / pitch) : right] = False


def _runs(columns: Cells) -> Iterator[tuple[int, int]]:
    """Neighbouring columns that are wanted, as (first, one after the last)."""
    edges = np.flatnonzero(np.diff(columns, prepend=False, append=False))
    yield from zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
