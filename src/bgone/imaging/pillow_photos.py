"""Kinds that libvips is not asked to read: BMP by Pillow, HEIC by the extra ``[heic]`` (pillow-heif).

They are held whole, so all there is to say of them is their header and their pixels.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import Any

import PIL.Image

from bgone.errors import unreadable_image
from bgone.imaging import vips

# Our own limit, read from the header (open_photo), replaces Pillow's warning.
PIL.Image.MAX_IMAGE_PIXELS = None

METRES_PER_INCH = 0.0254
# What Pillow and pillow-heif raise for strangers' bytes: what Image.open itself forgives a plugin, and seen in fuzzing.
_FAILS = (
    OSError, ValueError, SyntaxError, RuntimeError, OverflowError, EOFError, IndexError, TypeError, struct.error,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Header:
    """What such a file says before its pixels.

    Attributes:
        width: Pixels across, upright.
        height: Pixels down.
        has_alpha: It brings its own alpha.
        pixels_per_metre: (x, y) resolution, or None when the file states none.
    """

    width: int
    height: int
    has_alpha: bool
    pixels_per_metre: tuple[int, int] | None = None


def bmp_header(data: bytes) -> Header:
    """Read the header only.

    Raises:
        unreadable_image: It is none.
    """
    try:
        with PIL.Image.open(io.BytesIO(data), formats=["BMP"]) as image:
            (width, height), mode, dpi = image.size, image.mode, image.info.get("dpi")
    except _FAILS as error:
        raise unreadable_image(str(error)) from error
    resolution = None
    if dpi and min(dpi) > 0:
        resolution = (round(dpi[0] / METRES_PER_INCH), round(dpi[1] / METRES_PER_INCH))
    return Header(width, height, mode == "RGBA", resolution)


def bmp_pixels(data: bytes) -> Any:
    """The picture as a libvips image, 3 or 4 uint8 bands of sRGB.

    Raises:
        unreadable_image: The file is damaged or truncated.
    """
    try:
        with PIL.Image.open(io.BytesIO(data), formats=["BMP"]) as image:
            pixels = image.convert("RGBA" if image.mode == "RGBA" else "RGB")
    except _FAILS as error:
        raise unreadable_image(str(error)) from error
    return _in_vips(pixels)


def heic_available() -> bool:
    """Whether the extra ``[heic]`` (pillow-heif, a GPL codec inside) is installed."""
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        return False
    return True


def heic_header(data: bytes) -> Header:
    """Read the header only; needs the extra.

    Raises:
        unreadable_image: It is none.
    """
    import pillow_heif

    try:
        header = pillow_heif.open_heif(data, convert_hdr_to_8bit=True)
    except _FAILS as error:
        raise unreadable_image(str(error)) from error
    width, height = header.size
    return Header(width, height, header.has_alpha)


def heic_pixels(data: bytes) -> Any:
    """The upright picture as a libvips image, 3 or 4 uint8 bands in the colours of its profile; needs the extra.

    Raises:
        unreadable_image: The file is damaged or truncated.
    """
    import pillow_heif

    try:
        pixels = pillow_heif.open_heif(data, convert_hdr_to_8bit=True).to_pillow()
    except _FAILS as error:
        raise unreadable_image(str(error)) from error
    image = _in_vips(pixels.convert("RGBA" if "A" in pixels.getbands() else "RGB"))
    if profile := pixels.info.get("icc_profile"):
        image = image.copy()
        image.set_type(vips.pyvips.GValue.blob_type, "icc-profile-data", profile)
    return image


def _in_vips(pixels: PIL.Image.Image) -> Any:
    image = vips.Image.new_from_memory(pixels.tobytes(), pixels.width, pixels.height, len(pixels.getbands()), "uchar")
    return image.copy(interpretation="srgb")
