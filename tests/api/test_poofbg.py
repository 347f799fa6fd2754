"""PoofBG v1: what its fields mean, what its answers look like, and a job's life over real HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from httpx2 import Client, Response

from bgone.accounts.rate import Rate
from bgone.api.auth import Account, Caller
from bgone.api.dialect import COMMON_KINDS, Context, Page, Show, ShowAll, Submit, Tell
from bgone.api.dialects.poofbg import DIALECT
from bgone.api.fields import Fields, File
from bgone.errors import KINDS, ApiError, job_forbidden, key_missing, overloaded, too_many_bytes
from bgone.jobs.job import Failure, Job, State, Stored
from bgone.pipeline.order import Link, Order, RenderOptions, Upload
from tests import pictures
from tests.origin import site
from tests.pictures import ball, decode, encode
from tests.serving import Served, serve

photo = partial(pictures.photo, of=ball)
PHOTO = photo(161, 120)
DATA = b"picture"
KEYS = ("pk_live_mine", "pk_live_yours")
OPERATIONS: dict[str, Any] = {operation.name: operation.does for operation in DIALECT.operations}
SUBMIT: Submit = OPERATIONS["remove-background"]
SHOW: Show = OPERATIONS["job"]
SHOW_ALL: ShowAll = OPERATIONS["jobs"]
TELL: Tell = OPERATIONS["account"]

STARTED = datetime(2026, 3, 18, 12, 0, 0, 900_000, tzinfo=UTC)
ENDED = datetime(2026, 3, 18, 12, 0, 2, 100_000, tzinfo=UTC)
STORED = Stored("k" * 32, "image/png", ".png", 1000, 61, 40)
QUEUED = Job("abc123", "poofbg", "me", "queued", STARTED)
RUNNING = replace(QUEUED, state="running")
DONE = replace(QUEUED, state="done", finished_at=ENDED, result=STORED)
FAILED = replace(
    QUEUED, state="failed", finished_at=ENDED, failure=Failure("fetch_failed", "Timed out."), price=Decimal(0)
)
CONTEXT = Context(
    "req_1",
    Caller("me", Account(subscription_credits=Decimal(42)), Rate(120, 7, 1_800_000_000, 30)),
    link=lambda stored, name, seconds: f"https://host/results/{stored.key}/{name}?{seconds:g}",
)


# --- fields to order ------------------------------------------------------------------------------------------------


def parse(fields: Fields) -> Order:
    return SUBMIT.parse(fields)


SOURCES = {
    "file": (Fields("multipart", files={"file": File(DATA, "a.png")}), Upload(DATA)),
    "url in JSON": (Fields("json", {"image_url": "https://a.test/b.jpg"}), Link("https://a.test/b.jpg")),
    "url in a form": (Fields("urlencoded", {"image_url": " https://a.test/b.jpg "}), Link("https://a.test/b.jpg")),
    "both: the file": (Fields("multipart", {"image_url": "https://a.test/"}, {"file": File(DATA)}), Upload(DATA)),
}


@pytest.mark.parametrize("way", SOURCES)
def test_the_picture_is_found(way: str) -> None:
    """A file, or a URL in JSON or a form; the answer is always a transparent PNG of full size."""
    fields, expected = SOURCES[way]

    assert parse(fields).source == expected
    assert parse(fields).options == RenderOptions()


def test_options_of_others_change_nothing() -> None:
    """There are none here: unknown fields are ignored."""
    fields = Fields("multipart", {"format": "jpg", "size": "nonsense"}, {"file": File(DATA)})

    assert parse(fields).options == RenderOptions()


def test_urls_lead_to_jpeg_and_png_only() -> None:
    """As the provider says; files may be WebP too."""
    assert parse(SOURCES["url in JSON"][0]).limits.kinds == frozenset({"jpeg", "png"})
    assert parse(SOURCES["file"][0]).limits.kinds is None
    assert DIALECT.kinds == COMMON_KINDS


@pytest.mark.parametrize(
    "fields",
    [
        Fields("none"),
        Fields("json", {}, json={"image_url": ["https://a.test/"]}),
        Fields("multipart", {"file": "text, no file"}),
        Fields("multipart", files={"image_file": File(DATA)}),
        Fields("raw", raw=DATA),
        Fields("none", query={"image_url": "https://a.test/"}),
    ],
)
def test_without_a_picture(fields: Fields) -> None:
    """Missing, in another provider's field, or where the provider does not look."""
    with pytest.raises(ApiError) as caught:
        parse(fields)
    assert caught.value.kind == "missing_image"


