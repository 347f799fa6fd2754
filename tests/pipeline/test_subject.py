"""The subject's box: exact, and found without looking at more than has to be looked at."""

from __future__ import annotations

import numpy as np
import pytest

from bgone.imaging import photo as photos
from bgone.imaging.geometry import Box
from bgone.imaging.photo import PhotoLimits, Pixels, look, open_photo
from bgone.matting.compose import cut, uncut
from bgone.pipeline.drawing import Drawing
from bgone.pipeline.subject import around, likely_box, tight_box, times
from tests.pictures import encode, scene

GROUND, RED = (90, 110, 140), (210, 40, 30)


@pytest.fixture(params=["kept", "streamed"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways through ``Photo``: decoded once and kept, or several times and in strips."""
    if request.param == "streamed":
        monkeypatch.setattr(photos, "KEEP_PIXELS", 0)


def drawing_of(pixels: Pixels, side: int = 120, *, as_is: bool = False, region: Box | None = None) -> Drawing:
    """Red is subject."""
    opened = open_photo(encode(pixels, "PNG"), PhotoLimits())
    seen = look(opened, side, region)
    if as_is:
        return Drawing(opened, seen, uncut(seen.working, seen.alpha), lambda: None, as_is=True)
    red = seen.working[..., 0].astype(np.float32) - seen.working[..., 2]
    return Drawing(opened, seen, cut(seen.working, np.clip((red + 20) / 120, 0, 1).astype(np.float32)), lambda: None)


def blocks(seed: int, width: int = 601, height: int = 403) -> Pixels:
    """A few red blocks anywhere."""
    pixels = np.full((height, width, 3), GROUND, np.uint8)
    dice = np.random.default_rng(seed)
    for _ in range(dice.integers(1, 5)):
        x, y = dice.integers(0, width - 9), dice.integers(0, height - 9)
        pixels[y : y + dice.integers(8, 150), x : x + dice.integers(8, 150)] = RED
    return pixels


def whole_alpha(drawing: Drawing, width: int, height: int) -> Pixels:
    """Alpha of the region at (width, height), all of it."""
    painter = drawing.painter(width, height)
    rows = drawing.rows(width, height, Box(0, 0, width, height), painter.rows)
    return np.concatenate([times(painter.alpha(y, rgb), own) for y, rgb, own in rows])


@pytest.mark.parametrize("size", [(601, 403), (200, 134), (1202, 806)])
@pytest.mark.parametrize("seed", range(8))
def test_the_box_is_exact(seed: int, size: tuple[int, int], way: None) -> None:
    """The same as of all pixels, at full size, shrunk and enlarged."""
    drawing = drawing_of(blocks(seed))

    assert tight_box(drawing, *size) == around(whole_alpha(drawing, *size)) is not None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("as_is", [False, True])
def test_the_box_is_exact_with_own_alpha(seed: int, as_is: bool, way: None) -> None:
    """What the file hides is not in it."""
    own = np.full((403, 601), 255, np.uint8)
    own[:, : 100 + 60 * seed] = 0
    own[380:] = 3
    drawing = drawing_of(np.dstack([blocks(seed), own]), as_is=as_is)

    assert tight_box(drawing, 601, 403) == around(whole_alpha(drawing, 601, 403))


def test_the_box_is_the_regions(way: None) -> None:
    """Counted from the region's corner."""
    drawing = drawing_of(scene(301, 203), region=Box(150, 100, 301, 203))

    box = tight_box(drawing, 151, 103)
    assert box is not None
    assert (box.left, box.top) == (0, 0)
    assert box.right == pytest.approx(61, abs=2)


def test_nothing_has_no_box(way: None) -> None:
    """No red, or all of it hidden by the file."""
    ground = np.full((40, 61, 3), GROUND, np.uint8)
    hidden = np.dstack([scene(), np.zeros((40, 61), np.uint8)])

    assert tight_box(drawing_of(ground), 61, 40) is None
    assert tight_box(drawing_of(hidden), 61, 40) is None
    assert tight_box(drawing_of(hidden, as_is=True), 61, 40) is None


def test_a_subject_everywhere_is_found_without_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells that are sure need no pixel."""
    drawing = drawing_of(np.full((403, 601, 3), RED, np.uint8))

    def never(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(Drawing, "rows", never)
    assert tight_box(drawing, 601, 403) == Box(0, 0, 601, 403)


def test_rows_are_read_only_where_they_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Above and below a large disc, and where it is widest: not through its middle to the photo's end."""
    monkeypatch.setattr(photos, "KEEP_PIXELS", 0)
    drawing = drawing_of(scene(1201, 1601), 500)
    read = 0
    rows_of = Drawing.rows

    def counted(*arguments: object) -> object:
        nonlocal read
        for strip in rows_of(*arguments):  # type: ignore[arg-type]
            read += strip[1].shape[0] * strip[1].shape[1]
            yield strip

    monkeypatch.setattr(Drawing, "rows", counted)
    box = tight_box(drawing, 1201, 1601)

    assert box is not None
    assert box.width == pytest.approx(721, abs=9)
    assert read < 0.25 * 1201 * 1601


def test_the_guess_is_near(way: None) -> None:
    """Within a few working pixels, in the photo's pixels and place; with nothing to go by it is the region."""
    drawing = drawing_of(scene(601, 403), region=Box(100, 0, 601, 403))
    box, guess = tight_box(drawing, 501, 403), likely_box(drawing)

    assert box is not None
    near = 3 * 501 / 120
    for got, exact in zip(
        (guess.left, guess.top, guess.right, guess.bottom),
        (box.left + 100, box.top, box.right + 100, box.bottom),
        strict=True,
    ):
        assert got == pytest.approx(exact, abs=near)
    assert likely_box(drawing_of(np.full((40, 61, 3), GROUND, np.uint8))) == Box(0, 0, 61, 40)
