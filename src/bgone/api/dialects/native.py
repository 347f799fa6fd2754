"""bgone's own words: ``POST /cut/v1`` with every render option, the same as a job, and the account.

What can be asked is the table ``OPTIONS`` of ``api/render_options.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from http import HTTPStatus

from bgone.api.asks import EVERY_BODY, Asks, PictureNames
from bgone.api.dialect import Context, Cut, Delivery, Dialect, HeaderPairs, Headers, Info, Operation, Show, Submit, Tell
from bgone.api.fields import Fields
from bgone.api.render_options import OPTIONS as OPTIONS
from bgone.api.render_options import PICTURES as PICTURES
from bgone.api.render_options import Option as Option
from bgone.api.render_options import PictureField as PictureField
from bgone.api.render_options import find_pictures, read_render_options
from bgone.api.times import utc_text
from bgone.errors import ApiError, invalid_option, missing_image, multiple_images
from bgone.imaging.geometry import Box
from bgone.jobs.job import Job
from bgone.pipeline.addresses import read_url
from bgone.pipeline.order import Order, Upload
from bgone.pipeline.studio import Result

LINK_S = 86_400.0  # how long a job's result_url works
FILE_BYTES = 100_000_000


# --- parse ----------------------------------------------------------------------------------------------------------


def parse(fields: Fields) -> Order:
    """A multipart, urlencoded or JSON body, or the photo itself with the options in the query.

    Raises:
        missing_image: There is no photo.
        multiple_images: There are several.
        multiple_grounds: Several backgrounds were sent.
        invalid_option: An option's value is not accepted.
        unreadable_image: A base64 text is none.
    """
    found = find_pictures(fields, "image")
    if fields.raw is not None:
        found = [Upload(fields.raw), *found]
    names = "image, image_url, image_base64 or a raw body"
    if not found:
        raise missing_image(names)
    if len(found) > 1:
        raise multiple_images(names)
    # Which models there are is the studio's to know: it refuses others, and lists its own.
    model = (fields.text.get("model") or fields.query.get("model") or "").strip()
    return Order(found[0], read_render_options(fields), model=model)


def _parse_job(fields: Fields) -> Order:
    order = parse(fields)
    url = (fields.text.get("webhook_url") or fields.query.get("webhook_url") or "").strip()
    if not url:
        return order
    try:
        read_url(url)
    except ApiError as error:
        raise invalid_option("webhook_url", "an http or https URL", url) from error
    return replace(order, notes={"webhook_url": url})


# --- answers --------------------------------------------------------------------------------------------------------


def render(_order: Order, result: Result, _context: Context) -> Delivery:
    """Picture bytes; size and the subject's box in headers, no box where there is no subject."""
    size = (("x-width", str(result.width)), ("x-height", str(result.height)))
    return Delivery(result.media_type, headers=size + _subject_headers(result.subject))


def _subject_headers(box: Box | None) -> HeaderPairs:
    if box is None:
        return ()
    sides = {"left": box.left, "top": box.top, "width": box.width, "height": box.height}
    return tuple((f"x-subject-{side}", str(pixels)) for side, pixels in sides.items())


def job_body(job: Job, context: Context) -> Mapping[str, object]:
    """How a job stands; its webhook says the same at its end."""
    result, failure = job.result, job.failure
    return {
        "id": job.id,
        "status": job.state,
        "created_at": utc_text(job.created_at),
        "finished_at": utc_text(job.finished_at),
        "result_url": context.link(result, f"{job.id}{result.suffix}", LINK_S) if result else None,
        "width": result.width if result else None,
        "height": result.height if result else None,
        "error": {"code": failure.kind, "detail": failure.message} if failure else None,
    }


def _taken(job: Job, context: Context) -> Info:
    return Info(202, job_body(job, context))


def _shown(job: Job, context: Context) -> Info:
    return Info(200, job_body(job, context))


def _never(_order: Order, _setting_s: float) -> float:
    return 0


