"""Options: one table of texts and what they mean, one form of complaint."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageColor

from bgone.api.colours import parse_colour
from bgone.api.fields import Fields
from bgone.api.options import (
    Reader,
    boolean,
    choice,
    colour,
    integer,
    length,
    lengths,
    number,
    read_options,
    size_words,
)
from bgone.errors import ApiError
from bgone.imaging.geometry import NO_CAP, Length, SizeCap
from bgone.pipeline.order import Colour

FORMAT = choice("png", "jpg", "50MP", aliases={"jpeg": "jpg"})
SIZE = size_words({"preview": SizeCap(pixels=250_000), "full": NO_CAP})
RED = Colour(255, 0, 0)

GOOD: list[tuple[Reader[object], str, object]] = [
    (FORMAT, "png", "png"),
    (FORMAT, "PNG", "png"),
    (FORMAT, " Jpeg ", "jpg"),
    (FORMAT, "50mp", "50MP"),
    *[(boolean(), word, True) for word in ("true", "TRUE", "1", "yes", "Y", "on")],
    *[(boolean(), word, False) for word in ("false", "False", "0", "no", "n", "OFF")],
    (boolean(strict=True), "True", True),
    (boolean(strict=True), "false", False),
    (integer(0, 100), "7", 7),
    (integer(0, 100), "7.0", 7),
    (integer(-5, 100), "-5", -5),
    (number(0, 1), "0.5", 0.5),
    (number(0, 1), ".5", 0.5),
    (number(-1, 1), "-1", -1.0),
    (length(), "30px", Length(30, "px")),
    (length(), "10%", Length(10, "%")),
    (length(), "20", Length(20, "px")),
    (length(), "1.5 PX", Length(1.5, "px")),
    (lengths(1, 2, 4), "10% 20px", (Length(10, "%"), Length(20, "px"))),
    (lengths(1, 2, 4), "1, 2, 3, 4", tuple(Length(n) for n in (1, 2, 3, 4))),
    (SIZE, "Preview", SizeCap(pixels=250_000)),
    (SIZE, "full", NO_CAP),
    *[(colour(), text, RED) for text in ("f00", "#F00", "ff0000", "#FF0000", "ff0000ff", "#f00f", "Red", " red ")],
    *[(colour(), text, RED) for text in ("rgb(255,0,0)", "rgb(255 0 0)", "RGB( 100% , 0% , 0% )", "rgba(255,0,0,1)")],
    *[(colour(), text, RED) for text in ("hsl(0, 100%, 50%)", "hsl(360deg 100% 50% / 100%)", "rgba(255 0 0 / 100%)")],
    (colour(), "rgba(255, 0, 0, 0.5)", Colour(255, 0, 0, 128)),
    (colour(), "rgb(255 0 0 / 50%)", Colour(255, 0, 0, 128)),
    (colour(), "#ff000080", Colour(255, 0, 0, 128)),
    (colour(), "f008", Colour(255, 0, 0, 136)),
    (colour(), "transparent", Colour(0, 0, 0, 0)),
    (colour(), "hsl(120, 100%, 25%)", Colour(0, 128, 0)),
]

BAD: list[tuple[Reader[object], str]] = [
    (FORMAT, "gif"),
    (FORMAT, "png\0"),
    (FORMAT, "p" * 5000),
    (FORMAT, "[png]"),
    (boolean(), "2"),
    (boolean(), "tru"),
    (boolean(strict=True), "yes"),
    (boolean(strict=True), "1"),
    (integer(0, 100), "101"),
    (integer(0, 100), "-1"),
    (integer(0, 100), "7.5"),
    (integer(0, 100), "1e1"),
    (integer(0, 100), "٣"),
    (integer(0, 100), "9" * 199),
    (number(0, 1), "nan"),
    (number(0, 1), "inf"),
    (number(0, 1), "1.01"),
    (length(max_percent=50), "51%"),
    (length(max_px=500), "501px"),
    (length(), "-1px"),
    (length(), "1em"),
    (lengths(1, 2, 4), "1 2 3"),
    (lengths(1, 2, 4), "1 x"),
    (lengths(1, 2, 4), ","),
    (SIZE, "huge"),
    *[(colour(), text) for text in ("reddish", "ff", "#fffff", "##fff", "rgb(256,0,0)", "rgb(1,2)", "rgb(1,2,3,4,5)")],
    *[
        (colour(), text)
        for text in ("rgb(-1,0,0)", "rgb()", "hsl(0,101%,0%)", "hsl(x,1%,1%)", "url(javascript:1)", "#")
    ],
    *[
        (colour(), text)
        for text in ("rgb(1,2,nan)", "rgb(1,2,3", "\x00\x01", "\uff46\uff46\uff46", "rgba(0,0,0,2)", "%%%")
    ],
]


@pytest.mark.parametrize(("reader", "text", "value"), GOOD)
def test_a_good_text_becomes_a_typed_value(reader: Reader[object], text: str, value: object) -> None:
    """Spelling and case are the client's; the value is ours."""
    assert reader("option", text) == value


