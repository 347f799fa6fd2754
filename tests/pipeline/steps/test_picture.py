"""A picture under everything."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import PIL.Image
import pytest

from bgone.errors import ApiError
from bgone.imaging import photo as photos
from bgone.imaging import vips
from bgone.imaging.photo import Photo, PhotoLimits, open_photo
from bgone.pipeline.order import Fit
from bgone.pipeline.steps.picture import picture_layer
from tests.pictures import encode, photo

Pixels = npt.NDArray[np.uint8]
CORNERS = np.array([[(200, 30, 30), (30, 200, 30)], [(30, 30, 200), (200, 200, 30)]], np.uint8)
SIZES = [(61, 40), (301, 203), (40, 160)]


@pytest.fixture(params=["kept", "streamed"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways through ``Photo``: decoded once and kept, or in strips."""
    if request.param == "streamed":
        monkeypatch.setattr(photos, "KEEP_PIXELS", 0)


def quarters(width: int, height: int) -> Pixels:
    """uint8 (height, width, 3): red, green; blue, yellow."""
    return np.asarray(CORNERS[2 * np.arange(height) // height][:, 2 * np.arange(width) // width], np.uint8)


def opened(pixels: Pixels, form: str = "PNG") -> Photo:
    return open_photo(encode(pixels, form), PhotoLimits())


def drawn(ground: Photo, fit: Fit, width: int, height: int, *, step: int = 23) -> Pixels:
    """The ground alone, uint8 (height, width, 3), drawn in strips."""
    lay = picture_layer(ground, fit, width, height)
    strips = [lay(y, np.zeros((min(step, height - y), width, 4), np.uint8)) for y in range(0, height, step)]
    laid = np.vstack(strips)
    assert laid.shape == (height, width, 4)
    assert (laid[..., 3] == 255).all()
    return laid[..., :3]


@pytest.mark.parametrize("size", SIZES)
def test_cover_fills_the_frame_around_the_middle(size: tuple[int, int], way: None) -> None:
    """Larger or smaller, wider or taller than the frame: four corners, met in the middle, not stretched."""
    laid = drawn(opened(quarters(120, 90)), "cover", *size)

    width, height = size
    for row, column in [(0, 0), (0, -1), (-1, 0), (-1, -1)]:
        assert np.abs(laid[row, column].astype(int) - CORNERS[row, column]).max() <= 3
    middle = laid[2, :, 0] > 115, laid[:, 2, 0] > 115
    assert np.flatnonzero(np.diff(middle[0])) == pytest.approx([width / 2 - 0.5], abs=1.0)
    assert np.flatnonzero(np.diff(middle[1])) == pytest.approx([height / 2 - 0.5], abs=1.0)


@pytest.mark.parametrize("size", SIZES)
def test_contain_leaves_white_beside(size: tuple[int, int], way: None) -> None:
    """All of the picture shows, as large as it can, centred."""
    laid = drawn(opened(quarters(120, 90)), "contain", *size).astype(int)

    width, height = size
    scale = min(width / 120, height / 90)
    inside = laid.min(axis=2) < 235
    down, across = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    assert across.size == pytest.approx(120 * scale, abs=1.01)
    assert down.size == pytest.approx(90 * scale, abs=1.01)
    assert across.min() + across.max() == pytest.approx(width - 1, abs=1)
    assert down.min() + down.max() == pytest.approx(height - 1, abs=1)
    assert (laid[~inside] >= 235).all()
    assert np.abs(laid[down[1], across[1]] - CORNERS[0, 0]).max() <= 6


def test_scale_down_never_enlarges() -> None:
    """A small picture in the middle of white."""
    laid = drawn(opened(quarters(20, 10)), "scale-down", 61, 40)

    assert (laid.min(axis=2) < 255).sum() == 200
    assert laid[15, 20].tolist() == [200, 30, 30]


@pytest.mark.parametrize("size", SIZES)
def test_fill_stretches(size: tuple[int, int], way: None) -> None:
    """All of it in all of the frame."""
    laid = drawn(opened(quarters(120, 90)), "fill", *size)

    assert np.abs(laid[[0, 0, -1, -1], [0, -1, 0, -1]].astype(int) - CORNERS.reshape(4, 3)).max() <= 3


@pytest.mark.parametrize("fit", get_args(Fit))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"])
def test_strips_of_any_height_meet_without_seams(fit: Fit, form: str, way: None) -> None:
    """Every kind of file and fit, bit for bit."""
    ground = opened(quarters(120, 90), form)

    assert np.array_equal(drawn(ground, fit, 61, 80, step=7), drawn(ground, fit, 61, 80, step=80))


@pytest.mark.parametrize("orientation", [3, 6, 8])
def test_it_comes_upright(orientation: int, way: None) -> None:
    """As EXIF says; within what JPEG loses."""
    turned, upright = (open_photo(photo(120, 90, orientation=value), PhotoLimits()) for value in (orientation, 1))

    difference = drawn(turned, "cover", 61, 40).astype(int) - drawn(upright, "cover", 61, 40)
    assert np.abs(difference).mean() < 2


def test_its_own_transparency_lies_on_white(way: None) -> None:
    """Half transparent black is grey."""
    pixels = np.zeros((90, 120, 4), np.uint8)
    pixels[..., 3] = 128

    assert np.abs(drawn(opened(pixels), "cover", 61, 40).astype(int) - 127).max() <= 1


def test_grey_pictures_have_three_bands(way: None) -> None:
    """A grey file is sRGB like all others."""
    assert (drawn(opened(np.full((90, 120), 77, np.uint8)), "cover", 61, 40) == 77).all()


def test_the_subject_lies_on_it() -> None:
    """Opaque pixels stay, transparent ones show the ground."""
    rows = np.zeros((40, 61, 4), np.uint8)
    rows[:, :30] = (1, 2, 3, 255)
    laid = picture_layer(opened(quarters(61, 40)), "fill", 61, 40)(0, rows)

    assert (laid[:, :30] == (1, 2, 3, 255)).all()
    assert np.array_equal(laid[:, 31:, :3], quarters(61, 40)[:, 31:])


def test_damage_shows_before_anything_is_drawn() -> None:
    """A file cut in half is refused when the layer is opened."""
    data = encode(np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8), "PNG")
    ground = open_photo(data[: len(data) // 2], PhotoLimits())

    with pytest.raises(ApiError) as caught:
        picture_layer(ground, "cover", 61, 40)
    assert caught.value.kind == "unreadable_image"


def test_a_picture_is_fetched_in_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is asked of libvips is the strip that is drawn and nothing beside it."""
    monkeypatch.setattr(photos, "KEEP_PIXELS", 0)
    lay = picture_layer(opened(quarters(1200, 900), "JPEG"), "cover", 300, 300)
    fetched: list[tuple[int, ...]] = []
    original = vips.Region.fetch

    def fetch(region: Any, *area: int) -> Any:
        fetched.append(area)
        return original(region, *area)

    monkeypatch.setattr(vips.Region, "fetch", fetch)
    for y in range(0, 300, 50):
        lay(y, np.zeros((50, 300, 4), np.uint8))

    assert fetched == [(50, y, 300, 50) for y in range(0, 300, 50)]


def test_pillow_agrees_on_the_covered_part() -> None:
    """Shrunk to a quarter of the side, within what two shrinking filters differ by."""
    y, x = np.mgrid[0:360, 0:480]
    pixels = np.dstack([x * 255 // 480, y * 255 // 360, 0 * x + 90]).astype(np.uint8)
    expected = PIL.Image.fromarray(pixels).resize((120, 90), PIL.Image.Resampling.LANCZOS).crop((15, 0, 105, 90))

    assert np.abs(drawn(opened(pixels), "cover", 90, 90).astype(int) - np.asarray(expected)).max() <= 3
