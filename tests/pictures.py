"""Pictures for tests, drawn in code: small, odd-sized, with a subject that every model finds."""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

Pixels = npt.NDArray[np.uint8]


def scene(width: int = 61, height: int = 40, *, seed: int = 0) -> Pixels:
    """uint8 (height, width, 3): a red disc on a calm, slightly noisy blue-grey ground; smooth, so JPEG keeps it."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    ground = np.empty((height, width, 3), np.float32)
    ground[:] = (90, 110, 140)
    ground += (y / max(height, 1) * 40)[..., None]
    radius = 0.3 * min(width, height)
    inside = np.clip(radius - np.hypot(x - width / 2 + 0.5, y - height / 2 + 0.5) + 0.5, 0, 1)[..., None]
    picture = ground * (1 - inside) + np.array([210, 40, 30], np.float32) * inside
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 6, (height, width, 1)).astype(np.float32), (0, 0), 1)
    return np.asarray(np.clip(picture + noise.reshape(height, width, 1), 0, 255), np.uint8)


def ball(width: int = 61, height: int = 40, *, seed: int = 0) -> Pixels:
    """uint8 (height, width, 3): a shaded red ball before a light wall: a subject that the net finds."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    radius = 0.34 * min(width, height)
    across, down = (x - width / 2 + 0.5) / radius, (y - height / 2 + 0.5) / radius
    away = np.hypot(across, down)
    inside = np.clip((1 - away) * radius + 0.5, 0, 1)[..., None]
    depth = np.sqrt(np.clip(1 - away**2, 0, 1))
    light = np.clip(0.25 + 0.75 * (-0.5 * across - 0.6 * down + 0.62 * depth), 0.15, 1)[..., None]
    shine = np.exp(-((across + 0.35) ** 2 + (down + 0.4) ** 2) / 0.02)[..., None]
    ball = np.array([215, 45, 35], np.float32) * light + 200 * shine
    wall = np.array([205, 212, 220], np.float32) - (y / max(height, 1) * 25)[..., None]
    noise = cv2.GaussianBlur(np.random.default_rng(seed).normal(0, 4, (height, width)).astype(np.float32), (0, 0), 1)
    picture = wall * (1 - inside) + ball * inside + noise[..., None]
    return np.asarray(np.clip(picture, 0, 255), np.uint8)


def encode(pixels: Pixels, form: str = "JPEG", **options: object) -> bytes:
    """``pixels`` as a file, written by Pillow."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def photo(
    width: int = 61,
    height: int = 40,
    *,
    orientation: int = 1,
    quality: int = 92,
    seed: int = 0,
    of: Callable[..., Pixels] = scene,
) -> bytes:
    """A JPEG of ``of`` stored so that it is upright after turning by ``orientation``."""
    undo = {
        1: None, 2: PIL.Image.Transpose.FLIP_LEFT_RIGHT, 3: PIL.Image.Transpose.ROTATE_180,
        4: PIL.Image.Transpose.FLIP_TOP_BOTTOM, 5: PIL.Image.Transpose.TRANSPOSE,
        6: PIL.Image.Transpose.ROTATE_90, 7: PIL.Image.Transpose.TRANSVERSE, 8: PIL.Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    image = PIL.Image.fromarray(of(width, height, seed=seed))
    stored = image if undo is None else image.transpose(undo)
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    stored.save(buffer, "JPEG", quality=quality, exif=exif)
    return buffer.getvalue()


def decode(data: bytes) -> Pixels:
    """A file's pixels as Pillow reads them, in the file's own bands."""
    with PIL.Image.open(io.BytesIO(data)) as image:
        image.load()
        return np.asarray(image)
