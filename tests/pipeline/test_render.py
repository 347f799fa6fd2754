"""Drawing: size, box, bands and pixels of the answer, through every writer's real file."""

from __future__ import annotations

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import ceil
from typing import Literal

import numpy as np
import PIL.Image
import pytest

from bgone.errors import ApiError, ClientGone
from bgone.imaging import photo as photos
from bgone.imaging.formats import FORMATS
from bgone.imaging.geometry import NO_CAP, Box, Length, SizeCap
from bgone.imaging.photo import PhotoLimits, Pixels, look, open_photo
from bgone.matting.compose import cut, uncut
from bgone.matting.edges import Plane
from bgone.pipeline.drawing import Drawing
from bgone.pipeline.order import BlurGround, Colour, Frame, OwnAlpha, RenderOptions
from bgone.pipeline.placement import region_box
from bgone.pipeline.plan import Plan
from bgone.pipeline.render import draw, plan
from tests.pictures import decode, encode, photo, scene

GREEN = Colour(10, 200, 30)


def redness(working: Pixels) -> Plane:
    """The disc of ``scene``, as a net would find it: 1 inside, 0 outside."""
    red = working[..., 0].astype(np.float32) - working[..., 2]
    return np.clip((red + 20) / 120, 0, 1).astype(np.float32)


def drawing_of(data: bytes, *, nothing: bool = False, side: int = 512, options: RenderOptions | None = None) -> Drawing:
    options = options or RenderOptions()
    opened = open_photo(data, PhotoLimits())
    region = region_box(options.region, opened.width, opened.height)
    seen = look(opened, side, region, drop_alpha=options.own_alpha == "drop")
    if options.own_alpha == "asis" or (options.own_alpha == "keep" and not seen.opaque):
        return Drawing(opened, seen, uncut(seen.working, seen.alpha), lambda: None, as_is=True)
    matte = np.zeros(seen.working.shape[:2], np.float32) if nothing else redness(seen.working)
    return Drawing(opened, seen, cut(seen.working, matte), lambda: None)


def file_of(drawing: Drawing, planned: Plan) -> bytes:
    pieces: list[bytes] = []
    with ThreadPoolExecutor(2) as pool:
        draw(drawing, planned, pieces.append, pool)
    return b"".join(pieces)


def pixels_of(file: bytes) -> Pixels:
    """The file's pixels; not a palette's numbers; of an archive its colour with its alpha."""
    if file.startswith(b"GIF"):
        with PIL.Image.open(io.BytesIO(file)) as image:
            return np.asarray(image.convert("RGB"))
    if not file.startswith(b"PK"):
        return decode(file)
    with zipfile.ZipFile(io.BytesIO(file)) as archive:
        return np.dstack([decode(archive.read("color.jpg")), decode(archive.read("alpha.png"))])


def render(data: bytes, options: RenderOptions, *, nothing: bool = False) -> tuple[Plan, Pixels]:
    drawing = drawing_of(data, nothing=nothing, options=options)
    planned = plan(drawing, options)
    pixels = pixels_of(file_of(drawing, planned))
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
    assert planned.source == box
    assert planned.subject == Box(0, 0, box.width, box.height)
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
    assert planned.source == plan(drawing_of(data), RenderOptions(crop=True)).source
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


# --- region, margin, frame, place ------------------------------------------------------------------------------------


def lengths(*amounts: float, unit: Literal["px", "%"] = "px") -> tuple[Length, Length, Length, Length]:
    one, two, three, four = (Length(amount, unit) for amount in amounts)
    return one, two, three, four


def two_discs() -> bytes:
    """Two red discs, 301 x 203 each, side by side."""
    return encode(np.hstack([scene(301, 203), scene(301, 203)]), "PNG")


@pytest.mark.parametrize("orientation", [1, 6])
def test_outside_the_region_is_background(orientation: int, way: None) -> None:
    """Half of the right disc is inside: it alone is left, where it was and as it was."""
    data = photo(301, 203, orientation=orientation)
    planned, part = render(data, RenderOptions(region=lengths(150, 20, 290, 180)))
    _, whole = render(data, RenderOptions())

    assert part.shape == (203, 301, 4)
    assert not part[:20].any()
    assert not part[180:].any()
    assert not part[:, :150].any()
    assert (planned.region, planned.source) == (Box(150, 20, 290, 180), Box(0, 0, 140, 160))
    inside = np.s_[90:110, 155:165]
    assert np.array_equal(part[inside], whole[inside])
    # Soft pixels depend on what the maps saw around.
    assert np.abs(part[20:180, 150:290, 3].astype(int) - whole[20:180, 150:290, 3]).mean() < 1


