"""Placement: numbers only, with a box that is measured exactly at any scale for a subject."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil, floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bgone.errors import ApiError
from bgone.imaging.geometry import Box, Length, SizeCap
from bgone.pipeline.order import NO_MARGIN, Fit, Frame, RenderOptions
from bgone.pipeline.placement import MOST_SCALED_PIXELS, Placement, grow, largest_answer, place, region_box

PHOTO = (4000, 3000)
WHOLE = Box(0, 0, *PHOTO)
SUBJECT = Box(1000, 600, 2200, 2400)  # 1200 x 1800


def px(*amounts: float) -> tuple[Length, Length, Length, Length]:
    one, two, three, four = (Length(amount) for amount in amounts)
    return one, two, three, four


def percent(*amounts: float) -> tuple[Length, Length, Length, Length]:
    one, two, three, four = (Length(amount, "%") for amount in amounts)
    return one, two, three, four


@dataclass
class Measured:
    """Stands for the pass over the picture: the pixels that the subject touches in the scaled region."""

    subject: Box | None = SUBJECT
    region: Box = WHOLE
    sizes: list[tuple[int, int]] = field(default_factory=list)

    def __call__(self, width: int, height: int) -> Box | None:
        self.sizes.append((width, height))
        if self.subject is None:
            return None
        across, down = width / self.region.width, height / self.region.height
        box = self.subject.moved(-self.region.left, -self.region.top)
        left, top = floor(box.left * across), floor(box.top * down)
        return Box(left, top, max(left + 1, ceil(box.right * across)), max(top + 1, ceil(box.bottom * down)))


def placed(
    options: RenderOptions, measure: Measured | None = None, *, photo: tuple[int, int] = PHOTO, guess: Box | None = None
) -> Placement:
    measure = measure or Measured()
    result = place(options, photo, measure.region, measure, guess or measure.subject or measure.region)
    assert result.source is None or result.source.inside(Box(0, 0, *result.scaled)) == result.source
    return result


def size(result: Placement) -> tuple[int, int]:
    return result.width, result.height


# --- region ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("region", "box"),
    [
        (None, Box(0, 0, 301, 203)),
        (percent(0, 0, 100, 100), Box(0, 0, 301, 203)),
        (px(0, 0, 301, 203), Box(0, 0, 301, 203)),
        (px(10, 20, 30, 40), Box(10, 20, 30, 40)),
        (px(10.2, 20.9, 30.1, 40), Box(10, 20, 31, 40)),
        (percent(50, 50, 100, 100), Box(150, 101, 301, 203)),
        ((Length(0), Length(0), Length(100, "%"), Length(20)), Box(0, 0, 301, 20)),
        (px(300, 202, 301, 203), Box(300, 202, 301, 203)),
    ],
)
def test_a_region_is_every_pixel_that_it_touches(
    region: tuple[Length, Length, Length, Length] | None, box: Box
) -> None:
    """Rounded outwards, in the upright photo's pixels."""
    assert region_box(region, 301, 203) == box


@pytest.mark.parametrize(
    ("region", "kind"),
    [
        (px(0, 0, 302, 10), "region_out_of_bounds"),
        (px(0, 0, 10, 203.5), "region_out_of_bounds"),
        (px(-1, 0, 10, 10), "region_out_of_bounds"),
        (percent(0, 0, 101, 50), "region_out_of_bounds"),
        (px(400, 0, 10, 10), "region_out_of_bounds"),
        (px(10, 10, 10, 20), "region_empty"),
        (px(10, 10, 20, 10), "region_empty"),
        (px(20, 10, 10, 20), "region_empty"),
        (px(10, 10, 10.0000001, 20), "region_empty"),
    ],
)
def test_an_impossible_region_is_refused(region: tuple[Length, Length, Length, Length], kind: str) -> None:
    """Beyond the photo, or with nothing in it; said back as it came."""
    with pytest.raises(ApiError) as caught:
        region_box(region, 301, 203)

    assert caught.value.kind == kind
    assert str(caught.value.facts["got"]).split()[0] == f"{region[0].amount:g}{region[0].unit}"


# --- the whole photo ------------------------------------------------------------------------------------------------


def test_without_options_everything_stays_where_it_is() -> None:
    """Nothing is scaled, moved or measured."""
    measure = Measured()
    result = placed(RenderOptions(), measure)

    assert result == Placement(4000, 3000, WHOLE, PHOTO, 0, 0)
    assert result.source == WHOLE
    assert measure.sizes == []


def test_a_region_lies_in_the_photo_where_it_was() -> None:
    """The answer has the photo's size; only the region is drawn."""
    region = Box(1000, 500, 3000, 2500)
    result = placed(RenderOptions(cap=SizeCap(longest=400)), Measured(region=region))

    assert size(result) == (400, 300)
    assert (result.scaled, result.left, result.top) == ((200, 200), 100, 50)


