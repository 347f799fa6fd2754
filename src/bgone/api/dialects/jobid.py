"""jobid-v1, the unnamed API with ``jobId`` and ``outputUrl``: ``POST /api/v1/remove-bg``, which never waits.

Its caller polls, or names a ``webhook_url`` that hears of the end.
"""

from __future__ import annotations

from collections.abc import Mapping

from bgone.api.asks import FORMS, Asks, PictureNames
from bgone.api.dialect import COMMON_KINDS, Context, Dialect, Headers, Info, Operation, Show, Submit
from bgone.api.fields import Fields
from bgone.api.sources import find_sources
from bgone.api.times import utc_text
from bgone.errors import ApiError, invalid_option, missing_image
from bgone.jobs.job import Job, State
from bgone.pipeline.addresses import read_url
from bgone.pipeline.order import Order

# --- orders ---------------------------------------------------------------------------------------------------------


def _parse(fields: Fields) -> Order:
    source = next(find_sources(fields, files=("image_file",), links=("image_url",)), None)
    if source is None:
        raise missing_image("image_file or image_url")
    return Order(source, notes=_webhook_note(fields.text.get("webhook_url", "").strip()))


def _webhook_note(url: str) -> dict[str, str]:
    """The order's note of who hears of the end; the address is judged when it is called, as links are."""
    if not url:
        return {}
    try:
        read_url(url)
    except ApiError as error:
        raise invalid_option("webhook_url", "an http or https URL", url) from error
    return {"webhook_url": url}


def _never(_order: Order, _setting_s: float) -> float:
    return 0


# --- answers --------------------------------------------------------------------------------------------------------

_STATUS: Mapping[State, str] = {
    "queued": "processing",
    "running": "processing",
    "done": "completed",
    "failed": "failed",
    "cancelled": "failed",
    "expired": "failed",
}
_LINK_S = 86_400.0  # ours: the provider does not say how long its links live


def _created(job: Job, _context: Context) -> Info:
    return Info(
        202,
        {
            "jobId": job.id,
            "status": _STATUS[job.state],
            "createdAt": utc_text(job.created_at),
            "estimatedCompletionTime": "30-60 seconds",  # the provider's words; clients may look for them
        },
    )


def _shown(job: Job, context: Context) -> Info:
    return Info(
        200,
        {
            "jobId": job.id,
            "status": _STATUS[job.state],
            "createdAt": utc_text(job.created_at),
            "completedAt": utc_text(job.finished_at),
            "outputUrl": _output_url(job, context),
            "errorMessage": _error_message(job),
        },
    )


def webhook_body(job: Job, context: Context) -> Mapping[str, object]:
    """What ``webhook_url`` is sent when a job is over."""
    outcome = {"outputUrl": _output_url(job, context)} if job.result else {"errorMessage": _error_message(job)}
    return {"jobId": job.id, "status": _STATUS[job.state], **outcome, "completedAt": utc_text(job.finished_at)}


def _output_url(job: Job, context: Context) -> str | None:
    return context.link(job.result, f"output{job.result.suffix}", _LINK_S) if job.result else None


def _error_message(job: Job) -> str | None:
    if _STATUS[job.state] != "failed":
        return None
    return job.failure.message if job.failure else "The job was not finished."


# --- the dialect ----------------------------------------------------------------------------------------------------


def _find_key(headers: Headers, _query: Headers) -> str | None:
    scheme, _, key = headers.get("authorization", "").strip().partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


_MESSAGES = {"unauthorized": "Missing or invalid API key: send it as Authorization: Bearer KEY."}


def _render_error(_status: int, code: str, error: ApiError, _request_id: str) -> Mapping[str, object]:
    message = _MESSAGES.get(code, error.message)
    return {"error": message, "message": message, "code": code}


_UNAUTHORIZED = (401, "unauthorized")
_BAD_OPTION = (400, "invalid_option")
_INVALID = (400, "invalid_image")
_FETCH_FAILED = (400, "image_fetch_failed")
_NO_JOB = (404, "job_not_found")

_ASKS = Asks(
    PictureNames(files=("image_file",), links=("image_url",)),
    links={"webhook_url": "Who is told when the job is over."},
    bodies=FORMS,
)

DIALECT = Dialect(
    name="jobid",
    title="jobid v1",
    operations=(
        Operation(
            "remove-bg",
            "POST",
            ("/api/v1/remove-bg", "/api/v1/remove-bg/"),
            Submit(_parse, _created, wait_s=_never, webhook=webhook_body),
            asks=_ASKS,
        ),
        Operation("job", "GET", ("/api/v1/jobs/{id}", "/api/v1/jobs/{id}/"), Show(_shown)),
    ),
    # The provider names statuses only; pictures and options are 400, whatever is wrong with them.
    failures={
        "key_missing": _UNAUTHORIZED,
        "key_wrong": _UNAUTHORIZED,
        "key_revoked": _UNAUTHORIZED,
        "account_barred": (403, "account_suspended"),
        "no_credits": (402, "insufficient_credits"),
        "rate_limited": (429, "rate_limited"),
        "missing_image": (400, "missing_image"),
        "multiple_images": _INVALID,
        "malformed_body": (400, "invalid_request"),
        "unsupported_body": (400, "missing_image"),
        "slow_body": (408, "request_timeout"),
        "too_many_bytes": (400, "image_too_large"),
        "invalid_option": _BAD_OPTION,
        "multiple_grounds": _BAD_OPTION,
        "region_out_of_bounds": _BAD_OPTION,
        "region_empty": _BAD_OPTION,
        "not_acceptable": _BAD_OPTION,
        "unreadable_image": _INVALID,
        "unsupported_image": (400, "unsupported_format"),
        "too_many_pixels": (400, "image_too_large"),
        "fetch_failed": _FETCH_FAILED,
        "ground_failed": _FETCH_FAILED,
        "nothing_found": _INVALID,
        "job_not_found": _NO_JOB,
        "job_forbidden": _NO_JOB,
        "job_not_ready": _NO_JOB,
        "not_found": (404, "not_found"),
        "method_not_allowed": (405, "method_not_allowed"),
        "overloaded": (503, "unavailable"),
        "internal": (500, "internal_error"),
    },
    render_error=_render_error,
    find_key=_find_key,
    file_bytes=30_000_000,
    kinds=COMMON_KINDS,
    key_prefixes=("sk_live_",),
)
