"""A bare TIFF holds exactly the pixels that were put in, for us and for anybody else."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from bgone.imaging.bare_tiff import STRIP_BYTES, bare_tiff
from bgone.imaging.photo import PhotoLimits, look, open_photo, picture

SIZES = [(1, 1), (61, 40), (997, 700), (3, 5000)]


def noise(width: int, height: int, bands: int) -> np.ndarray:
    """uint8 (height, width, bands)."""
    return np.random.default_rng(7).integers(0, 256, (height, width, bands), np.uint8)


@pytest.mark.parametrize("bands", [1, 3, 4])
@pytest.mark.parametrize(("width", "height"), SIZES)
def test_pillow_reads_the_same_pixels(width: int, height: int, bands: int) -> None:
    """In one strip or in many, the last one shorter."""
    pixels = noise(width, height, bands)

    with Image.open(io.BytesIO(bare_tiff(pixels))) as image:
        assert image.mode == {1: "L", 3: "RGB", 4: "RGBA"}[bands]
        assert np.array_equal(np.asarray(image), pixels.squeeze(-1) if bands == 1 else pixels)


@pytest.mark.parametrize("bands", [3, 4])
def test_the_picture_path_reads_the_same_pixels(bands: int) -> None:
    """Alpha stays straight."""
    pixels = noise(997, 700, bands)
    photo = open_photo(bare_tiff(pixels), PhotoLimits())
    image = picture(photo, look(photo, 100), 997, 700)

    assert (photo.kind, photo.has_alpha) == ("tiff", bands == 4)
    assert np.array_equal(image.numpy(), pixels)


def test_large_pictures_stream() -> None:
    """Strips of a quarter of a megabyte: the decoder holds no more."""
    pixels = noise(3000, 1500, 3)

    with Image.open(io.BytesIO(bare_tiff(pixels))) as image:
        assert isinstance(image, Image.Image)
        lengths = image.getexif()[279]
    assert len(lengths) > 10
    assert max(lengths) <= STRIP_BYTES


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_goes_along(orientation: int) -> None:
    """As EXIF's."""
    photo = open_photo(bare_tiff(noise(61, 40, 3), orientation=orientation), PhotoLimits())

    assert photo.orientation == orientation
    assert (photo.width, photo.height) == ((40, 61) if orientation >= 5 else (61, 40))


def test_the_profile_goes_along() -> None:
    """Colours of another space are converted as those of any file."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()

    with Image.open(io.BytesIO(bare_tiff(noise(61, 40, 3), profile=profile))) as image:
        assert image.info["icc_profile"] == profile
