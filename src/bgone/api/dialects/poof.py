"""Poof v1: ``POST /v1/remove``, the account and a place where video jobs would be.

The wire changed with time. "Old" is what the provider's pages, its JavaScript client and ``poofbg`` 0.1 speak; "new" is
``poofbg`` 0.2 and later. Both are spoken here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NoReturn

from bgone.api.asks import FORMS, Asks, PictureNames
from bgone.api.dialect import COMMON_KINDS, Context, Cut, Delivery, Dialect, Headers, Info, Operation, Show, Tell
from bgone.api.fields import Fields
from bgone.api.options import Reader, boolean, choice, colour, integer, matching, read_options, size_words
from bgone.api.sources import only_source
from bgone.errors import ApiError, job_not_found, missing_image
from bgone.imaging.geometry import NO_CAP, Length, SizeCap
from bgone.jobs.job import Job
from bgone.pipeline.order import NO_MARGIN, WHITE, Fit, Frame, Order, RenderOptions
from bgone.pipeline.studio import Result

# Longest sides as the provider's page of the route says (read 2026-11); the pixels of ``hd`` are said nowhere.
_SIZES = {
    "full": NO_CAP,
    "preview": SizeCap(longest=256),
    "small": SizeCap(longest=512),
    "medium": SizeCap(longest=1024),
    "large": SizeCap(longest=2048),
    "hd": SizeCap(longest=2048),
}
_MOST_SIDE = 6_000  # poofbg 0.2, remove_background
_MOST_RATIO = 10.0  # ours: a crop that grows to a ribbon is mostly nothing, and large

_RATIO = re.compile(r"([0-9]{1,4}(?:\.[0-9]{1,4})?):([0-9]{1,4}(?:\.[0-9]{1,4})?)")
_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{0,6})?|\.[0-9]{1,6})\s*(%?)")
_STRICT = boolean(strict=True)


def _crop() -> Reader[bool | float]:
    """true or false, strictly (the provider's pages name ``yes`` as an error), or width:height as their quotient."""

    def parse(text: str) -> bool | float | None:
        if match := _RATIO.fullmatch(text.replace(" ", "")):
            width, height = float(match[1]), float(match[2])
            fits = width > 0 and height > 0 and 1 / _MOST_RATIO <= width / height <= _MOST_RATIO
            return width / height if fits else None
        return _STRICT.parse(text)

    schema = {"anyOf": [{"type": "boolean"}, matching("[2-9]:[1-9]|1[0-6]:[2-9]")]}
    return Reader("true, false or a ratio such as 1:1, 4:3 or 16:9", parse, schema)


def _share() -> Reader[Length]:
    """A fraction from 0 to 1 or a percentage from 0% to 100%, as a percentage."""

    def parse(text: str) -> Length | None:
        match = _SHARE.fullmatch(text)
        percent = float(match[1]) * (1 if match[2] else 100) if match else -1.0
        return Length(round(percent, 6), "%") if 0 <= percent <= 100 else None

    schema = matching("0?[.][0-9]{1,6}|[01]|[0-9]{1,2}([.][0-9]{1,6})?%|100%")
    return Reader("a fraction from 0 to 1 or 0% to 100%", parse, schema)


_OPTIONS: dict[str, Reader[Any]] = {
    "format": choice("png", "jpg", "webp"),
    "channels": choice("rgba", "rgb", "alpha"),
    "bg_color": colour(),
    "size": size_words(_SIZES),
    "crop": _crop(),
    "padding": _share(),
    "width": integer(1, _MOST_SIDE),
    "height": integer(1, _MOST_SIDE),
    "fit": choice("contain", "cover", "scale-down"),
}


def _parse(fields: Fields) -> Order:
    if fields.kind not in ("multipart", "urlencoded"):
        # The provider's word for a JSON body, also for one that carries a picture.
        raise missing_image("image_file, file or url, in a form")
    source = only_source(fields, files=("image_file", "file"), links=("url",))
    return Order(source, _render_options(read_options(_OPTIONS, fields)))


def _render_options(values: Mapping[str, Any]) -> RenderOptions:
    form, channels = values.get("format", "png"), values.get("channels", "rgba")
    if form == "jpg" and channels == "rgba":
        channels = "rgb"
    frame = _frame(values.get("width"), values.get("height"), values.get("fit", "contain"))
    crop = values.get("crop", False)
    padding = values.get("padding")
    return RenderOptions(
        format=form,
        channels=channels,
        cap=values.get("size", NO_CAP) if frame is None else NO_CAP,
        frame=frame,
        crop=crop is not False,
        margin=(padding,) * 4 if padding is not None and crop is not False else NO_MARGIN,
        aspect=None if isinstance(crop, bool) else crop,
        # A transparent answer stays transparent: the provider reads bg_color for opaque ones only.
        background=values.get("bg_color", WHITE) if channels == "rgb" else None,
    )


def _frame(width: int | None, height: int | None, fit: Fit) -> Frame | None:
    return None if width is None and height is None else Frame(width, height, fit)


def _render(_order: Order, result: Result, context: Context) -> Delivery:
    return Delivery(
        result.media_type,
        headers=(
            ("x-processing-time-ms", str(round(context.seconds * 1000))),
            ("x-image-width", str(result.width)),
            ("x-image-height", str(result.height)),
        ),
    )


def _me(context: Context) -> Info:
    account = context.caller.account
    used = max(Decimal(0), account.quota_credits - account.subscription_credits)
    return Info(
        200,
        {
            "organizationId": account.id,
            "plan": account.plan,
            # Clients show the difference of the two as what is left.
            "maxCredits": int(account.credits + used),
            "usedCredits": int(used),
            "autoRechargeThreshold": None,
        },
    )


def _no_video(_job: Job, _context: Context) -> NoReturn:
    """Jobs are the provider's videos, which are refused here, so none is ever found."""
    raise job_not_found()


def _find_key(headers: Headers, _query: Headers) -> str | None:
    return headers.get("x-api-key", "").strip() or None


_MESSAGES = {
    "validation_error": "One or more parameters are invalid",
    "missing_image": "The request did not contain an image file",
    "image_too_large": "The uploaded image exceeds the maximum size",
    "authentication_error": "Invalid or missing API key",
    "payment_required": "Insufficient credits",
    "permission_denied": "Permission denied",
    "job_not_found": "Job not found",
    "not_found": "Not found",
    "method_not_allowed": "Method not allowed",
    "request_timeout": "The request took too long to arrive",
    "rate_limit_exceeded": "Rate limit exceeded",
    "internal_server_error": "Internal server error",
    "upstream_error": "Upstream processing failed",
}


def _render_error(_status: int, code: str, error: ApiError, request_id: str) -> Mapping[str, object]:
    return {"code": code, "message": _MESSAGES[code], "details": error.message, "request_id": request_id}


_INVALID = (400, "validation_error")
_TOO_LARGE = (400, "image_too_large")

_ASKS = Asks(PictureNames(files=("image_file", "file"), links=("url",)), options=_OPTIONS, bodies=FORMS)

DIALECT = Dialect(
    name="poof",
    title="Poof v1",
    operations=(
        Operation("remove", "POST", ("/v1/remove", "/v1/remove/"), Cut(_parse, _render), asks=_ASKS),
        Operation("me", "GET", ("/v1/me", "/v1/me/"), Tell(_me)),
        Operation("job", "GET", ("/v1/jobs/{id}", "/v1/jobs/{id}/"), Show(_no_video)),
    ),
    failures={
        "key_missing": (401, "authentication_error"),
        "key_wrong": (401, "authentication_error"),
        "key_revoked": (403, "permission_denied"),
        "account_barred": (403, "permission_denied"),
        "no_credits": (402, "payment_required"),
        "rate_limited": (429, "rate_limit_exceeded"),
        "missing_image": (400, "missing_image"),
        "multiple_images": _INVALID,
        "malformed_body": _INVALID,
        "unsupported_body": (400, "missing_image"),
        "slow_body": (408, "request_timeout"),
        "too_many_bytes": _TOO_LARGE,
        "invalid_option": _INVALID,
        "multiple_grounds": _INVALID,
        "region_out_of_bounds": _INVALID,
        "region_empty": _INVALID,
        "not_acceptable": _INVALID,
        "unreadable_image": _INVALID,
        "unsupported_image": _INVALID,
        "too_many_pixels": _TOO_LARGE,
        "fetch_failed": _INVALID,
        "ground_failed": _INVALID,
        "nothing_found": _INVALID,
        "job_not_found": (404, "job_not_found"),
        "job_forbidden": (404, "job_not_found"),
        "job_not_ready": (404, "job_not_found"),
        "not_found": (404, "not_found"),
        "method_not_allowed": (405, "method_not_allowed"),
        "overloaded": (502, "upstream_error"),
        "internal": (500, "internal_server_error"),
    },
    render_error=_render_error,
    find_key=_find_key,
    file_bytes=20_000_000,
    kinds=COMMON_KINDS,
    hosts=("api.poof.bg",),
    key_prefixes=("pk_", "poof_"),
)
