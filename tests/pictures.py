"""Pictures for tests, drawn in code: small, odd-sized, with a subject that every model finds."""

from __future__ import annotations

import io

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


def encode(pixels: Pixels, form: str = "JPEG", **options: object) -> bytes:
    """``pixels`` as a file, written by Pillow."""
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels).save(buffer, form, **options)
    return buffer.getvalue()


def photo(width: int = 61, height: int = 40, *, orientation: int = 1, quality: int = 92, seed: int = 0) -> bytes:
    """A JPEG of ``scene`` stored so that it is upright after turning by ``orientation``."""
    undo = {
        1: None, 2: PIL.Image.Transpose.FLIP_LEFT_RIGHT, 3: PIL.Image.Transpose.ROTATE_180,
        4: PIL.Image.Transpose.FLIP_TOP_BOTTOM, 5: PIL.Image.Transpose.TRANSPOSE,
        6: PIL.Image.Transpose.ROTATE_90, 7: PIL.Image.Transpose.TRANSVERSE, 8: PIL.Image.Transpose.ROTATE_270,
    }[orientation]  # fmt: skip
    image = PIL.Image.fromarray(scene(width, height, seed=seed))
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
