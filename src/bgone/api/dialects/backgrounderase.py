"""BackgroundErase v2, the primary dialect: ``POST /v2`` and its account and health routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from bgone.api.asks import EVERY_BODY, Asks, PictureNames
from bgone.api.dialect import Context, Cut, Delivery, Dialect, Headers, Info, Operation, Tell
from bgone.api.encoded import encode_picture
from bgone.api.fields import Fields
from bgone.api.options import Reader, boolean, choice, colour, read_options, size_words
from bgone.api.sources import decoded, find_sources
from bgone.errors import ApiError, missing_image
from bgone.imaging.formats import ALIASES
from bgone.imaging.geometry import NO_CAP, SizeCap
from bgone.pipeline.order import Link, Order, RenderOptions, Source, Upload
from bgone.pipeline.studio import Result

MEGAPIXEL = 1_000_000

# Caps are those of the two APIs that the provider calls drop-in equals (contract: size, I).
_SIZES = {
    "preview": SizeCap(pixels=MEGAPIXEL // 4),
    "medium": SizeCap(pixels=3 * MEGAPIXEL // 2),
    "hd": SizeCap(pixels=4 * MEGAPIXEL),
    "full": NO_CAP,
    "auto": NO_CAP,
}

_OPTIONS: dict[str, Reader[Any]] = {
    # avif is ours; the provider's own list is the rest.
    "format": choice("png", "jpg", "webp", "bmp", "tiff", "gif", "avif", aliases=ALIASES),
    "channels": choice("rgba", "alpha"),
    "size": size_words(_SIZES),
    "crop": boolean(),
    "bg_color": colour(),
    "despill": boolean(),
}

_ALL_FIELDS = "image_file, image_url, image_base64, image_file_b64, image (JSON) or a raw body"
_KEY_PARAMETERS = ("api_key", "apikey", "key", "token")


def _parse(fields: Fields) -> Order:
    source, legacy = _source(fields)
    options = _render_options(read_options(_OPTIONS, fields), legacy=legacy)
    return Order(source, options, _delivery(fields, options))


def _source(fields: Fields) -> tuple[Source, bool]:
    """The picture, chosen by the order of the contract's table, and whether it is the legacy JSON call."""
    # image_file without a file name is base64 text.
    found = find_sources(
        fields, files=("image_file",), links=("image_url",), encoded=("image_base64", "image_file_b64", "image_file")
    )
    if first := next(found, None):
        return first, False
    if fields.kind == "json" and (data := decoded(fields, "image")):
        return Upload(data), True
    if fields.raw is not None:
        return Upload(fields.raw), False
    if url := fields.query.get("image_url", "").strip():
        return Link(url), False
    raise missing_image(_ALL_FIELDS)


def _render_options(values: Mapping[str, Any], *, legacy: bool) -> RenderOptions:
    alpha = legacy or values.get("channels") == "alpha"
    if alpha:
        # A mask is always a PNG, and background and despill have no effect on it (contract: channels, O and I). The
        # legacy call's mask has the size of the picture that was sent.
        return RenderOptions(
            format="png",
            channels="alpha",
            cap=NO_CAP if legacy else values.get("size", NO_CAP),
            crop=not legacy and values.get("crop", False),
        )
    return RenderOptions(
        format=values.get("format", "png"),
        cap=values.get("size", NO_CAP),
        crop=values.get("crop", False),
        background=values.get("bg_color"),
        despill=values.get("despill", False),
    )


def _delivery(fields: Fields, options: RenderOptions) -> str:
    if fields.kind != "json" or "image/" in fields.headers.get("accept", ""):
        return "bytes"
    return "mask" if options.channels == "alpha" else "image"


def _render(order: Order, result: Result, _context: Context) -> Delivery:
    if order.delivery == "bytes":
        return Delivery(result.media_type)
    if order.delivery == "mask":
        return Delivery("application/json", wrap=lambda body: orjson.dumps({"mask": encode_picture(body)}))
    facts = {"format": result.format, "width": result.width, "height": result.height}
    return Delivery("application/json", wrap=lambda body: orjson.dumps({"image": encode_picture(body), **facts}))