def test_the_box_is_measured_where_it_is_asked_for() -> None:
    """Once, at the delivered size."""
    measure = Measured()
    result = placed(RenderOptions(cap=SizeCap(longest=400), measure=True), measure)

    assert (result.subject, measure.sizes) == (Box(100, 60, 220, 240), [(400, 300)])


@pytest.mark.parametrize(
    ("frame", "answer", "content"),
    [
        (Frame(1000, 1000), (1000, 1000), Box(0, 125, 1000, 875)),
        (Frame(1000, 1000, "cover"), (1000, 1000), Box(-167, 0, 1166, 1000)),
        (Frame(1000, 1000, "fill"), (1000, 1000), Box(0, 0, 1000, 1000)),
        (Frame(1000, 1000, "scale-down"), (1000, 1000), Box(0, 125, 1000, 875)),
        (Frame(8000, 8000), (8000, 8000), Box(0, 1000, 8000, 7000)),
        (Frame(8000, 8000, "cover"), (8000, 8000), Box(-1334, 0, 9333, 8000)),
        (Frame(8000, 8000, "scale-down"), (8000, 8000), Box(2000, 2500, 6000, 5500)),
        (Frame(500, None), (500, 375), Box(0, 0, 500, 375)),
        (Frame(None, 600), (800, 600), Box(0, 0, 800, 600)),
        (Frame(None, 6000), (8000, 6000), Box(0, 0, 8000, 6000)),
        (Frame(None, 6000, "scale-down"), (8000, 6000), Box(2000, 1500, 6000, 4500)),
        (Frame(1, 1), (1, 1), Box(0, 0, 1, 1)),
    ],
)
def test_an_exact_frame_is_exact(frame: Frame, answer: tuple[int, int], content: Box) -> None:
    """What the fit leaves free is shared by both sides; only ``scale-down`` never enlarges."""
    result = placed(RenderOptions(frame=frame))

    assert (size(result), result.frame) == (answer, content)
    assert result.scaled == (content.width, content.height)
    assert (result.left, result.top) == (content.left, content.top)


# --- crop -----------------------------------------------------------------------------------------------------------


def test_a_crop_is_the_box() -> None:
    """Measured once, at full size."""
    measure = Measured()
    result = placed(RenderOptions(crop=True), measure)

    assert (size(result), result.source) == ((1200, 1800), SUBJECT)
    assert result.subject == Box(0, 0, 1200, 1800)
    assert measure.sizes == [PHOTO]


@pytest.mark.parametrize(
    ("options", "box"),
    [
        (RenderOptions(margin=px(10, 20, 30, 40)), Box(960, 590, 2220, 2430)),
        (RenderOptions(margin=percent(10, 10, 10, 10)), Box(880, 420, 2320, 2580)),
        (RenderOptions(margin=percent(80, 0, 0, 0)), Box(1000, -840, 2200, 2400)),
        (RenderOptions(margin=percent(80, 0, 0, 0), margin_is_capped=True), Box(1000, 100, 2200, 2400)),
        (RenderOptions(margin=px(0, 900, 0, 0), margin_is_capped=True), Box(1000, 600, 2700, 2400)),
        (RenderOptions(aspect=1.0), Box(700, 600, 2500, 2400)),
        (RenderOptions(aspect=2.0), Box(-200, 600, 3400, 2400)),
        (RenderOptions(aspect=0.5), Box(1000, 300, 2200, 2700)),
        (RenderOptions(aspect=1.0, margin=px(100, 0, 100, 0)), Box(600, 500, 2600, 2500)),
    ],
)
def test_a_crop_grows_by_its_margin_and_to_its_aspect(options: RenderOptions, box: Box) -> None:
    """Percent are of the subject's side; remove.bg allows half of it and 500 pixels; the photo is no bound."""
    assert grow(SUBJECT, options) == box


def test_a_small_subject_has_a_small_capped_margin() -> None:
    """Half its side comes before 500 pixels."""
    assert grow(Box(10, 10, 30, 20), RenderOptions(margin=px(50, 50, 50, 50), margin_is_capped=True)) == Box(
        0, 5, 40, 25
    )


def test_margins_in_pixels_are_the_photos() -> None:
    """Shrunk to half, so is the margin."""
    result = placed(RenderOptions(crop=True, margin=px(100, 100, 100, 100), cap=SizeCap(longest=1000)))

    assert size(result) == (700, 1000)
    assert result.subject == Box(50, 50, 650, 950)


