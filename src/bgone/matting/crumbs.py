"""Crumbs swept from a matte: islands of haze that belong to no subject, and faint holes in what is one.

A net is sometimes a little unsure of a patch of background, or of a patch inside the subject, and the cutout then
shows a ghost or shines through. A patch goes only where nothing in it is sure and it is small: whatever is strongly
subject, or clearly background, stays what it is, however small.
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Plane: TypeAlias = NDArray[np.float32]
Pixels: TypeAlias = NDArray[np.uint8]
Cells: TypeAlias = NDArray[np.bool_]

# Part of the picture: a square of a twentieth of its sides, 19 pixels of a net that sees 384. What is larger is
# something that the net saw, and has said what it thinks of it.
MOST_SHARE = 0.0025
FAINT = 0.1  # an edge's last tenth is settled anyway (``edges.DOUBT``)
STRONG = 0.5  # part of the matte's peak from which an island is no haze
OPEN = 0.5  # matte below which a hole may be one
NEAR = 10  # pixels of half the working size: what is nearer to an island than twice that is one with it, as strands are


def sweep(matte: Plane) -> Plane:
    """The matte without weak small islands, and with faint small holes closed.

    Args:
        matte: float32 (h, w), 0..1.

    Returns:
        float32 (h, w), 0..1; ``matte`` itself, untouched, where there is nothing to sweep.
    """
    height, width = matte.shape
    # Pieces are found at half the size, for a quarter of the time.
    half = cv2.resize(matte, ((width + 1) // 2, (height + 1) // 2), interpolation=cv2.INTER_LINEAR)
    seen, unsure = half > FAINT, half < 1 - FAINT
    islands = _crumbs(_wider(seen.view(np.uint8), NEAR), seen, half >= half.max() * np.float32(STRONG))
    holes = _crumbs(unsure.view(np.uint8), unsure, half < OPEN)
    swept = matte
    for crumbs, value in ((islands, 0), (holes, 1)):
        if crumbs is not None:
            swept = swept.copy() if swept is matte else swept
            whole = cv2.resize(crumbs, (width, height), interpolation=cv2.INTER_NEAREST)
            np.putmask(swept, whole > 0, np.float32(value))
    return swept


def _crumbs(pieces: Pixels, area: Cells, plain: Cells) -> Pixels | None:
    """1 in connected ``pieces`` that have little ``area`` and hold nothing ``plain``; None where there are none."""
    count, labels = cv2.connectedComponents(pieces, connectivity=8, ltype=cv2.CV_16U)
    if count <= 2:  # one piece, and what is in none: the subject, or the background
        return None
    small = np.bincount(labels[area], minlength=count) <= MOST_SHARE * area.size
    small[0] = False
    small[labels[plain]] = False
    # A cell more around them: its own pixels may be as unsure as theirs.
    return _wider(small.astype(np.uint8)[labels], 1) if small.any() else None


def _wider(pieces: Pixels, reach: int) -> Pixels:
    side = 2 * reach + 1
    return np.asarray(cv2.dilate(pieces, np.ones((side, side), np.uint8)), np.uint8)
