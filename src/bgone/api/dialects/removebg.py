"""remove.bg v1.0: ``POST /v1.0/removebg``, its account route and its box for donated pictures."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import orjson

from bgone.api.accept import wants_json
from bgone.api.asks import EVERY_BODY, Asks, PictureNames
from bgone.api.dialect import (
    COMMON_KINDS,
    Context,
    Cut,
    Delivery,
    Dialect,
    HeaderPairs,
    Headers,
    Info,
    Operation,
    Take,
    Tell,
)
from bgone.api.encoded import encode_picture
from bgone.api.fields import Fields
from bgone.api.options import PERCENT, Reader, boolean, choice, colour, lengths, matching, number, read_options
from bgone.api.sources import find_sources, only_source
from bgone.errors import ApiError, invalid_option, multiple_grounds, unsupported_image
from bgone.imaging.geometry import Box, Length, SizeCap
from bgone.imaging.sniff import sniff
from bgone.pipeline.order import (
    NO_MARGIN,
    Colour,
    Ground,
    Link,
    Order,
    PictureGround,
    RenderOptions,
    Shadow,
    Source,
    Upload,
)
from bgone.pipeline.studio import Result

MEGAPIXEL = 1_000_000

# Caps and prices of the provider's table "size", read 2026-10. PNG has a cap of its own below all of them.
_PREVIEW_PIXELS = MEGAPIXEL // 4
_LARGEST = 25 * MEGAPIXEL
_LARGEST_PNG = 10 * MEGAPIXEL
_SIZES = {
    "preview": _PREVIEW_PIXELS,
    "small": _PREVIEW_PIXELS,
    "regular": _PREVIEW_PIXELS,
    "medium": 3 * MEGAPIXEL // 2,
    "hd": 4 * MEGAPIXEL,
    "full": _LARGEST,
    "4k": _LARGEST,
    "50MP": 50 * MEGAPIXEL,
    "auto": _LARGEST,
}
_PREVIEWS = ("preview", "small", "regular")

Point = tuple[float, float]
_GROUND_FIELDS = "bg_color, bg_image_url or bg_image_file"


# --- readers --------------------------------------------------------------------------------------------------------


def _percent(text: str, lo: float) -> float | None:
    """``10%`` as 0.1, from ``lo`` percent to 100."""
    return None if not text.endswith("%") or (value := number(lo, 100).parse(text[:-1])) is None else value / 100


def _parse_scale(text: str) -> float | Literal["original"] | None:
    return "original" if text.lower() == "original" else _percent(text, 10)


def _parse_position(text: str) -> Point | Literal["original"] | None:
    words = text.lower().replace(",", " ").split()
    if words in (["original"], ["center"]):
        return "original" if words == ["original"] else (0.5, 0.5)
    shares = [share for share in (_percent(word, 0) for word in words) if share is not None]
    # One value stands for both directions; of two the second is vertical.
    return (shares[0], shares[-1]) if len(shares) == len(words) in (1, 2) else None


_OPTIONS: dict[str, Reader[Any]] = {
    "size": choice(*_SIZES),
    # json is no format of the provider's, but some programs of its users say it.
    "format": choice("auto", "png", "jpg", "webp", "zip", "json", aliases={"jpeg": "jpg"}),
    # Beyond the picture is an error of its own, which the photo's size decides.
    "roi": lengths(4, max_px=999_999, max_percent=999_999),
    "crop": boolean(),
    "crop_margin": lengths(1, 2, 4),
    "scale": Reader("original or 10% to 100%", _parse_scale, matching("original|100%|[1-9][0-9]([.][0-9]{1,6})?%")),
    "position": Reader(
        "original, center, or one or two of 0% to 100%",
        _parse_position,
        matching(f"original|center|{PERCENT}( {PERCENT})?"),
    ),
    "channels": choice("rgba", "alpha"),
    "semitransparency": boolean(),
    "bg_color": colour(),
}

# Read without complaint, as the provider names no error for them: what is not understood is the default.
_TYPE = choice(
    "auto", "person", "product", "car", "animal", "graphic", "transportation", "car_interior", "car_part", "other",
    aliases={"graphics": "graphic"},
)  # fmt: skip
_TYPE_LEVEL = choice("none", "1", "2", "latest")
_SHADOW = choice("none", "auto", "car", "3D", "drop")
_OPACITY = number(0, 100)

# What shadow_type=auto casts under each class: the provider's table.
_AUTO_SHADOWS = {
    "car": "car", "product": "drop", "person": "3D", "animal": "drop", "transportation": "3D", "graphic": "drop",
    "other": "drop",
}  # fmt: skip
_COARSE = {"car_interior": "car", "car_part": "car", "transportation": "other", "graphic": "other"}


# --- parse ----------------------------------------------------------------------------------------------------------


def _parse(fields: Fields) -> Order:
    source = _source(fields)
    values = read_options(_OPTIONS, fields)
    size = str(values.get("size", "preview"))
    notes = {"size": size, **_type_note(fields)}
    as_json = values.get("format") == "json" or wants_json(fields.headers.get("accept", ""))
    return Order(source, _render_options(fields, values, size), "json" if as_json else "bytes", notes)


def _source(fields: Fields) -> Source:
    source = only_source(fields, files=("image_file",), links=("image_url",), encoded=("image_file_b64",))
    _check_link("image_url", source)
    return source


def _render_options(fields: Fields, values: Mapping[str, Any], size: str) -> RenderOptions:
    ground = _ground(fields, values.get("bg_color"))
    form = _format(values)
    crop = values.get("crop", False)
    scale = None if (scale := values.get("scale")) == "original" else scale
    position = values.get("position", "original" if scale is None else (0.5, 0.5))
    # An archive holds the mask anyway.
    alpha = values.get("channels") == "alpha" and form != "zip"
    return RenderOptions(
        format="png" if alpha and form == "auto" else form,
        channels="alpha" if alpha else "rgba",
        cap=_cap(size, as_png=form == "png" or (form == "auto" and (alpha or not _is_opaque(ground)))),
        crop=crop,
        margin=_four(values["crop_margin"]) if crop and "crop_margin" in values else NO_MARGIN,
        margin_is_capped=True,
        subject_scale=scale,
        position=None if position == "original" else position,
        region=_region(values.get("roi")),
        background=ground,
        semitransparency=values.get("semitransparency", True),
        shadow=_shadow(fields),
        measure=True,
        needs_subject=True,
    )


def _format(values: Mapping[str, Any]) -> str:
    form = str(values.get("format", "auto"))
    return "png" if form == "json" else form


def _cap(size: str, *, as_png: bool) -> SizeCap:
    return SizeCap(pixels=min(_SIZES[size], _LARGEST_PNG) if as_png else _SIZES[size])


def _four(margins: tuple[Length, ...]) -> tuple[Length, Length, Length, Length]:
    """Margins as in CSS, but one, two or four of them: all; vertical, horizontal; top, right, bottom, left."""
    top, right, bottom, left = (margins * 4)[:4]
    return top, right, bottom, left


def _region(corners: tuple[Length, ...] | None) -> tuple[Length, Length, Length, Length] | None:
    """The region of interest, or None where it is the whole picture anyway: ``0 0 100% 100%``."""
    if corners is None:
        return None
    x1, y1, x2, y2 = corners
    is_whole = x1.amount == y1.amount == 0 and x2 == y2 == Length(100, "%")
    return None if is_whole else (x1, y1, x2, y2)


def _ground(fields: Fields, colour: Colour | None) -> Ground | None:
    pictures = list(find_sources(fields, files=("bg_image_file",), links=("bg_image_url",)))
    # Nothing at all under the subject is no background; the npm client removd says so in every request.
    colour = colour if colour is not None and colour.alpha > 0 else None
    if len(pictures) + (colour is not None) > 1:
        raise multiple_grounds(_GROUND_FIELDS)
    if not pictures:
        return colour
    _check_link("bg_image_url", pictures[0])
    return PictureGround(pictures[0], fit="cover")


def _is_opaque(ground: Ground | None) -> bool:
    return ground is not None and (not isinstance(ground, Colour) or ground.alpha == 255)


def _check_link(option: str, source: Source) -> None:
    """A text that is no URL at all is a bad option here; one that cannot be fetched shows later."""
    if isinstance(source, Link):
        try:
            parts = urlsplit(source.url)
        except ValueError as error:
            raise invalid_option(option, "an http or https URL", source.url) from error
        if parts.scheme.lower() not in ("http", "https") or not parts.netloc:
            raise invalid_option(option, "an http or https URL", source.url)


# --- classes and shadows --------------------------------------------------------------------------------------------


def _text(fields: Fields, option: str) -> str:
    return (fields.text.get(option) or fields.query.get(option) or "").strip()


def _subject_type(fields: Fields) -> str:
    """The class that the client gives; nothing here looks for one, so that ``auto`` is ``other``."""
    given = _TYPE.parse(_text(fields, "type")) or "auto"
    return "other" if given == "auto" else given


def _type_note(fields: Fields) -> dict[str, str]:
    """What ``X-Type`` will say, or nothing at level ``none``."""
    level = _TYPE_LEVEL.parse(_text(fields, "type_level")) or "1"
    if level == "none":
        return {}
    given = _subject_type(fields)
    if level == "1":
        return {"type": _COARSE.get(given, given)}
    return {"type": "graphics" if given == "graphic" else given}


def _shadow(fields: Fields) -> Shadow | None:
    given = _subject_type(fields)
    subject = "car" if given in ("car_interior", "car_part") else given
    asked = _of_class(fields, "shadow_type", subject)
    if not asked and subject == "car" and boolean().parse(_text(fields, "add_shadow")):
        asked = "car"
    kind = _SHADOW.parse(asked) or "none"
    if kind == "none":
        return None
    if kind == "auto":
        kind = _AUTO_SHADOWS[subject]
    opacity = _OPACITY.parse(_of_class(fields, "shadow_opacity", subject))
    if opacity is None:
        opacity = 90 if subject == "car" else 50
    return Shadow(cast(Literal["drop", "3D", "car"], kind), opacity_percent=opacity)


def _of_class(fields: Fields, option: str, subject: str) -> str:
    """What was said for the subject's class (``shadow_type[car]``, or an object in JSON), else for all."""
    nested = fields.json.get(option) if fields.json is not None else None
    if isinstance(nested, Mapping):
        value = nested.get(subject)
        return str(value).strip() if isinstance(value, (str, int, float)) else ""
    return _text(fields, f"{option}[{subject}]") or _text(fields, option)


