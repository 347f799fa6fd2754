"""Foner v1: what its fields mean, what its answers look like, and a job's life over real HTTP."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import numpy as np
import pytest
from httpx2 import Client, Response

from bgone.api.auth import Account, Caller
from bgone.api.dialect import Context, Download, Show, Submit, Tell
from bgone.api.dialects.foner import DIALECT
from bgone.api.fields import Fields, File
from bgone.errors import KINDS, ApiError, key_wrong
from bgone.jobs.job import Failure, Job, State, Stored
from bgone.pipeline.order import WHITE, Colour, Link, RenderOptions, Upload
from tests import pictures
from tests.origin import site
from tests.pictures import ball, decode
from tests.serving import Served, serve

photo = partial(pictures.photo, of=ball)
PHOTO = photo(161, 120)
DATA = b"picture"
KEYS = ("fnr_mine", "fnr_yours")
OPERATIONS: dict[str, Any] = {operation.name: operation.does for operation in DIALECT.operations}
SUBMIT: Submit = OPERATIONS["remove-bg"]
SHOW: Show = OPERATIONS["job"]
DOWNLOAD: Download = OPERATIONS["download"]
TELL: Tell = OPERATIONS["account"]

STARTED = datetime(2026, 1, 15, 10, 30, 0, 900_000, tzinfo=UTC)
ENDED = datetime(2026, 1, 15, 10, 30, 2, tzinfo=UTC)
STORED = Stored("k" * 32, "image/png", ".png", 1000, 61, 40)
QUEUED = Job("0b8f", "foner", "me", "queued", STARTED)
RUNNING = replace(QUEUED, state="running")
DONE = replace(QUEUED, state="done", finished_at=ENDED, result=STORED)
FAILED = replace(
    QUEUED, state="failed", finished_at=ENDED, failure=Failure("unreadable_image", "Damaged."), price=Decimal(0)
)
CONTEXT = Context("req_1", base_url="https://host")


# --- fields to order ------------------------------------------------------------------------------------------------


def with_file(**query: str) -> Fields:
    return Fields("multipart", files={"file": File(DATA, "blob", "application/octet-stream")}, query=query)


SOURCES = {
    "file": (with_file(), Upload(DATA)),
    "url in a multipart form": (Fields("multipart", {"image_url": " https://a.test/b "}), Link("https://a.test/b")),
    "url in a urlencoded form": (Fields("urlencoded", {"image_url": "https://a.test/b"}), Link("https://a.test/b")),
    "both: the file": (Fields("multipart", {"image_url": "https://a.test/"}, {"file": File(DATA)}), Upload(DATA)),
}


@pytest.mark.parametrize("way", SOURCES)
def test_the_picture_is_found(way: str) -> None:
    """A file or a URL; what is made is a transparent PNG of full size, other formats come by download."""
    fields, expected = SOURCES[way]

    assert SUBMIT.parse(fields).source == expected
    assert SUBMIT.parse(fields).options == RenderOptions()


@pytest.mark.parametrize(
    "fields", [Fields("none"), Fields("multipart", {"file": "text"}), Fields("multipart", files={"image": File(DATA)})]
)
def test_without_a_picture(fields: Fields) -> None:
    """Missing, or in a field that this provider does not have."""
    with pytest.raises(ApiError) as caught:
        SUBMIT.parse(fields)
    assert caught.value.kind == "missing_image"


@pytest.mark.parametrize(
    ("query", "seconds"),
    [
        ({}, 30),
        ({"async": "true"}, 0),
        ({"async": "1"}, 0),
        ({"async": "TRUE"}, 0),
        ({"async": "false"}, 30),
        ({"async": "0"}, 30),
    ],
)
def test_async_does_not_wait(query: dict[str, str], seconds: float) -> None:
    """The query parameter decides; without it the call waits as long as the server is set to."""
    assert SUBMIT.wait_s(SUBMIT.parse(with_file(**query)), 30) == seconds


def test_async_is_a_query_parameter() -> None:
    """A form field of that name means nothing; a value that is no boolean is named."""
    fields = Fields("multipart", {"async": "true"}, {"file": File(DATA)})
    assert SUBMIT.wait_s(SUBMIT.parse(fields), 30) == 30
    with pytest.raises(ApiError, match="async: expected true"):
        SUBMIT.parse(with_file(**{"async": "perhaps"}))


# --- download -------------------------------------------------------------------------------------------------------


def options(**query: str) -> RenderOptions:
    return DOWNLOAD.parse(DONE, replace(CONTEXT, query=query))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, RenderOptions(own_alpha="asis")),
        ({"format": "png", "bg": "00ff00"}, RenderOptions(own_alpha="asis")),
        ({"format": "webp", "bg": "nonsense"}, RenderOptions("webp", own_alpha="asis")),
        ({"format": "jpeg"}, RenderOptions("jpg", background=WHITE, own_alpha="asis")),
        ({"format": "JPG"}, RenderOptions("jpg", background=WHITE, own_alpha="asis")),
        ({"format": "jpeg", "bg": "00FF80"}, RenderOptions("jpg", background=Colour(0, 255, 128), own_alpha="asis")),
        ({"format": "jpeg", "bg": "#00ff80"}, RenderOptions("jpg", background=Colour(0, 255, 128), own_alpha="asis")),
    ],
)
def test_download_options(query: dict[str, str], expected: RenderOptions) -> None:
    """The stored cutout is written anew; a ground is for JPEG only, and white unless said."""
    assert options(**query) == expected


@pytest.mark.parametrize("query", [{"format": "gif"}, {"format": "jpeg", "bg": "greenish"}])
def test_bad_download_options(query: dict[str, str]) -> None:
    """Named, with what was expected."""
    with pytest.raises(ApiError) as caught:
        options(**query)
    assert caught.value.facts["option"] in query
    assert DIALECT.failures[caught.value.kind][0] == 422


@pytest.mark.parametrize(("job", "state"), [(QUEUED, "queued"), (RUNNING, "processing"), (FAILED, "failed")])
def test_nothing_to_download(job: Job, state: str) -> None:
    """409, and the provider's word for how the job stands."""
    with pytest.raises(ApiError) as caught:
        DOWNLOAD.parse(job, CONTEXT)
    assert DIALECT.failures[caught.value.kind] == (409, "job_not_ready")
    assert caught.value.facts["state"] == state


