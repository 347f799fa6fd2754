"""An account's own jobs, whichever dialect took them: ``GET /jobs/v1``, ``GET`` and ``DELETE /jobs/v1/{id}``.

Keys and errors are the native dialect's. Nobody learns whether somebody else has a job of a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from bgone.api.asks import Asks
from bgone.api.dialect import Context, Dialect, Forget, Headers, Info, Operation, Page, Show, ShowAll
from bgone.api.dialects import native
from bgone.api.options import integer
from bgone.errors import ApiError, job_not_found
from bgone.jobs.job import Job, read_id

ROOT = "/jobs/v1"
_LIMIT, _OFFSET = integer(1, 1_000), integer(0, 1_000_000)


def _page(query: Headers) -> Page:
    return Page(_LIMIT("limit", query.get("limit", "100")), _OFFSET("offset", query.get("offset", "0")))


def _view(job: Job, context: Context) -> Mapping[str, object]:
    return {**native.job_body(job, context), "dialect": job.dialect, "credits": native.number_of(job.price)}


def _show(job: Job, context: Context) -> Info:
    return Info(200, _view(job, context))


def _show_all(jobs: tuple[Job, ...], page: Page, context: Context) -> Info:
    # A full page may have another behind it.
    next_offset = page.offset + page.limit if len(jobs) == page.limit else None
    return Info(200, {"jobs": [_view(job, context) for job in jobs], "next_offset": next_offset})


def _deleted(job: Job, _context: Context) -> Info:
    return Info(200, {"id": job.id, "deleted": True})


def _render_error(status: int, code: str, error: ApiError, request_id: str) -> Mapping[str, object]:
    if code == "job_forbidden":
        error = job_not_found()
        code = error.kind
    return native.DIALECT.render_error(status, code, error, request_id)


_PAGE = Asks(query={"limit": _LIMIT, "offset": _OFFSET}, bodies=())

# Not among the dialects that share paths: its routes are its own.
DIALECT: Dialect = replace(
    native.DIALECT,
    name="jobs",
    title="bgone jobs",
    operations=(
        Operation("list", "GET", (ROOT,), ShowAll(_page, _show_all, of_all=True), asks=_PAGE),
        Operation("show", "GET", (ROOT + "/{id}",), Show(_show, read_id)),
        Operation("delete", "DELETE", (ROOT + "/{id}",), Forget(_deleted, read_id)),
    ),
    render_error=_render_error,
    hosts=(),
)
