"""Photoroom v1, the basic plan: ``POST /v1/segment`` and two account routes, whose errors look otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

from bgone.api.accept import wants_json
from bgone.api.asks import Asks, PictureNames
from bgone.api.dialect import COMMON_KINDS, Context, Cut, Delivery, Dialect, Headers, Info, Operation, Tell
from bgone.api.encoded import encode_picture
from bgone.api.fields import Fields
from bgone.api.options import Reader, boolean, choice, colour, read_options, size_words
from bgone.api.sources import only_source
from bgone.errors import ApiError
from bgone.imaging.formats import FORMATS
from bgone.imaging.geometry import SizeCap
from bgone.pipeline.order import Order, RenderOptions
from bgone.pipeline.studio import Result

MEGAPIXEL = 1_000_000

# The provider's OpenAPI description: caps of the result.
_SIZES = {
    "preview": SizeCap(pixels=MEGAPIXEL // 4),
    "medium": SizeCap(pixels=3 * MEGAPIXEL // 2),
    "hd": SizeCap(pixels=4 * MEGAPIXEL),
    "full": SizeCap(pixels=36 * MEGAPIXEL),
}

_OPTIONS: dict[str, Reader[Any]] = {
    "format": choice("png", "jpg", "webp", aliases={"jpeg": "jpg"}),
    "channels": choice("rgba", "alpha"),
    "bg_color": colour(),
    "size": size_words(_SIZES),
    "crop": boolean(),
    "despill": boolean(),
}

# Words that the provider itself answers; the one about credits went on to name its own shop.
_KNOWN_WORDS = {"missing_image": "Please provide an image.", "no_credits": "API credits exhausted."}
_KNOWN_ACCOUNT_WORDS = {"key_missing": "apiKey: Required"}


# --- the picture ----------------------------------------------------------------------------------------------------


def parse(fields: Fields) -> Order:
    """The picture is the file ``image_file`` and nothing else: the provider knows neither URLs nor base64.

    Raises:
        missing_image: There is no such file.
        invalid_option: An option's value is not accepted.
    """
    source = only_source(fields, files=("image_file",))
    options = _render_options(read_options(_OPTIONS, fields))
    return Order(source, options, "json" if wants_json(fields.headers.get("accept", "")) else "bytes")


def _render_options(values: Mapping[str, Any]) -> RenderOptions:
    alpha = values.get("channels") == "alpha"
    return RenderOptions(
        format=values.get("format", "png"),
        channels="alpha" if alpha else "rgba",
        cap=values.get("size", _SIZES["full"]),
        crop=values.get("crop", False),
        # A mask has no colours.
        background=None if alpha else values.get("bg_color"),
        despill=not alpha and values.get("despill", False),
    )


def render(order: Order, _result: Result, _context: Context) -> Delivery:
    """Picture bytes, or base64 in JSON for those who accept nothing else."""
    if order.delivery == "json":
        return Delivery("application/json", wrap=lambda body: orjson.dumps({"base64img": encode_picture(body)}))
    return Delivery(FORMATS[order.options.format].media_type)


# --- accounts -------------------------------------------------------------------------------------------------------


def _balance(context: Context) -> dict[str, int]:
    account = context.caller.account
    return {"available": _whole(account.credits), "subscription": _whole(account.quota_credits)}


def _whole(left: Decimal) -> int:
    # Clients type both numbers as integers of 0 or more.
    return max(0, int(left))


def _account_v1(context: Context) -> Info:
    return Info(200, {"credits": _balance(context)})


def _account_v2(context: Context) -> Info:
    return Info(200, {"images": _balance(context), "plan": context.caller.account.plan})


# --- errors and the key ---------------------------------------------------------------------------------------------


def _render_error(status: int, code: str, error: ApiError, _request_id: str) -> Mapping[str, object]:
    return {"detail": _KNOWN_WORDS.get(error.kind, error.message), "status_code": status, "type": code}


def _render_account_error(_status: int, _code: str, error: ApiError, _request_id: str) -> Mapping[str, object]:
    return {"error": {"message": _KNOWN_ACCOUNT_WORDS.get(error.kind, error.message)}}


def _find_key(headers: Headers, _query: Headers) -> str | None:
    return headers.get("x-api-key", "").strip() or None


_ASKS = Asks(
    PictureNames(files=("image_file",)),
    options=_OPTIONS,
    headers={"accept": "application/json alone: base64 in JSON instead of the picture's bytes."},
)

DIALECT = Dialect(
    name="photoroom",
    title="Photoroom v1",
    operations=(
        Operation("cut", "POST", ("/v1/segment", "/v1/segment/"), Cut(parse, render), asks=_ASKS),
        Operation(
            "account_v1",
            "GET",
            ("/v1/account", "/v1/account/"),
            Tell(_account_v1),
            render_error=_render_account_error,
        ),
        Operation(
            "account_v2",
            "GET",
            ("/v2/account", "/v2/account/"),
            Tell(_account_v2),
            render_error=_render_account_error,
        ),
    ),
    # The provider describes 400, 402, 403, 429 and 500 alone, and of the types ``missing_image`` and ``unknown_error``.
    failures={
        "key_missing": (403, "forbidden"),
        "key_wrong": (403, "forbidden"),
        "key_revoked": (403, "forbidden"),
        "account_barred": (403, "forbidden"),
        "no_credits": (402, "unknown_error"),
        "rate_limited": (429, "rate_limited"),
        "missing_image": (400, "missing_image"),
        "multiple_images": (400, "multiple_images"),
        "malformed_body": (400, "invalid_request"),
        "unsupported_body": (400, "invalid_request"),
        "slow_body": (408, "request_timeout"),
        "too_many_bytes": (400, "image_too_large"),
        "invalid_option": (400, "invalid_option"),
        "multiple_grounds": (400, "invalid_option"),
        "region_out_of_bounds": (400, "invalid_option"),
        "region_empty": (400, "invalid_option"),
        "not_acceptable": (406, "not_acceptable"),
        "unreadable_image": (400, "invalid_image"),
        "unsupported_image": (400, "unsupported_image"),
        "too_many_pixels": (400, "image_too_large"),
        "fetch_failed": (400, "fetch_failed"),
        "ground_failed": (400, "invalid_image"),
        "nothing_found": (400, "nothing_found"),
        "job_not_found": (404, "not_found"),
        "job_forbidden": (403, "forbidden"),
        "job_not_ready": (400, "not_ready"),
        "not_found": (404, "not_found"),
        "method_not_allowed": (405, "method_not_allowed"),
        "overloaded": (503, "unavailable"),
        "internal": (500, "unknown_error"),
    },
    render_error=_render_error,
    find_key=_find_key,
    file_bytes=30 * MEGAPIXEL,
    kinds=COMMON_KINDS | {"heif"},
    hosts=("sdk.photoroom.com", "image-api.photoroom.com"),
    key_prefixes=("sandbox_",),
    cors=True,
)