# --- pages ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "page"),
    [
        ({}, Page(20, 0)),
        ({"limit": "5", "offset": "10"}, Page(5, 10)),
        ({"limit": "100"}, Page(100, 0)),
        ({"limit": "101", "offset": "-1"}, Page(100, 0)),
        ({"limit": "0"}, Page(1, 0)),
        ({"limit": "-7"}, Page(1, 0)),
        ({"limit": " ", "offset": "9" * 25}, Page(20, 1_000_000_000)),
    ],
)
def test_pages_are_clamped(query: dict[str, str], page: Page) -> None:
    """Numbers out of range become the nearest in it."""
    assert SHOW_ALL.parse(query) == page


@pytest.mark.parametrize("text", ["many", "1.5", "1e3", "9" * 31, "٣"])
def test_pages_want_numbers(text: str) -> None:
    """What is no whole number is named."""
    with pytest.raises(ApiError, match="limit: expected a whole number"):
        SHOW_ALL.parse({"limit": text})


# --- answers --------------------------------------------------------------------------------------------------------


def test_done_job() -> None:
    """The provider's example, field by field: 200, whole seconds, a link for an hour."""
    for info in (SUBMIT.render(DONE, CONTEXT), SHOW.render(DONE, CONTEXT)):
        assert info.status == 200
        assert info.body == {
            "id": "job_abc123",
            "status": "completed",
            "error": None,
            "created_at": "2026-03-18T12:00:00Z",
            "completed_at": "2026-03-18T12:00:02Z",
            "credits_used": 1,
            "credits_remaining": 42,
            "result_url": f"https://host/results/{'k' * 32}/job_abc123.png?3600",
        }


@pytest.mark.parametrize(("job", "status"), [(QUEUED, "pending"), (RUNNING, "processing")])
def test_job_under_way(job: Job, status: str) -> None:
    """202 to whoever submitted it, 200 to whoever asks for it; what is not known yet is null."""
    assert SUBMIT.render(job, CONTEXT).status == 202
    info = SHOW.render(job, CONTEXT)
    assert info.status == 200
    assert info.body == {
        "id": "job_abc123",
        "status": status,
        "error": None,
        "created_at": "2026-03-18T12:00:00Z",
        "completed_at": None,
        "credits_used": 1,
        "credits_remaining": 42,
        "result_url": None,
    }


def test_failed_job() -> None:
    """200 with the reason as a text, no link, and no credit used."""
    info = SUBMIT.render(FAILED, CONTEXT)

    assert info.status == 200
    assert info.body["status"] == "failed"
    assert info.body["error"] == "Timed out."
    assert info.body["credits_used"] == 0
    assert info.body["result_url"] is None
    assert info.body["completed_at"] == "2026-03-18T12:00:02Z"


@pytest.mark.parametrize("state", ["cancelled", "expired"])
def test_jobs_that_ended_otherwise_are_failed(state: State) -> None:
    """The provider knows no other word, and an error is never null then."""
    body = SHOW.render(replace(QUEUED, state=state, finished_at=ENDED), CONTEXT).body

    assert (body["status"], body["error"], body["credits_used"]) == ("failed", "The job was not finished.", 0)


def test_list() -> None:
    """Four fields a job, and the page that was asked for."""
    info = SHOW_ALL.render((RUNNING, DONE), Page(2, 4), CONTEXT)

    assert info.body == {
        "data": [
            {
                "id": "job_abc123",
                "status": "processing",
                "created_at": "2026-03-18T12:00:00Z",
                "completed_at": None,
            },
            {
                "id": "job_abc123",
                "status": "completed",
                "created_at": "2026-03-18T12:00:00Z",
                "completed_at": "2026-03-18T12:00:02Z",
            },
        ],
        "limit": 2,
        "offset": 4,
    }


def test_account() -> None:
    """Plan, credits as numbers, and the rate."""
    account = Account(
        plan="pro", subscription_credits=Decimal(400), payg_credits=Decimal(87), quota_credits=Decimal(500)
    )
    context = Context("req_1", Caller("me", account, Rate(120, 7, 0, 0)))

    assert TELL.answer(context).body == {
        "plan": "pro",
        "credits_remaining": 487,
        "credits_monthly_quota": 500,
        "rate_limit": {"requests_per_minute": 120},
    }


