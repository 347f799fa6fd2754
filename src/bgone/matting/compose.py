"""From small maps to full-size alpha and clean colour, strip by strip, working only where the edge is.

The maps are first brought to a grid whose cells are a whole number of output pixels, the *pitch*. Any rectangle of
cells, with one more around it, then enlarges to the same pixels whatever lies beside it, so strips and tiles meet
without seams. Where a cell's line cannot leave 0 or 1 for any colour the cell is sure: it is skipped or copied, with
the very pixels that the formulas would give.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
from numpy.typing import NDArray

from bgone.matting import edges, foreground
from bgone.matting.edges import Pixels, Plane, Planes

STRIP = 64  # rows at least
BACKGROUND, SUBJECT, MIXED = 0, 1, 2
NOTHING = 0.49 / 255  # rounds to no alpha at all
MOST_PITCH = 256  # enlarged pictures: a strip's height is at least the pitch


@dataclass(frozen=True, slots=True)
class Cut:
    """What is known of subject and background, at working size.

    Attributes:
        coefficients: a for red, green and blue, then b, each float32 (h, w): alpha = clip(a·I + b), I and alpha 0..1.
        foreground: uint8 (h, w, 3): the subject's colour near each pixel.
        background: uint8 (h, w, 3): the background's colour near each pixel.
        matte: float32 (h, w), 0..1: the net's matte that they were made from.
    """

    coefficients: Planes
    foreground: Pixels
    background: Pixels
    matte: Plane


def cut(working: Pixels, matte: Plane) -> Cut:
    """Fit the small maps.

    Args:
        working: uint8 (h, w, 3), sRGB.
        matte: float32 (h, w), 0..1, same size (``edges.fit_matte``).
    """
    picture = [np.multiply(plane, np.float32(1 / 255), dtype=np.float32) for plane in cv2.split(working)]
    coefficients, alpha = edges.guide(picture, edges.settle(matte))
    clean, old = foreground.estimate(picture, alpha)
    return Cut(coefficients, clean, old, matte)


def uncut(working: Pixels, alpha: Pixels | None) -> Cut:
    """The small maps of a picture that comes back as it is: its own alpha takes the matte's place.

    Args:
        working: uint8 (h, w, 3), sRGB.
        alpha: uint8 (h, w): the picture's own, None where it is opaque.
    """
    matte = np.ones(working.shape[:2], np.float32)
    if alpha is not None:
        matte = np.multiply(alpha, np.float32(1 / 255), dtype=np.float32)
    nothing = np.zeros_like(matte)
    return Cut([nothing, nothing, nothing, matte], working, working, matte)


class Painter:
    """A ``Cut`` at one output size. Nothing in it changes after it is made, so threads may share it.

    Attributes:
        width: Pixels across the output.
        height: Pixels down the output.
        pitch: Output pixels across and down one cell.
        rows: Height of a strip that costs least, a multiple of ``pitch``.
        classes: uint8 (cells down, cells across): BACKGROUND, SUBJECT or MIXED.
    """

    def __init__(self, cut: Cut, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.pitch = min(MOST_PITCH, max(1, round(width / cut.matte.shape[1])))
        self.rows = self.pitch * ceil(STRIP / self.pitch)
        self._line = [np.asarray(self._on_grid(plane), np.float32) for plane in cut.coefficients]
        self.classes = _classify(self._line)
        self._foreground = self._on_grid(cut.foreground)
        self._background = self._on_grid(cut.background)

    def alpha(self, y: int, rgb: Pixels, x: int = 0) -> Pixels:
        """Alpha of a part of the output, and nothing else.

        Args:
            y: First row, a multiple of ``pitch``.
            rgb: uint8 (n, m, 3), sRGB.
            x: First column, a multiple of ``pitch``.

        Returns:
            uint8 (n, m).
        """
        part = np.zeros(rgb.shape[:2], np.uint8)
        for kind, left, right in self._runs(y, x, rgb):
            part[:, left:right] = 255 if kind == SUBJECT else self._mix(y, x + left, rgb[:, left:right])
        return part

    def paint(
        self, y: int, rgb: Pixels, own_alpha: Pixels | None = None, x: int = 0, *, full_colour: bool = False
    ) -> Pixels:
        """A part of the cutout: straight alpha, clean colours, nothing hidden under alpha 0.

        Args:
            y: First row, a multiple of ``pitch``.
            rgb: uint8 (n, m, 3), sRGB.
            own_alpha: uint8 (n, m): the picture's own, multiplies the result's.
            x: First column, a multiple of ``pitch``.
            full_colour: Under alpha 0 the colour stays that of ``rgb``.

        Returns:
            uint8 (n, m, 4).
        """
        strip = np.zeros((*rgb.shape[:2], 4), np.uint8)
        for kind, left, right in self._runs(y, x, rgb):
            part, target = rgb[:, left:right], strip[:, left:right]
            if kind == SUBJECT:
                cv2.cvtColor(part, cv2.COLOR_RGB2RGBA, dst=target)
            else:
                alpha = self._mix(y, x + left, part)
                cv2.copyTo(cv2.merge([part, alpha]), alpha, dst=target)
                self._clean(y, x + left, part, alpha, target)
        if own_alpha is not None:
            strip = _times(strip, own_alpha)
        return _show_hidden(strip, rgb) if full_colour else strip

    def _on_grid(self, plane: NDArray[np.float32] | Pixels) -> NDArray[np.float32]:
        """The map sampled at every cell's middle, with one cell more on each side."""
        if self.pitch == 1:
            shrinks = plane.shape[0] > self.height or plane.shape[1] > self.width
            fitted = cv2.resize(
                plane, (self.width, self.height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            )
            return np.asarray(cv2.copyMakeBorder(fitted, 1, 1, 1, 1, cv2.BORDER_REPLICATE), plane.dtype)
        across, down = ceil(self.width / self.pitch), ceil(self.height / self.pitch)
        # Cells of the map per cell of the grid; given as a factor, resize keeps it to the last digit.
        step_x = plane.shape[1] * self.pitch / self.width
        step_y = plane.shape[0] * self.pitch / self.height
        beyond = cv2.copyMakeBorder(plane, 0, ceil(2 * step_y) + 1, 0, ceil(2 * step_x) + 1, cv2.BORDER_REPLICATE)
        fitted = cv2.resize(beyond, None, fx=1 / step_x, fy=1 / step_y, interpolation=cv2.INTER_LINEAR)
        grid = cv2.copyMakeBorder(fitted[: down + 1, : across + 1], 1, 0, 1, 0, cv2.BORDER_REPLICATE)
        return np.asarray(grid, plane.dtype)

    def _runs(self, y: int, x: int, rgb: Pixels) -> Iterator[tuple[int, int, int]]:
        """Neighbouring columns of cells of one class as (class, left, right) in pixels from ``x``; no background."""
        height, width = rgb.shape[:2]
        pitch = self.pitch
        classes = self.classes[y // pitch : ceil((y + height) / pitch), x // pitch : ceil((x + width) / pitch)]
        kinds = np.where((classes == classes[0]).all(axis=0), classes[0], MIXED)
        starts = [0, *(np.flatnonzero(np.diff(kinds)) + 1).tolist()]
        for start, end in zip(starts, [*starts[1:], kinds.size], strict=True):
            if kinds[start] != BACKGROUND:
                yield int(kinds[start]), start * pitch, min(end * pitch, width)

    def _enlarge(self, grid: NDArray[np.float32], top: int, left: int, height: int, width: int) -> NDArray[np.float32]:
        """A map over any rectangle of output pixels."""
        pitch = self.pitch
        row, column = top // pitch, left // pitch
        down, across = ceil((top + height) / pitch) - row + 2, ceil((left + width) / pitch) - column + 2
        cells = grid[row : row + down, column : column + across]
        if pitch == 1:
            return cells[1:-1, 1:-1]
        whole = cv2.resize(cells, (across * pitch, down * pitch), interpolation=cv2.INTER_LINEAR)
        first, start = pitch + top % pitch, pitch + left % pitch
        return np.asarray(whole[first : first + height, start : start + width], grid.dtype)

    def _mix(self, y: int, left: int, rgb: Pixels) -> Pixels:
        """Alpha of a rectangle by a·I + b."""
        height, width = rgb.shape[:2]
        *slopes, offset = (self._enlarge(plane, y, left, height, width) for plane in self._line)
        total = offset * np.float32(255)
        for slope, channel in zip(slopes, cv2.split(rgb), strict=True):
            cv2.accumulateProduct(slope, channel.astype(np.float32), total)
        return np.asarray(cv2.convertScaleAbs(np.maximum(total, 0, out=total)), np.uint8)

    def _clean(self, y: int, left: int, rgb: Pixels, alpha: Pixels, target: Pixels) -> None:
        """Give soft pixels in ``target`` their colour (``foreground.regain``), in whole numbers."""
        soft = cv2.inRange(alpha, np.array(1), np.array(254))
        column, row, width, height = cv2.boundingRect(soft)
        if not width:
            return
        part = np.s_[row : row + height, column : column + width]
        front = self._enlarge(self._foreground, y + row, left + column, height, width)
        back = self._enlarge(self._background, y + row, left + column, height, width)
        level = np.ascontiguousarray(alpha[part])
        weight = cv2.cvtColor(level, cv2.COLOR_GRAY2RGB).astype(np.int16)
        share = cv2.cvtColor(cv2.add(level, level), cv2.COLOR_GRAY2RGB).astype(np.int16)
        # numpy's sums and OpenCV's products: each is several times as fast here as the other's.
        subject, ground = front.astype(np.int16), back.astype(np.int16)
        missing = rgb[part] - ground
        missing -= np.asarray(cv2.multiply(subject - ground, weight, scale=1 / 255), np.int16)
        subject += np.asarray(cv2.multiply(missing, share, scale=1 / 255), np.int16)
        clean = np.clip(subject, 0, 255).astype(np.uint8)
        cv2.copyTo(cv2.cvtColor(clean, cv2.COLOR_RGB2RGBA), soft[part], dst=target[part])
        target[part][..., 3] = alpha[part]


class Copier:
    """Stands where a ``Painter`` does for a picture that comes back as it is: its own alpha is the result.

    Attributes:
        pitch, rows, classes: As of ``Painter``; every cell is MIXED.
    """

    def __init__(self, width: int, height: int) -> None:
        self.pitch = 16
        self.rows = STRIP
        self.classes = np.full((ceil(height / self.pitch), ceil(width / self.pitch)), MIXED, np.uint8)

    def alpha(self, y: int, rgb: Pixels, x: int = 0) -> Pixels:
        """255 everywhere: whoever asks multiplies by the picture's own."""
        del y, x
        return np.full(rgb.shape[:2], 255, np.uint8)

    def paint(
        self, y: int, rgb: Pixels, own_alpha: Pixels | None = None, x: int = 0, *, full_colour: bool = False
    ) -> Pixels:
        """See ``Painter.paint``."""
        del y, x
        strip = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA), np.uint8)
        if own_alpha is not None:
            strip = _times(strip, own_alpha)
        return _show_hidden(strip, rgb) if full_colour else strip


