"""Pictures to measure with: photo-like, seeded, the same bytes on every machine with the same libraries.

Drawn scenes have shading, texture at all scales and an outline; photographs come from the shared training folder where
it is present and are enlarged. Both get a sensor's noise at full size, since noise is what codecs spend their time on.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]

QUALITY = 92
NOISE = 5.5  # standard deviation in 8-bit steps: makes 12 MP about 3 MB, as phones write by daylight
SIZES = {"1mp": (1152, 864), "12mp": (4000, 3000), "48mp": (8000, 6000)}
PHOTOS = "open-2.zip"  # animals, people, everyday scenes that its publisher lets everybody use


@dataclass(frozen=True, slots=True)
class Picture:
    """A JPEG and where it came from."""

    name: str
    width: int
    height: int
    data: bytes


class Album:
    """Makes pictures once and keeps them in a folder.

    Args:
        folder: Where files are kept.
        shared: The shared folder, or None.
    """

    def __init__(self, folder: Path, shared: Path | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        archive = shared / "training" / PHOTOS if shared is not None else None
        self._archive = archive if archive is not None and archive.is_file() else None

    def pictures(self, size: str) -> list[Picture]:
        """A drawn scene, and a photograph where there are any, at a size of ``SIZES``."""
        width, height = SIZES[size]
        return [self._kept(source, width, height) for source in (["scene", "photo"] if self._archive else ["scene"])]

    def mixed(self, count: int, seed: int = 1) -> list[Picture]:
        """Pictures of very different sizes in a random but repeatable order."""
        sizes = [(320, 240), (640, 480), (1152, 864), (900, 1600), (2000, 1500), (3000, 2250), (4000, 3000)]
        chances = [0.2, 0.25, 0.2, 0.15, 0.12, 0.05, 0.03]
        chosen = np.random.default_rng(seed).choice(len(sizes), count, p=chances)
        return [self._kept("scene", *sizes[index]) for index in chosen]

    def photos(self, count: int) -> list[Picture]:
        """Photographs as they are; empty where the shared folder is absent."""
        if self._archive is None:
            return []
        found = []
        for name in _photo_names(self._archive)[:count]:
            data = _read(self._archive, name)
            height, width = decode(data).shape[:2]
            found.append(Picture(Path(name).stem, width, height, data))
        return found

    def _kept(self, source: str, width: int, height: int) -> Picture:
        path = self._folder / f"{source}-{width}x{height}.jpg"
        if not path.is_file():
            ground = scene(width, height) if source == "scene" else self._enlarged(width, height)
            path.write_bytes(encode(add_noise(ground)))
        return Picture(source, width, height, path.read_bytes())

    def _enlarged(self, width: int, height: int) -> Pixels:
        """The first landscape of the archive, stretched a little where its shape differs."""
        small = next(photo for photo in self.photos(100) if photo.width > photo.height)
        return np.asarray(cv2.resize(decode(small.data), (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def scene(width: int, height: int, seed: int = 0) -> Pixels:
    """A drawn picture: a textured subject on a textured ground, uint8 (height, width, 3), BGR.

    The subject's outline lies inside the soft edge of ``models.fixed_matte``.
    """
    random = np.random.default_rng(seed)
    picture = np.empty((height, width, 3), np.uint8)
    small = (max(2, width // 4), max(2, height // 4))
    ground, subject = _texture(random, *small, (120, 140, 110)), _texture(random, *small, (70, 90, 190))
    y, x = np.mgrid[-1 : 1 : small[1] * 1j, -1 : 1 : small[0] * 1j].astype(np.float32)
    inside = np.clip((1 - np.hypot(x / 0.79, y / 0.87)) * small[0] / 8 + 0.5, 0, 1)[..., None]
    mixed = np.clip(ground * (1 - inside) + subject * inside, 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(mixed, (width, height), dst=picture, interpolation=cv2.INTER_CUBIC), np.uint8)


def add_noise(pixels: Pixels, seed: int = 0) -> Pixels:
    """Noise as a camera leaves it, a little smoothed over neighbouring pixels; in place, band by band."""
    for number, top in enumerate(range(0, len(pixels), 512)):
        band = pixels[top : top + 512]
        noise = np.random.default_rng((seed, number)).standard_normal(band.shape, np.float32)
        smooth = cv2.GaussianBlur(noise, (3, 3), 0.6)
        noisy = cv2.scaleAdd(smooth, NOISE / float(smooth.std()), band.astype(np.float32))
        band[:] = np.clip(np.rint(noisy), 0, 255)
    return pixels


def encode(pixels: Pixels, quality: int = QUALITY) -> bytes:
    """A JPEG with halved chroma, as cameras write it. ``pixels``: uint8 (h, w, 3), BGR."""
    return bytes(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1])


def _texture(
    random: np.random.Generator, width: int, height: int, colour: tuple[int, int, int]
) -> npt.NDArray[np.float32]:
    """Cloudy noise whose strength falls with its frequency, as in photographs."""
    total = np.empty((height, width, 3), np.float32)
    total[:] = colour
    cells, strength = 3, 34.0
    while cells < max(width, height):
        # Mostly light and shade, a little colour.
        light, tint = random.normal(0, strength, (cells, cells, 1)), random.normal(0, strength / 3, (cells, cells, 3))
        grid = (light + tint).astype(np.float32)
        total += cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
        cells, strength = cells * 2, strength * 0.62
    return total


def _photo_names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as file:
        return sorted(name for name in file.namelist() if name.endswith(".jpg"))


def _read(archive: Path, name: str) -> bytes:
    with zipfile.ZipFile(archive) as file:
        return file.read(name)


def decode(data: bytes) -> Pixels:
    """uint8 (h, w, 3), BGR."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)