# --- render ---------------------------------------------------------------------------------------------------------


def _render(order: Order, result: Result, context: Context) -> Delivery:
    # An order that needs a subject has one when it comes here.
    subject = result.subject or Box(0, 0, 0, 0)
    headers = _picture_headers(order, result, subject, context)
    if order.delivery == "bytes":
        return Delivery(result.media_type, headers=headers)

    def wrap(picture: bytes) -> bytes:
        data = {
            "result_b64": encode_picture(picture),
            "foreground_top": subject.top,
            "foreground_left": subject.left,
            "foreground_width": subject.width,
            "foreground_height": subject.height,
        }
        return orjson.dumps({"data": data})

    return Delivery("application/json", wrap, headers)


def _picture_headers(order: Order, result: Result, subject: Box, context: Context) -> HeaderPairs:
    largest = SizeCap(pixels=_LARGEST_PNG if result.format == "png" else max(_SIZES[order.notes["size"]], _LARGEST))
    max_width, max_height = largest.fit(result.photo_width, result.photo_height)
    found = (("x-type", order.notes["type"]),) if "type" in order.notes else ()
    return (
        *found,
        ("x-width", str(result.width)),
        ("x-height", str(result.height)),
        ("x-max-width", str(max_width)),
        ("x-max-height", str(max_height)),
        ("x-credits-charged", str(_plain(_price(order, result, context.preview_price)))),
        ("x-foreground-top", str(subject.top)),
        ("x-foreground-left", str(subject.left)),
        ("x-foreground-width", str(subject.width)),
        ("x-foreground-height", str(subject.height)),
    )


