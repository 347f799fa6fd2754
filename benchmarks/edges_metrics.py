"""Errors of an alpha matte and of the colours that come with it.

Alpha as in Rhemann, Rother, Wang, Gelautz, Kohli, Rott, "A Perceptually Motivated Online Benchmark for Image Matting",
CVPR 2009, section 4, over the whole picture and not over a trimap's unknown part, since no way is told where to look.
a is the estimate, t the true alpha, both 0..1.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float32]

GRADIENT_SIGMA = 1.4
CONNECTED_STEP, CONNECTED_FROM = 0.1, 0.15  # of the paper: levels of the threshold, and theta
GROUNDS = {"white": (255, 255, 255), "black": (0, 0, 0), "saturated": (230, 0, 200)}
SOFT = 1 / 255


@dataclass(frozen=True, slots=True)
class AlphaErrors:
    """SAD, gradient and connectivity in thousands of pixels, MSE in thousandths."""

    sad: float
    mse: float
    gradient: float
    connectivity: float


def alpha_errors(alpha: Plane, true: Plane) -> AlphaErrors:
    """All four, float32 (h, w) both."""
    apart = np.abs(alpha - true)
    return AlphaErrors(
        sad=float(apart.sum(dtype=np.float64)) / 1000,
        mse=float((apart * apart).mean(dtype=np.float64)) * 1000,
        gradient=gradient_error(alpha, true),
        connectivity=connectivity_error(alpha, true),
    )


def gradient_error(alpha: Plane, true: Plane) -> float:
    """Sum of (|grad a| - |grad t|)^2, in thousands; grad by first derivatives of a Gaussian, sigma 1.4."""
    apart = _slope(alpha) - _slope(true)
    return float((apart * apart).sum(dtype=np.float64)) / 1000


def connectivity_error(alpha: Plane, true: Plane) -> float:
    """Sum of |phi(a) - phi(t)|, in thousands: what hangs in the air counts, what both have in one piece does not.

    phi(v) = 1 - d if d >= 0.15 else 1, with d = v - l. l of a pixel is the highest threshold, in steps of 0.1, at which
    it still belongs to the largest 4-connected piece of {a >= threshold and t >= threshold}.
    """
    level, inside = np.zeros_like(alpha), np.ones(alpha.shape, np.bool_)
    both = np.minimum(alpha, true)
    for step in range(1, round(1 / CONNECTED_STEP) + 1):
        _, pieces, stats, _ = cv2.connectedComponentsWithStats(
            (both >= np.float32(step * CONNECTED_STEP)).astype(np.uint8), connectivity=4
        )
        if len(stats) == 1:
            break
        largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
        inside &= pieces == largest
        level[inside] = step * CONNECTED_STEP
    return float(np.abs(_phi(alpha - level) - _phi(true - level)).sum(dtype=np.float64)) / 1000


@dataclass(frozen=True, slots=True)
class ColourErrors:
    """Means over the pixels whose true alpha is soft, of 255.

    Attributes:
        colour: Of a·|F - T|: what wrong colours F of the subject (T in truth) add to a new picture, on any ground.
        white, black, saturated: Of the finished picture on that ground, alpha's own error included.
    """

    colour: float
    white: float
    black: float
    saturated: float


def colour_errors(rgb: Pixels, alpha: Plane, subject: Pixels, true: Plane) -> ColourErrors:
    """Of a cutout, uint8 (h, w, 3) and float32 (h, w), against subject and true alpha."""
    soft = (true > SOFT) & (true < 1 - SOFT)
    got, wanted = rgb[soft].astype(np.float32), subject[soft].astype(np.float32)
    a, t = alpha[soft][:, None], true[soft][:, None]
    apart = {}
    for name, under in GROUNDS.items():
        ground = np.asarray(under, np.float32)
        apart[name] = float(np.abs(a * got + (1 - a) * ground - t * wanted - (1 - t) * ground).mean())
    return ColourErrors(float((a * np.abs(got - wanted)).mean()), **apart)


def _slope(plane: Plane) -> Plane:
    reach = 4
    at = np.arange(-reach, reach + 1, dtype=np.float64)
    bell = np.exp(-(at**2) / (2 * GRADIENT_SIGMA**2))
    bell /= bell.sum()
    rise = -at * bell / GRADIENT_SIGMA**2
    across = cv2.sepFilter2D(plane, cv2.CV_32F, rise, bell, borderType=cv2.BORDER_REPLICATE)
    down = cv2.sepFilter2D(plane, cv2.CV_32F, bell, rise, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.magnitude(across, down), np.float32)


def _phi(distance: Plane) -> Plane:
    return np.asarray(1 - distance * (distance >= np.float32(CONNECTED_FROM)), np.float32)
