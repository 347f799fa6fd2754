"""Clipdrop v1: ``POST /remove-background/v1``, whose answer's format is chosen by the ``Accept`` header."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bgone.api.accept import first_accepted
from bgone.api.asks import Asks, PictureNames
from bgone.api.dialect import COMMON_KINDS, Context, Cut, Delivery, Dialect, Headers, Operation
from bgone.api.fields import Fields
from bgone.api.options import Reader, choice, read_options
from bgone.api.sources import only_source
from bgone.errors import ApiError, not_acceptable
from bgone.imaging.formats import FORMATS
from bgone.pipeline.order import Order, OwnAlpha, RenderOptions
from bgone.pipeline.studio import Result

MEGA = 1_000_000
PRICE = Decimal(1)  # the provider's page: one credit per call

# Media type → format, the first where anything will do. ``image/jpg`` is no registered type, but clients ask for it.
_FORMATS = {"image/png": "png", "image/webp": "webp", "image/jpeg": "jpg", "image/jpg": "jpg"}

_OWN_ALPHA: dict[str, OwnAlpha] = {"return_input_if_non_opaque": "keep", "discard_alpha_layer": "drop"}
_OPTIONS: dict[str, Reader[Any]] = {"transparency_handling": choice(*_OWN_ALPHA)}

_KNOWN_WORDS = {"key_missing": "No api key provided"}


def parse(fields: Fields) -> Order:
    """The picture is the file ``image_file``; everything else has its default.

    Raises:
        missing_image: There is no such file.
        invalid_option: ``transparency_handling`` is none of the two words.
        not_acceptable: ``Accept`` names nothing that is written here.
    """
    accept = fields.headers.get("accept", "")
    media_type = first_accepted(accept, tuple(_FORMATS))
    if media_type is None:
        raise not_acceptable("image/png, image/webp or image/jpeg", accept)
    source = only_source(fields, files=("image_file",))
    handling = read_options(_OPTIONS, fields).get("transparency_handling", "return_input_if_non_opaque")
    return Order(source, RenderOptions(format=_FORMATS[media_type], own_alpha=_OWN_ALPHA[str(handling)]))


def render(order: Order, _result: Result, context: Context) -> Delivery:
    """Picture bytes; the headers tell what is left and what was taken."""
    return Delivery(
        FORMATS[order.options.format].media_type,
        headers=(
            ("x-remaining-credits", _plain(context.caller.account.credits)),
            ("x-credits-consumed", _plain(PRICE)),
        ),
    )


def _plain(amount: Decimal) -> str:
    """``1`` and not ``1.0``, ``1000000`` and not ``1E+6``."""
    return f"{amount.normalize():f}"


def _render_error(_status: int, _code: str, error: ApiError, _request_id: str) -> Mapping[str, object]:
    return {"error": _KNOWN_WORDS.get(error.kind, error.message)}


def _find_key(headers: Headers, _query: Headers) -> str | None:
    return headers.get("x-api-key", "").strip() or None


def _price(_order: Order, _result: Result | None, _preview: Decimal) -> Decimal:
    return PRICE


_ASKS = Asks(
    PictureNames(files=("image_file",)),
    options=_OPTIONS,
    headers={"accept": "The answer's format: image/png (the default), image/webp or image/jpeg."},
)

DIALECT = Dialect(
    name="clipdrop",
    title="Clipdrop v1",
    operations=(
        Operation("cut", "POST", ("/remove-background/v1", "/remove-background/v1/"), Cut(parse, render), asks=_ASKS),
    ),
    # The provider has statuses and texts, no codes.
    failures={
        "key_missing": (401, ""),
        "key_wrong": (403, ""),
        "key_revoked": (403, ""),
        "account_barred": (403, ""),
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
        "job_forbidden": (403, ""),
        "job_not_ready": (400, ""),
        "not_found": (404, ""),
        "method_not_allowed": (405, ""),
        "overloaded": (503, ""),
        "internal": (500, ""),
    },
    render_error=_render_error,
    find_key=_find_key,
    file_bytes=30 * MEGA,
    pixels=25 * MEGA,
    kinds=COMMON_KINDS,
    hosts=("clipdrop-api.co", "apis.clipdrop.co"),
    cors=True,
    price=_price,
)
