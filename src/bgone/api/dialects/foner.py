"""Foner v1: ``POST /v1/remove-bg``, which waits for its job, and a download in a format chosen afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from bgone.api.asks import FORMS, Asks, PictureNames
from bgone.api.dialect import Context, Dialect, Download, Headers, Info, Operation, Show, Submit, Tell
from bgone.api.fields import Fields
from bgone.api.options import Reader, boolean, choice, colour, read_options
from bgone.api.sources import find_sources
from bgone.api.times import utc_text
from bgone.errors import ApiError, job_not_ready, missing_image
from bgone.jobs.job import Job, State
from bgone.pipeline.order import WHITE, Order, RenderOptions

# --- orders ---------------------------------------------------------------------------------------------------------

_ASYNC: dict[str, Reader[Any]] = {"async": boolean()}


def _parse(fields: Fields) -> Order:
    source = next(find_sources(fields, files=("file",), links=("image_url",)), None)
    if source is None:
        raise missing_image("file or image_url")
    at_once = read_options(_ASYNC, Fields("none", query=fields.query)).get("async", False)
    return Order(source, notes={"async": "true"} if at_once else {})


def _wait_s(order: Order, setting_s: float) -> float:
    return 0 if "async" in order.notes else setting_s


_DOWNLOAD: dict[str, Reader[Any]] = {"format": choice("png", "webp", "jpg", aliases={"jpeg": "jpg"})}
_GROUND: dict[str, Reader[Any]] = {"bg": colour()}


def _download(job: Job, context: Context) -> RenderOptions:
    if job.result is None:
        raise job_not_ready(_STATUS[job.state])
    query = Fields("none", query=context.query)
    form = read_options(_DOWNLOAD, query).get("format", "png")
    # A ground is for the format that cannot go without.
    ground: Any = read_options(_GROUND, query).get("bg", WHITE) if form == "jpg" else None
    return RenderOptions(format=str(form), background=ground, own_alpha="asis")


# --- answers --------------------------------------------------------------------------------------------------------

_STATUS: Mapping[State, str] = {
    "queued": "queued",
    "running": "processing",
    "done": "completed",
    "failed": "failed",
    "cancelled": "failed",
    "expired": "failed",
}


def _submitted(job: Job, context: Context) -> Info:
    if job.is_over:
        return _shown(job, context)
    return Info(202, {"job_id": job.id, "status": _STATUS[job.state]})


def _shown(job: Job, context: Context) -> Info:
    return Info(
        200,
        {
            "job_id": job.id,
            "status": _STATUS[job.state],
            "error_code": _FAILURES[job.failure.kind][1] if job.failure else None,
            "error": job.failure.message if job.failure else None,
            "download_url": f"{context.base_url}/v1/jobs/{job.id}/download" if job.result else None,
            "created_at": utc_text(job.created_at),
            "completed_at": utc_text(job.finished_at),
        },
    )


_PRICE = Decimal("0.10")  # USD for a picture, as the provider's page says: our credit in its money


def _account(context: Context) -> Info:
    states = dict.fromkeys(("completed", "failed", "processing"), 0)
    for state, count in context.job_counts.items():
        status = _STATUS[state]
        states["processing" if status == "queued" else status] += count
    return Info(
        200,
        {
            "balance": float(context.caller.account.credits * _PRICE),
            "currency": "USD",
            "price_per_image": float(_PRICE),
            "jobs": {"total": sum(states.values()), **states},
        },
    )


# --- the dialect ----------------------------------------------------------------------------------------------------


def _find_key(headers: Headers, _query: Headers) -> str | None:
    return headers.get("x-api-key", "").strip() or None


def _render_error(_status: int, code: str, error: ApiError, _request_id: str) -> Mapping[str, object]:
    """The provider shows no error body: a script that reads any common path finds its words."""
    return {"error": {"code": code, "message": error.message}, "code": code, "detail": error.message}


_WRONG_KEY = (401, "invalid_api_key")
_MISSING = (422, "missing_image")
_INVALID = (422, "invalid_image")
_BAD_OPTION = (422, "invalid_option")
_FETCH_FAILED = (422, "image_fetch_failed")
_FAILED = (422, "processing_failed")
_NO_JOB = (404, "job_not_found")

_FAILURES = {
    "key_missing": (401, "missing_api_key"),
    "key_wrong": _WRONG_KEY,
    "key_revoked": _WRONG_KEY,
    "account_barred": (403, "email_not_verified"),
    "no_credits": (402, "insufficient_funds"),
    "rate_limited": (429, "rate_limited"),
    "missing_image": _MISSING,
    "multiple_images": _INVALID,
    "malformed_body": (422, "invalid_request"),
    "unsupported_body": _MISSING,
    "slow_body": (408, "request_timeout"),
    "too_many_bytes": (422, "file_too_large"),
    "invalid_option": _BAD_OPTION,
    "multiple_grounds": _BAD_OPTION,
    "region_out_of_bounds": _BAD_OPTION,
    "region_empty": _BAD_OPTION,
    "not_acceptable": _BAD_OPTION,
    "unreadable_image": _INVALID,
    "unsupported_image": (422, "unsupported_format"),
    "too_many_pixels": (422, "image_too_large"),
    "fetch_failed": _FETCH_FAILED,
    "ground_failed": _FETCH_FAILED,
    "nothing_found": _FAILED,
    "job_not_found": _NO_JOB,
    "job_forbidden": _NO_JOB,
    "job_not_ready": (409, "job_not_ready"),
    "not_found": (404, "not_found"),
    "method_not_allowed": (405, "method_not_allowed"),
    "overloaded": (503, "unavailable"),
    "internal": _FAILED,  # its table of errors lists "processing failed" under 422 and no 500
}

_ASKS = Asks(PictureNames(files=("file",), links=("image_url",)), query=_ASYNC, bodies=FORMS)

DIALECT = Dialect(
    name="foner",
    title="Foner v1",
    operations=(
        Operation(
            "remove-bg", "POST", ("/v1/remove-bg", "/v1/remove-bg/"), Submit(_parse, _submitted, _wait_s), asks=_ASKS
        ),
        Operation("job", "GET", ("/v1/jobs/{id}", "/v1/jobs/{id}/"), Show(_shown)),
        Operation(
            "download",
            "GET",
            ("/v1/jobs/{id}/download", "/v1/jobs/{id}/download/"),
            Download(_download),
            asks=Asks(query={**_DOWNLOAD, **_GROUND}, bodies=()),
        ),
        Operation("account", "GET", ("/v1/account", "/v1/account/"), Tell(_account, counts_jobs=True)),
    ),
    failures=_FAILURES,
    render_error=_render_error,
    find_key=_find_key,
    file_bytes=25_000_000,
    pixels=32_000_000,
    hosts=("foner.site", "api.foner.site"),
    key_prefixes=("fnr_",),
)
