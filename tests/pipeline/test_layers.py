"""What lies under the subject, in its order, through real drawings."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from bgone.imaging.geometry import Box
from bgone.imaging.photo import Photo, PhotoLimits, Pixels, look, open_photo
from bgone.matting.compose import cut
from bgone.pipeline.drawing import Drawing
from bgone.pipeline.layers import open_layers
from bgone.pipeline.order import (
    BLACK,
    BlurGround,
    Colour,
    Ground,
    Outline,
    PictureGround,
    RenderOptions,
    Shadow,
    Upload,
)
from bgone.pipeline.plan import Plan
from bgone.pipeline.render import draw, plan
from tests.pictures import decode, encode, scene
from tests.pipeline.steps.scenes import disc

WIDTH, HEIGHT, RADIUS = 301, 203, 60.9
GREEN, RED = Colour(10, 200, 30), Colour(230, 20, 40)
BEHIND = np.full((90, 120, 3), (30, 40, 200), np.uint8)
PICTURE = PictureGround(Upload(encode(BEHIND, "PNG")))


def drawing(*, nothing: bool = False) -> Drawing:
    """The disc of ``scene`` in the middle."""
    photo = open_photo(encode(scene(WIDTH, HEIGHT), "PNG"), PhotoLimits())
    seen = look(photo, 500)
    matte = np.zeros((HEIGHT, WIDTH), np.float32) if nothing else disc(WIDTH, HEIGHT, RADIUS)
    return Drawing(photo, seen, cut(seen.working, matte), lambda: None)


def ground_of(options: RenderOptions) -> Photo | None:
    ground = options.background
    if not isinstance(ground, PictureGround):
        return None
    assert isinstance(ground.source, Upload)
    return open_photo(ground.source.data, PhotoLimits())


def rendered(options: RenderOptions, *, nothing: bool = False) -> Pixels:
    """The answer's pixels, as a PNG gives them."""
    drawn, pieces = drawing(nothing=nothing), list[bytes]()
    with ThreadPoolExecutor(2) as pool:
        draw(drawn, plan(drawn, options), pieces.append, pool, ground_of(options))
    return decode(b"".join(pieces))


def under(options: RenderOptions, planned: Plan, *, step: int = 64) -> Pixels:
    """The layers alone, of an answer with no subject drawn."""
    layers = open_layers(drawing(), replace(planned, options=options), ground_of(options))
    heights = [(y, min(step, planned.height - y)) for y in range(0, planned.height, step)]
    return np.vstack([layers.under(y, np.zeros((rows, planned.width, 4), np.uint8)) for y, rows in heights])


def flat(width: int = WIDTH, height: int = HEIGHT) -> Plan:
    """The whole photo at that size, with alpha."""
    everything = Box(0, 0, width, height)
    return Plan(
        RenderOptions(), "png", 4, width, height, Box(0, 0, WIDTH, HEIGHT), width, height, everything, 0, 0, None
    )