def boxes_from(shortest: int) -> st.SearchStrategy[Box]:
    """Anywhere in the photo, with sides of so many pixels at least."""
    corners = st.integers(0, 4000 - shortest), st.integers(0, 3000 - shortest)
    sides = st.integers(shortest, 4000), st.integers(shortest, 3000)
    return st.tuples(*corners, *sides).map(
        lambda four: Box(four[0], four[1], min(4000, four[0] + four[2]), min(3000, four[1] + four[3]))
    )


specks = boxes_from(1)
subjects = boxes_from(60)
margins = st.one_of(
    st.just(NO_MARGIN),
    st.tuples(*[st.integers(0, 60)] * 4).map(lambda amounts: percent(*amounts)),
    st.tuples(*[st.integers(0, 700)] * 4).map(lambda amounts: px(*amounts)),
)
aspects = st.one_of(st.none(), st.floats(0.2, 5))
crops = st.builds(lambda margin, aspect: RenderOptions(crop=True, margin=margin, aspect=aspect), margins, aspects)
fits: st.SearchStrategy[Fit] = st.sampled_from(["contain", "cover", "scale-down"])


def caps_from(longest: int) -> st.SearchStrategy[SizeCap]:
    """Caps that leave so long a side, or its square."""
    pixels = st.integers(longest**2, 20_000_000).map(lambda most: SizeCap(pixels=most))
    return st.one_of(pixels, st.integers(longest, 5000).map(lambda most: SizeCap(longest=most)))


@given(specks, specks, crops, caps_from(1))
def test_a_capped_crop_keeps_its_cap(subject: Box, guess: Box, options: RenderOptions, cap: SizeCap) -> None:
    """Whatever the subject and the guess: never larger than that, never enlarged, and found in an end of rounds."""
    measure = Measured(subject)
    result = placed(replace(options, cap=cap), measure, guess=guess)

    assert cap.scale(*size(result)) == 1
    assert result.scaled[0] <= 4000
    assert result.scaled[1] <= 3000
    assert len(measure.sizes) <= 25


@given(subjects, specks, crops, caps_from(300))
def test_a_capped_crop_uses_its_cap(subject: Box, guess: Box, options: RenderOptions, cap: SizeCap) -> None:
    """Where the subject is no speck: nearly all of it, in few rounds."""
    measure = Measured(subject)
    result = placed(replace(options, cap=cap), measure, guess=guess)

    used = result.width * result.height / cap.pixels if cap.pixels else max(size(result)) / (cap.longest or 1)
    assert result.scaled == PHOTO or used > 0.9
    assert len(measure.sizes) <= 8


def test_a_crop_smaller_than_its_cap_is_not_resampled() -> None:
    """A guess that is a pixel too large must not blur the whole picture by a thousandth."""
    options = RenderOptions(crop=True, cap=SizeCap(pixels=2_019_035))

    assert placed(options, Measured(Box(0, 0, 61, 61)), guess=Box(0, 0, 967, 2092)).scaled == PHOTO


@given(specks, specks, crops, st.integers(1, 3000), st.integers(1, 3000), fits)
def test_a_framed_crop_has_the_frames_size(
    subject: Box, guess: Box, options: RenderOptions, width: int, height: int, fit: Fit
) -> None:
    """Exactly, with the crop in its middle."""
    result = placed(replace(options, frame=Frame(width, height, fit)), Measured(subject), guess=guess)

    assert size(result) == (width, height)
    assert abs(result.frame.left + result.frame.right - width) <= 1
    assert abs(result.frame.top + result.frame.bottom - height) <= 1


@given(subjects, specks, crops, st.integers(300, 3000), st.integers(300, 3000), fits)
def test_a_framed_crop_fits(
    subject: Box, guess: Box, options: RenderOptions, width: int, height: int, fit: Fit
) -> None:
    """All of it is inside, unless it is to cover the frame: then no more is cut than has to be."""
    result = placed(replace(options, frame=Frame(width, height, fit)), Measured(subject), guess=guess)

    across, down = result.frame.width / width, result.frame.height / height
    if fit == "cover":
        assert 0.9 < min(across, down) <= 1
    else:
        assert max(across, down) <= 1
        assert max(across, down) > 0.9 or fit == "scale-down"
        assert result.subject is not None
        assert result.subject.inside(result.frame) == result.subject


def test_a_crop_fills_its_frame() -> None:
    """1200 x 1800 with a tenth around, contained in 1000 x 1000: nearly all of the height is used."""
    options = RenderOptions(crop=True, margin=percent(10, 10, 10, 10), frame=Frame(1000, 1000))
    result = placed(options)

    assert 995 <= result.frame.height <= 1000
    assert result.frame.width == pytest.approx(667, abs=4)


def test_a_crop_without_subject_is_the_photo() -> None:
    """It keeps the cap, and it is known that nothing was found."""
    result = placed(RenderOptions(crop=True, cap=SizeCap(longest=400)), Measured(None))

    assert (size(result), result.subject, result.measured) == ((400, 300), None, True)


