"""Drawing: size, box, bands and pixels of the answer, through every writer's real file."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import PIL.Image
import pytest

from bgone.errors import ApiError, ClientGone
from bgone.imaging import photo as photos
from bgone.imaging.formats import FORMATS
from bgone.imaging.geometry import Box, SizeCap
from bgone.imaging.photo import PhotoLimits, Pixels, look, open_photo
from bgone.matting.compose import cut
from bgone.matting.edges import Plane
from bgone.pipeline.order import Colour, RenderOptions
from bgone.pipeline.render import Drawing, Plan, draw, plan
from tests.pictures import decode, encode, photo, scene

GREEN = Colour(10, 200, 30)


def redness(working: Pixels) -> Plane:
    """The disc of ``scene``, as a net would find it: 1 inside, 0 outside."""
    red = working[..., 0].astype(np.float32) - working[..., 2]
    return np.clip((red + 20) / 120, 0, 1).astype(np.float32)


def drawing_of(data: bytes, *, nothing: bool = False, side: int = 512) -> Drawing:
    opened = open_photo(data, PhotoLimits())
    seen = look(opened, side)
    matte = np.zeros(seen.working.shape[:2], np.float32) if nothing else redness(seen.working)
    return Drawing(opened, seen, cut(seen.working, matte), lambda: None)


def file_of(drawing: Drawing, planned: Plan) -> bytes:
    pieces: list[bytes] = []
    with ThreadPoolExecutor(2) as pool:
        draw(drawing, planned, pieces.append, pool)
    return b"".join(pieces)


def render(data: bytes, options: RenderOptions, *, nothing: bool = False) -> tuple[Plan, Pixels]:
    drawing = drawing_of(data, nothing=nothing)
    planned = plan(drawing, options)
    pixels = decode(file_of(drawing, planned))
    assert pixels.shape[:2] == (planned.height, planned.width)
    return planned, pixels


def box_of(alpha: Pixels) -> Box:
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


@pytest.fixture(params=["kept", "streamed"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways through ``Photo``: decoded once and kept, or several times and in strips."""
    if request.param == "streamed":
        monkeypatch.setattr(photos, "KEEP_PIXELS", 0)


# --- crop and size --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", [1, 2, 3, 6, 8])
def test_a_crop_is_tight_in_the_delivered_picture(orientation: int, way: None) -> None:
    """The box of alpha > 0 touches all four sides, and is the one of the picture that is not cropped."""
    data = photo(301, 203, orientation=orientation)
    planned, cropped = render(data, RenderOptions(crop=True))
    _, full = render(data, RenderOptions())

    assert full.shape == (203, 301, 4)
    box = box_of(full[..., 3])
    assert planned.subject == planned.box == box
    assert np.array_equal(cropped, full[box.top : box.bottom, box.left : box.right])
    assert box_of(cropped[..., 3]) == Box(0, 0, cropped.shape[1], cropped.shape[0])


@pytest.mark.parametrize("cap", [SizeCap(pixels=30_000), SizeCap(pixels=12_345), SizeCap(longest=150)])
@pytest.mark.parametrize("orientation", [1, 6])
def test_a_capped_crop_is_tight_and_as_large_as_allowed(cap: SizeCap, orientation: int, way: None) -> None:
    """It keeps the cap and uses at least 97 % of it."""
    _, cropped = render(photo(601, 403, orientation=orientation), RenderOptions(crop=True, cap=cap))

    height, width = cropped.shape[:2]
    assert box_of(cropped[..., 3]) == Box(0, 0, width, height)
    if cap.pixels is not None:
        assert 0.97 * cap.pixels <= width * height <= cap.pixels
    if cap.longest is not None:
        assert 0.97 * cap.longest <= max(width, height) <= cap.longest


@pytest.mark.parametrize(
    "options",
    [
        RenderOptions(crop=True, background=GREEN),
        RenderOptions(crop=True, channels="rgb"),
        RenderOptions(crop=True, channels="alpha"),
        RenderOptions(crop=True, format="jpg"),
        RenderOptions(crop=True, format="webp"),
    ],
)
def test_every_kind_of_answer_is_cropped_alike(options: RenderOptions) -> None:
    """What shows and in which format does not move the box."""
    data = photo(301, 203)

    planned, pixels = render(data, options)
    assert planned.box == plan(drawing_of(data), RenderOptions(crop=True)).box
    if options.channels == "alpha":
        assert box_of(pixels) == Box(0, 0, planned.width, planned.height)


