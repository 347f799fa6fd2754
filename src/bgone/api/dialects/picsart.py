"""Picsart 1.0: ``POST /tools/1.0/removebg``, which answers JSON with a link, and the routes beside it.

A caller waits for its picture unless ``Prefer`` says otherwise (RFC 7240); what was uploaded, or made by an earlier
call, is named again by its id.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf
from typing import Any

from bgone.api.asks import EVERY_BODY, Asks, PictureNames
from bgone.api.dialect import Context, Dialect, HeaderPairs, Headers, Info, Keep, Operation, Show, Submit, Tell
from bgone.api.encoded import decode_picture
from bgone.api.fields import Fields
from bgone.api.options import Reader, boolean, choice, colour, integer, read_options
from bgone.errors import ApiError, invalid_option, job_not_found, missing_image, multiple_grounds, multiple_images
from bgone.jobs.job import Job, Stored
from bgone.pipeline.order import (
    WHITE,
    BlurGround,
    Colour,
    Fit,
    Frame,
    Ground,
    Link,
    Order,
    Outline,
    PictureGround,
    RenderOptions,
    Shadow,
    Source,
    StoredPicture,
    Upload,
)

# --- options --------------------------------------------------------------------------------------------------------

# Right and down, in pixels: the provider says that its presets mean 10 px (OpenAPI, read 2026-11).
_SHADOWS = {
    "bottom-right": (10, 10),
    "bottom": (0, 10),
    "bottom-left": (-10, 10),
    "left": (-10, 0),
    "right": (10, 0),
    "top-left": (-10, -10),
    "top": (0, -10),
    "top-right": (10, -10),
}
_PERCENT = integer(0, 100)
_OFFSET = integer(-100, 100)
_SIDE = integer(50, 5_000)  # the bounds that the provider's TypeScript client checks

_OPTIONS: dict[str, Reader[Any]] = {
    "output_type": choice("cutout", "mask"),
    "bg_color": colour(),
    "bg_blur": _PERCENT,
    "bg_width": _SIDE,
    "bg_height": _SIDE,
    "scale": choice("fit", "fill"),
    "auto_center": boolean(),
    "stroke_size": _PERCENT,
    "stroke_color": colour(),
    "stroke_opacity": _PERCENT,
    "shadow": choice("disabled", "custom", *_SHADOWS),
    "shadow_opacity": _PERCENT,
    "shadow_blur": _PERCENT,
    "shadow_offset_x": _OFFSET,
    "shadow_offset_y": _OFFSET,
    "format": choice("png", "jpg", "webp", aliases={"jpeg": "jpg"}),
}


def _render_options(values: Mapping[str, Any], ground: Source | None) -> RenderOptions:
    form = values.get("format", "png")
    if values.get("output_type") == "mask":
        return RenderOptions(format=form, channels="alpha")  # whatever is laid under or around is for cutouts
    width, height = values.get("bg_width"), values.get("bg_height")
    fit: Fit = "cover" if values.get("scale") == "fill" else "contain"
    return RenderOptions(
        format=form,
        frame=None if width is None and height is None else Frame(width, height, fit),
        position=(0.5, 0.5) if values.get("auto_center") else None,
        background=_ground(values, ground),
        shadow=_shadow(values),
        outline=_outline(values),
    )


def _ground(values: Mapping[str, Any], picture: Source | None) -> Ground | None:
    tint: Colour | None = values.get("bg_color")
    blur = values.get("bg_blur", 0)
    if tint is not None:
        if picture is not None or blur:
            raise multiple_grounds("bg_color, bg_image, bg_image_url and bg_image_id; bg_color excludes bg_blur")
        return tint
    if picture is not None:
        return PictureGround(picture)
    return BlurGround(blur) if blur else None


def _shadow(values: Mapping[str, Any]) -> Shadow | None:
    word = values.get("shadow", "disabled")
    if word == "disabled":
        return None
    right, down = _SHADOWS.get(word) or (_custom(values, "shadow_offset_x"), _custom(values, "shadow_offset_y"))
    return Shadow(
        "offset",
        opacity_percent=values.get("shadow_opacity", 20),
        blur_percent=values.get("shadow_blur", 50),
        offset_x_px=right,
        offset_y_px=down,
    )


def _custom(values: Mapping[str, Any], option: str) -> int:
    if option not in values:
        raise invalid_option(option, f"{_OFFSET.expected} beside shadow=custom", "nothing")
    return int(values[option])


def _outline(values: Mapping[str, Any]) -> Outline | None:
    width = values.get("stroke_size", 0)
    if not width:
        return None
    paint: Colour = values.get("stroke_color", WHITE)
    return Outline(width, replace(paint, alpha=round(paint.alpha * values.get("stroke_opacity", 100) / 100)))


# --- pictures -------------------------------------------------------------------------------------------------------

_MOST_URL_CHARS = 2_083  # OpenAPI: image_url


def _sources(fields: Fields, name: str) -> list[Source]:
    """Every picture that was sent as the file ``name``, by ``name_url`` or by ``name_id``.

    Raises:
        invalid_option: A URL is too long.
        unreadable_image: A ``data:`` URL is broken.
    """
    found: list[Source] = [Upload(fields.files[name].data)] if name in fields.files else []
    if link := _linked(fields, f"{name}_url"):
        found.append(link)
    if key := fields.text.get(f"{name}_id", "").strip():
        found.append(StoredPicture(key))
    return found


def _linked(fields: Fields, name: str) -> Source | None:
    text = fields.encoded(name)
    if text is None:
        return None
    start = text[:16] if isinstance(text, str) else str(bytes(text[:16]), "latin-1")
    if start.lstrip().lower().startswith("data:"):
        data = decode_picture(name, text, urlencoded=fields.kind == "urlencoded")
        return Upload(data) if data else None
    url = fields.text[name].strip()
    if len(url) > _MOST_URL_CHARS:
        raise invalid_option(name, f"a data: URL, or at most {_MOST_URL_CHARS} characters", url)
    return Link(url) if url else None


def _only(found: Sequence[Source], all_fields: str) -> Source:
    if len(found) > 1:
        raise multiple_images(all_fields)
    if not found:
        raise missing_image(all_fields)
    return found[0]


def _parse(fields: Fields) -> Order:
    source = _only(_sources(fields, "image"), "image, image_url or image_id")
    grounds = _sources(fields, "bg_image")
    if len(grounds) > 1:
        raise multiple_grounds("bg_image, bg_image_url and bg_image_id")
    options = _render_options(read_options(_OPTIONS, fields), grounds[0] if grounds else None)
    return Order(source, options, "json", _read_prefer(fields.headers.get("prefer", "")))


def _parse_upload(fields: Fields) -> Source:
    fresh = [source for source in _sources(fields, "image") if not isinstance(source, StoredPicture)]
    return _only(fresh, "image or image_url")


# --- waiting --------------------------------------------------------------------------------------------------------

_WAIT = re.compile(r'wait\s*=\s*"?([1-9][0-9]{0,2})"?')
_MOST_WAIT_S = 600


def _read_prefer(prefer: str) -> dict[str, str]:
    """Order notes ``wait_s`` and ``applied``: the preferences that are honoured; others are ignored (RFC 7240).

    ``respond-async, wait=10`` means: wait ten seconds, then answer 202 (section 4.3).
    """
    wait_s: int | None = None
    applied = []
    for preference in (part.strip().lower() for part in prefer.split(",")):
        match = _WAIT.fullmatch(preference)
        if match and int(match[1]) <= _MOST_WAIT_S:
            wait_s = int(match[1])
            applied.append(f"wait={wait_s}")
        elif preference == "respond-async":
            applied.append(preference)
    return {"wait_s": str(wait_s or 0), "applied": ", ".join(applied)} if applied else {}


def _wait_s(order: Order, _setting_s: float) -> float:
    return float(order.notes.get("wait_s", inf))


# --- answers --------------------------------------------------------------------------------------------------------

_LINK_S = 86_400.0  # ours: the provider does not say how long its links live
# What the provider's pages promise (500 a minute), and what callers are told where no limit is set.
_DOCUMENTED_RATE = 500


def _success(stored: Stored, context: Context) -> Info:
    url = context.link(stored, f"{stored.key}{stored.suffix}", _LINK_S)
    return Info(200, {"data": {"id": stored.key, "url": url}, "status": "success"})


def _state(job: Job, context: Context) -> Info:
    if job.result is not None:
        return _success(job.result, context)
    if job.failure is not None:
        raise ApiError(job.failure.kind, job.failure.message)
    if job.is_over:
        raise job_not_found()
    return Info(202, {"transaction_id": job.id, "status": "ACCEPTED"})


def _submitted(job: Job, context: Context) -> Info:
    info = _state(job, context)
    applied = job.notes.get("applied")
    return replace(info, headers=(("preference-applied", applied),)) if applied else info


def _balance(context: Context) -> Info:
    return Info(200, {"credits": _credits(context)})


def _credits(context: Context) -> int:
    return max(0, int(context.caller.account.credits))


def _headers(context: Context) -> HeaderPairs:
    rate = context.caller.rate
    limit, left, reset_s = (rate.limit, rate.remaining, rate.reset_s) if rate else (_DOCUMENTED_RATE,) * 2 + (0,)
    return (
        ("x-picsart-correlation-id", context.request_id),
        ("x-picsart-credit-available", str(_credits(context))),
        ("x-picsart-ratelimit-limit", str(limit)),
        ("x-picsart-ratelimit-available", str(left)),
        ("x-picsart-ratelimit-reset-time", str(reset_s)),
    )


# --- the dialect ----------------------------------------------------------------------------------------------------

_KEY = "x-picsart-api-key"


def _find_key(headers: Headers, query: Headers) -> str | None:
    shown = headers.get(_KEY, "") or next((value for name, value in query.items() if name.lower() == _KEY), "")
    return shown.strip() or None


def _render_error(status: int, code: str, error: ApiError, _request_id: str) -> Mapping[str, object]:
    return {"code": status, "message": code, "detail": error.message}


_BAD_REQUEST = (400, "Bad Request")
_UNAUTHORIZED = (401, "Unauthorized")
_NOT_FOUND = (404, "Not Found")
_TOO_LARGE = (413, "Request Entity Too Large")
_BAD_VALUE = (422, "Unprocessable Entity")

_ASKS = Asks(
    PictureNames(files=("image",), links=("image_url",), stored=("image_id",)),
    ground=PictureNames(files=("bg_image",), links=("bg_image_url",), stored=("bg_image_id",)),
    options=_OPTIONS,
    headers={"prefer": "respond-async, or wait=SECONDS from 1 to 600: 202 where it takes longer (RFC 7240)."},
    bodies=EVERY_BODY,
)
_UPLOAD = Asks(PictureNames(files=("image",), links=("image_url",)), bodies=EVERY_BODY)

DIALECT = Dialect(
    name="picsart",
    title="Picsart 1.0",
    operations=(
        Operation(
            "removebg",
            "POST",
            ("/tools/1.0/removebg", "/tools/1.0/removebg/"),
            Submit(_parse, _submitted, wait_s=_wait_s, raises=None),
            asks=_ASKS,
        ),
        Operation("image", "GET", ("/tools/1.0/image/{id}", "/tools/1.0/image/{id}/"), Show(_state)),
        Operation("balance", "GET", ("/tools/1.0/balance", "/tools/1.0/balance/"), Tell(_balance)),
        Operation(
            "upload", "POST", ("/tools/1.0/upload", "/tools/1.0/upload/"), Keep(_parse_upload, _success), asks=_UPLOAD
        ),
    ),
    # On the wire ``code`` is the status; the words stand in ``message``.
    failures={
        "key_missing": _UNAUTHORIZED,
        "key_wrong": _UNAUTHORIZED,
        "key_revoked": _UNAUTHORIZED,
        "account_barred": (403, "Forbidden"),
        "no_credits": (402, "Payment Required"),
        "rate_limited": (429, "Too Many Requests"),
        "missing_image": _BAD_REQUEST,
        "multiple_images": _BAD_REQUEST,
        "malformed_body": _BAD_REQUEST,
        "unsupported_body": (415, "Unsupported Media Type"),
        "slow_body": (408, "Request Timeout"),
        "too_many_bytes": _TOO_LARGE,
        "invalid_option": _BAD_VALUE,
        "multiple_grounds": _BAD_VALUE,
        "region_out_of_bounds": _BAD_VALUE,
        "region_empty": _BAD_VALUE,
        "not_acceptable": (406, "Not Acceptable"),
        "unreadable_image": _BAD_VALUE,
        "unsupported_image": (415, "Unsupported Media Type"),
        "too_many_pixels": _TOO_LARGE,
        "fetch_failed": _BAD_REQUEST,
        "ground_failed": _BAD_REQUEST,
        "nothing_found": _BAD_VALUE,
        "job_not_found": _NOT_FOUND,
        "job_forbidden": _NOT_FOUND,
        "job_not_ready": _NOT_FOUND,
        "not_found": _NOT_FOUND,
        "method_not_allowed": (405, "Method Not Allowed"),
        "overloaded": (503, "Service Unavailable"),
        "internal": (500, "Internal Server Error"),
    },
    render_error=_render_error,
    find_key=_find_key,
    file_bytes=30_000_000,
    hosts=("api.picsart.io",),
    headers=_headers,
)