def test_a_region_of_everything_changes_nothing(way: None) -> None:
    """0 % to 100 %, as clients send it every time: the same plan, the same bytes."""
    everything = RenderOptions(region=lengths(0, 0, 100, 100, unit="%"))
    data = photo(301, 203)
    part, whole = drawing_of(data, options=everything), drawing_of(data)

    assert file_of(part, plan(part, everything)) == file_of(whole, plan(whole, RenderOptions()))


def test_a_region_chooses_among_subjects(way: None) -> None:
    """Two discs: the crop of the region is the crop of the disc in it."""
    planned, crop = render(two_discs(), RenderOptions(crop=True, region=lengths(50, 0, 100, 100, unit="%")))
    _, alone = render(encode(scene(301, 203), "PNG"), RenderOptions(crop=True))

    assert planned.region == Box(301, 0, 602, 203)
    assert np.array_equal(crop, alone)


@pytest.mark.parametrize("cap", [NO_CAP, SizeCap(longest=90)])
def test_a_margin_is_ground(cap: SizeCap, way: None) -> None:
    """Around the tight box there is nothing, beyond the photo too; a mask has it as well."""
    margin = lengths(100, 50, 10, 20, unit="%")
    options = RenderOptions(crop=True, margin=margin, cap=cap)
    planned, pixels = render(photo(301, 203), options)
    _, mask = render(photo(301, 203), RenderOptions(crop=True, margin=margin, cap=cap, channels="alpha"))

    box = planned.subject
    assert box is not None
    assert box_of(pixels[..., 3]) == box
    assert (box.top, planned.height - box.bottom) == (box.height, round(box.height * 0.1))
    assert (planned.width - box.right, box.left) == (round(box.width * 0.5), round(box.width * 0.2))
    assert np.array_equal(mask, pixels[..., 3])
    assert max(pixels.shape[:2]) <= (cap.longest or 1000)


