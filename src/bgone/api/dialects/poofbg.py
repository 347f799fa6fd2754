"""PoofBG v1: ``POST /v1/remove-background``, which waits for its job, the list of jobs and the account.

Another company than Poof, whose PyPI package has this one's name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal

from bgone.api.asks import Asks, PictureNames
from bgone.api.dialect import (
    COMMON_KINDS,
    Context,
    Dialect,
    HeaderPairs,
    Headers,
    Info,
    Operation,
    Page,
    Show,
    ShowAll,
    Submit,
    Tell,
)
from bgone.api.fields import Fields
from bgone.api.options import integer
from bgone.api.sources import find_sources
from bgone.api.times import utc_text
from bgone.errors import ApiError, invalid_option, missing_image
from bgone.imaging.photo import PhotoLimits
from bgone.jobs.job import Job, State
from bgone.pipeline.order import Link, Order

# --- orders ---------------------------------------------------------------------------------------------------------

_LINKED = PhotoLimits(kinds=frozenset({"jpeg", "png"}))  # the provider reads WebP from files only


def _parse(fields: Fields) -> Order:
    source = next(find_sources(fields, files=("file",), links=("image_url",)), None)
    if source is None:
        raise missing_image("file (multipart) or image_url (JSON)")
    return Order(source, limits=_LINKED) if isinstance(source, Link) else Order(source)


_INTEGER = re.compile(r"[+-]?[0-9]{1,30}")
_MOST_LISTED, _LISTED = 100, 20
_MOST_OFFSET = 1_000_000_000  # ours: far beyond all that is kept


def _parse_page(query: Headers) -> Page:
    return Page(_clamped(query, "limit", _LISTED, 1, _MOST_LISTED), _clamped(query, "offset", 0, 0, _MOST_OFFSET))


def _clamped(query: Headers, option: str, default: int, lo: int, hi: int) -> int:
    text = query.get(option, "").strip()
    if not text:
        return default
    if not _INTEGER.fullmatch(text):
        raise invalid_option(option, f"a whole number from {lo} to {hi}", text)
    return min(hi, max(lo, int(text)))


# --- answers --------------------------------------------------------------------------------------------------------

_PREFIX = "job_"
_LINK_S = 3_600.0  # "works for 1 hour"; each answer signs anew
_STATUS: Mapping[State, str] = {
    "queued": "pending",
    "running": "processing",
    "done": "completed",
    "failed": "failed",
    "cancelled": "failed",
    "expired": "failed",
}


def _read_id(shown: str) -> str:
    return shown.removeprefix(_PREFIX)


def _row(job: Job) -> dict[str, object]:
    return {
        "id": _PREFIX + job.id,
        "status": _STATUS[job.state],
        "created_at": utc_text(job.created_at),
        "completed_at": utc_text(job.finished_at),
    }


def _body(job: Job, context: Context) -> Mapping[str, object]:
    url = context.link(job.result, f"{_PREFIX}{job.id}{job.result.suffix}", _LINK_S) if job.result else None
    failed = _STATUS[job.state] == "failed"
    return {
        **_row(job),
        "error": (job.failure.message if job.failure else "The job was not finished.") if failed else None,
        "credits_used": _plain(Decimal(0) if failed else job.price),
        "credits_remaining": int(context.caller.account.credits),
        "result_url": url,
    }


def _plain(amount: Decimal) -> int | float:
    """``1`` rather than ``1.0``."""
    return int(amount) if amount == int(amount) else float(amount)


def _submitted(job: Job, context: Context) -> Info:
    return Info(200 if job.is_over else 202, _body(job, context))


def _shown(job: Job, context: Context) -> Info:
    return Info(200, _body(job, context))


def _listed(jobs: tuple[Job, ...], page: Page, _context: Context) -> Info:
    return Info(200, {"data": [_row(job) for job in jobs], "limit": page.limit, "offset": page.offset})


# Of the provider's largest plan: what callers are told where no limit is set.
_DOCUMENTED_RATE = 300


def _account(context: Context) -> Info:
    account, rate = context.caller.account, context.caller.rate
    return Info(
        200,
        {
            "plan": account.plan,
            "credits_remaining": int(account.credits),
            "credits_monthly_quota": int(account.quota_credits),
            "rate_limit": {"requests_per_minute": rate.limit if rate else _DOCUMENTED_RATE},
        },
    )


def _headers(context: Context) -> HeaderPairs:
    rate = context.caller.rate
    limit, remaining = (rate.limit, rate.remaining) if rate else (_DOCUMENTED_RATE, _DOCUMENTED_RATE)
    return (("x-ratelimit-limit", str(limit)), ("x-ratelimit-remaining", str(remaining)))


# --- the dialect ----------------------------------------------------------------------------------------------------


def _find_key(headers: Headers, _query: Headers) -> str | None:
    scheme, _, key = headers.get("authorization", "").strip().partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


_MESSAGES = {"UNAUTHORIZED": "Missing or invalid API key: send it as Authorization: Bearer KEY."}


def _render_error(_status: int, code: str, error: ApiError, _request_id: str) -> Mapping[str, object]:
    return {"error": {"message": _MESSAGES.get(code, error.message), "code": code}}


_UNAUTHORIZED = (401, "UNAUTHORIZED")
_FORBIDDEN = (403, "FORBIDDEN")
_INVALID = (400, "INVALID_REQUEST")
_WRONG_TYPE = (400, "INVALID_IMAGE_TYPE")
_NOT_FOUND = (404, "NOT_FOUND")

# An upload that cannot be read is the request's fault; whatever else goes wrong is told by the job.
_RAISES = frozenset({"unreadable_image", "unsupported_image", "too_many_bytes", "too_many_pixels", "overloaded"})

_ASKS = Asks(PictureNames(files=("file",), links=("image_url",)), bodies=("multipart", "json"))
_PAGE = Asks(query={"limit": integer(1, _MOST_LISTED), "offset": integer(0, 999_999_999)}, bodies=())

DIALECT = Dialect(
    name="poofbg",
    title="PoofBG v1",
    operations=(
        Operation(
            "remove-background",
            "POST",
            ("/v1/remove-background", "/v1/remove-background/"),
            Submit(_parse, _submitted, raises=_RAISES),
            asks=_ASKS,
        ),
        Operation("job", "GET", ("/v1/jobs/{id}", "/v1/jobs/{id}/"), Show(_shown, _read_id)),
        Operation("jobs", "GET", ("/v1/jobs", "/v1/jobs/"), ShowAll(_parse_page, _listed), asks=_PAGE),
        Operation("account", "GET", ("/v1/account", "/v1/account/"), Tell(_account)),
    ),
    failures={
        "key_missing": _UNAUTHORIZED,
        "key_wrong": _UNAUTHORIZED,
        "key_revoked": _UNAUTHORIZED,
        "account_barred": _FORBIDDEN,
        "no_credits": (402, "INSUFFICIENT_CREDITS"),
        "rate_limited": (429, "RATE_LIMITED"),
        "missing_image": _INVALID,
        "multiple_images": _INVALID,
        "malformed_body": _INVALID,
        "unsupported_body": _INVALID,
        "slow_body": (408, "REQUEST_TIMEOUT"),
        "too_many_bytes": (400, "FILE_TOO_LARGE"),
        "invalid_option": _INVALID,
        "multiple_grounds": _INVALID,
        "region_out_of_bounds": _INVALID,
        "region_empty": _INVALID,
        "not_acceptable": _INVALID,
        "unreadable_image": _WRONG_TYPE,
        "unsupported_image": _WRONG_TYPE,
        "too_many_pixels": _INVALID,
        "fetch_failed": _INVALID,
        "ground_failed": _INVALID,
        "nothing_found": _INVALID,
        "job_not_found": _NOT_FOUND,
        "job_forbidden": _FORBIDDEN,
        "job_not_ready": _INVALID,
        "not_found": _NOT_FOUND,
        "method_not_allowed": (405, "METHOD_NOT_ALLOWED"),
        "overloaded": (503, "SERVICE_UNAVAILABLE"),
        "internal": (500, "INTERNAL_ERROR"),
    },
    render_error=_render_error,
    find_key=_find_key,
    file_bytes=10_000_000,
    kinds=COMMON_KINDS,
    hosts=("api.poofbg.com",),
    key_prefixes=("pk_live_",),
    headers=_headers,
)