@pytest.mark.parametrize("crop", [False, True])
def test_nothing_found_is_an_empty_picture_of_full_size(crop: bool) -> None:
    """No error: all is transparent, and no colour leaks from under it."""
    planned, pixels = render(photo(), RenderOptions(crop=crop), nothing=True)

    assert (planned.width, planned.height, planned.subject) == (61, 40, None)
    assert not pixels.any()


def test_an_empty_crop_keeps_the_cap() -> None:
    """Nothing found: the whole picture, shrunk to what is allowed."""
    planned, _ = render(photo(301, 203), RenderOptions(crop=True, cap=SizeCap(longest=100)), nothing=True)

    assert (planned.width, planned.height) == (100, 67)


def test_a_subject_that_vanishes_by_shrinking_keeps_the_cap() -> None:
    """A speck of a subject under a cap of one pixel: whatever is delivered is no larger than that."""
    planned, _ = render(photo(301, 203), RenderOptions(crop=True, cap=SizeCap(pixels=1)))

    assert planned.width * planned.height <= 1


@pytest.mark.parametrize(
    ("cap", "size"),
    [(SizeCap(pixels=10**9), (61, 40)), (SizeCap(longest=61), (61, 40)), (SizeCap(longest=30), (30, 20))],
)
def test_a_cap_shrinks_and_never_enlarges(cap: SizeCap, size: tuple[int, int], way: None) -> None:
    """Proportions stay."""
    planned, _ = render(photo(), RenderOptions(cap=cap))

    assert (planned.width, planned.height) == size


def test_a_side_beyond_the_format_is_refused_before_drawing() -> None:
    """WebP ends at 16,383 pixels a side."""
    drawing = drawing_of(encode(scene(16_384, 3), "PNG"))

    with pytest.raises(ApiError) as caught:
        plan(drawing, RenderOptions(format="webp"))
    assert caught.value.kind == "invalid_option"
    assert caught.value.facts["option"] == "format"


def test_a_crop_may_fit_the_format_where_the_picture_does_not() -> None:
    """What counts is what is delivered."""
    pixels = np.full((3, 16_384, 3), (90, 110, 140), np.uint8)
    pixels[:, 5000:9000] = (210, 40, 30)

    assert plan(drawing_of(encode(pixels, "PNG")), RenderOptions(format="webp", crop=True)).width < 5000


# --- pixels ---------------------------------------------------------------------------------------------------------


def test_the_subject_keeps_its_pixels_and_the_rest_is_gone(way: None) -> None:
    """Inside: alpha 255 and the photo's own colour; outside: 0, colour included."""
    picture = scene(301, 203)
    _, pixels = render(encode(picture, "PNG"), RenderOptions())

    assert (pixels[90:110, 140:160, 3] == 255).all()
    assert np.array_equal(pixels[90:110, 140:160, :3], picture[90:110, 140:160])
    assert not pixels[:20].any()
    assert not pixels[pixels[..., 3] == 0].any()


def test_the_files_own_alpha_multiplies(way: None) -> None:
    """Half transparent comes out half transparent, and what the file hid stays hidden."""
    picture = scene(301, 203)
    own = np.full((203, 301), 128, np.uint8)
    own[:, :150] = 0
    _, pixels = render(encode(np.dstack([picture, own]), "PNG"), RenderOptions())
    _, mask = render(encode(np.dstack([picture, own]), "PNG"), RenderOptions(channels="alpha"))

    assert (pixels[90:110, 155:165, 3] == 128).all()
    assert not pixels[:, :150].any()
    assert np.array_equal(mask, pixels[..., 3])


def test_a_crop_of_a_picture_with_own_alpha_is_tight() -> None:
    """Around what is left of the subject."""
    own = np.full((203, 301), 255, np.uint8)
    own[:, :150] = 0
    planned, pixels = render(encode(np.dstack([scene(301, 203), own]), "PNG"), RenderOptions(crop=True))

    assert planned.box.left == 150
    assert box_of(pixels[..., 3]) == Box(0, 0, planned.width, planned.height)


