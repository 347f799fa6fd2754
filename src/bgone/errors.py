"""One error type: words for the client apart from detail for the log.

Raise where you know what went wrong, through one of the constructors below; the conductor renders it in the dialect of
the request; nothing in between catches. ``kind`` is a row of the failure table in ``docs/errors.md``; each dialect maps
kinds to its own status and code.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

KINDS = (
    # who asks
    "key_missing", "key_wrong", "key_revoked", "account_barred", "no_credits", "rate_limited",
    # what was sent
    "missing_image", "multiple_images", "malformed_body", "unsupported_body", "slow_body", "too_many_bytes",
    "invalid_option", "multiple_grounds", "region_out_of_bounds", "region_empty", "not_acceptable",
    # the picture
    "unreadable_image", "unsupported_image", "too_many_pixels", "fetch_failed", "ground_failed", "nothing_found",
    # jobs
    "job_not_found", "job_forbidden", "job_not_ready",
    # the server
    "not_found", "method_not_allowed", "overloaded", "internal",
)  # fmt: skip


class ApiError(Exception):
    """A complaint that a client may read.

    Attributes:
        kind: Row of the failure table, e.g. ``"unreadable_image"``.
        message: Public words: which option, what was expected, what came. Never decoder text or a path.
        detail: Private words for the log; never sent.
        facts: Public machine-readable facts (option, expected, got, limits), JSON types only.
        retry_after_s: Whole seconds for ``Retry-After``, or None.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        *,
        detail: str = "",
        facts: dict[str, object] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.detail = detail
        self.facts: dict[str, object] = facts or {}
        self.retry_after_s = retry_after_s


class ClientGone(Exception):  # noqa: N818 - an event, not an error
    """The client hung up: stop the work, answer nobody."""


# --- who asks -------------------------------------------------------------------------------------------------------


def key_missing() -> ApiError:
    return ApiError("key_missing", "An API key is required.")


def key_wrong() -> ApiError:
    return ApiError("key_wrong", "This API key is not known.")


def key_revoked() -> ApiError:
    """Revoked, or its time is over."""
    return ApiError("key_revoked", "This API key is no longer valid.")


def account_barred() -> ApiError:
    return ApiError("account_barred", "This account is barred.")


def no_credits(needed: str = "", left: str = "") -> ApiError:
    """``needed`` and ``left`` in credits, where they are known."""
    facts: dict[str, object] = {"needed": needed, "left": left} if needed else {}
    return ApiError("no_credits", "Not enough credits.", facts=facts)


def rate_limited(retry_after_s: float, rate: Mapping[str, int] | None = None) -> ApiError:
    """``rate``: limit, remaining, reset_at and reset_s of the window that is used up."""
    return ApiError(
        "rate_limited",
        "Rate limit exceeded",
        facts=dict(rate or {}),
        retry_after_s=max(1, math.ceil(retry_after_s)),
    )


# --- the body -------------------------------------------------------------------------------------------------------


def missing_image(fields: str) -> ApiError:
    return ApiError("missing_image", f"No picture was sent: expected one of {fields}.")


def multiple_images(fields: str) -> ApiError:
    return ApiError("multiple_images", f"More than one picture was sent: expected exactly one of {fields}.")


def multiple_grounds(fields: str) -> ApiError:
    return ApiError("multiple_grounds", f"More than one background was sent: expected at most one of {fields}.")


def not_acceptable(accepted: str, got: str) -> ApiError:
    return ApiError("not_acceptable", f"Accept names nothing that can be made here: expected {accepted}.", detail=got)


def malformed_body(expected: str, detail: str = "") -> ApiError:
    return ApiError("malformed_body", f"The request body could not be read: expected {expected}.", detail=detail)


def unsupported_body(got: str) -> ApiError:
    return ApiError(
        "unsupported_body",
        "The body is neither multipart/form-data, JSON, a urlencoded form nor a picture.",
        detail=f"content type {got!r}",
    )


def too_many_parts(limit: int) -> ApiError:
    return ApiError("malformed_body", f"At most {limit} form fields are read; this body has more.")