def test_rate_headers_are_always_there() -> None:
    """The caller's own, else those of the provider's largest plan."""
    assert DIALECT.headers(CONTEXT) == (("x-ratelimit-limit", "120"), ("x-ratelimit-remaining", "7"))
    assert DIALECT.headers(Context("req_1")) == (("x-ratelimit-limit", "300"), ("x-ratelimit-remaining", "300"))


@pytest.mark.parametrize("shown", ["job_abc123", "abc123"])
def test_ids_are_read_with_and_without_their_prefix(shown: str) -> None:
    """``job_`` is this dialect's spelling of our ids."""
    assert SHOW.read_id(shown) == "abc123"


# --- keys and errors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({"authorization": "Bearer pk_live_x"}, "pk_live_x"),
        ({"authorization": " bearer   pk_live_x "}, "pk_live_x"),
        ({"authorization": "Basic pk_live_x"}, None),
        ({"authorization": "Bearer "}, None),
        ({"authorization": "pk_live_x"}, None),
        ({"x-api-key": "pk_live_x"}, None),
        ({}, None),
    ],
)
def test_keys_are_bearers(headers: dict[str, str], key: str | None) -> None:
    """One place, as the provider has it; the scheme in any case."""
    assert DIALECT.find_key(headers, {"api_key": "pk_live_y"}) == key


def test_every_failure_has_its_code() -> None:
    """Every kind, with the provider's code where it has one."""
    assert set(DIALECT.failures) == set(KINDS)
    assert {code for _, code in DIALECT.failures.values()} >= {
        "INVALID_REQUEST",
        "INVALID_IMAGE_TYPE",
        "FILE_TOO_LARGE",
        "UNAUTHORIZED",
        "INSUFFICIENT_CREDITS",
        "FORBIDDEN",
        "NOT_FOUND",
        "RATE_LIMITED",
    }


def test_errors_have_the_providers_form() -> None:
    """Message and code below ``error``; a missing key is told where this provider wants it."""
    assert DIALECT.render_error(400, "FILE_TOO_LARGE", too_many_bytes(10_000_000), "req_1") == {
        "error": {"message": "image too large (>10 MB).", "code": "FILE_TOO_LARGE"}
    }
    error: Any = DIALECT.render_error(401, "UNAUTHORIZED", key_missing(), "req_1")["error"]
    assert "Bearer" in error["message"]


def test_bad_uploads_are_errors_and_faults_are_failed_jobs() -> None:
    """400 for a file that cannot be read; a URL that cannot be fetched and a fault of ours fail the job."""
    assert SUBMIT.raises is not None
    assert {"unreadable_image", "unsupported_image", "too_many_pixels"} <= SUBMIT.raises
    assert SUBMIT.raises.isdisjoint({"fetch_failed", "internal"})
    assert SUBMIT.wait_s(Order(Upload(DATA)), 30) == 30
    assert job_forbidden().kind in DIALECT.failures
    assert overloaded(1, "").kind in SUBMIT.raises


# --- over HTTP ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    with server.client() as client:
        client.headers["authorization"] = "Bearer pk_live_anybody"
        yield client


def submit(client: Client, picture: bytes = PHOTO, path: str = "/v1/remove-background") -> Response:
    return client.post(path, files={"file": ("x.jpg", picture, "application/octet-stream")})


def code_of(answer: Response) -> tuple[int, str]:
    error = answer.json()["error"]
    assert set(error) == {"message", "code"}
    assert answer.headers["x-ratelimit-limit"].isdigit()
    assert answer.headers["x-ratelimit-remaining"].isdigit()
    return answer.status_code, error["code"]


