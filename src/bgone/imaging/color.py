"""Everything becomes 8-bit sRGB: embedded profiles are honoured, CMYK, grey and 16 bit converted."""

from __future__ import annotations

import struct
from typing import Any

from bgone.imaging import vips


def to_srgb(image: Any, *, is_srgb: bool = True) -> Any:
    """The picture as sRGB, 3 or 4 uint8 bands, straight alpha; lazy.

    Args:
        image: A libvips image of any interpretation and depth.
        is_srgb: False converts with the embedded profile; a profile that libvips cannot use is ignored.
    """
    if not is_srgb:
        image = _by_profile(image)
    if image.interpretation != "srgb":
        image = image.colourspace("srgb")
    if image.bands < 3:  # a stray two-band picture: grey with alpha
        grey = image.extract_band(0)
        image = grey.bandjoin([grey, grey] + ([image.extract_band(1)] if image.bands == 2 else []))
        image = image.copy(interpretation="srgb")
    if image.bands > 4:
        image = image.extract_band(0, n=4)
    return image if image.format == "uchar" else image.cast("uchar")


def _by_profile(image: Any) -> Any:
    fallback = "cmyk" if image.interpretation == "cmyk" else "srgb"
    try:
        return image.icc_transform("srgb", embedded=True, input_profile=fallback, intent="perceptual", depth=8)
    except vips.Error:
        return image


def is_srgb_profile(profile: bytes) -> bool:
    """Whether an ICC profile describes sRGB by name, so that the costly conversion changes nothing.

    Reads the ``desc`` tag (ICC.1:2022 section 9.2.41), ASCII (v2) or UTF-16BE (v4). Linear variants are not sRGB.
    """
    description = _description(profile)
    return "srgb" in description and "linear" not in description


def _description(profile: bytes) -> str:
    if len(profile) < 132:
        return ""
    (count,) = struct.unpack_from(">I", profile, 128)
    for index in range(min(count, 100)):
        entry = 132 + 12 * index
        if profile[entry : entry + 4] != b"desc" or len(profile) < entry + 12:
            continue
        offset, size = struct.unpack_from(">II", profile, entry + 4)
        text = profile[offset : offset + min(size, 512)]
        return text.replace(b"\x00", b"").decode("latin-1").lower()
    return ""
