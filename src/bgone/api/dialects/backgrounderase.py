"""BackgroundErase v2, the primary dialect: ``POST /v2`` and its account and health routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pybase64

from bgone.api.auth import Caller
from bgone.api.dialect import Delivery, Dialect, Headers, Info, Operation
from bgone.api.encoded import decode_picture
from bgone.api.fields import Fields
from bgone.api.options import Reader, boolean, choice, colour, read_options, size_words
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
    if file := fields.files.get("image_file"):
        return Upload(file.data), False
    if url := fields.text.get("image_url", "").strip():
        return Link(url), False
    for name in ("image_base64", "image_file_b64", "image_file"):  # image_file without a file name: base64 text
        if data := _decoded(fields, name):
            return Upload(data), False
    if fields.kind == "json" and (data := _decoded(fields, "image")):
        return Upload(data), True
    if fields.raw is not None:
        return Upload(fields.raw), False
    if url := fields.query.get("image_url", "").strip():
        return Link(url), False
    raise missing_image(_ALL_FIELDS)


def _decoded(fields: Fields, name: str) -> bytes:
    """The picture that a base64 field spells, sent as text or as a file part; empty when it is absent."""
    file = fields.files.get(name)
    text = file.data if file is not None else fields.encoded(name)
    return decode_picture(name, text, urlencoded=fields.kind == "urlencoded") if text else b""


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


def _render(order: Order, result: Result) -> Delivery:
    if order.delivery == "bytes":
        return Delivery(result.media_type)
    if order.delivery == "mask":
        return Delivery("application/json", wrap=lambda body: orjson.dumps({"mask": _text(body)}))
    facts = {"format": result.format, "width": result.width, "height": result.height}
    return Delivery("application/json", wrap=lambda body: orjson.dumps({"image": _text(body), **facts}))


def _text(body: bytes) -> str:
    return pybase64.b64encode(body).decode("ascii")


def _find_key(headers: Headers, query: Headers) -> str | None:
    if key := headers.get("x-api-key", "").strip():
        return key
    scheme, _, key = headers.get("authorization", "").strip().partition(" ")
    if scheme.lower() in ("bearer", "token", "api-key") and key.strip():
        return key.strip()
    return next((query[name] for name in _KEY_PARAMETERS if query.get(name)), None)


def _account(caller: Caller, _trouble: str | None) -> Info:
    return Info(
        200,
        {
            "status": "ok",
            "api_key": {"valid": True, "mode": "live", "fingerprint": caller.fingerprint},
            "account": {
                "email": "owner@localhost",
                "plan": "Self-hosted",
                "subscription_status": "active",
                "billing_model": "metered_monthly",
                "usage_unit": "image",
            },
        },
    )


def _health(_caller: Caller, trouble: str | None) -> Info:
    return Info(200, {"status": "ok"}) if trouble is None else Info(503, {"status": "unavailable", "reason": trouble})


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


DIALECT = Dialect(
    name="backgrounderase",
    operations=(
        Operation("cut", "POST", ("/v2", "/v2/"), parse=_parse, render=_render),
        Operation("account", "GET", ("/v2/account", "/v2/account/"), inform=_account),
        Operation("health", "GET", ("/v2/health", "/v2/health/"), needs_key=False, inform=_health),
    ),
    failures={
        "key_missing": (401, "unauthorized"),
        "key_wrong": (401, "unauthorized"),
        "key_revoked": (403, "forbidden"),
        "missing_image": (400, "missing_image"),
        "malformed_body": (400, "invalid_request"),
        "slow_body": (408, "request_timeout"),
        "unsupported_body": (415, "unsupported_media_type"),
        "invalid_option": (400, "invalid_option"),
        "unreadable_image": (400, "invalid_image"),
        "unsupported_image": (415, "unsupported_media_type"),
        "too_many_bytes": (413, "image_too_large"),
        "too_many_pixels": (413, "image_too_large"),
        "fetch_failed": (400, "image_fetch_failed"),
        "rate_limited": (429, "rate_limited"),
        "overloaded": (503, "unavailable"),
        "not_found": (404, "not_found"),
        "method_not_allowed": (405, "method_not_allowed"),
        "internal": (500, "internal_error"),
    },
    render_error=_render_error,
    find_key=_find_key,
    file_bytes=30 * MEGAPIXEL,
)
