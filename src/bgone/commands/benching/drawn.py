"""Photos drawn in code: a ball before a wall, with the grain that makes a JPEG as large as a camera's."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

_GRAIN = 3.0  # standard deviation, of 255: about 0.4 bytes a pixel at quality 90


def photo(width: int, height: int, *, seed: int = 0) -> bytes:
    """A JPEG of that size; the same for the same seed."""
    return bytes(cv2.imencode(".jpg", _ball(width, height, seed), (cv2.IMWRITE_JPEG_QUALITY, 90))[1])


def _ball(width: int, height: int, seed: int) -> npt.NDArray[np.uint8]:
    """uint8 (height, width, 3), BGR."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    radius = 0.34 * min(width, height)
    across, down = (x - width / 2) / radius, (y - height / 2) / radius
    inside = np.clip((1 - np.hypot(across, down)) * radius + 0.5, 0, 1)[..., None]
    light = np.clip(0.8 - 0.35 * across - 0.4 * down, 0.2, 1.2)[..., None]
    wall = np.array([220, 212, 205], np.float32) - (y / height * 40)[..., None]
    grain = np.random.default_rng(seed).normal(0, _GRAIN, (height, width, 1)).astype(np.float32)
    picture = wall * (1 - inside) + np.array([40, 60, 210], np.float32) * light * inside + grain
    return np.asarray(np.clip(picture, 0, 255), np.uint8)
