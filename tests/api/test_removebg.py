"""remove.bg v1.0: what requests mean, what answers look like, and all of it again over real HTTP."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from typing import Any, cast

import orjson
import pytest

from bgone import errors
from bgone.accounts.rate import Rate
from bgone.api.auth import Account, Caller
from bgone.api.dialect import Context, Cut, Delivery, Take, Tell
from bgone.api.dialects.removebg import DIALECT
from bgone.api.fields import BodyKind, Fields, File
from bgone.errors import ApiError
from bgone.imaging.geometry import Box, Length
from bgone.pipeline.order import NO_MARGIN, Colour, Link, Order, PictureGround, RenderOptions, Shadow, Upload
from bgone.pipeline.studio import Result
from tests import pictures
from tests.pictures import ball

photo = partial(pictures.photo, of=ball)
PHOTO = photo(161, 120)
TEXT = base64.b64encode(PHOTO).decode()
URL = "https://example.com/x.jpg"

_cut, _account, _improve = (operation.does for operation in DIALECT.operations)
CUT, ACCOUNT, IMPROVE = cast(Cut, _cut), cast(Tell, _account), cast(Take, _improve)


# --- what requests mean ---------------------------------------------------------------------------------------------


def parse(
    text: Mapping[str, str] | None = None,
    *,
    kind: BodyKind = "multipart",
    files: Mapping[str, bytes] | None = None,
    accept: str = "*/*",
    json: Mapping[str, object] | None = None,
) -> Order:
    """The order for a request with a picture URL and these fields."""
    fields = Fields(
        kind,
        text={"image_url": URL, **(text or {})},
        files={name: File(data, "x") for name, data in (files or {}).items()},
        headers={"accept": accept},
        json=json,
    )
    return CUT.parse(fields)


def options(**text: str) -> RenderOptions:
    """The render options for these fields."""
    return parse(text).options


def complaint(text: Mapping[str, str], **more: Any) -> tuple[int, str]:
    """Status and code of the error that these fields are answered with."""
    with pytest.raises(ApiError) as caught:
        parse(text, **more)
    return rendered(caught.value)


def rendered(error: ApiError) -> tuple[int, str]:
    status, code = DIALECT.failures[error.kind]
    (item,) = cast(Any, DIALECT.render_error(status, code, error, "req_1")["errors"])
    return status, item["code"]


def px(amount: float) -> Length:
    return Length(amount)


def percent(amount: float) -> Length:
    return Length(amount, "%")


def test_nothing_said_means_a_preview_that_is_transparent() -> None:
    """The provider's defaults: preview size, automatic format, RGBA, nothing cropped, moved or laid under."""
    order = parse()

    assert order.source == Link(URL)
    assert order.delivery == "bytes"
    assert order.notes == {"size": "preview", "type": "other"}
    assert order.options == RenderOptions(
        format="auto", cap=order.options.cap, margin_is_capped=True, measure=True, needs_subject=True
    )
    assert order.options.cap.pixels == 250_000


def test_empty_values_are_absent() -> None:
    """The official command line sends every option it has, most of them empty."""
    names = ("size", "type", "type_level", "format", "roi", "crop", "crop_margin", "scale", "position", "channels",
             "shadow_type", "shadow_opacity", "add_shadow", "semitransparency", "bg_color", "bg_image_url",
             "image_file_b64")  # fmt: skip
    assert parse(dict.fromkeys(names, "")) == parse()
    assert parse(dict.fromkeys(names[:-2], "  ")) == parse()


def test_defaults_that_are_said_mean_the_same_as_nothing() -> None:
    """Python clients send every option with its default, ``roi`` with bare zeros."""
    said = parse(
        {
            "type": "auto", "type_level": "1", "roi": "0 0 100% 100%", "crop": "false", "scale": "original",
            "position": "original", "channels": "rgba", "add_shadow": "false", "semitransparency": "true",
            "format": "auto", "size": "preview", "shadow_type": "none", "crop_margin": "0",
        }
    )  # fmt: skip
    assert said == parse()