MIDDLE = (HEIGHT // 2, WIDTH // 2)
LINE = (HEIGHT // 2, WIDTH // 2 + 66)  # in a line of 12 pixels around the disc
BELOW = (HEIGHT // 2 + 78, WIDTH // 2 + 3)  # in the drop shadow of disc and line
CORNER = (2, 2)


@pytest.mark.parametrize("background", [GREEN, PICTURE, BlurGround(50), Colour(10, 200, 30, 128), None])
def test_outline_above_shadow_above_ground(background: Ground | None) -> None:
    """Subject, line, shadow and ground, each where nothing above it is."""
    options = RenderOptions(outline=Outline(12, RED), shadow=Shadow("drop", 80))
    both = rendered(replace(options, background=background)).astype(int)
    ground = rendered(RenderOptions(background=background)).astype(int)

    assert np.array_equal(both[MIDDLE], ground[MIDDLE])
    assert both[LINE][:3].tolist() == [230, 20, 40]
    assert np.array_equal(both[CORNER], ground[CORNER])
    if background is None:
        assert both[BELOW][:3].tolist() == [0, 0, 0]
        assert 40 < both[BELOW][3] < 255
    else:
        assert both[BELOW][:3].sum() < 0.8 * ground[BELOW][:3].sum()


def test_the_shadow_falls_from_the_line_too() -> None:
    """With a line around it the subject's shadow is larger."""
    shadow = Shadow("offset", 100, blur_percent=0, offset_y_px=30)
    alone = rendered(RenderOptions(shadow=shadow))
    lined = rendered(RenderOptions(shadow=shadow, outline=Outline(12, RED)))

    # The disc ends 61 below the middle, its shadow 91, the line's 103.
    assert alone[HEIGHT // 2 + 97, WIDTH // 2].tolist() == [0, 0, 0, 0]
    assert lined[HEIGHT // 2 + 97, WIDTH // 2].tolist() == [0, 0, 0, 255]


@pytest.mark.parametrize("kind", ["drop", "3D", "car", "offset"])
def test_without_a_subject_nothing_but_ground(kind: str) -> None:
    """Neither shadow nor line, and no error."""
    options = RenderOptions(shadow=Shadow(kind), outline=Outline(9, RED))  # type: ignore[arg-type]

    assert not rendered(options, nothing=True).any()
    assert (rendered(replace(options, background=GREEN), nothing=True) == (10, 200, 30)).all()


@pytest.mark.parametrize("background", [GREEN, PICTURE, BlurGround(50), BLACK, None])
def test_three_bands_are_opaque(background: Ground | None) -> None:
    """White where nothing was asked for."""
    options = RenderOptions(background=background, shadow=Shadow("drop"))
    rows = under(options, replace(flat(), channels=3))

    assert (rows[..., 3] == 255).all()
    if background is None:
        assert rows[CORNER].tolist() == [255, 255, 255, 255]


def test_a_colours_alpha_does_not_count_where_none_is_kept() -> None:
    """A format without alpha shows the colour itself."""
    assert under(RenderOptions(background=Colour(10, 200, 30, 7)), replace(flat(), channels=3))[CORNER].tolist() == [
        10, 200, 30, 255,
    ]  # fmt: skip


@pytest.mark.parametrize("alpha", [0, 128])
def test_a_colours_alpha_counts(alpha: int) -> None:
    """And nothing is hidden under alpha 0."""
    expected = [10, 200, 30, 128] if alpha else [0, 0, 0, 0]

    assert under(RenderOptions(background=Colour(10, 200, 30, alpha)), flat())[CORNER].tolist() == expected


def test_a_picture_covers_the_answer() -> None:
    """Its pixels everywhere but under the subject."""
    pixels = rendered(RenderOptions(background=PICTURE))

    assert pixels.shape == (HEIGHT, WIDTH, 3)
    assert pixels[CORNER].tolist() == [30, 40, 200]
    assert pixels[MIDDLE].tolist() == scene(WIDTH, HEIGHT)[MIDDLE].tolist()


def test_the_blurred_photo_holds_no_subject() -> None:
    """The red disc does not glow into the blue-grey around it."""
    ground = under(RenderOptions(background=BlurGround(60)), flat())

    # scene: (90, 110, 140), up to 40 brighter at the bottom.
    assert np.abs(ground[..., 0].astype(int) - ground[..., 2] + 50).max() < 12


@pytest.mark.parametrize(
    "options",
    [
        RenderOptions(background=BlurGround(30), shadow=Shadow("3D"), outline=Outline(7, RED)),
        RenderOptions(background=PICTURE, shadow=Shadow("car")),
        RenderOptions(shadow=Shadow("drop"), outline=Outline(3.5, Colour(230, 20, 40, 99))),
    ],
)
@pytest.mark.parametrize("size", [(1203, 811), (WIDTH, HEIGHT)])
def test_strips_of_any_height_meet_without_seams(options: RenderOptions, size: tuple[int, int]) -> None:
    """All layers together, bit for bit."""
    planned = flat(*size)

    assert np.array_equal(under(options, planned, step=53), under(options, planned, step=size[1]))


def test_layers_move_with_the_subject() -> None:
    """A part of the photo laid elsewhere in a larger answer takes its line with it."""
    planned = replace(flat(), width=500, height=400, source=Box(50, 20, 300, 200), left=150, top=170)
    rows = under(RenderOptions(outline=Outline(5, RED)), planned)

    down, across = np.nonzero(rows[..., 3] > 128)
    # The middle, (150, 101), comes to lie at (250, 251).
    assert (across.min() + across.max()) / 2 == pytest.approx(250, abs=1)
    assert (down.min() + down.max()) / 2 == pytest.approx(251, abs=1)
    assert across.max() - across.min() + 1 == pytest.approx(2 * (60.9 + 5), abs=2)


def test_an_answer_that_needs_nothing_is_left_alone() -> None:
    """No layer, no copy."""
    rows = np.zeros((5, WIDTH, 4), np.uint8)

    assert open_layers(drawing(), flat(), None).under(0, rows) is rows