@pytest.mark.parametrize(("reader", "text"), BAD)
def test_a_bad_text_is_named_with_what_was_expected(reader: Reader[object], text: str) -> None:
    """Every reader complains in one form: option, expected, got."""
    with pytest.raises(ApiError) as caught:
        reader("bg_color", text)

    assert caught.value.kind == "invalid_option"
    assert caught.value.facts["option"] == "bg_color"
    assert caught.value.facts["expected"] == reader.expected
    assert len(str(caught.value.facts["got"])) <= 80


def test_all_css_names_are_known() -> None:
    """The 148 names of CSS, each with the colour that an independent table gives it."""
    table = ImageColor.colormap

    assert len(table) == 148
    for name in table:
        assert parse_colour(name) == Colour(*ImageColor.getrgb(name)), name


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_hex_and_rgb_agree(red: int, green: int, blue: int) -> None:
    """Every colour of 24 bits is read back exactly in both notations."""
    expected = Colour(red, green, blue)

    assert parse_colour(f"{red:02x}{green:02X}{blue:02x}") == expected
    assert parse_colour(f"rgb({red}, {green}, {blue})") == expected


@given(st.text(max_size=250))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text brings a reader to anything but a value or a complaint."""
    readers: list[Reader[object]] = [FORMAT, SIZE, boolean(), colour(), integer(0, 9), number(0, 9), lengths(1, 2, 4)]
    for reader in readers:
        try:
            reader("option", text)
        except ApiError as error:
            assert error.kind == "invalid_option"  # noqa: PT017 - either outcome is fine


@pytest.mark.parametrize(("side", "size", "pixels"), [(200, Length(10, "%"), 20.0), (200, Length(30), 30.0)])
def test_a_length_becomes_pixels_of_a_side(side: int, size: Length, pixels: float) -> None:
    """Percent is of the side; pixels stay."""
    assert size.pixels(side) == pixels


TABLE: dict[str, Reader[object]] = {"format": FORMAT, "crop": boolean()}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (Fields("multipart", text={"format": "jpg", "crop": "1", "scale": "?"}), {"format": "jpg", "crop": True}),
        (Fields("raw", query={"format": "jpg"}), {"format": "jpg"}),
        (Fields("multipart", text={"format": "png"}, query={"format": "jpg"}), {"format": "png"}),
        (Fields("multipart", text={"format": " "}, query={"format": "jpg"}), {"format": "jpg"}),
        (Fields("json", text={"crop": "true"}, json={"crop": True, "format": None}), {"crop": True}),
        (Fields("none"), {}),
    ],
)
def test_the_body_wins_blanks_are_absent_strangers_ignored(fields: Fields, expected: dict[str, object]) -> None:
    """Of an option that was sent twice the body's value counts; unknown names and blanks do not."""
    assert read_options(TABLE, fields) == expected


@pytest.mark.parametrize("value", [[], ["jpg"], {"a": 1}, [["jpg"] * 1000]])
def test_lists_and_objects_are_no_option_values(value: object) -> None:
    """A known option of a JSON body must be one value."""
    with pytest.raises(ApiError, match="format: expected png, jpg, 50MP or jpeg, got"):
        read_options(TABLE, Fields("json", json={"format": value}))


def test_a_picture_is_no_option_value() -> None:
    """A value of megabytes is refused without being read as an option."""
    with pytest.raises(ApiError) as caught:
        read_options(TABLE, Fields("multipart", text={"format": " " * 1_000_000}))

    assert caught.value.kind == "invalid_option"
