"""``/jobs/v1``: an account looks at all its jobs and removes them at once, wherever they are kept."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

import pytest
from httpx2 import Client

from tests.api.hosts import ENOUGH_S, GIVEN, PHOTO, WHERE, Host, host, silence, told, until
from tests.pictures import decode


@pytest.fixture(scope="module", params=WHERE)
def hosted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """Jobs are waited for, however slow the machine."""
    with host(request.param, tmp_path_factory.mktemp("host"), job_wait_s=ENOUGH_S) as found:
        yield found


def hand_in(client: Client, **data: str) -> str:
    """A jobid job's id."""
    files = None if data else {"image_file": ("x.jpg", PHOTO)}
    job_id: str = told(client.post("/api/v1/remove-bg", files=files, data=data))["jobId"]
    return job_id


def done(client: Client, job_id: str) -> dict[str, object]:
    """A job as it is shown when it is over."""

    def look() -> dict[str, object] | None:
        shown: dict[str, object] = told(client.get(f"/jobs/v1/{job_id}"))
        return shown if shown["status"] not in ("queued", "running") else None

    found: dict[str, object] = until(look)
    assert found["status"] == "done", found
    return found


def refused(answer: object) -> tuple[int, str]:
    """Status and code of an error."""
    return answer.status_code, answer.json()["code"]  # type: ignore[attr-defined]


def test_an_account_removes_its_jobs_at_once(hosted: Host) -> None:
    """All dialects' are listed; a result goes with its job, and stays paid for; nobody else can remove it."""
    with hosted.owner() as mine, hosted.owner() as yours:
        client, other = mine.client, yours.client
        first = hand_in(client)
        result = done(client, first)
        answer = told(client.post("/poofbg/v1/remove-background", files={"file": ("x.jpg", PHOTO)}))
        assert answer["status"] == "completed", answer
        listed = told(client.get("/jobs/v1"))
        assert [job["dialect"] for job in listed["jobs"]] == ["poofbg", "jobid"]
        assert (listed["jobs"][1]["id"], listed["next_offset"]) == (first, None)
        page = told(client.get("/jobs/v1?limit=1"))
        assert ([job["dialect"] for job in page["jobs"]], page["next_offset"]) == (["poofbg"], 1)
        link = str(result["result_url"])
        assert decode(client.get(link).content).shape == (40, 61, 4)

        assert told(other.get("/jobs/v1"))["jobs"] == []
        assert refused(other.get(f"/jobs/v1/{first}")) == (404, "job_not_found")
        assert refused(other.delete(f"/jobs/v1/{first}")) == (404, "job_not_found")
        assert client.get(link).status_code == 200

        second = listed["jobs"][0]["id"]
        assert told(client.delete(f"/jobs/v1/{first}")) == {"id": first, "deleted": True}
        assert client.get(link).status_code == 404
        assert client.get(f"/api/v1/jobs/{first}").status_code == 404
        assert refused(client.get(f"/jobs/v1/{first}")) == (404, "job_not_found")
        assert refused(client.delete(f"/jobs/v1/{first}")) == (404, "job_not_found")
        assert [job["id"] for job in told(client.get("/jobs/v1"))["jobs"]] == [second]
        told(client.delete(f"/jobs/v1/job_{second.upper()}"))  # as any dialect spells it
        key = link.partition("/results/")[2].partition("/")[0]
        until(lambda: key not in hosted.stored())
        assert hosted.left(mine) in (None, (Decimal(GIVEN - 2), Decimal(0)))


def test_a_job_under_way_is_cancelled_first(hosted: Host) -> None:
    """It costs nothing, and whoever works on it leaves it."""
    with hosted.owner() as mine, silence() as nowhere:
        client = mine.client
        job_id = hand_in(client, image_url=nowhere)
        until(lambda: told(client.get(f"/jobs/v1/{job_id}"))["status"] == "running")
        assert hosted.left(mine) in (None, (Decimal(GIVEN - 1), Decimal(1)))
        told(client.delete(f"/jobs/v1/{job_id}"))
        assert told(client.get("/jobs/v1"))["jobs"] == []
        assert hosted.left(mine) in (None, (Decimal(GIVEN), Decimal(0)))
        done(client, hand_in(client))  # its place is another's


def test_what_is_asked_for_is_read_strictly(hosted: Host) -> None:
    """Pages, methods and keys."""
    with hosted.owner() as mine:
        client = mine.client
        assert refused(client.get("/jobs/v1?limit=0")) == (400, "invalid_option")
        assert refused(client.get("/jobs/v1?offset=x")) == (400, "invalid_option")
        assert refused(client.delete("/jobs/v1")) == (405, "method_not_allowed")
        assert refused(client.delete("/jobs/v1/%00")) == (404, "job_not_found")
        assert client.get("/jobs/v1", headers={"x-api-key": "wrong"}).status_code == 401