MEGA = 1_000_000
SIZES = {
    "preview": (MEGA // 4, MEGA // 4), "small": (MEGA // 4, MEGA // 4), "regular": (MEGA // 4, MEGA // 4),
    "medium": (1_500_000, 1_500_000), "hd": (4 * MEGA, 4 * MEGA), "full": (25 * MEGA, 10 * MEGA),
    "4k": (25 * MEGA, 10 * MEGA), "50MP": (50 * MEGA, 10 * MEGA), "auto": (25 * MEGA, 10 * MEGA),
}  # fmt: skip


@pytest.mark.parametrize("word", SIZES)
def test_sizes_cap_by_format(word: str) -> None:
    """PNG has a cap of its own; an automatic format may end as PNG unless what lies under the subject is opaque."""
    most, most_png = SIZES[word]
    caps = {form: options(size=word, format=form).cap.pixels for form in ("png", "auto", "json", "jpg", "webp", "zip")}

    assert caps == dict.fromkeys(("png", "auto", "json"), most_png) | dict.fromkeys(("jpg", "webp", "zip"), most)
    assert options(size=word.upper(), bg_color="fff").cap.pixels == most
    assert options(size=word.lower(), bg_image_url=URL).cap.pixels == most
    assert options(size=word, bg_color="ffffff80").cap.pixels == most_png


@pytest.mark.parametrize(
    ("said", "margin"),
    [
        ("30px", (px(30), px(30), px(30), px(30))),
        ("10%", (percent(10), percent(10), percent(10), percent(10))),
        ("10 20%", (px(10), percent(20), px(10), percent(20))),
        ("1px 2px 3% 4", (px(1), px(2), percent(3), px(4))),
    ],
)
def test_crop_margins_go_around_clockwise_from_the_top(said: str, margin: tuple[Length, ...]) -> None:
    """One value for all sides; vertical and horizontal; top, right, bottom, left. Without ``crop`` no margin."""
    cropped = options(crop="true", crop_margin=said)

    assert cropped.crop
    assert cropped.margin == margin
    assert cropped.margin_is_capped
    assert options(crop_margin=said).margin == NO_MARGIN


@pytest.mark.parametrize(
    ("text", "scale", "position"),
    [
        ({}, None, None),
        ({"scale": "original"}, None, None),
        ({"scale": "50%"}, 0.5, (0.5, 0.5)),
        ({"scale": "10%", "position": "original"}, 0.1, None),
        ({"scale": "100%", "position": "0%"}, 1.0, (0.0, 0.0)),
        ({"position": "center"}, None, (0.5, 0.5)),
        ({"position": "25%"}, None, (0.25, 0.25)),
        ({"position": "20% 80%"}, None, (0.2, 0.8)),
        ({"position": "Original"}, None, None),
    ],
)
def test_scale_implies_the_centre_unless_told_otherwise(
    text: dict[str, str], scale: float | None, position: tuple[float, float] | None
) -> None:
    """One percentage stands for both directions; the second of two is vertical."""
    got = options(**text)
    assert got.subject_scale == pytest.approx(scale)
    assert got.position == pytest.approx(position)


@pytest.mark.parametrize("said", ["0% 0% 100% 100%", "0 0 100% 100%", "0px 0px 100% 100%"])
def test_a_region_of_the_whole_picture_costs_nothing(said: str) -> None:
    """It is no region at all."""
    assert options(roi=said).region is None


def test_a_region_is_two_corners() -> None:
    """Pixels, percent and bare numbers mix; beyond the picture is for the picture's size to tell."""
    assert options(roi="0 10px 50% 300").region == (px(0), px(10), percent(50), px(300))
    assert options(roi="0% 0% 120% 100%").region == (percent(0), percent(0), percent(120), percent(100))


@pytest.mark.parametrize(
    ("form", "channels", "expected"),
    [
        ("auto", "rgba", ("auto", "rgba")), ("png", "rgba", ("png", "rgba")), ("jpg", "rgba", ("jpg", "rgba")),
        ("JPEG", "rgba", ("jpg", "rgba")), ("webp", "alpha", ("webp", "alpha")), ("jpg", "alpha", ("jpg", "alpha")),
        ("auto", "alpha", ("png", "alpha")), ("zip", "rgba", ("zip", "rgba")), ("zip", "alpha", ("zip", "rgba")),
        ("json", "rgba", ("png", "rgba")),
    ],
)  # fmt: skip
def test_formats_and_channels(form: str, channels: str, expected: tuple[str, str]) -> None:
    """A mask comes in the format asked for, in PNG where none was; an archive holds the mask anyway."""
    got = options(format=form, channels=channels)
    assert (got.format, got.channels) == expected


@pytest.mark.parametrize("spelling", ["1a2b3c", "#1a2b3c", "1A2B3CFF", "rgb(26, 43, 60)"])
def test_colours_come_with_and_without_their_sign(spelling: str) -> None:
    """The page says without, the PHP client's page says with."""
    assert options(bg_color=spelling).background == Colour(26, 43, 60)


def test_a_colour_that_cannot_be_seen_is_no_background() -> None:
    """removd sends ``00000000`` in every request, with a background picture too."""
    assert options(bg_color="00000000").background is None
    assert options(bg_color="00000000", bg_image_url=URL).background == PictureGround(Link(URL), "cover")


def test_background_pictures_cover_the_frame() -> None:
    """By file or by URL."""
    assert parse(files={"bg_image_file": PHOTO}).options.background == PictureGround(Upload(PHOTO), "cover")
    assert options(bg_image_url=URL).background == PictureGround(Link(URL), "cover")


@pytest.mark.parametrize(
    "more",
    [
        {"text": {"bg_color": "fff", "bg_image_url": URL}},
        {"text": {"bg_color": "fff"}, "files": {"bg_image_file": PHOTO}},
        {"text": {"bg_image_url": URL}, "files": {"bg_image_file": PHOTO}},
    ],
)
def test_backgrounds_exclude_each_other(more: dict[str, Any]) -> None:
    """Two of the three fields are ``multiple_bg_sources``."""
    assert complaint(**more) == (400, "multiple_bg_sources")


def test_semitransparency_can_be_turned_off() -> None:
    """On by default."""
    assert options().semitransparency
    assert not options(semitransparency="false").semitransparency


# (fields, kind of shadow or None, its opacity)
SHADOWS: list[tuple[dict[str, str], str | None, float]] = [
    ({}, None, 0),
    ({"shadow_type": "none"}, None, 0),
    ({"shadow_type": "drop"}, "drop", 50),
    ({"shadow_type": "3d"}, "3D", 50),
    ({"shadow_type": "car"}, "car", 50),
    ({"shadow_type": "car", "type": "car"}, "car", 90),
    ({"shadow_type": "drop", "shadow_opacity": "auto"}, "drop", 50),
    ({"shadow_type": "drop", "shadow_opacity": "12.5"}, "drop", 12.5),
    ({"shadow_type": "auto"}, "drop", 50),
    ({"shadow_type": "auto", "type": "car"}, "car", 90),
    ({"shadow_type": "auto", "type": "car_part"}, "car", 90),
    ({"shadow_type": "auto", "type": "product"}, "drop", 50),
    ({"shadow_type": "auto", "type": "person"}, "3D", 50),
    ({"shadow_type": "auto", "type": "animal"}, "drop", 50),
    ({"shadow_type": "auto", "type": "transportation"}, "3D", 50),
    ({"shadow_type": "auto", "type": "graphics"}, "drop", 50),
    ({"shadow_type[car]": "car"}, None, 0),
    ({"shadow_type[other]": "3D"}, "3D", 50),
    ({"shadow_type[car]": "car", "type": "car", "shadow_opacity[car]": "80"}, "car", 80),
    ({"shadow_type[car]": "drop", "shadow_type": "3D", "type": "car"}, "drop", 90),
    ({"shadow_type[car]": "car", "shadow_type": "3D"}, "3D", 50),
    ({"shadow_type": "drop", "shadow_opacity[car]": "80", "shadow_opacity": "20"}, "drop", 20),
    ({"add_shadow": "true"}, None, 0),
    ({"add_shadow": "true", "type": "car"}, "car", 90),
    ({"add_shadow": "true", "type": "car", "shadow_type": "none"}, None, 0),
    ({"add_shadow": "sometimes", "type": "car"}, None, 0),
    ({"shadow_type": "long"}, None, 0),
    ({"shadow_type": "drop", "shadow_opacity": "dark"}, "drop", 50),
    ({"shadow_type": "drop", "shadow_opacity": "101"}, "drop", 50),
    ({"shadow_method": "3d"}, None, 0),
]


@pytest.mark.parametrize(("text", "kind", "opacity"), SHADOWS)
def test_shadows_go_by_the_class_that_was_given(text: dict[str, str], kind: str | None, opacity: float) -> None:
    """Without a class the subject is ``other``; what is not understood falls back to the default, never to an error."""
    expected = None if kind is None else Shadow(cast(Any, kind), opacity_percent=opacity)
    assert options(**text).shadow == expected


def test_json_may_hold_an_object_of_classes() -> None:
    """``{"shadow_type": {"car": "car"}}`` is the same as ``shadow_type[car]=car``."""
    json = {"image_url": URL, "shadow_type": {"car": "car", "person": "3D"}, "shadow_opacity": {"car": 70}}

    assert parse({"type": "car"}, kind="json", json=json).options.shadow == Shadow("car", opacity_percent=70)
    assert parse({"type": "animal"}, kind="json", json=json).options.shadow is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ({}, "other"),
        ({"type": "auto"}, "other"),
        ({"type": "person"}, "person"),
        ({"type": "Car_Interior"}, "car"),
        ({"type": "car_interior", "type_level": "2"}, "car_interior"),
        ({"type": "car_part", "type_level": "latest"}, "car_part"),
        ({"type": "transportation"}, "other"),
        ({"type": "transportation", "type_level": "2"}, "transportation"),
        ({"type": "graphic"}, "other"),
        ({"type": "graphic", "type_level": "2"}, "graphics"),
        ({"type": "graphics", "type_level": "2"}, "graphics"),
        ({"type": "dinosaur"}, "other"),
        ({"type": "x" * 500}, "other"),
        ({"type": "product", "type_level": "7"}, "product"),
        ({"type": "person", "type_level": "none"}, None),
    ],
)
def test_the_type_that_is_given_comes_back_by_level(text: dict[str, str], expected: str | None) -> None:
    """Level 1 knows five classes, level 2 nine; ``none`` tells nothing; bad words are the defaults."""
    assert parse(text).notes.get("type") == expected


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("size", "huge"), ("format", "svg"), ("channels", "rgb"), ("bg_color", "blurple"), ("bg_color", "#12"),
        ("crop", "maybe"), ("crop_margin", "1 2 3"), ("crop_margin", "-5px"), ("crop_margin", "10em"),
        ("scale", "9%"), ("scale", "101%"), ("scale", "big"), ("position", "left"), ("position", "10% 20% 30%"),
        ("position", "120%"), ("roi", "0 0 100%"), ("roi", "-1 0 10 10"), ("roi", "a b c d"),
        ("semitransparency", "some"), ("size", "a" * 5000),
    ],
)  # fmt: skip
def test_bad_values_are_complained_about_by_name(option: str, value: str) -> None:
    """``invalid_<option>``, titled as the provider does."""
    assert complaint({option: value}) == (400, f"invalid_{option}")
    with pytest.raises(ApiError) as caught:
        parse({option: value})
    errors_of = cast(Any, DIALECT.render_error(400, "invalid_option", caught.value, "req_1"))
    assert errors_of["errors"][0]["title"] == f"Invalid value for parameter '{option}'"