# --- answers --------------------------------------------------------------------------------------------------------


def test_done_job() -> None:
    """200 with where to download, on the host that was asked."""
    for info in (SUBMIT.render(DONE, CONTEXT), SHOW.render(DONE, CONTEXT)):
        assert info.status == 200
        assert info.body == {
            "job_id": "0b8f",
            "status": "completed",
            "error_code": None,
            "error": None,
            "download_url": "https://host/v1/jobs/0b8f/download",
            "created_at": "2026-01-15T10:30:00Z",
            "completed_at": "2026-01-15T10:30:02Z",
        }


@pytest.mark.parametrize(("job", "status"), [(QUEUED, "queued"), (RUNNING, "processing")])
def test_job_under_way(job: Job, status: str) -> None:
    """202 with two fields to whoever submitted it; 200 with all of them, null where nothing is known, afterwards."""
    submitted = SUBMIT.render(job, CONTEXT)
    assert (submitted.status, submitted.body) == (202, {"job_id": "0b8f", "status": status})
    shown = SHOW.render(job, CONTEXT)
    assert shown.status == 200
    assert shown.body == {
        "job_id": "0b8f",
        "status": status,
        "error_code": None,
        "error": None,
        "download_url": None,
        "created_at": "2026-01-15T10:30:00Z",
        "completed_at": None,
    }


def test_failed_job() -> None:
    """The code that the call would have been refused with, and its words."""
    body = SHOW.render(FAILED, CONTEXT).body

    assert (body["status"], body["error_code"], body["error"]) == ("failed", "invalid_image", "Damaged.")
    assert (body["download_url"], body["completed_at"]) == (None, "2026-01-15T10:30:02Z")


@pytest.mark.parametrize("kind", KINDS)
def test_every_failure_can_be_told_of_a_job(kind: str) -> None:
    """Whatever failed, polling answers."""
    info = SHOW.render(replace(FAILED, failure=Failure(kind, "Words.")), CONTEXT)

    assert info.body["error_code"] == DIALECT.failures[kind][1]