def test_the_mask_is_the_alpha_of_the_cutout() -> None:
    """8-bit grey, the same numbers."""
    _, cutout = render(photo(301, 203), RenderOptions())
    _, mask = render(photo(301, 203), RenderOptions(channels="alpha"))

    assert mask.shape == (203, 301)
    assert np.array_equal(mask, cutout[..., 3])


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_drawn(name: str) -> None:
    """Formats that keep alpha show it, the others lie on white; resolution and size are the photo's."""
    _, pixels = render(photo(301, 203), RenderOptions(format=name))
    with PIL.Image.open(io.BytesIO(file_of(*_drawn(name)))) as image:
        shown = np.asarray(image.convert("RGBA"))

    corner = (0, 0, 0, 0) if FORMATS[name].keeps_alpha else (255, 255, 255, 255)
    assert pixels.shape[:2] == (203, 301)
    # AVIF and JPEG may miss by a step or two in flat parts.
    assert np.abs(shown[5, 5].astype(int)[3] - corner[3]) <= 2
    assert corner[3] == 0 or np.abs(shown[5, 5].astype(int) - corner).max() <= 2
    assert shown[100, 150, 0] > 170 > 90 > shown[100, 150, 1]


def _drawn(name: str) -> tuple[Drawing, Plan]:
    drawing = drawing_of(photo(301, 203))
    return drawing, plan(drawing, RenderOptions(format=name))


def test_a_background_is_exact_and_leaves_no_halo(way: None) -> None:
    """Away from the edge it is the colour itself; on the way in there is nothing of the old ground."""
    picture = np.full((203, 301, 3), (20, 30, 240), np.uint8)
    y, x = np.mgrid[0:203, 0:301]
    inside = np.clip(60.5 - np.hypot(x - 150, y - 101), 0, 1)[..., None]
    picture = (picture * (1 - inside) + np.array([210, 40, 30]) * inside).astype(np.uint8)
    _, pixels = render(encode(picture, "PNG"), RenderOptions(background=GREEN))

    assert pixels.shape == (203, 301, 3)
    assert (pixels[:30] == (10, 200, 30)).all()
    # Between (10, 200, 30) and (210, 40, 30) blue stays at 30; the old ground had 240.
    assert int(pixels[..., 2].max()) < 90


def test_a_transparent_background_stays_transparent() -> None:
    """A colour with alpha 128 under the subject gives four bands with 128 around it."""
    _, pixels = render(photo(), RenderOptions(background=Colour(10, 200, 30, 128)))

    assert pixels[0, 0].tolist() == [10, 200, 30, 128]
    assert pixels[20, 30, 3] == 255


@pytest.mark.parametrize(
    ("options", "channels"),
    [
        (RenderOptions(), 4),
        (RenderOptions(channels="rgb"), 3),
        (RenderOptions(channels="alpha"), 1),
        (RenderOptions(format="jpg"), 3),
        (RenderOptions(format="jpg", channels="alpha"), 1),
        (RenderOptions(background=GREEN), 3),
        (RenderOptions(background=Colour(0, 0, 0, 254)), 4),
        (RenderOptions(background=GREEN, channels="alpha"), 1),
    ],
)
def test_the_answer_has_as_many_bands_as_it_needs(options: RenderOptions, channels: int) -> None:
    """On an opaque ground nothing is transparent any more."""
    assert plan(drawing_of(photo()), options).channels == channels


def test_despill_touches_what_is_green() -> None:
    """A greenish subject loses its cast; the same picture without it keeps every number."""
    picture = scene(301, 203)
    spilled = picture.copy()
    spilled[..., 1] = np.where(picture[..., 0] > 150, 150, picture[..., 1])
    data = encode(spilled, "PNG")
    _, kept = render(data, RenderOptions())
    _, clean = render(data, RenderOptions(despill=True))

    assert kept[101, 150, 1] == 150
    assert clean[101, 150, 1] < 150
    assert np.array_equal(kept[..., 3], clean[..., 3])


def test_resolution_travels(way: None) -> None:
    """300 x 150 dpi in, 300 x 150 dpi out."""
    drawing = drawing_of(encode(scene(), "JPEG", dpi=(300, 150)))
    with PIL.Image.open(io.BytesIO(file_of(drawing, plan(drawing, RenderOptions())))) as image:
        assert image.info["dpi"] == pytest.approx((300, 150), abs=0.1)


def test_drawing_stops_when_nobody_waits() -> None:
    """The check between strips is asked, and what it raises ends the drawing."""
    drawing = drawing_of(photo(301, 203))

    def gone() -> None:
        raise ClientGone

    stopped = Drawing(drawing.photo, drawing.seen, drawing.cut, gone)
    written: list[bytes] = []
    with ThreadPoolExecutor(1) as pool, pytest.raises(ClientGone):
        draw(stopped, plan(drawing, RenderOptions()), written.append, pool)
    assert sum(map(len, written)) < 1000