def _find_key(headers: Headers, query: Headers) -> str | None:
    if key := headers.get("x-api-key", "").strip():
        return key
    scheme, _, key = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() in ("bearer", "token", "api-key") and key.strip():
        return key.strip()
    return next((query[name] for name in _KEY_PARAMETERS if query.get(name)), None)


def _account(context: Context) -> Info:
    caller, account = context.caller, context.caller.account
    return Info(
        200,
        {
            "status": "ok",
            "api_key": {"valid": True, "mode": "live", "fingerprint": caller.fingerprint},
            "account": {
                "email": account.email,
                "plan": account.plan,
                "subscription_status": "active",
                "billing_model": "metered_monthly",
                "usage_unit": "image",
            },
        },
    )


def _health(context: Context) -> Info:
    if context.trouble is None:
        return Info(200, {"status": "ok"})
    return Info(503, {"status": "unavailable", "reason": context.trouble})


def _render_error(status: int, code: str, error: ApiError, request_id: str) -> Mapping[str, object]:
    return {
        "error": {
            "code": code,
            "message": error.message,
            "status": status,
            "request_id": request_id,
            "details": error.facts,
        }
    }


_ASKS = Asks(
    # ``image`` is JSON's alone: the legacy call.
    PictureNames(files=("image_file",), links=("image_url",), encoded=("image_base64", "image_file_b64")),
    options=_OPTIONS,
    headers={"accept": "A picture's type: answers to JSON bodies are the picture's bytes instead of JSON."},
    bodies=(*EVERY_BODY, "raw"),
)

DIALECT = Dialect(
    name="backgrounderase",
    title="BackgroundErase v2",
    operations=(
        Operation("cut", "POST", ("/v2", "/v2/"), Cut(_parse, _render), asks=_ASKS),
        Operation("account", "GET", ("/v2/account", "/v2/account/"), Tell(_account)),
        Operation(
            "health",
            "GET",
            ("/v2/health", "/v2/health/"),
            Tell(_health),
            needs_key=False,
            words="Tell whether pictures are cut now.",
        ),
    ),
    failures={
        "key_missing": (401, "unauthorized"),
        "key_wrong": (401, "unauthorized"),
        "key_revoked": (403, "forbidden"),
        "account_barred": (403, "forbidden"),
        "no_credits": (402, "payment_required"),
        "rate_limited": (429, "rate_limited"),
        "missing_image": (400, "missing_image"),
        "multiple_images": (400, "invalid_option"),
        "malformed_body": (400, "invalid_request"),
        "unsupported_body": (415, "unsupported_media_type"),
        "slow_body": (408, "request_timeout"),
        "too_many_bytes": (413, "image_too_large"),
        "invalid_option": (400, "invalid_option"),
        "multiple_grounds": (400, "invalid_option"),
        "region_out_of_bounds": (400, "invalid_option"),
        "region_empty": (400, "invalid_option"),
        "not_acceptable": (406, "not_acceptable"),
        "unreadable_image": (400, "invalid_image"),
        "unsupported_image": (400, "invalid_image"),
        "too_many_pixels": (413, "image_too_large"),
        "fetch_failed": (400, "image_fetch_failed"),
        "ground_failed": (400, "invalid_image"),
        "nothing_found": (400, "invalid_image"),
        "job_not_found": (404, "not_found"),
        "job_forbidden": (403, "forbidden"),
        "job_not_ready": (409, "not_ready"),
        "not_found": (404, "not_found"),
        "method_not_allowed": (405, "method_not_allowed"),
        "overloaded": (503, "unavailable"),
        "internal": (500, "internal_error"),
    },
    render_error=_render_error,
    find_key=_find_key,
    file_bytes=30 * MEGAPIXEL,
    json_keys=_KEY_PARAMETERS,
    hosts=("api.backgrounderase.com", "api.backgrounderase.net"),
)
