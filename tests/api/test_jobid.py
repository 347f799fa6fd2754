"""jobid-v1: what its fields mean, what its answers look like, and a job's life over real HTTP."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import orjson
import pytest
from httpx2 import Client, Response

from bgone.api.dialect import COMMON_KINDS, Context, Show, Submit
from bgone.api.dialects.jobid import DIALECT, webhook_body
from bgone.api.fields import Fields, File
from bgone.errors import KINDS, ApiError, key_missing, missing_image
from bgone.jobs.job import Failure, Job, State, Stored
from bgone.pipeline.order import Link, RenderOptions, Upload
from tests import pictures
from tests.origin import listener, site
from tests.pictures import ball, decode, encode
from tests.serving import Served, serve

photo = partial(pictures.photo, of=ball)
PHOTO = photo(161, 120)
DATA = b"picture"
KEYS = ("sk_live_mine", "sk_live_yours")
OPERATIONS: dict[str, Any] = {operation.name: operation.does for operation in DIALECT.operations}
SUBMIT: Submit = OPERATIONS["remove-bg"]
SHOW: Show = OPERATIONS["job"]

STARTED = datetime(2025, 1, 15, 10, 30, 0, 900_000, tzinfo=UTC)
ENDED = datetime(2025, 1, 15, 10, 30, 45, tzinfo=UTC)
STORED = Stored("k" * 32, "image/png", ".png", 1000, 61, 40)
URL = f"https://host/results/{'k' * 32}/output.png?86400"
QUEUED = Job("cm3abc", "jobid", "me", "queued", STARTED)
RUNNING = replace(QUEUED, state="running")
DONE = replace(QUEUED, state="done", finished_at=ENDED, result=STORED)
FAILED = replace(
    QUEUED, state="failed", finished_at=ENDED, failure=Failure("unreadable_image", "Damaged."), price=Decimal(0)
)
CONTEXT = Context("req_1", link=lambda stored, name, seconds: f"https://host/results/{stored.key}/{name}?{seconds:g}")


# --- fields to order ------------------------------------------------------------------------------------------------


def with_file(**text: str) -> Fields:
    return Fields("multipart", text, {"image_file": File(DATA, "a.png")})


SOURCES = {
    "file": (with_file(), Upload(DATA)),
    "url as curl -d sends it": (Fields("urlencoded", {"image_url": "https://a.test/b"}), Link("https://a.test/b")),
    "url in a multipart form": (Fields("multipart", {"image_url": " https://a.test/b "}), Link("https://a.test/b")),
    "both: the file": (with_file(image_url="https://a.test/"), Upload(DATA)),
}


@pytest.mark.parametrize("way", SOURCES)
def test_the_picture_is_found(way: str) -> None:
    """A file or a URL; there are no options, the answer is a transparent PNG of full size."""
    fields, expected = SOURCES[way]
    order = SUBMIT.parse(fields)

    assert (order.source, order.options, order.notes) == (expected, RenderOptions(), {})


@pytest.mark.parametrize(
    "fields", [Fields("none"), Fields("multipart", {"image_file": "text"}), Fields("raw", raw=DATA)]
)
def test_without_a_picture(fields: Fields) -> None:
    """Missing, or sent otherwise."""
    with pytest.raises(ApiError) as caught:
        SUBMIT.parse(fields)
    assert caught.value.kind == "missing_image"


def test_webhook_is_noted() -> None:
    """Kept with the job, for when it is over; blank is none."""
    assert SUBMIT.parse(with_file(webhook_url=" https://a.test/hook?x=1 ")).notes == {
        "webhook_url": "https://a.test/hook?x=1"
    }
    assert SUBMIT.parse(with_file(webhook_url=" ")).notes == {}


@pytest.mark.parametrize(
    "url", ["a.test/hook", "ftp://a.test/", "https://", "https://user:pass@a.test/", "javascript:1"]
)
def test_what_is_no_address_is_refused_as_a_webhook(url: str) -> None:
    """At once: nobody would ever hear of it."""
    with pytest.raises(ApiError, match="webhook_url: expected an http or https URL"):
        SUBMIT.parse(with_file(webhook_url=url))


def test_nobody_waits() -> None:
    """However long the server would wait elsewhere."""
    assert SUBMIT.wait_s(SUBMIT.parse(with_file()), 30) == 0


# --- answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("job", [QUEUED, RUNNING])
def test_created_job(job: Job) -> None:
    """202 with the provider's four fields; the estimate is a text."""
    info = SUBMIT.render(job, CONTEXT)

    assert info.status == 202
    assert info.body == {
        "jobId": "cm3abc",
        "status": "processing",
        "createdAt": "2025-01-15T10:30:00Z",
        "estimatedCompletionTime": "30-60 seconds",
    }