@pytest.mark.parametrize("url", ["www.example.com/x.jpg", "file:///etc/passwd", "C:\\x.jpg", "http://", "http://[::1"])
def test_what_is_no_url_is_an_invalid_option(url: str) -> None:
    """For the picture and for the background."""
    assert complaint({"image_url": url}) == (400, "invalid_image_url")
    assert complaint({"bg_image_url": url}) == (400, "invalid_bg_image_url")


@pytest.mark.parametrize(
    ("accept", "form", "delivery"),
    [
        ("application/json", "auto", "json"),
        ("application/json; charset=utf-8", "auto", "json"),
        ("application/json, text/plain, */*", "auto", "bytes"),
        ("application/json, image/png", "auto", "bytes"),
        ("*/*", "auto", "bytes"),
        ("", "auto", "bytes"),
        ("*/*", "json", "json"),
    ],
)
def test_json_is_answered_to_those_who_take_nothing_else(accept: str, form: str, delivery: str) -> None:
    """axios names JSON first in every request; its programs expect the picture."""
    assert parse({"format": form}, accept=accept).delivery == delivery


# --- what answers look like -----------------------------------------------------------------------------------------


def result(**facts: Any) -> Result:
    """A picture that was made, of a photo of 4000 x 3000."""
    made: dict[str, Any] = {
        "spool": None, "media_type": "image/png", "format": "png", "width": 577, "height": 433,
        "photo_width": 4000, "photo_height": 3000, "subject": Box(34, 12, 244, 332),
    }  # fmt: skip
    return Result(**made | facts)


