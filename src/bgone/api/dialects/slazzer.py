"""Slazzer v2.0: the picture route, the balance, and the first version's picture route that answers a URL."""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any

import orjson

from bgone.api.asks import FORMS, Asks, PictureNames
from bgone.api.dialect import Context, Cut, Delivery, Dialect, Headers, Info, Operation, Submit, Take
from bgone.api.encoded import encode_picture
from bgone.api.fields import Fields
from bgone.api.options import Reader, boolean, choice, colour, read_options
from bgone.api.sources import find_sources, only_source
from bgone.errors import ApiError, job_not_ready, multiple_grounds
from bgone.imaging.formats import FORMATS
from bgone.imaging.geometry import SizeCap
from bgone.jobs.job import Job
from bgone.pipeline.order import Ground, Order, PictureGround, RenderOptions, Source
from bgone.pipeline.studio import Result

MEGA = 1_000_000
LINK_S = 86_400.0  # our choice: the provider does not say how long a result of the first version can be read

# README of slazzercom/slazzer-android: larger results are scaled down to these. A preview's size is our choice.
_CAPS = {"png": SizeCap(pixels=10 * MEGA), "jpg": SizeCap(pixels=25 * MEGA)}
_PREVIEW = SizeCap(pixels=MEGA // 4)

_OPTIONS: dict[str, Reader[Any]] = {
    "bg_color_code": colour(),
    "format": choice("png", "jpg", aliases={"jpeg": "jpg"}),
    "crop": boolean(),
    "preview": boolean(),
    "channel": choice("rgba", "alpha"),
    "output_image_format": choice("base64", "binary"),
}

# The provider's words by status: whatever is wrong with a request, it says that there is no picture.
_KNOWN_WORDS = {
    400: "Source image file not found",
    401: "invalid api key",
    402: "No credits remaining",
    429: "Api rate limit crossed",
}


# --- the picture ----------------------------------------------------------------------------------------------------


def parse(fields: Fields) -> Order:
    """Exactly one picture, at most one picture for the background, and how to answer.

    Raises:
        missing_image: There is no picture.
        multiple_images: There are several.
        multiple_grounds: There are several pictures for the background.
        invalid_option: An option's value is not accepted.
        unreadable_image: A base64 text is none.
    """
    source = only_source(fields, **_names("source_image"))
    grounds = list(find_sources(fields, **_names("bg_image")))
    if len(grounds) > 1:
        raise multiple_grounds("bg_image_file, bg_image_url or bg_image_base64")
    values = read_options(_OPTIONS, fields)
    base64 = values.get("output_image_format") == "base64"
    return Order(source, _render_options(values, *grounds), "json" if base64 else "bytes")


def _names(prefix: str) -> dict[str, tuple[str, ...]]:
    return {"files": (f"{prefix}_file",), "links": (f"{prefix}_url",), "encoded": (f"{prefix}_base64",)}


def _render_options(values: Mapping[str, Any], picture: Source | None = None) -> RenderOptions:
    alpha = values.get("channel") == "alpha"
    # A background picture covers the frame: a colour that came with it would not be seen.
    ground: Ground | None = PictureGround(picture) if picture else values.get("bg_color_code")
    form = values.get("format", "png")
    return RenderOptions(
        format=form,
        channels="alpha" if alpha else "rgba",
        cap=_PREVIEW if values.get("preview", False) else _CAPS[form],
        crop=values.get("crop", False),
        background=None if alpha else ground,
    )


def render(order: Order, _result: Result, _context: Context) -> Delivery:
    """Picture bytes, or base64 in JSON where ``output_image_format`` asks for it."""
    if order.delivery == "json":
        return Delivery(
            "application/json", wrap=lambda body: orjson.dumps({"output_image_base64": encode_picture(body)})
        )
    return Delivery(FORMATS[order.options.format].media_type)


def render_job(job: Job, context: Context) -> Info:
    """The first version's answer: where the picture is.

    Raises:
        job_not_ready: There is none.
    """
    if job.result is None:
        raise job_not_ready(job.state)
    url = context.link(job.result, f"cutout{job.result.suffix}", LINK_S)
    return Info(200, {"status": True, "message": "success", "output_image_url": url})


def _to_the_end(_order: Order, _setting_s: float) -> float:
    return inf


# --- the balance ----------------------------------------------------------------------------------------------------


def _balance(_fields: Fields, context: Context) -> Info:
    # The provider's WordPress plugin returns the number as an int, and takes a ``status`` beside it for a failure.
    return Info(200, {"total_credits": int(context.caller.account.credits)})


# --- errors and the key ---------------------------------------------------------------------------------------------


def _words(status: int, error: ApiError) -> str:
    return _KNOWN_WORDS.get(status, error.message)


def _render_error(status: int, _code: str, error: ApiError, _request_id: str) -> Mapping[str, object]:
    return {"error": _words(status, error)}


def _render_failure(status: int, _code: str, error: ApiError, _request_id: str) -> Mapping[str, object]:
    """With the ``status`` by which callers of the balance and of the first version know a failure."""
    return {"status": False, "error": _words(status, error)}


def _find_key(headers: Headers, _query: Headers) -> str | None:
    return headers.get("api-key", "").strip() or None


_ASKS = Asks(
    PictureNames(**_names("source_image")), ground=PictureNames(**_names("bg_image")), options=_OPTIONS, bodies=FORMS
)

DIALECT = Dialect(
    name="slazzer",
    title="Slazzer v2.0",
    operations=(
        Operation(
            "cut",
            "POST",
            ("/v2.0/remove_image_background", "/v2.0/remove_image_background/"),
            Cut(parse, render),
            asks=_ASKS,
        ),
        Operation(
            "balance",
            "POST",
            ("/v2.0/account_balance", "/v2.0/account_balance/"),
            Take(_balance, key_field="api_key"),
            render_error=_render_failure,
            asks=Asks(texts={"api_key": "The key, where no header carries it."}, bodies=FORMS),
            words="Tell the account's credits.",
        ),
        Operation(
            "cut_v1",
            "POST",
            ("/api/v1/remove_image_background", "/api/v1/remove_image_background/"),
            Submit(parse, render_job, wait_s=_to_the_end),
            render_error=_render_failure,
            asks=_ASKS,
        ),
    ),
    # The provider has statuses and texts, no codes.
    failures={
        "key_missing": (401, ""),
        "key_wrong": (401, ""),
        "key_revoked": (401, ""),
        "account_barred": (401, ""),
        "no_credits": (402, ""),
        "rate_limited": (429, ""),
        "missing_image": (400, ""),
        "multiple_images": (400, ""),
        "malformed_body": (400, ""),
        "unsupported_body": (400, ""),
        "slow_body": (408, ""),
        "too_many_bytes": (400, ""),
        "invalid_option": (400, ""),
        "multiple_grounds": (400, ""),
        "region_out_of_bounds": (400, ""),
        "region_empty": (400, ""),
        "not_acceptable": (406, ""),
        "unreadable_image": (400, ""),
        "unsupported_image": (400, ""),
        "too_many_pixels": (400, ""),
        "fetch_failed": (400, ""),
        "ground_failed": (400, ""),
        "nothing_found": (400, ""),
        "job_not_found": (404, ""),
        "job_forbidden": (404, ""),
        "job_not_ready": (500, ""),
        "not_found": (404, ""),
        "method_not_allowed": (405, ""),
        "overloaded": (503, ""),
        "internal": (500, ""),
    },
    render_error=_render_error,
    find_key=_find_key,
    file_bytes=12 * MEGA,
    hosts=("api.slazzer.com", "slazzer.com", "www.slazzer.com"),
)
