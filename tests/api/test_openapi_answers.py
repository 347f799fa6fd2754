"""What the description says, held against real answers: schemathesis asks a real server whatever it allows to ask.

Each route is asked at one spelling of its path: the others are the same code (``x-alias-of``).
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from bgone.api.openapi.document import document
from bgone.api.openapi.requests import RAW
from bgone.api.routes import DIALECTS
from tests import pictures
from tests.api.test_unpacking import zipped
from tests.serving import Served, serve

Case = schemathesis.Case[Any]
PHOTO = pictures.photo(40, 31, of=pictures.ball)
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    response_headers_conformance,
]
DOCUMENT = document(DIALECTS)
CUTTERS = ("cut", "submit", "removebg", "remove", "cut_v1")  # names of operations with dozens of options

schemathesis.openapi.format("binary", st.just(PHOTO))
schemathesis.openapi.format("byte", st.just(base64.b64encode(PHOTO).decode()))
schemathesis.openapi.format("uri", st.just("http://127.0.0.1:9/photo.jpg"))  # nobody may listen there
for media_type in RAW:
    schemathesis.openapi.media_type(media_type, st.just(PHOTO))


def _described(*, cutters: bool, examples: int) -> BaseSchema:
    """The routes with dozens of options, or the others; of the former not each value of each option is tried."""
    schema = schemathesis.openapi.from_dict(DOCUMENT)
    schema.config.generation.update(max_examples=examples, deterministic=True)
    schema.config.phases.coverage.enabled = not cutters

    def is_wanted(context: Any) -> bool:
        raw = context.operation.definition.raw
        return "x-alias-of" not in raw and (raw["operationId"].partition(".")[2] in CUTTERS) is cutters

    return schema.include(is_wanted)


PLAIN, PICTURES = _described(cutters=False, examples=5), _described(cutters=True, examples=10)
steady = settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of its own, as jobs are left behind."""
    with serve(tmp_path_factory.mktemp("described"), fetch_allow="127.0.0.0/8") as served:
        yield served


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as session:
        session.trust_env = False
        yield session


@PLAIN.parametrize()
@settings(steady, max_examples=5)
def test_answers_are_as_described(case: Case, served: Served, session: requests.Session) -> None:
    """No status, content type, header or form of body that the description does not tell; 405 for other methods."""
    case.call_and_validate(base_url=served.url, session=session, checks=[*CHECKS, unsupported_method])


@PICTURES.parametrize()
@settings(steady, max_examples=10)
def test_pictures_are_answered_as_described(case: Case, served: Served, session: requests.Session) -> None:
    """The same where there are options to combine, right and wrong."""
    case.call_and_validate(base_url=served.url, session=session, checks=CHECKS)


# --- jobs, which no single call finds -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Way:
    """A job as its client meets it.

    Attributes:
        submit: Path of the picture route.
        file: Its file field.
        id: Answer → job's id.
        follow: Paths that are asked about it.
        over: Answer of the first of these → the job is over.
    """

    submit: str
    file: str
    id: Callable[[Any], str]
    follow: tuple[str, ...] = ()
    over: Callable[[Any], bool] = lambda body: body["status"] in ("completed", "success", "done")


WAYS = {
    "foner": Way(
        "/v1/remove-bg",
        "file",
        lambda body: body["job_id"],
        ("/foner/v1/jobs/{id}", "/v1/jobs/{id}", "/v1/jobs/{id}/download", "/foner/v1/account"),
    ),
    "poofbg": Way(
        "/v1/remove-background", "file", lambda body: body["id"], ("/poofbg/v1/jobs/{id}", "/v1/jobs/{id}", "/v1/jobs")
    ),
    "jobid": Way("/api/v1/remove-bg", "image_file", lambda body: body["jobId"], ("/api/v1/jobs/{id}",)),
    "slazzer": Way("/api/v1/remove_image_background", "source_image_file", lambda _: ""),
    "picsart": Way("/tools/1.0/upload", "image", lambda body: body["data"]["id"]),
    "bgone": Way(
        "/cut/v1/jobs",
        "image",
        lambda body: body["id"],
        ("/cut/v1/jobs/{id}", "/cut/v1/account", "/jobs/v1/{id}", "/jobs/v1"),
    ),
    "batches": Way(
        "/batches/v1",
        "archive",
        lambda body: body["id"],
        ("/batches/v1/{id}", "/batches/v1/{id}/results.ndjson", "/batches/v1/{id}/results.zip"),
        lambda body: body["status"] == "finished",
    ),
}


@pytest.mark.parametrize("name", WAYS)
def test_jobs_are_told_as_described(name: str, served: Served, session: requests.Session) -> None:
    """From the call that begins one to whatever can be asked of it when it is done."""
    schema, way = schemathesis.openapi.from_dict(DOCUMENT), WAYS[name]

    def call(method: str, path: str, **options: Any) -> requests.Response:
        case = schema[path][method].Case(**options)
        return case.call_and_validate(base_url=served.url, session=session, checks=CHECKS)  # type: ignore[return-value]

    sent = zipped(("1.jpg", PHOTO)) if name == "batches" else PHOTO
    begun = call("POST", way.submit, body={way.file: sent}, media_type="multipart/form-data")
    assert begun.status_code < 300, begun.text
    known = {"id": way.id(begun.json())}
    for place, path in enumerate(way.follow):
        options = {"path_parameters": known} if "{" in path else {}
        answer = call("GET", path, **options)
        give_up_at = time.monotonic() + 60
        while place == 0 and not way.over(answer.json()) and time.monotonic() < give_up_at:
            time.sleep(0.05)
            answer = call("GET", path, **options)
        assert answer.status_code == 200, answer.text