def render(order: Order, made: Result, **context: Any) -> Delivery:
    return CUT.render(order, made, Context("req_1", **context))


def test_headers_tell_size_type_credits_and_box() -> None:
    """Plain whole numbers, but for a quarter of a credit."""
    delivery = render(parse({"type": "person"}), result())

    assert delivery.media_type == "image/png"
    assert delivery.wrap is None
    assert dict(delivery.headers) == {
        "x-type": "person", "x-width": "577", "x-height": "433", "x-max-width": "3651", "x-max-height": "2738",
        "x-credits-charged": "0.25", "x-foreground-top": "12", "x-foreground-left": "34",
        "x-foreground-width": "210", "x-foreground-height": "320",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("form", "size", "expected"),
    [("png", "full", (4472, 2236)), ("jpg", "full", (7071, 3535)), ("jpg", "50MP", (9000, 4500))],
)
def test_the_largest_size_goes_by_the_format(form: str, size: str, expected: tuple[int, int]) -> None:
    """10 megapixels in PNG, 25 else, 50 where they were asked for."""
    headers = dict(
        render(parse({"size": size, "format": form}), result(format=form, photo_width=9000, photo_height=4500)).headers
    )
    width, height = int(headers["x-max-width"]), int(headers["x-max-height"])
    assert (width, height) == pytest.approx(expected, abs=1)