def test_the_call_waits_for_its_picture(client: Client) -> None:
    """200 with a link that needs no key and gives the cutout."""
    answer = submit(client)
    job = answer.json()

    assert answer.status_code == 200
    assert (job["status"], job["error"], job["credits_used"]) == ("completed", None, 1)
    assert re.fullmatch(r"job_[0-9a-f]{32}", job["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", job["completed_at"])
    assert answer.headers["x-ratelimit-limit"] == "300"
    link = job["result_url"]
    assert link.partition("?")[0].endswith(f"{job['id']}.png")
    bare = {"authorization": ""}
    picture = client.get(link, headers=bare)
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/png")
    pixels = decode(picture.content)
    assert pixels.shape == (120, 161, 4)
    assert (pixels[60, 80, 3], pixels[2, 2, 3]) == (255, 0)
    part = client.get(link, headers=bare | {"range": "bytes=0-7"})
    assert (part.status_code, part.content) == (206, b"\x89PNG\r\n\x1a\n")
    assert client.head(link).headers["content-length"] == str(len(picture.content))
    assert client.get(link.replace("signature=", "signature=x")).status_code == 403


def test_a_job_is_found_again(client: Client) -> None:
    """By its id, signed anew, and first in the list."""
    job = submit(client).json()

    shown = client.get(f"/v1/jobs/{job['id']}")
    assert shown.status_code == 200
    assert {**shown.json(), "result_url": ""} == {**job, "result_url": ""}
    assert client.get(shown.json()["result_url"]).status_code == 200
    listed = client.get("/v1/jobs", params={"limit": "1"}).json()
    assert (listed["limit"], listed["offset"]) == (1, 0)
    row = {name: job[name] for name in ("id", "status", "created_at", "completed_at")}
    assert listed["data"] == [row]
    assert row not in client.get("/v1/jobs", params={"offset": "1"}).json()["data"]


def test_a_url_is_cut_too(client: Client) -> None:
    """In JSON; one that cannot be fetched is a failed job that cost nothing."""
    with site({"/a.jpg": PHOTO, "/page": b"<html></html>"}) as address:
        done = client.post("/v1/remove-background", json={"image_url": f"{address}/a.jpg"})
        lost = client.post("/v1/remove-background", json={"image_url": f"{address}/none"})
    assert (done.status_code, done.json()["status"]) == (200, "completed")
    assert (lost.status_code, lost.json()["status"], lost.json()["credits_used"]) == (200, "failed", 0)
    assert lost.json()["error"] == "The picture could not be fetched: the origin answered 404."
    assert lost.json()["result_url"] is None


def test_refusals(client: Client) -> None:
    """Bad uploads and bad requests, with the provider's words."""
    assert code_of(submit(client, b"no picture at all")) == (400, "INVALID_IMAGE_TYPE")
    assert code_of(submit(client, encode(ball(80, 60), "GIF"))) == (400, "INVALID_IMAGE_TYPE")
    assert code_of(submit(client, PHOTO[: len(PHOTO) // 2])) == (400, "INVALID_IMAGE_TYPE")
    assert code_of(submit(client, bytes(10_000_001))) == (400, "FILE_TOO_LARGE")
    assert code_of(client.post("/v1/remove-background")) == (400, "INVALID_REQUEST")
    assert code_of(
        client.post("/v1/remove-background", content=b"{", headers={"content-type": "application/json"})
    ) == (
        400,
        "INVALID_REQUEST",
    )
    assert code_of(client.get(f"/v1/jobs/job_{'0' * 32}")) == (404, "NOT_FOUND")
    assert code_of(client.get("/v1/jobs", params={"limit": "x"})) == (400, "INVALID_REQUEST")


def test_account_over_http(client: Client) -> None:
    """A Bearer key on the path that several claim means this provider."""
    assert set(client.get("/v1/account").json()) == {
        "plan",
        "credits_remaining",
        "credits_monthly_quota",
        "rate_limit",
    }


def test_jobs_are_their_owners(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Another key sees 403, no key 401, and neither appears in the other's list."""
    with serve(tmp_path_factory.mktemp("owners"), api_keys=",".join(KEYS)) as served, served.client() as client:
        mine, yours = ({"authorization": f"Bearer {key}"} for key in KEYS)
        files = {"file": ("x.jpg", PHOTO)}
        job = client.post("/v1/remove-background", files=files, headers=mine).json()

        assert client.get(f"/v1/jobs/{job['id']}", headers=mine).status_code == 200
        assert code_of(client.get(f"/v1/jobs/{job['id']}", headers=yours)) == (403, "FORBIDDEN")
        assert code_of(client.get(f"/poofbg/v1/jobs/{job['id']}")) == (401, "UNAUTHORIZED")
        assert code_of(client.post("/v1/remove-background", files=files)) == (401, "UNAUTHORIZED")
        assert client.get("/v1/jobs", headers=yours).json()["data"] == []
        assert client.get(job["result_url"]).status_code == 200