SHOWN = {
    "queued": (QUEUED, "processing", None, None, None),
    "running": (RUNNING, "processing", None, None, None),
    "done": (DONE, "completed", "2025-01-15T10:30:45Z", URL, None),
    "failed": (FAILED, "failed", "2025-01-15T10:30:45Z", None, "Damaged."),
}


@pytest.mark.parametrize("case", SHOWN)
def test_shown_job(case: str) -> None:
    """Always the same fields, null where there is nothing; the link's path ends in output.png, for ``curl -O``."""
    job, status, completed_at, url, message = SHOWN[case]
    info = SHOW.render(job, CONTEXT)

    assert info.status == 200
    assert info.body == {
        "jobId": "cm3abc",
        "status": status,
        "createdAt": "2025-01-15T10:30:00Z",
        "completedAt": completed_at,
        "outputUrl": url,
        "errorMessage": message,
    }


@pytest.mark.parametrize("state", ["cancelled", "expired"])
def test_jobs_that_ended_otherwise_are_failed(state: State) -> None:
    """The provider knows no other word, and says a reason."""
    body = SHOW.render(replace(QUEUED, state=state, finished_at=ENDED), CONTEXT).body

    assert (body["status"], body["errorMessage"]) == ("failed", "The job was not finished.")


def test_webhook_bodies() -> None:
    """The provider's two examples, field by field."""
    assert webhook_body(DONE, CONTEXT) == {
        "jobId": "cm3abc",
        "status": "completed",
        "outputUrl": URL,
        "completedAt": "2025-01-15T10:30:45Z",
    }
    assert webhook_body(FAILED, CONTEXT) == {
        "jobId": "cm3abc",
        "status": "failed",
        "errorMessage": "Damaged.",
        "completedAt": "2025-01-15T10:30:45Z",
    }


# --- keys and errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"authorization": "Bearer sk_live_x"}, "sk_live_x"),
        ({"authorization": "BEARER sk_live_x"}, "sk_live_x"),
        ({"authorization": "Token sk_live_x"}, None),
        ({"x-api-key": "sk_live_x"}, None),
    ],
)
def test_keys_are_bearers(headers: dict[str, str], key: str | None) -> None:
    """One place; the scheme in any case."""
    assert DIALECT.find_key(headers, {}) == key


def test_every_failure_has_its_status() -> None:
    """Every kind; a bad picture is 400 here, whatever is wrong with it."""
    assert set(DIALECT.failures) == set(KINDS)
    bad = (
        "missing_image",
        "unreadable_image",
        "unsupported_image",
        "too_many_bytes",
        "too_many_pixels",
        "invalid_option",
    )
    assert {DIALECT.failures[kind][0] for kind in bad} == {400}
    assert DIALECT.kinds == COMMON_KINDS


def test_errors_are_flat_texts() -> None:
    """``error`` and ``message`` say the same; a missing key is told where this provider wants it."""
    body = DIALECT.render_error(400, "missing_image", missing_image("a or b"), "req_1")
    words = "No picture was sent: expected one of a or b."
    assert body == {"error": words, "message": words, "code": "missing_image"}
    assert "Bearer" in str(DIALECT.render_error(401, "unauthorized", key_missing(), "req_1")["error"])


# --- over HTTP ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    with server.client() as client:
        client.headers["authorization"] = "Bearer sk_live_anybody"
        yield client


def submit(client: Client, picture: bytes = PHOTO, **options: Any) -> Response:
    return client.post("/api/v1/remove-bg", files={"image_file": ("x.jpg", picture)}, **options)