def too_many_bytes(limit_bytes: int) -> ApiError:
    megabytes = limit_bytes / 1_000_000
    return ApiError("too_many_bytes", f"image too large (>{megabytes:g} MB).", facts={"limit_bytes": limit_bytes})


def slow_body() -> ApiError:
    return ApiError("slow_body", "The request body arrived too slowly.")


def invalid_option(option: str, expected: str, got: object) -> ApiError:
    """Say which option, what was expected, what came (shortened to 80 characters)."""
    came = str(got)
    came = came if len(came) <= 80 else came[:77] + "..."
    return ApiError(
        "invalid_option",
        f"{option}: expected {expected}, got {came!r}.",
        facts={"option": option, "expected": expected, "got": came},
    )


# --- the picture ----------------------------------------------------------------------------------------------------


def unreadable_image(detail: str) -> ApiError:
    return ApiError("unreadable_image", "The picture is damaged, truncated or not a picture.", detail=detail)


def unsupported_image(what: str, accepted: str) -> ApiError:
    return ApiError("unsupported_image", f"{what} is not accepted here; send {accepted}.")


def broken_base64(field: str, detail: str = "") -> ApiError:
    return ApiError("unreadable_image", f"{field} is not valid base64.", detail=detail)


def too_many_pixels(got: int, limit: int) -> ApiError:
    return ApiError(
        "too_many_pixels",
        f"At most {limit} pixels; this picture has {got}.",
        facts={"pixels": got, "limit_pixels": limit},
    )


def side_too_long(got: int, limit: int) -> ApiError:
    return ApiError(
        "too_many_pixels",
        f"At most {limit} pixels a side; this picture has {got}.",
        facts={"side": got, "limit_side": limit},
    )


def fetch_failed(why: str, detail: str = "") -> ApiError:
    """``why`` is public: "the address is not allowed", "timed out"; what a scanner could use stays in ``detail``."""
    return ApiError("fetch_failed", f"The picture could not be fetched: {why}.", detail=detail)


def ground_failed(error: ApiError) -> ApiError:
    """The background picture could not be fetched or read, as ``error`` says of a photo."""
    facts = {**error.facts, "cause": error.kind}
    return ApiError("ground_failed", f"Background: {error.message}", detail=error.detail, facts=facts)


def region_out_of_bounds(got: str, width: int, height: int) -> ApiError:
    facts: dict[str, object] = {"option": "roi", "got": got}
    return ApiError("region_out_of_bounds", f"roi: {got!r} leaves the picture of {width} x {height}.", facts=facts)


def region_empty(got: str) -> ApiError:
    return ApiError("region_empty", f"roi: {got!r} holds no pixel.", facts={"option": "roi", "got": got})


def nothing_found() -> ApiError:
    return ApiError("nothing_found", "No foreground was found in the picture.")


# --- jobs -----------------------------------------------------------------------------------------------------------


def job_not_found() -> ApiError:
    return ApiError("job_not_found", "There is no such job or picture.")


def job_forbidden() -> ApiError:
    return ApiError("job_forbidden", "This job belongs to another account.")


def job_not_ready(state: str) -> ApiError:
    return ApiError("job_not_ready", f"This job has no result: it is {state}.", facts={"state": state})


# --- the server -----------------------------------------------------------------------------------------------------


def overloaded(retry_after_s: int, why: str) -> ApiError:
    return ApiError(
        "overloaded", "The server is busy; try again later.", detail=why, retry_after_s=max(1, retry_after_s)
    )


def deadline_passed(retry_after_s: int) -> ApiError:
    return ApiError(
        "overloaded",
        "The picture was not ready in time; try again later.",
        detail="deadline",
        retry_after_s=max(1, retry_after_s),
    )


def internal(detail: str) -> ApiError:
    return ApiError("internal", "Something went wrong on our side.", detail=detail)


def not_found() -> ApiError:
    return ApiError("not_found", "There is nothing at this address.")


def method_not_allowed(allowed: str) -> ApiError:
    return ApiError("method_not_allowed", f"This address answers {allowed} only.", facts={"allowed": allowed})


class StartError(Exception):
    """The server cannot start as it is set up: one line that says what is wrong and what to do."""
