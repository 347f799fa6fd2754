"""Who waits for a job and hangs up: pays nothing where the call was all there was; a job that was promised goes on."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from decimal import Decimal
from urllib.parse import urlencode

import pytest

from tests.api.hosts import ENOUGH_S, GIVEN, WHERE, Host, Owner, host, silence, told, until

FORM = "application/x-www-form-urlencoded"
PICSART = "/picsart/tools/1.0/removebg"


@pytest.fixture(scope="module", params=WHERE)
def hosted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """More jobs may be worked on than are left under way here."""
    with host(request.param, tmp_path_factory.mktemp("host"), jobs_running=4, seats=6, job_wait_s=ENOUGH_S) as found:
        yield found


def states(owner: Owner) -> dict[str, str]:
    """Job → how it stands."""
    return {job["id"]: job["status"] for job in told(owner.client.get("/jobs/v1"))["jobs"]}


def hang_up(hosted: Host, owner: Owner, path: str, body: str, media_type: str, *, name: str = "") -> str:
    """Ask, and leave when the work has begun: the job's id."""
    known = states(owner)
    headers = {name: value for name, value in owner.client.headers.items() if "key" in name or name == "authorization"}
    headers |= {"content-type": media_type, **({"idempotency-key": name} if name else {})}
    line = http.client.HTTPConnection("127.0.0.1", hosted.served.port, timeout=ENOUGH_S)
    line.request("POST", path, body, headers)

    def begun() -> str:
        return next((job for job, state in states(owner).items() if job not in known and state == "running"), "")

    try:
        return str(until(begun))
    finally:
        line.close()


@pytest.mark.parametrize(
    ("path", "field"), [(PICSART, "image_url"), ("/slazzer/api/v1/remove_image_background", "source_image_url")]
)
def test_a_call_that_is_left_is_not_paid_for(hosted: Host, path: str, field: str) -> None:
    """It was never told a name to come back with: the job is cancelled, what it held is given back."""
    with hosted.owner() as mine, silence() as nowhere:
        job = hang_up(hosted, mine, path, urlencode({field: nowhere}), FORM)
        until(lambda: states(mine)[job] == "cancelled")
        assert hosted.left(mine) in (None, (Decimal(GIVEN), Decimal(0)))


@pytest.mark.parametrize(
    ("path", "form", "name"), [("/poofbg/v1/remove-background", False, ""), (PICSART, True, "order 7")]
)
def test_a_job_that_can_be_asked_for_goes_on(hosted: Host, path: str, form: bool, name: str) -> None:
    """By the API's own list, or by the same call under the same name."""
    with hosted.owner() as mine, silence() as nowhere:
        asked = {"image_url": nowhere}
        body, media_type = (urlencode(asked), FORM) if form else (json.dumps(asked), "application/json")
        kept = hang_up(hosted, mine, path, body, media_type, name=name)
        left = hang_up(hosted, mine, PICSART, urlencode(asked), FORM)
        # When that one has been seen to be cancelled, the one before would have been as well.
        until(lambda: states(mine)[left] == "cancelled")
        assert states(mine)[kept] == "running"
        assert hosted.left(mine) in (None, (Decimal(GIVEN - 1), Decimal(1)))
        told(mine.client.delete(f"/jobs/v1/{kept}"))