def test_no_type_header_at_level_none() -> None:
    """The header is left out, not empty."""
    assert "x-type" not in dict(render(parse({"type_level": "none"}), result()).headers)


def test_json_holds_the_picture_and_the_box_and_keeps_the_headers() -> None:
    """The npm client reads both."""
    order = parse(accept="application/json")
    delivery = render(order, result())

    assert delivery.media_type == "application/json"
    assert delivery.wrap is not None
    assert orjson.loads(delivery.wrap(b"picture")) == {
        "data": {
            "result_b64": base64.b64encode(b"picture").decode(),
            "foreground_top": 12, "foreground_left": 34, "foreground_width": 210, "foreground_height": 320,
        }
    }  # fmt: skip
    assert delivery.headers == render(parse(), result()).headers


PRICES = [
    ("preview", 4000, "0.25"), ("small", 4000, "0.25"), ("regular", 4000, "0.25"), ("medium", 500, "1"),
    ("hd", 4000, "1"), ("full", 500, "1"), ("4k", 4000, "1"), ("50MP", 4000, "1"), ("auto", 4000, "1"),
    ("auto", 500, "0.25"),
]  # fmt: skip


@pytest.mark.parametrize(("size", "width", "charged"), PRICES)
def test_prices_go_by_size(size: str, width: int, charged: str) -> None:
    """Previews cost a quarter; ``auto`` too where the picture is no larger than a preview (recorded: 500 x 333)."""
    order, made = parse({"size": size}), result(photo_width=width, photo_height=333)

    assert DIALECT.price(order, made, Decimal("0.25")) == Decimal(charged)
    assert dict(render(order, made).headers)["x-credits-charged"] == charged


def test_before_a_result_auto_costs_what_it_may_cost() -> None:
    """What is held must cover what is charged."""
    assert DIALECT.price(parse({"size": "auto"}), None, Decimal("0.25")) == 1
    assert DIALECT.price(parse(), None, Decimal("0.25")) == Decimal("0.25")


@pytest.mark.parametrize(("price", "shown"), [("0", "0"), ("1", "1"), ("1.0", "1"), ("0.50", "0.5")])
def test_the_operator_sets_the_price_of_a_preview(price: str, shown: str) -> None:
    """One Python client reads the number as an integer: 0 or 1 suits it."""
    headers = dict(render(parse(), result(), preview_price=Decimal(price)).headers)
    assert headers["x-credits-charged"] == shown


def test_the_account_has_the_allowed_keys_and_no_other() -> None:
    """The Ruby client passes them on as keyword arguments; whole numbers are whole."""
    account = Account(subscription_credits=Decimal("150.75"), payg_credits=Decimal("50"), free_calls=7)
    info = ACCOUNT.answer(Context("req_1", caller=Caller(account=account)))

    attributes = cast(Any, info.body)["data"]["attributes"]
    assert attributes == {
        "credits": {"total": 200.75, "subscription": 150.75, "payg": 50, "enterprise": 0},
        "api": {"free_calls": 7, "sizes": "all"},
    }
    assert isinstance(attributes["credits"]["payg"], int)