@pytest.mark.parametrize("state", ["cancelled", "expired"])
def test_jobs_that_ended_otherwise_are_failed(state: State) -> None:
    """There is no other word for it."""
    assert SHOW.render(replace(QUEUED, state=state, finished_at=ENDED), CONTEXT).body["status"] == "failed"


def test_account() -> None:
    """A credit is the price of a picture; jobs are counted by what became of them."""
    context = Context(
        "req_1",
        Caller("me", Account(subscription_credits=Decimal(42))),
        job_counts={"done": 11, "failed": 1, "cancelled": 2, "queued": 3, "running": 4},
    )

    assert TELL.answer(context).body == {
        "balance": 4.2,
        "currency": "USD",
        "price_per_image": 0.1,
        "jobs": {"total": 21, "completed": 11, "failed": 3, "processing": 7},
    }


# --- keys and errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "key"),
    [({"x-api-key": " fnr_x "}, "fnr_x"), ({"authorization": "Bearer fnr_x"}, None), ({"x-api-key": ""}, None)],
)
def test_keys_have_their_header(headers: dict[str, str], key: str | None) -> None:
    """``X-API-Key`` and no other place."""
    assert DIALECT.find_key(headers, {"api_key": "fnr_y"}) == key


def test_every_failure_has_its_code() -> None:
    """Every kind; whatever is wrong with a picture or an option is 422."""
    assert set(DIALECT.failures) == set(KINDS)
    statuses = {
        DIALECT.failures[kind][0] for kind in ("missing_image", "too_many_bytes", "too_many_pixels", "internal")
    }
    assert statuses == {422}


def test_errors_are_found_on_every_common_path() -> None:
    """Nested code and message, flat code and detail."""
    assert DIALECT.render_error(401, "invalid_api_key", key_wrong(), "req_1") == {
        "error": {"code": "invalid_api_key", "message": "This API key is not known."},
        "code": "invalid_api_key",
        "detail": "This API key is not known.",
    }


# --- over HTTP ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    with server.client() as client:
        client.headers["x-api-key"] = "fnr_anybody"
        yield client


def submit(client: Client, picture: bytes = PHOTO, query: str = "", **headers: str) -> Response:
    return client.post(
        f"/v1/remove-bg{query}", files={"file": ("blob", picture, "application/octet-stream")}, headers=headers
    )


def code_of(answer: Response) -> tuple[int, str]:
    body = answer.json()
    assert body["error"]["code"] == body["code"]
    assert body["error"]["message"] == body["detail"]
    return answer.status_code, body["code"]


def ended(client: Client, job_id: str) -> dict[str, Any]:
    """The job once it is over."""
    give_up_at = time.monotonic() + 30
    while time.monotonic() < give_up_at:
        job: dict[str, Any] = client.get(f"/v1/jobs/{job_id}").json()
        if job["status"] not in ("queued", "processing"):
            return job
        time.sleep(0.02)
    raise AssertionError("the job never ended")


def test_the_call_waits_for_its_picture(client: Client) -> None:
    """200 with a job whose download gives the cutout, as PNG unless another format is asked for."""
    answer = submit(client)
    job = answer.json()

    assert (answer.status_code, job["status"], job["error_code"]) == (200, "completed", None)
    assert re.fullmatch(r"[0-9a-f]{32}", job["job_id"])
    assert job["download_url"] == f"{str(client.base_url).rstrip('/')}/v1/jobs/{job['job_id']}/download"
    picture = client.get(job["download_url"])
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    pixels = decode(picture.content)
    assert pixels.shape == (120, 161, 4)
    assert (pixels[60, 80, 3], pixels[2, 2, 3]) == (255, 0)
    assert client.get(f"/v1/jobs/{job['job_id']}").json() == job