def _times(strip: Pixels, own_alpha: Pixels) -> Pixels:
    """The strip with its alpha multiplied by the picture's own; colour 0 under alpha 0."""
    alpha = np.asarray(cv2.multiply(np.ascontiguousarray(strip[..., 3]), own_alpha, scale=1 / 255), np.uint8)
    strip[..., 3] = alpha
    return np.asarray(cv2.copyTo(strip, alpha), np.uint8)


def _show_hidden(strip: Pixels, rgb: Pixels) -> Pixels:
    hidden = cv2.inRange(np.ascontiguousarray(strip[..., 3]), np.array(0), np.array(0))
    alpha = strip[..., 3].copy()
    cv2.copyTo(cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA), hidden, dst=strip)
    strip[..., 3] = alpha
    return strip


def _classify(line: Planes) -> Pixels:
    """Class of every cell of the grid without its border, from all lines that reach into the cell."""
    most, least = line[3].copy(), line[3].copy()
    for slope in line[:3]:
        most += np.maximum(slope, 0)
        least += np.minimum(slope, 0)
    near = np.ones((3, 3), np.uint8)
    classes = np.full((most.shape[0] - 2, most.shape[1] - 2), MIXED, np.uint8)
    classes[cv2.dilate(most, near)[1:-1, 1:-1] < NOTHING] = BACKGROUND
    classes[cv2.erode(least, near)[1:-1, 1:-1] > 1 - NOTHING] = SUBJECT
    return classes