def test_rate_headers_where_there_is_a_rate() -> None:
    """All three, in unix seconds; none without a limit."""
    rate = Rate(limit=500, remaining=499, reset_at=1_790_000_000, reset_s=60)

    assert dict(DIALECT.headers(Context("req_1", caller=Caller(rate=rate)))) == {
        "x-ratelimit-limit": "500", "x-ratelimit-remaining": "499", "x-ratelimit-reset": "1790000000",
    }  # fmt: skip
    assert DIALECT.headers(Context("req_1")) == ()


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"x-api-key": " k "}, "k"), ({"authorization": "Bearer t"}, "t"), ({"authorization": "bearer  t"}, "t"),
        ({"x-api-key": "k", "authorization": "Bearer t"}, "k"), ({"authorization": "Basic t"}, None),
        ({"authorization": "Bearer "}, None), ({}, None),
    ],
)  # fmt: skip
def test_keys_come_in_headers_only(headers: dict[str, str], key: str | None) -> None:
    """``X-API-Key``, or a bearer token; never the query."""
    assert DIALECT.find_key(headers, {"api_key": "q"}) == key


def test_every_failure_has_status_code_and_title() -> None:
    """Strings, never nested, never empty: programs join them into messages."""
    assert set(DIALECT.failures) == set(errors.KINDS)
    for kind, (status, code) in DIALECT.failures.items():
        error = ApiError(kind, "Words.", facts={"option": "size"})
        (item,) = cast(Any, DIALECT.render_error(status, code, error, "req_1")["errors"])
        assert set(item) == {"title", "detail", "code"}
        assert all(isinstance(value, str) and value for value in item.values())
        assert 400 <= status < 600


KNOWN_ERRORS = {
    "key_missing": (403, "auth_failed", "Missing API Key"),
    "key_wrong": (403, "auth_failed", "API Key invalid"),
    "key_revoked": (403, "auth_failed", None),
    "account_barred": (403, "auth_failed", None),
    "no_credits": (402, "insufficient_credits", "Insufficient credits"),
    "rate_limited": (429, "rate_limit_exceeded", "Rate limit exceeded"),
    "missing_image": (400, "missing_source", "No image given"),
    "multiple_images": (400, "multiple_sources", None),
    "too_many_bytes": (400, "file_too_large", "File too large"),
    "too_many_pixels": (400, "resolution_too_high", None),
    "unreadable_image": (400, "failed_to_read_image", None),
    "unsupported_image": (400, "invalid_file_type", None),
    "fetch_failed": (400, "failed_image_download", None),
    "ground_failed": (400, "failed_bg_download", None),
    "multiple_grounds": (400, "multiple_bg_sources", None),
    "region_out_of_bounds": (400, "roi_exceeds_bounds", None),
    "region_empty": (400, "roi_region_empty", None),
    "nothing_found": (
        400, "unknown_foreground",
        "Could not identify foreground in image. For details and recommendations see "
        "https://www.remove.bg/supported-images.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", KNOWN_ERRORS)
def test_the_providers_own_errors_keep_their_words(kind: str) -> None:
    """Statuses, codes and the titles that are known."""
    status, code, title = KNOWN_ERRORS[kind]

    assert DIALECT.failures[kind] == (status, code)
    (item,) = cast(Any, DIALECT.render_error(status, code, ApiError(kind, "Words."), "req_1")["errors"])
    assert item["code"] == code
    assert title is None or item["title"] == title


def test_donated_pictures_are_counted_and_dropped() -> None:
    """One picture gets a fresh id; none, two or something else get the errors of the main route."""
    fields = Fields("multipart", files={"image_file": File(PHOTO, "x.jpg")}, text={"tag": "x", "image_filename": "y"})
    first, second = (IMPROVE.answer(fields, Context("req_1")) for _ in range(2))

    assert first.status == 200
    assert uuid.UUID(str(first.body["id"])) != uuid.UUID(str(second.body["id"]))
    for wrong, code in (
        (Fields("multipart"), "missing_source"),
        (Fields("multipart", text={"image_url": URL}, files=fields.files), "multiple_sources"),
        (Fields("multipart", files={"image_file": File(b"hello", "x.jpg")}), "invalid_file_type"),
    ):
        with pytest.raises(ApiError) as caught:
            IMPROVE.answer(wrong, Context("req_1"))
        assert rendered(caught.value) == (400, code)