@pytest.mark.parametrize("cap", [SizeCap(pixels=1), SizeCap(longest=1), SizeCap(pixels=7)])
def test_the_smallest_caps_end(cap: SizeCap) -> None:
    """However little is allowed, a placement is found."""
    assert cap.scale(*size(placed(RenderOptions(crop=True, cap=cap)))) == 1


# --- the subject's place --------------------------------------------------------------------------------------------


def test_a_scaled_subject_is_centred() -> None:
    """Half of the frame: its height, which is the relatively longer side, becomes 1500 of 3000."""
    result = placed(RenderOptions(subject_scale=0.5))

    assert size(result) == PHOTO
    assert result.subject is not None
    assert result.subject.height == pytest.approx(1500, abs=2)
    assert result.subject.left + result.subject.right == pytest.approx(4000, abs=1)
    assert result.subject.top + result.subject.bottom == pytest.approx(3000, abs=1)


def test_a_scaled_subject_may_grow() -> None:
    """To all of the frame, and not a pixel more."""
    result = placed(RenderOptions(subject_scale=1.0, cap=SizeCap(longest=1000)), Measured(Box(0, 0, 40, 20)))

    assert result.subject is not None
    assert 997 <= result.subject.width <= 1000
    assert result.subject.inside(Box(0, 0, 1000, 750)) == result.subject
    assert result.scaled[0] == pytest.approx(4000 * 1000 / 40, rel=5e-3)


@pytest.mark.parametrize(
    ("position", "corner"), [((0, 0), (0, 0)), ((1, 1), (2800, 1200)), ((0.5, 0.25), (1400, 300)), (None, (1000, 600))]
)
def test_a_position_shares_the_room_that_is_left(position: tuple[float, float] | None, corner: tuple[int, int]) -> None:
    """0 is left and top, 1 right and bottom, as CSS's ``background-position``; None leaves it where it is."""
    measure = Measured()
    result = placed(RenderOptions(position=position, measure=True), measure)

    assert result.subject == Box(*corner, corner[0] + 1200, corner[1] + 1800)
    assert measure.sizes == [PHOTO]


def test_a_subject_is_placed_in_its_crop() -> None:
    """First the crop with its margin, then the place in it; the answer has the crop's size."""
    options = RenderOptions(crop=True, margin=px(100, 100, 100, 100), position=(0, 1))
    result = placed(options)

    assert size(result) == (1400, 2000)
    assert result.subject == Box(0, 200, 1200, 2000)


@given(subjects, specks, st.floats(0.1, 1), st.floats(0, 1), st.floats(0, 1), st.integers(300, 2000))
def test_a_placed_subject_is_as_large_as_asked(
    subject: Box, guess: Box, share: float, across: float, down: float, longest: int
) -> None:
    """And never leaves the frame, wherever it goes."""
    options = RenderOptions(subject_scale=share, position=(across, down), cap=SizeCap(longest=longest))
    result = placed(options, Measured(subject), guess=guess)

    assert result.subject is not None
    assert result.subject.inside(result.answer) == result.subject
    sides = (result.subject.width, share * result.width), (result.subject.height, share * result.height)
    assert all(got <= ceil(asked + 1e-6) for got, asked in sides)
    assert max(got / asked for got, asked in sides) > 0.9


def test_a_place_without_subject_is_none() -> None:
    """The photo stays where it is."""
    result = placed(RenderOptions(subject_scale=0.5, position=(1, 1)), Measured(None))

    assert (size(result), result.left, result.top, result.measured) == (PHOTO, 0, 0, True)


def test_no_scale_is_too_large_to_be_drawn() -> None:
    """A speck that should fill a large frame is enlarged as far as the small maps allow."""
    result = placed(RenderOptions(frame=Frame(20_000, 20_000), subject_scale=1.0), Measured(Box(5, 5, 6, 6)))

    assert size(result) == (20_000, 20_000)
    assert result.scaled[0] * result.scaled[1] < 1.01 * MOST_SCALED_PIXELS


# --- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "most"),
    [
        (RenderOptions(), PHOTO),
        (RenderOptions(cap=SizeCap(longest=400)), (400, 300)),
        (RenderOptions(frame=Frame(90, 70)), (90, 70)),
        (RenderOptions(crop=True, margin=percent(50, 50, 50, 50)), (8000, 6000)),
        (RenderOptions(crop=True, margin=percent(50, 50, 50, 50), cap=SizeCap(longest=400)), (400, 300)),
    ],
)
def test_the_largest_answer_is_known_before_the_subject(options: RenderOptions, most: tuple[int, int]) -> None:
    """As if the subject were all of the photo."""
    assert largest_answer(options, PHOTO) == most
