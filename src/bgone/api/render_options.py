"""Every render option in our own words: named, explained and read in one place.

The API's ``/cut/v1``, the command line's flags and the library's keyword arguments are made of ``OPTIONS`` and
``PICTURES``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bgone.api.colours import parse_colour
from bgone.api.fields import Fields
from bgone.api.options import (
    COLOUR,
    PERCENT,
    Reader,
    boolean,
    choice,
    colour,
    integer,
    lengths,
    matching,
    number,
    read_options,
)
from bgone.api.sources import find_sources
from bgone.errors import multiple_grounds
from bgone.imaging.formats import ALIASES, FORMATS
from bgone.imaging.geometry import NO_CAP, Length, SizeCap
from bgone.pipeline.order import (
    NO_MARGIN,
    WHITE,
    BlurGround,
    Colour,
    Frame,
    Ground,
    Link,
    Outline,
    PictureGround,
    RenderOptions,
    Shadow,
    Source,
)
from bgone.pipeline.render import AUTO

MEGAPIXEL = 1_000_000

# Bounds are ours. A frame of 10,000 a side is the 100 megapixels that a photo may have where nobody says otherwise.
MOST_SIDE_PX = 10_000
MOST_MARGIN_PX = 5_000
MOST_OFFSET_PX = 5_000
MOST_OUTLINE_PX = 500
SLIMMEST, WIDEST = 0.1, 10.0

BLUR = 50  # strength where none is said
NOTHING = Colour(0, 0, 0, 0)  # what ``none`` means: nothing at all under the subject

Point = tuple[float, float]
Four = tuple[Length, Length, Length, Length]


# --- the options ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Option:
    """A row of the table of options.

    Attributes:
        name: On the wire and in Python; a flag has dashes for its underscores.
        metavar: What stands for the value in help: ``PX``, ``1..100``.
        help: One line: what it does, and what holds without it.
        reader: Text to value.
        choices: All accepted words where the list is closed, the default first; else empty.
    """

    name: str
    metavar: str
    help: str
    reader: Reader[Any]
    choices: tuple[str, ...] = ()

    @property
    def is_switch(self) -> bool:
        """It is true or false."""
        return self.metavar == "BOOL"

    @property
    def holds_colour(self) -> bool:
        """Its value may be a colour."""
        return self.name in ("background", "outline_color")


@dataclass(frozen=True, slots=True)
class PictureField:
    """A field that carries a picture.

    Attributes:
        name: On the wire.
        kind: ``file``: a part of a multipart body; ``url``: a text to be fetched; ``base64``: a text, or a part.
        help: One line.
    """

    name: str
    kind: Literal["file", "url", "base64"]
    help: str


@dataclass(frozen=True, slots=True)
class Quality:
    """What ``quality`` says: of a lossy file, 1..100, and whether edges are fine; None where it does not say."""

    percent: int | None = None
    fine: bool | None = None


def _parse_ground(text: str) -> Colour | BlurGround | None:
    word = text.lower()
    if word == "none":
        return NOTHING
    name, colon, strength = word.partition(":")
    if name.strip() == "blur":
        percent = _STRENGTH.parse(strength.strip()) if colon else float(BLUR)
        return None if percent is None else BlurGround(percent)
    return parse_colour(text)


def _parse_aspect(text: str) -> float | None:
    across, colon, down = text.partition(":")
    sides = [_SIDE_OF_ASPECT.parse(side.strip()) for side in ((across, down) if colon else (across, "1"))]
    if sides[0] is None or sides[1] is None:
        return None
    aspect = sides[0] / sides[1]
    return aspect if SLIMMEST <= aspect <= WIDEST else None


def _percent(text: str, lo: float) -> float | None:
    """``10%`` as 0.1, from ``lo`` percent to 100."""
    return None if not text.endswith("%") or (value := number(lo, 100).parse(text[:-1])) is None else value / 100


def _parse_scale(text: str) -> float | Literal["original"] | None:
    return "original" if text.lower() == "original" else _percent(text, 1)


def _parse_position(text: str) -> Point | Literal["original"] | None:
    words = text.lower().replace(",", " ").split()
    if words in (["original"], ["center"]):
        return "original" if words == ["original"] else (0.5, 0.5)
    shares = [share for share in (_percent(word, 0) for word in words) if share is not None]
    # One value stands for both directions; of two the second is vertical.
    return (shares[0], shares[-1]) if len(shares) == len(words) in (1, 2) else None


def _parse_offset(text: str) -> Point | None:
    words = [_OFFSET.parse(word.removesuffix("px")) for word in text.lower().replace(",", " ").split()]
    shifts = [word for word in words if word is not None]
    return (shifts[0], shifts[1]) if len(shifts) == len(words) == 2 else None


def _parse_quality(text: str) -> Quality | None:
    words = text.lower().replace(",", " ").split()
    edges = [word for word in words if word in _EDGES]
    percents = [_WHOLE_PERCENT.parse(word) for word in words if word not in _EDGES]
    if not words or len(edges) > 1 or len(percents) > 1 or None in percents:
        return None
    return Quality(percents[0] if percents else None, edges[0] == "fine" if edges else None)


_EDGES = ("standard", "fine")
_WHOLE_PERCENT = integer(1, 100)
_STRENGTH = number(1, 100)
_SIDE_OF_ASPECT = number(0.01, 100_000)
_OFFSET = number(-MOST_OFFSET_PX, MOST_OFFSET_PX)

_FORMAT_WORDS = ("png", AUTO, *(name for name in FORMATS if name != "png"))
_CHANNELS = ("rgba", "rgb", "alpha")
_FITS = ("contain", "cover", "scale-down")
_GROUND_FITS = ("cover", "contain", "fill")
_SHADOWS = ("none", "drop", "3D", "car", "offset")

OPTIONS: dict[str, Option] = {
    row.name: row
    for row in (
        Option(
            "format",
            "FORMAT",
            "file format of the answer; auto is png where anything is transparent, else jpg (default: png)",
            choice(*_FORMAT_WORDS, aliases=ALIASES),
            _FORMAT_WORDS,
        ),
        Option(
            "quality",
            "QUALITY",
            "edges, standard or fine (the net looks at them again and takes longer; default: the operator's), and "
            "1..100 for jpg, webp, avif and the jpg in a zip (default: the format's own); both are said as fine 90",
            Reader(
                "standard or fine, a whole number from 1 to 100, or both",
                _parse_quality,
                {"anyOf": [_WHOLE_PERCENT.schema, matching("standard|fine|(standard|fine) ([1-9][0-9]?|100)")]},
            ),
        ),
        Option(
            "channels",
            "WORD",
            "rgba keeps transparency, rgb lays the subject on the background or on white, alpha is the mask alone",
            choice(*_CHANNELS),
            _CHANNELS,
        ),
        Option(
            "max_side",
            "PX",
            "longest side of the answer at most; never enlarges",
            integer(1, 100_000),
        ),
        Option(
            "max_megapixels",
            "MP",
            "megapixels of the answer at most; never enlarges",
            number(0.0001, 10_000),
        ),
        Option(
            "width",
            "PX",
            "exact width of the answer, enlarging where needed; wins over max_side and max_megapixels",
            integer(1, MOST_SIDE_PX),
        ),
        Option("height", "PX", "exact height of the answer; as width", integer(1, MOST_SIDE_PX)),
        Option(
            "fit",
            "WORD",
            "how the picture fills width and height: contain shows all of it, cover fills and cuts, "
            "scale-down contains and never enlarges",
            choice(*_FITS),
            _FITS,
        ),
        Option(
            "crop",
            "BOOL",
            "cut to the tight box around the subject (default: true with margin or aspect, else false)",
            boolean(),
        ),
        Option(
            "margin",
            "LENGTHS",
            "room around the crop: all sides, or vertical and horizontal, or top, right, bottom, left; "
            "pixels of the photo or % of the subject",
            lengths(1, 2, 4, max_px=MOST_MARGIN_PX, max_percent=100),
        ),
        Option(
            "aspect",
            "W:H",
            "shape to which the crop grows, as 4:3 or 1.333",
            Reader(
                f"width:height or a number from {SLIMMEST:g} to {WIDEST:g}",
                _parse_aspect,
                matching("[2-9]:[1-9]|1[0-6]:[2-9]|[1-9]([.][0-9]{1,4})?|0[.][1-9][0-9]{0,3}"),
            ),
        ),
        Option(
            "scale",
            "PERCENT",
            "share of the frame that the subject's larger side takes; original leaves it",
            Reader("original or 1% to 100%", _parse_scale, matching("original|100%|[1-9][0-9]?([.][0-9]{1,6})?%")),
        ),
        Option(
            "position",
            "PLACE",
            "where the subject lies in the frame: original, center, or one or two of 0% to 100% (across, down) "
            "(default: center with scale, else original)",
            Reader(
                "original, center, or one or two of 0% to 100%",
                _parse_position,
                matching(f"original|center|{PERCENT}( {PERCENT})?"),
            ),
        ),
        Option(
            "region",
            "X1 Y1 X2 Y2",
            "the part of the photo that is looked at, in pixels or %; what is outside counts as background",
            # Beyond the picture is an error of its own, which the photo's size decides.
            lengths(4, max_px=999_999, max_percent=999_999),
        ),
        Option(
            "background",
            "GROUND",
            "under the subject: none, a colour, blur or blur:1..100 for the photo itself out of focus",
            Reader(
                "none, blur, blur:1 to blur:100, or a colour such as #fff, white or rgb(0, 0, 0)",
                _parse_ground,
                {"anyOf": [matching("none|blur(:([1-9][0-9]?|100))?"), COLOUR]},
            ),
        ),
        Option(
            "background_fit",
            "WORD",
            "how a background picture fills the frame: cover cuts, contain leaves white beside it, fill stretches",
            choice(*_GROUND_FITS),
            _GROUND_FITS,
        ),
        Option(
            "shadow",
            "WORD",
            "shadow under the subject: drop is soft, 3D lies on the ground, car is where it touches the ground, "
            "offset is the silhouette moved (default: offset with shadow_offset, else none)",
            choice(*_SHADOWS),
            _SHADOWS,
        ),
        Option("shadow_opacity", "0..100", "how dark the shadow is, in percent (default: 50)", number(0, 100)),
        Option("shadow_blur", "0..100", "how soft an offset shadow is (default: 50)", number(0, 100)),
        Option(
            "shadow_offset",
            "X Y",
            "pixels to the right and down that an offset shadow is moved (default: 10 10)",
            Reader(
                f"two numbers from -{MOST_OFFSET_PX} to {MOST_OFFSET_PX}, right and down",
                _parse_offset,
                matching("-?[0-9]{1,3}([.][0-9]{1,3})? -?[0-9]{1,3}([.][0-9]{1,3})?"),
            ),
        ),
        Option(
            "outline",
            "PX",
            "width of a line around the subject, in pixels of the answer",
            number(0, MOST_OUTLINE_PX),
        ),
        Option("outline_color", "COLOR", "colour of the outline (default: white)", colour()),
        Option("despill", "BOOL", "weaken the green light of a green screen on the subject", boolean()),
        Option(
            "semitransparency",
            "BOOL",
            "keep glass and veils partly transparent; false makes the subject's inside opaque (default: true)",
            boolean(),
        ),
    )
}

PICTURES: dict[str, PictureField] = {
    row.name: row
    for row in (
        PictureField("image", "file", "the photo"),
        PictureField("image_url", "url", "address of the photo"),
        PictureField("image_base64", "base64", "the photo in base64, also as a data: URL"),
        PictureField("background_image", "file", "a picture under the subject"),
        PictureField("background_url", "url", "address of a picture under the subject"),
        PictureField("background_base64", "base64", "a picture under the subject in base64, also as a data: URL"),
    )
}
_READERS = {name: option.reader for name, option in OPTIONS.items()}


# --- what they mean together ----------------------------------------------------------------------------------------


def read_render_options(fields: Fields) -> RenderOptions:
    """What the answer shall look like, the photo aside.

    Raises:
        multiple_grounds: Several backgrounds were sent.
        invalid_option: An option's value is not accepted.
        unreadable_image: A base64 text is none.
    """
    return _render_options(read_options(_READERS, fields), find_pictures(fields, "background"))


def find_pictures(fields: Fields, what: Literal["image", "background"]) -> list[Source]:
    """Every photo, or every picture under the subject, that was sent; an address may stand in the query too.

    Raises:
        unreadable_image: A base64 text is none.
    """
    file, link, encoded = ("image" if what == "image" else f"{what}_image"), f"{what}_url", f"{what}_base64"
    found = list(find_sources(fields, files=(file,), links=(link,), encoded=(encoded,)))
    url = fields.query.get(link, "").strip()
    return [*found, Link(url)] if url and not fields.text.get(link) else found


def _render_options(values: Mapping[str, Any], pictures: list[Source]) -> RenderOptions:
    channels = values.get("channels", "rgba")
    if channels == "alpha" and values.get("format") == "zip":
        channels = "rgba"  # an archive holds the mask anyway
    alpha = channels == "alpha"
    ground = _ground(values, pictures)
    scale, position = _placed(values)
    quality = values.get("quality", Quality())
    return RenderOptions(
        format=values.get("format", "png"),
        channels=channels,
        cap=_cap(values),
        frame=_frame(values),
        crop=values.get("crop", "margin" in values or "aspect" in values),
        margin=_four(values["margin"]) if "margin" in values else NO_MARGIN,
        aspect=values.get("aspect"),
        subject_scale=scale,
        position=position,
        region=_region(values.get("region")),
        # A mask has neither colours nor anything beside the subject.
        background=None if alpha else ground,
        despill=not alpha and values.get("despill", False),
        semitransparency=values.get("semitransparency", True),
        shadow=None if alpha else _shadow(values),
        outline=None if alpha else _outline(values),
        measure=True,
        quality_percent=quality.percent,
        fine=quality.fine,
    )


def _cap(values: Mapping[str, Any]) -> SizeCap:
    side, megapixels = values.get("max_side"), values.get("max_megapixels")
    if side is None and megapixels is None:
        return NO_CAP
    return SizeCap(pixels=None if megapixels is None else max(1, round(megapixels * MEGAPIXEL)), longest=side)


def _frame(values: Mapping[str, Any]) -> Frame | None:
    width, height = values.get("width"), values.get("height")
    return None if width is None and height is None else Frame(width, height, values.get("fit", "contain"))


def _four(margins: tuple[Length, ...]) -> Four:
    """Margins as in CSS, but one, two or four of them: all; vertical, horizontal; top, right, bottom, left."""
    top, right, bottom, left = (margins * 4)[:4]
    return top, right, bottom, left


def _placed(values: Mapping[str, Any]) -> tuple[float | None, Point | None]:
    scale = None if (scale := values.get("scale")) == "original" else scale
    position = values.get("position", "original" if scale is None else (0.5, 0.5))
    return scale, None if position == "original" else position


def _region(corners: tuple[Length, ...] | None) -> Four | None:
    if corners is None:
        return None
    x1, y1, x2, y2 = corners
    return x1, y1, x2, y2


def _ground(values: Mapping[str, Any], pictures: list[Source]) -> Ground | None:
    ground: Ground | None = values.get("background")
    # Nothing at all under the subject is no background, whatever colour it would have.
    if isinstance(ground, Colour) and ground.alpha == 0:
        ground = None
    if len(pictures) + (ground is not None) > 1:
        raise multiple_grounds("background, background_image, background_url and background_base64")
    return PictureGround(pictures[0], values.get("background_fit", "cover")) if pictures else ground


def _shadow(values: Mapping[str, Any]) -> Shadow | None:
    kind = values.get("shadow", "offset" if "shadow_offset" in values else "none")
    if kind == "none":
        return None
    right, down = values.get("shadow_offset", (10.0, 10.0)) if kind == "offset" else (0.0, 0.0)
    return Shadow(
        kind,
        opacity_percent=values.get("shadow_opacity", 50.0),
        blur_percent=values.get("shadow_blur", 50.0),
        offset_x_px=right,
        offset_y_px=down,
    )


def _outline(values: Mapping[str, Any]) -> Outline | None:
    width = values.get("outline", 0)
    return Outline(width, values.get("outline_color", WHITE)) if width else None
