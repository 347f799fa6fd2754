"""Jobs, their webhooks and the server itself, for the admin API: whosever the jobs are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from bgone.api.admin_asks import Asked, Operation, Page
from bgone.api.job_values import (
    Deleted,
    DeliveryList,
    JobFacts,
    JobList,
    Redelivered,
    delivery_list,
    job_facts,
)
from bgone.api.running import Running, ServerFacts
from bgone.errors import ApiError, job_not_found
from bgone.jobs import deliveries
from bgone.jobs.delivery_rows import TableDeliveries
from bgone.jobs.job import State, read_id
from bgone.jobs.job_rows import find_job, newest_jobs

if TYPE_CHECKING:
    from bgone.jobs.job_rows import JobLine

Meta = msgspec.Meta
_Account = Annotated[str, Meta(description="Only this account's, by name or id.")]


class JobPage(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which jobs."""

    account: _Account = ""
    state: Annotated[State | None, Meta(description="Only those in this state.")] = None


class DeliveryPage(Page, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which webhooks."""

    account: _Account = ""
    state: Annotated[deliveries.State | None, Meta(description="Only those in this state.")] = None


# --- jobs -----------------------------------------------------------------------------------------------------------


async def _list_jobs(asked: Asked) -> JobList:
    page: JobPage = asked.query
    owner = await _owner(asked, page.account)
    found = await newest_jobs(asked.books.db, page.limit, owner, page.state or "", page.offset)
    return JobList(jobs=[job_facts(line) for line in found])


async def _show_job(asked: Asked) -> JobFacts:
    return job_facts(await _job(asked))


async def _cancel_job(asked: Asked) -> JobFacts:
    line = await _job(asked)
    await _running(asked).book.cancel(line.id)
    return job_facts(await _job(asked))


async def _delete_job(asked: Asked) -> Deleted:
    line = await _job(asked)
    removed = await _running(asked).book.delete(line.owner, line.id)
    if not removed:  # somebody, or its time, was faster
        raise job_not_found()
    return Deleted(job_id=line.id, deleted=True, state="gone")


async def _job(asked: Asked) -> JobLine:
    line = await find_job(asked.books.db, read_id(asked.name))
    if line is None:
        raise job_not_found()
    return line


# --- webhooks -------------------------------------------------------------------------------------------------------


async def _list_deliveries(asked: Asked) -> DeliveryList:
    page: DeliveryPage = asked.query
    owner = await _owner(asked, page.account)
    kept = TableDeliveries(asked.books.db)
    return delivery_list(await kept.newest(page.limit, owner, page.state or "", page.offset), with_tries=False)


async def _deliveries_of(asked: Asked) -> DeliveryList:
    kept = TableDeliveries(asked.books.db)
    return delivery_list(await kept.of_job(read_id(asked.name)), with_tries=True)


async def _redeliver(asked: Asked) -> Redelivered:
    job_id = read_id(asked.name)
    count = await _running(asked).webhooks.redeliver(job_id)
    if count == 0:
        raise ApiError("job_not_found", "Nothing was to be told of such a job, or it is forgotten.")
    return Redelivered(job_id=job_id, messages=count)


# --- the server -----------------------------------------------------------------------------------------------------


async def _show_server(asked: Asked) -> ServerFacts:
    return _running(asked).facts()


async def _owner(asked: Asked, account: str) -> str:
    return (await asked.books.accounts.get(account)).id if account else ""


def _running(asked: Asked) -> Running:
    if asked.running is None:
        raise ApiError("not_found", "No server runs here.")
    return asked.running


_JOB = "/jobs/{job}"
OPERATIONS: tuple[Operation, ...] = (
    Operation("listJobs", "GET", "/jobs", "Jobs, newest first.", _list_jobs, JobList, query=JobPage),
    Operation("showJob", "GET", _JOB, "A job, by its id as its API told it.", _show_job, JobFacts),
    Operation("cancelJob", "POST", f"{_JOB}/cancel", "End a job that is not over.", _cancel_job, JobFacts),
    Operation("deleteJob", "DELETE", _JOB, "Remove a job with its pictures, at once.", _delete_job, Deleted),
    Operation(
        "listDeliveriesOf", "GET", f"{_JOB}/deliveries", "Its webhooks, with each try.", _deliveries_of, DeliveryList
    ),
    Operation("redeliver", "POST", f"{_JOB}/redeliver", "Send all of them again.", _redeliver, Redelivered),
    Operation(
        "listDeliveries",
        "GET",
        "/deliveries",
        "Webhooks, newest first.",
        _list_deliveries,
        DeliveryList,
        query=DeliveryPage,
    ),
    Operation("showServer", "GET", "/server", "What runs here, and how busy it is.", _show_server, ServerFacts),
)
