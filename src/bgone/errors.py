"""One error type: words for the client apart from detail for the log.

Raise where you know what went wrong, through one of the constructors below; the conductor renders it in the dialect of
the request; nothing in between catches. ``kind`` is a row of the failure table in ``docs/errors.md``; each dialect maps
kinds to its own status and code.
"""

from __future__ import annotations


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
    return ApiError("key_missing", "An API key is required: send it in the x-api-key header.")


def key_wrong() -> ApiError:
    return ApiError("key_wrong", "This API key is not known.")


# --- the body -------------------------------------------------------------------------------------------------------


def missing_image(fields: str) -> ApiError:
    return ApiError("missing_image", f"No picture was sent: expected one of {fields}.")


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