def ended(client: Client, answer: Response) -> dict[str, Any]:
    """The job once it is over."""
    assert answer.status_code == 202, answer.text
    give_up_at = time.monotonic() + 30
    while time.monotonic() < give_up_at:
        job: dict[str, Any] = client.get(f"/api/v1/jobs/{answer.json()['jobId']}").json()
        if job["status"] != "processing":
            return job
        time.sleep(0.02)
    raise AssertionError("the job never ended")


def code_of(answer: Response) -> tuple[int, str]:
    body = answer.json()
    assert set(body) == {"error", "message", "code"}
    assert body["error"] == body["message"]
    return answer.status_code, body["code"]


def test_create_poll_download(client: Client) -> None:
    """The provider's three steps; the last one needs no key."""
    answer = submit(client)
    assert answer.json()["estimatedCompletionTime"] == "30-60 seconds"
    job = ended(client, answer)

    assert re.fullmatch(r"[0-9a-f]{32}", job["jobId"])
    assert (job["status"], job["errorMessage"]) == ("completed", None)
    assert job["outputUrl"].partition("?")[0].endswith("/output.png")
    picture = client.get(job["outputUrl"], headers={"authorization": ""})
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    pixels = decode(picture.content)
    assert pixels.shape == (120, 161, 4)
    assert (pixels[60, 80, 3], pixels[2, 2, 3]) == (255, 0)


def test_a_url_is_cut_too(client: Client) -> None:
    """Urlencoded; one that cannot be fetched is accepted and fails as a job."""
    with site({"/a.jpg": PHOTO}) as address:
        done = ended(client, client.post("/api/v1/remove-bg", data={"image_url": f"{address}/a.jpg"}))
        lost = ended(client, client.post("/api/v1/remove-bg", data={"image_url": f"{address}/none"}))
    assert done["status"] == "completed"
    assert (lost["status"], lost["outputUrl"]) == ("failed", None)
    assert lost["errorMessage"] == "The picture could not be fetched: the origin answered 404."


def test_the_webhook_is_told(client: Client) -> None:
    """The provider's body, with a link that works, after polling says the same."""
    with listener() as (address, bodies):
        done = ended(client, submit(client, data={"webhook_url": f"{address}/hook"}))
        lost = ended(client, submit(client, PHOTO[: len(PHOTO) // 2], data={"webhook_url": f"{address}/hook"}))
        told = [orjson.loads(bodies.get(timeout=20).body) for _ in range(2)]
    assert {**told[0], "outputUrl": ""} == {
        "jobId": done["jobId"],
        "status": "completed",
        "completedAt": done["completedAt"],
        "outputUrl": "",
    }
    assert client.get(told[0]["outputUrl"], headers={"authorization": ""}).status_code == 200
    assert (told[1]["jobId"], told[1]["errorMessage"]) == (lost["jobId"], lost["errorMessage"])


def test_refusals(client: Client) -> None:
    """What the header of an upload tells is refused at once; what only decoding tells fails the job."""
    assert code_of(submit(client, b"no picture at all")) == (400, "invalid_image")
    assert code_of(submit(client, encode(ball(80, 60), "GIF"))) == (400, "unsupported_format")
    assert code_of(client.post("/api/v1/remove-bg", data={"webhook_url": "https://a.test/"})) == (400, "missing_image")
    assert code_of(submit(client, data={"webhook_url": "nowhere"})) == (400, "invalid_option")
    assert code_of(client.get(f"/api/v1/jobs/{'0' * 32}")) == (404, "job_not_found")
    torn = ended(client, submit(client, PHOTO[: len(PHOTO) // 2]))
    assert torn["errorMessage"] == "The picture is damaged, truncated or not a picture."


def test_jobs_are_their_owners(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Another key's job looks like a missing one."""
    with serve(tmp_path_factory.mktemp("owners"), api_keys=",".join(KEYS)) as served, served.client() as client:
        mine, yours = ({"authorization": f"Bearer {key}"} for key in KEYS)
        path = f"/api/v1/jobs/{submit(client, headers=mine).json()['jobId']}"

        assert client.get(path, headers=mine).status_code == 200
        assert code_of(client.get(path, headers=yours)) == (404, "job_not_found")
        assert code_of(client.get(path)) == (401, "unauthorized")
        assert code_of(submit(client)) == (401, "unauthorized")
