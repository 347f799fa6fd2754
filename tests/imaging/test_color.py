"""Colour: which profiles are sRGB, and what becomes of everything else."""

from __future__ import annotations

import struct

import numpy as np
import PIL.ImageCms
import pytest

from bgone.imaging import vips
from bgone.imaging.color import is_srgb_profile, to_srgb
from tests.pictures import scene


def profile(description: bytes) -> bytes:
    """A profile with one tag, ``desc``; nothing else is read."""
    return bytes(128) + struct.pack(">I4sII", 1, b"desc", 144, len(description)) + description


def version_2(text: str) -> bytes:
    words = text.encode("ascii") + b"\0"
    return profile(b"desc" + bytes(4) + struct.pack(">I", len(words)) + words + bytes(78))


def version_4(text: str) -> bytes:
    words = text.encode("utf-16-be")
    return profile(b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(words), 28) + words)


@pytest.mark.parametrize("make", [version_2, version_4])
@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("sRGB IEC61966-2.1", True),
        ("sRGB built-in", True),
        ("SRGB", True),
        ("Display P3", False),
        ("Adobe RGB (1998)", False),
        ("sRGB linear", False),
        ("", False),
    ],
)
def test_profiles_are_told_by_their_description(make: object, description: str, expected: bool) -> None:
    """ASCII of version 2 and UTF-16 of version 4 alike; linear light is not sRGB."""
    assert callable(make)
    assert is_srgb_profile(make(description)) is expected


def test_the_common_srgb_profile_is_known() -> None:
    """Little CMS's own, which Pillow makes."""
    made = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()

    assert is_srgb_profile(made)


@pytest.mark.parametrize("name", ["srgb", "p3"])
def test_the_profiles_of_libvips_are_told_apart(name: str) -> None:
    """Both are real files that other programs embed."""
    assert is_srgb_profile(bytes(vips.pyvips.Image.profile_load(name))) is (name == "srgb")


@pytest.mark.parametrize(
    "rubbish",
    [b"", b"x" * 131, bytes(128) + b"\xff\xff\xff\xff", profile(b"sRGB")[:140], bytes(128) + struct.pack(">I", 9)],
)
def test_a_broken_profile_is_not_srgb(rubbish: bytes) -> None:
    """Too short, too many tags, cut off: no exception, no."""
    assert not is_srgb_profile(rubbish)


def test_a_stray_offset_reads_nothing() -> None:
    """A tag that points behind the profile is empty."""
    assert not is_srgb_profile(bytes(128) + struct.pack(">I4sII", 1, b"desc", 2**31, 2**31))


def test_two_bands_are_grey_with_alpha() -> None:
    """Whatever their interpretation says."""
    pair = vips.Image.new_from_array(scene()[..., :2]).copy(interpretation="multiband")
    image = to_srgb(pair)

    assert (image.bands, image.format, image.interpretation) == (4, "uchar", "srgb")
    assert np.array_equal(image.numpy()[..., 3], scene()[..., 1])


def test_a_fifth_band_is_dropped() -> None:
    """RGB with alpha and something else keeps the first four."""
    image = to_srgb(vips.Image.new_from_array(scene()).bandjoin([7, 9]))

    assert image.bands == 4
    assert (image.numpy()[..., 3] == 7).all()