def _price(order: Order, result: Result | None, preview: Decimal) -> Decimal:
    """A preview's price for previews, and for ``auto`` where the picture itself is no larger; else one credit."""
    size = order.notes["size"]
    is_small = result is not None and result.photo_width * result.photo_height <= _PREVIEW_PIXELS
    return preview if size in _PREVIEWS or (size == "auto" and is_small) else Decimal(1)


def _cheaper(order: Order) -> Order | None:
    """``auto`` is the highest that picture *and balance* allow: a preview where there is not a whole credit left."""
    if order.notes["size"] != "auto":
        return None
    options = replace(order.options, cap=SizeCap(pixels=_PREVIEW_PIXELS))
    return replace(order, options=options, notes={**order.notes, "size": "preview"})


def _plain(amount: Decimal) -> int | float:
    """Whole where it is whole: several clients read these numbers as integers."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


# --- the other routes -----------------------------------------------------------------------------------------------


def _account(context: Context) -> Info:
    account = context.caller.account
    # No further keys: the Ruby client passes them on as keyword arguments.
    credits_left = {
        "total": _plain(account.credits),
        "subscription": _plain(account.subscription_credits),
        "payg": _plain(account.payg_credits),
        "enterprise": 0,
    }
    calls = {"free_calls": account.free_calls, "sizes": "all"}
    return Info(200, {"data": {"attributes": {"credits": credits_left, "api": calls}}})


def _improve(fields: Fields, _context: Context) -> Info:
    """Donated pictures are thanked for and dropped: nothing is trained here."""
    source = _source(fields)
    if isinstance(source, Upload) and sniff(source.data) not in COMMON_KINDS:
        raise unsupported_image("This kind of file", "JPEG, PNG or WebP")
    return Info(200, {"id": str(uuid.uuid4())})


def _rate_headers(context: Context) -> HeaderPairs:
    rate = context.caller.rate
    if rate is None:
        return ()
    return (
        ("x-ratelimit-limit", str(rate.limit)),
        ("x-ratelimit-remaining", str(rate.remaining)),
        ("x-ratelimit-reset", str(rate.reset_at)),
    )


def _find_key(headers: Headers, _query: Headers) -> str | None:
    if key := headers.get("x-api-key", "").strip():
        return key
    scheme, _, token = headers.get("authorization", "").strip().partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


# --- errors ---------------------------------------------------------------------------------------------------------

# As the provider words them, where that is known; programs show titles to people. Others are the code in words.
_TITLES = {
    "key_missing": "Missing API Key",
    "key_wrong": "API Key invalid",
    "key_revoked": "API Key invalid",
    "no_credits": "Insufficient credits",
    "rate_limited": "Rate limit exceeded",
    "missing_image": "No image given",
    "too_many_bytes": "File too large",
    "fetch_failed": "Failed to download image from given image_url",
    "nothing_found": "Could not identify foreground in image. For details and recommendations see "
    "https://www.remove.bg/supported-images.",
}


def _render_error(_status: int, code: str, error: ApiError, _request_id: str) -> Mapping[str, object]:
    if error.kind == "invalid_option":
        option = error.facts["option"]
        title, code = f"Invalid value for parameter '{option}'", f"invalid_{option}"
    else:
        title = _TITLES.get(error.kind) or code.replace("_", " ").capitalize()
    return {"errors": [{"title": title, "detail": error.message, "code": code}]}


_FAILURES = {
    "key_missing": (403, "auth_failed"),
    "key_wrong": (403, "auth_failed"),
    "key_revoked": (403, "auth_failed"),
    "account_barred": (403, "auth_failed"),
    "no_credits": (402, "insufficient_credits"),
    "rate_limited": (429, "rate_limit_exceeded"),
    "missing_image": (400, "missing_source"),
    "multiple_images": (400, "multiple_sources"),
    "malformed_body": (400, "invalid_request"),
    "unsupported_body": (400, "missing_source"),
    "slow_body": (408, "request_timeout"),
    "too_many_bytes": (400, "file_too_large"),
    "invalid_option": (400, "invalid_option"),
    "multiple_grounds": (400, "multiple_bg_sources"),
    "region_out_of_bounds": (400, "roi_exceeds_bounds"),
    "region_empty": (400, "roi_region_empty"),
    "not_acceptable": (406, "not_acceptable"),
    "unreadable_image": (400, "failed_to_read_image"),
    "unsupported_image": (400, "invalid_file_type"),
    "too_many_pixels": (400, "resolution_too_high"),
    "fetch_failed": (400, "failed_image_download"),
    "ground_failed": (400, "failed_bg_download"),
    "nothing_found": (400, "unknown_foreground"),
    "job_not_found": (404, "not_found"),
    "job_forbidden": (403, "forbidden"),
    "job_not_ready": (409, "not_ready"),
    "not_found": (404, "not_found"),
    "method_not_allowed": (405, "method_not_allowed"),
    "overloaded": (503, "service_unavailable"),
    "internal": (500, "internal_error"),
}


_PICTURE = PictureNames(files=("image_file",), links=("image_url",), encoded=("image_file_b64",))
_LENIENT = {"type": _TYPE, "type_level": _TYPE_LEVEL, "shadow_type": _SHADOW, "shadow_opacity": _OPACITY}
_ASKS = Asks(
    _PICTURE,
    ground=PictureNames(files=("bg_image_file",), links=("bg_image_url",)),
    options={**_OPTIONS, **_LENIENT, "add_shadow": boolean()},
    headers={"accept": "application/json alone: base64 in JSON instead of the picture's bytes."},
    bodies=EVERY_BODY,
)

DIALECT = Dialect(
    name="removebg",
    title="remove.bg v1.0",
    operations=(
        Operation("cut", "POST", ("/v1.0/removebg", "/v1.0/removebg/"), Cut(_parse, _render), asks=_ASKS),
        Operation("account", "GET", ("/v1.0/account", "/v1.0/account/"), Tell(_account)),
        Operation(
            "improve",
            "POST",
            ("/v1.0/improve", "/v1.0/improve/"),
            Take(_improve),
            asks=Asks(_PICTURE, bodies=EVERY_BODY),
            words="Take a donated picture, and drop it: nothing is trained here.",
        ),
    ),
    failures=_FAILURES,
    render_error=_render_error,
    find_key=_find_key,
    file_bytes=22 * MEGAPIXEL,
    pixels=50 * MEGAPIXEL,
    kinds=COMMON_KINDS,
    hosts=("api.remove.bg",),
    cors=True,
    headers=_rate_headers,
    error_media_type="application/json; charset=utf-8",
    price=_price,
    cheaper=_cheaper,
)