@pytest.mark.parametrize(
    "frame",
    [
        Frame(150, 150),
        Frame(500, 450),
        Frame(150, 90, "cover"),
        Frame(700, 310, "cover"),
        Frame(400, 300, "scale-down"),
        Frame(None, 77),
        Frame(640, None),
    ],
)
@pytest.mark.parametrize("crop", [False, True])
def test_an_exact_frame_shows_the_subject_in_its_middle(frame: Frame, crop: bool, way: None) -> None:
    """Smaller and larger than the photo, of other shapes: the size asked, the disc in it, ground beside."""
    planned, pixels = render(photo(301, 203), RenderOptions(frame=frame, crop=crop, measure=True))

    height, width = pixels.shape[:2]
    assert width == (frame.width or width)
    assert height == (frame.height or height)
    assert pixels[height // 2, width // 2, 3] == 255
    assert pixels[height // 2, width // 2, 0] > 170
    assert box_of(pixels[..., 3]) == planned.subject
    shape = planned.scaled_width / planned.scaled_height
    assert shape == pytest.approx(301 / 203, rel=0.02)


def test_an_enlarged_subject_has_a_soft_clean_edge(way: None) -> None:
    """Eight times its size: still a disc, with no other colour on it."""
    planned, pixels = render(photo(61, 40), RenderOptions(frame=Frame(488, 320)))

    assert (planned.scaled_width, planned.scaled_height) == (488, 320)
    y, x = np.mgrid[0:320, 0:488]
    away = np.hypot(x - 244, y - 160)
    assert (pixels[away < 80, 3] > 250).all()
    assert not pixels[away > 125].any()
    assert pixels[away < 80, 0].min() > 150


@pytest.mark.parametrize(("position", "at"), [((0.0, 0.0), (0, 0)), ((1.0, 1.0), (1, 1)), ((0.5, 0.5), (0.5, 0.5))])
@pytest.mark.parametrize("share", [None, 0.3, 1.0])
def test_a_placed_subject_is_where_it_belongs(
    position: tuple[float, float], at: tuple[float, float], share: float | None, way: None
) -> None:
    """All of it is in the frame of the photo's size, at its place, as large as asked."""
    options = RenderOptions(position=position, subject_scale=share, measure=True)
    planned, pixels = render(photo(301, 203), options)

    assert pixels.shape == (203, 301, 4)
    box = box_of(pixels[..., 3])
    assert box == planned.subject
    assert (box.left, box.top) == (round((301 - box.width) * at[0]), round((203 - box.height) * at[1]))
    if share is not None:
        assert share * 203 - 2 <= box.height <= ceil(share * 203)


def test_a_moved_subject_leaves_the_answer_empty_behind() -> None:
    """Drawn once, at its new place only."""
    _, pixels = render(photo(301, 203), RenderOptions(position=(0, 0)))

    assert pixels[60, 60, 3] == 255
    assert not pixels[101:, 150:].any()


@pytest.mark.parametrize(
    "options",
    [
        RenderOptions(measure=True),
        RenderOptions(measure=True, cap=SizeCap(longest=77)),
        RenderOptions(measure=True, region=lengths(100, 50, 250, 200)),
        RenderOptions(measure=True, frame=Frame(100, 300, "cover")),
        RenderOptions(measure=True, crop=True, position=(0.2, 0.9), subject_scale=0.4, margin=lengths(9, 9, 9, 9)),
    ],
)
def test_the_measured_box_is_the_one_that_shows(options: RenderOptions, way: None) -> None:
    """Whatever was done to it, in the answer's pixels."""
    planned, pixels = render(photo(301, 203), options)

    assert planned.subject == box_of(pixels[..., 3])


def test_a_speck_in_a_large_frame_is_drawn_in_little_memory(way: None) -> None:
    """A subject of a few pixels enlarged to fill 1500 pixels: only the part that shows is worked on."""
    picture = np.full((300, 400, 3), (90, 110, 140), np.uint8)
    picture[100:106, 200:206] = (210, 40, 30)
    planned, pixels = render(encode(picture, "PNG"), RenderOptions(frame=Frame(2000, 1500), subject_scale=1.0))

    assert planned.scaled_width > 40_000
    assert pixels.shape == (1500, 2000, 4)
    assert pixels[750, 1000, 3] == 255
    assert not pixels[:, :100].any()


# --- nothing found --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [RenderOptions(), RenderOptions(crop=True), RenderOptions(measure=True)])
def test_who_needs_a_subject_hears_that_there_is_none(options: RenderOptions) -> None:
    """Before the first byte."""
    needy = replace(options, needs_subject=True)
    with pytest.raises(ApiError) as caught:
        plan(drawing_of(photo(), nothing=True), needy)

    assert caught.value.kind == "nothing_found"
    assert plan(drawing_of(photo()), needy).width > 0


def test_a_subject_that_the_file_hides_is_none() -> None:
    """What the net found is transparent in the photo itself."""
    own = np.full((203, 301), 255, np.uint8)
    own[20:180, 60:240] = 0
    hidden = encode(np.dstack([scene(301, 203), own]), "PNG")

    with pytest.raises(ApiError) as caught:
        plan(drawing_of(hidden), RenderOptions(needs_subject=True))
    assert caught.value.kind == "nothing_found"


# --- the photo's own alpha ------------------------------------------------------------------------------------------


def with_alpha() -> tuple[Pixels, bytes]:
    """A scene that its file makes half transparent on the left, and wholly in a corner."""
    own = np.full((203, 301), 255, np.uint8)
    own[:, :150] = 100
    own[:50, :50] = 0
    pixels = np.dstack([scene(301, 203), own])
    return pixels, encode(pixels, "PNG")


def test_dropped_alpha_does_not_count(way: None) -> None:
    """The same answer as for the file without it."""
    pixels, data = with_alpha()
    _, dropped = render(data, RenderOptions(own_alpha="drop"))
    _, opaque = render(encode(pixels[..., :3], "PNG"), RenderOptions())

    assert np.array_equal(dropped, opaque)


def test_dropped_alpha_shows_what_it_hid_when_shrunk(way: None) -> None:
    """Shrinking with alpha would lose the colours under it."""
    picture = scene(301, 203)
    hidden = encode(np.dstack([picture, np.zeros((203, 301), np.uint8)]), "PNG")
    options = RenderOptions(own_alpha="drop", cap=SizeCap(longest=100))

    assert render(hidden, options)[1][33, 50, 0] > 170


@pytest.mark.parametrize("own_alpha", ["keep", "asis"])
def test_a_kept_picture_comes_back_as_it_is(own_alpha: OwnAlpha, way: None) -> None:
    """Every pixel, but for what is hidden under alpha 0."""
    pixels, data = with_alpha()
    _, kept = render(data, RenderOptions(own_alpha=own_alpha, despill=True))

    expected = pixels.copy()
    expected[:50, :50] = 0
    assert np.array_equal(kept, expected)


def test_an_opaque_picture_is_cut_although_alpha_is_kept(way: None) -> None:
    """An alpha channel of 255 everywhere says nothing; asked to come back as it is, it does."""
    pixels = np.dstack([scene(301, 203), np.full((203, 301), 255, np.uint8)])
    data = encode(pixels, "PNG")

    assert render(data, RenderOptions(own_alpha="keep"))[1][5, 5, 3] == 0
    assert np.array_equal(render(data, RenderOptions(own_alpha="asis"))[1], pixels)


def test_a_kept_picture_is_cropped_to_what_shows(way: None) -> None:
    """Its own alpha has a tight box too."""
    own = np.zeros((203, 301), np.uint8)
    own[40:77, 33:131] = 200
    data = encode(np.dstack([scene(301, 203), own]), "PNG")

    planned, pixels = render(data, RenderOptions(own_alpha="asis", crop=True))
    assert planned.source == Box(33, 40, 131, 77)
    assert (pixels[..., 3] == 200).all()


# --- the format that suits ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "name"),
    [
        (RenderOptions(), "png"),
        (RenderOptions(crop=True), "png"),
        (RenderOptions(background=GREEN), "jpg"),
        (RenderOptions(background=GREEN, crop=True, margin=lengths(9, 9, 9, 9)), "jpg"),
        (RenderOptions(background=Colour(0, 0, 0, 200)), "png"),
        (RenderOptions(background=BlurGround(50)), "jpg"),
        (RenderOptions(channels="rgb"), "jpg"),
        (RenderOptions(channels="alpha"), "png"),
        (RenderOptions(own_alpha="asis"), "jpg"),
        (RenderOptions(own_alpha="asis", frame=Frame(300, 300)), "png"),
        (RenderOptions(region=lengths(140, 90, 160, 110), crop=True), "jpg"),
    ],
)
def test_auto_is_png_where_anything_may_be_transparent(options: RenderOptions, name: str) -> None:
    """Else JPEG; the plan says which, and the file is one."""
    options = replace(options, format="auto")
    drawing = drawing_of(photo(301, 203), options=options)
    planned = plan(drawing, options)

    assert planned.format == name
    with PIL.Image.open(io.BytesIO(file_of(drawing, planned))) as image:
        assert (image.format or "").lower().replace("jpeg", "jpg") == name


def test_own_alpha_makes_auto_png() -> None:
    """Even where the net is sure of everything."""
    assert plan(drawing_of(with_alpha()[1]), RenderOptions(format="auto")).format == "png"


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

    assert planned.source.left == 150
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
    shown = np.asarray(PIL.Image.fromarray(pixels).convert("RGBA"))

    corner = (0, 0, 0, 0) if FORMATS[name].keeps_alpha else (255, 255, 255, 255)
    assert pixels.shape[:2] == (203, 301)
    # AVIF and JPEG may miss by a step or two in flat parts.
    assert np.abs(shown[5, 5].astype(int)[3] - corner[3]) <= 2
    assert corner[3] == 0 or np.abs(shown[5, 5].astype(int) - corner).max() <= 2
    assert shown[100, 150, 0] > 170 > 90 > shown[100, 150, 1]


def test_an_archive_shows_the_photos_colours_around_the_subject(way: None) -> None:
    """Colour and alpha are two files: what alpha hides is the photo as it was, beside a margin of nothing."""
    margin = lengths(20, 20, 20, 20)
    planned, pixels = render(photo(301, 203), RenderOptions(format="zip", crop=True, margin=margin))
    _, usual = render(photo(301, 203), RenderOptions(crop=True, margin=margin))

    box = planned.source
    assert np.array_equal(pixels[..., 3], usual[..., 3])
    assert not usual[3, 3].any()
    expected = scene(301, 203)[box.top : box.bottom, box.left : box.right]
    hidden = pixels[..., 3] == 0
    # Two JPEGs lie between them.
    assert np.abs(pixels[hidden][:, :3].astype(int) - expected[hidden]).mean() < 6


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