def test_downloads_in_every_format(client: Client) -> None:
    """The same cutout as WebP with its transparency, and as JPEG on white or on a colour."""
    url = submit(client).json()["download_url"]
    png = decode(client.get(url).content)

    webp = client.get(url, params={"format": "webp"})
    assert webp.headers["content-type"] == "image/webp"
    # WebP keeps alpha exactly as its encoder was given it (lossless alpha plane).
    assert np.array_equal(decode(webp.content)[..., 3], png[..., 3])
    for query, ground in (({}, (255, 255, 255)), ({"bg": "00FF00"}, (0, 255, 0))):
        jpeg = client.get(url, params={"format": "jpeg", **query})
        assert jpeg.headers["content-type"] == "image/jpeg"
        pixels = decode(jpeg.content)
        assert pixels.shape[:2] == (120, 161)
        # JPEG of quality 90 keeps a plain ground within a few levels.
        assert np.abs(pixels[2, 2, :3].astype(int) - ground).max() <= 4
        assert np.abs(pixels[60, 80, :3].astype(int) - png[60, 80, :3]).max() <= 12


def test_async_answers_at_once(client: Client) -> None:
    """202 with an id to poll, and no result yet to download."""
    answer = submit(client, query="?async=true")

    assert answer.status_code == 202
    assert set(answer.json()) == {"job_id", "status"}
    assert answer.json()["status"] == "queued"
    assert ended(client, answer.json()["job_id"])["status"] == "completed"


def test_a_url_is_cut_too(client: Client) -> None:
    """From a form; one that cannot be fetched is 422 to who waits, and a failed job to who does not."""
    with site({"/a.jpg": PHOTO}) as address:
        done = client.post("/v1/remove-bg", data={"image_url": f"{address}/a.jpg"})
        lost = client.post("/v1/remove-bg", data={"image_url": f"{address}/none"})
        later = client.post("/v1/remove-bg?async=true", data={"image_url": f"{address}/none"})
        job = ended(client, later.json()["job_id"])
    assert (done.status_code, done.json()["status"]) == (200, "completed")
    assert code_of(lost) == (422, "image_fetch_failed")
    assert (later.status_code, job["status"], job["error_code"]) == (202, "failed", "image_fetch_failed")
    assert code_of(client.get(f"/v1/jobs/{job['job_id']}/download")) == (409, "job_not_ready")


def test_refusals(client: Client) -> None:
    """Bad uploads, bad options and jobs that are not there."""
    assert code_of(submit(client, b"no picture at all")) == (422, "invalid_image")
    assert code_of(submit(client, PHOTO[: len(PHOTO) // 2])) == (422, "invalid_image")
    assert code_of(submit(client, bytes(25_000_001))) == (422, "file_too_large")
    assert code_of(client.post("/v1/remove-bg")) == (422, "missing_image")
    assert code_of(submit(client, query="?async=perhaps")) == (422, "invalid_option")
    assert code_of(client.get(f"/v1/jobs/{'0' * 32}/download")) == (404, "job_not_found")
    url = submit(client).json()["download_url"]
    assert code_of(client.get(url, params={"format": "gif"})) == (422, "invalid_option")


def test_account_over_http(client: Client) -> None:
    """The key's beginning tells this provider from others on the same path; jobs are counted."""
    submit(client, query="?async=false")
    account = client.get("/v1/account").json()

    assert set(account) == {"balance", "currency", "price_per_image", "jobs"}
    assert account["jobs"]["completed"] >= 1


def test_jobs_are_their_owners(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Another key's job looks like a missing one, its download too; without a key nothing is told."""
    with serve(tmp_path_factory.mktemp("owners"), api_keys=",".join(KEYS)) as served, served.client() as client:
        mine, yours = ({"x-api-key": key} for key in KEYS)
        job = submit(client, PHOTO, "", **mine).json()
        url = job["download_url"]

        assert client.get(url, headers=mine).status_code == 200
        assert code_of(client.get(url, headers=yours)) == (404, "job_not_found")
        assert code_of(client.get(f"/v1/jobs/{job['job_id']}", headers=yours)) == (404, "job_not_found")
        assert code_of(client.get(url)) == (401, "missing_api_key")
        assert code_of(submit(client)) == (401, "missing_api_key")
        assert code_of(submit(client, PHOTO, "", **{"x-api-key": "fnr_other"})) == (401, "invalid_api_key")