def _account(context: Context) -> Info:
    caller = context.caller
    account, rate = caller.account, caller.rate
    body = {
        "account": account.id,
        "plan": account.plan,
        "mode": caller.mode,
        "credits": number_of(account.credits),
        "quota": number_of(account.quota_credits),
        "rate": {"limit": rate.limit, "remaining": rate.remaining, "reset_s": rate.reset_s} if rate else None,
        "jobs": dict(context.job_counts),
    }
    return Info(200, body)


def number_of(amount: Decimal) -> int | float:
    """Credits as JSON has numbers: whole where they are."""
    return int(amount) if amount == amount.to_integral_value() else float(amount)


# --- errors and the key ---------------------------------------------------------------------------------------------


def render_error(status: int, code: str, error: ApiError, request_id: str) -> Mapping[str, object]:
    """RFC 9457: ``code`` is what failed, and the facts of the failure stand beside it."""
    facts, detail = dict(error.facts), error.message
    if code.startswith("region_"):  # elsewhere the option is called as remove.bg calls it
        facts |= {"option": "region"}
        detail = f"region:{detail.removeprefix('roi:')}"
    problem = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return {**facts, **problem, "code": code, "request_id": request_id}


def _find_key(headers: Headers, _query: Headers) -> str | None:
    if key := headers.get("x-api-key", "").strip():
        return key
    scheme, _, key = headers.get("authorization", "").strip().partition(" ")
    return (key.strip() or None) if scheme.lower() == "bearer" else None


# --- the dialect ----------------------------------------------------------------------------------------------------

# The code is the kind itself.
_STATUSES = {
    "key_missing": 401,
    "key_wrong": 401,
    "key_revoked": 401,
    "account_barred": 403,
    "no_credits": 402,
    "rate_limited": 429,
    "missing_image": 400,
    "multiple_images": 400,
    "malformed_body": 400,
    "unsupported_body": 415,
    "slow_body": 408,
    "too_many_bytes": 413,
    "invalid_option": 400,
    "multiple_grounds": 400,
    "region_out_of_bounds": 422,
    "region_empty": 422,
    "not_acceptable": 406,
    "unreadable_image": 422,
    "unsupported_image": 415,
    "too_many_pixels": 413,
    "fetch_failed": 422,
    "ground_failed": 422,
    "nothing_found": 422,
    "job_not_found": 404,
    "job_forbidden": 404,
    "job_not_ready": 409,
    "not_found": 404,
    "method_not_allowed": 405,
    "overloaded": 503,
    "internal": 500,
}

_ASKS = Asks(
    PictureNames(files=("image",), links=("image_url",), encoded=("image_base64",)),
    ground=PictureNames(files=("background_image",), links=("background_url",), encoded=("background_base64",)),
    options={name: option.reader for name, option in OPTIONS.items()},
    texts={"model": "A model beside the default, where the operator loaded some."},
    words={name: option.help for name, option in OPTIONS.items()},
    bodies=(*EVERY_BODY, "raw"),
)
_JOB_ASKS = replace(_ASKS, links={"webhook_url": "Who is told when the job is over."})

DIALECT = Dialect(
    name="bgone",
    title="bgone v1",
    operations=(
        Operation("cut", "POST", ("/cut/v1", "/cut/v1/"), Cut(parse, render), asks=_ASKS),
        Operation(
            "submit",
            "POST",
            ("/cut/v1/jobs", "/cut/v1/jobs/"),
            Submit(_parse_job, _taken, wait_s=_never, webhook=job_body),
            asks=_JOB_ASKS,
        ),
        Operation("job", "GET", ("/cut/v1/jobs/{id}", "/cut/v1/jobs/{id}/"), Show(_shown)),
        Operation("account", "GET", ("/cut/v1/account", "/cut/v1/account/"), Tell(_account, counts_jobs=True)),
    ),
    failures={kind: (status, kind) for kind, status in _STATUSES.items()},
    render_error=render_error,
    find_key=_find_key,
    file_bytes=FILE_BYTES,
    error_media_type="application/problem+json",
)
