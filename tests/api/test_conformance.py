"""Every dialect against the same list: each way in, each failure, each form of answer, over real HTTP.

A new dialect needs its line in ``SPEAKERS`` and its column in ``FAILURES``; everything else follows from the table.
"""

from __future__ import annotations

import base64
import io
import re
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Client, Response

from bgone.api.dialect import Cut, Dialect, Submit
from bgone.api.routes import DIALECTS
from bgone.errors import KINDS, ApiError
from tests import pictures, wire
from tests.origin import site
from tests.pictures import decode, encode
from tests.serving import Served, serve

KNOWN = {dialect.name: dialect for dialect in DIALECTS}
NAMES = [dialect.name for dialect in DIALECTS]
PHOTO = pictures.photo(161, 120, of=pictures.ball)
SMALL = pictures.photo(80, 60, of=pictures.ball)
TEXT = base64.b64encode(PHOTO).decode()
KEYS = {
    "foner": "fnr_0123456789",
    "poofbg": "pk_live_0123456789",
    "jobid": "sk_live_0123456789",
    "poof": "poof_0123456789",
}


# --- how each dialect is spoken -------------------------------------------------------------------------------------


def _bytes(_client: Client, answer: Response) -> bytes:
    return answer.content


def _behind(*path: str) -> Callable[[Client, Response], bytes]:
    """The picture behind the URL at ``path`` in a JSON answer, fetched bare: no key, no redirects."""

    def take(client: Client, answer: Response) -> bytes:
        value: Any = answer.json()
        for name in path:
            value = value[name]
        fetched = client.get(value)
        assert fetched.status_code == 200, fetched.text
        assert fetched.headers["content-type"].startswith("image/")
        assert fetched.headers["x-request-id"].startswith("req_")
        return fetched.content

    return take


def _foner(client: Client, answer: Response) -> bytes:
    job = answer.json()
    assert job["status"] == "completed", job
    fetched = client.get(job["download_url"], headers=_key("foner"))
    assert fetched.status_code == 200, fetched.text
    return fetched.content


def _polled(client: Client, answer: Response) -> bytes:
    """jobid never waits: the job is asked for until it is over."""
    assert answer.status_code == 202
    give_up_at = time.monotonic() + 30
    while time.monotonic() < give_up_at:
        job = client.get(f"/api/v1/jobs/{answer.json()['jobId']}", headers=_key("jobid"))
        assert job.status_code == 200, job.text
        if job.json()["status"] != "processing":
            return _behind("outputUrl")(client, job)
        time.sleep(0.05)
    raise AssertionError("the job never ended")


@dataclass(frozen=True)
class Speaker:
    """How a client of one provider speaks.

    Attributes:
        path: The picture route.
        file: Its file field.
        link: Its URL field, or "".
        link_in: Body kinds that may carry it.
        encoded: Its base64 field, or "".
        bad: A known option with a bad value.
        take: Answer → picture.
        key: Header that carries the key.
        error: Error body → code, or None where the dialect has none.
        success: Status of success.
    """

    path: str
    file: str
    link: str = ""
    link_in: tuple[str, ...] = ("multipart", "urlencoded")
    encoded: str = ""
    bad: tuple[str, str] | None = None
    take: Callable[[Client, Response], bytes] = _bytes
    key: Callable[[str], dict[str, str]] = field(default=lambda key: {"x-api-key": key})
    error: Callable[[Any], str | None] = field(default=lambda body: None)
    success: int = 200


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _text_only(body: Any) -> None:
    assert set(body) == {"error"}
    assert isinstance(body["error"], str)
    assert body["error"]


def _picsart_error(body: Any) -> None:
    assert isinstance(body["code"], int)
    assert body["detail"]
    assert body["message"]


def _removebg_error(body: Any) -> str | None:
    (error,) = body["errors"]
    assert error["title"]
    assert all(isinstance(value, str) for value in error.values())
    code: str | None = error.get("code")
    return code


def _photoroom_error(body: Any) -> str:
    assert body["detail"]
    assert isinstance(body["status_code"], int)
    return str(body["type"])


def _problem(body: Any) -> str:
    assert body["title"]
    assert body["detail"]
    assert isinstance(body["status"], int)
    assert body["request_id"].startswith("req_")
    return str(body["code"])


SPEAKERS = {
    "backgrounderase": Speaker(
        "/v2",
        "image_file",
        "image_url",
        ("multipart", "urlencoded", "json"),
        "image_base64",
        ("size", "huge"),
        error=lambda body: body["error"]["code"],
    ),
    "removebg": Speaker(
        "/v1.0/removebg",
        "image_file",
        "image_url",
        ("multipart", "urlencoded", "json"),
        "image_file_b64",
        ("size", "huge"),
        error=_removebg_error,
    ),
    "photoroom": Speaker("/v1/segment", "image_file", bad=("size", "huge"), error=_photoroom_error),
    "clipdrop": Speaker(
        "/remove-background/v1", "image_file", bad=("transparency_handling", "perhaps"), error=_text_only
    ),
    "slazzer": Speaker(
        "/v2.0/remove_image_background",
        "source_image_file",
        "source_image_url",
        encoded="source_image_base64",
        bad=("format", "psd"),
        key=lambda key: {"API-KEY": key},
        error=_text_only,
    ),
    "picsart": Speaker(
        "/tools/1.0/removebg",
        "image",
        "image_url",
        ("multipart", "urlencoded", "json"),
        bad=("format", "PSD"),
        take=_behind("data", "url"),
        key=lambda key: {"X-Picsart-API-Key": key},
        error=_picsart_error,
    ),
    "poof": Speaker("/v1/remove", "image_file", "url", bad=("crop", "yes"), error=lambda body: body["code"]),
    "poofbg": Speaker(
        "/v1/remove-background",
        "file",
        "image_url",
        ("multipart", "json"),
        take=_behind("result_url"),
        key=_bearer,
        error=lambda body: body["error"]["code"],
    ),
    "foner": Speaker("/v1/remove-bg", "file", "image_url", take=_foner, error=lambda body: body["error"]["code"]),
    "jobid": Speaker(
        "/api/v1/remove-bg",
        "image_file",
        "image_url",
        take=_polled,
        key=_bearer,
        error=lambda body: body["code"],
        success=202,
    ),
    "bgone": Speaker(
        "/cut/v1",
        "image",
        "image_url",
        ("multipart", "urlencoded", "json"),
        "image_base64",
        ("channels", "cmyk"),
        error=_problem,
    ),
}


def _key(name: str) -> dict[str, str]:
    return SPEAKERS[name].key(KEYS.get(name, "0123456789"))


def with_file(name: str, picture: bytes = PHOTO, /, **options: Any) -> dict[str, Any]:
    """Arguments of a POST with a file, its type and name wrong as clients send them."""
    return {"files": {SPEAKERS[name].file: ("a/b\\c.png", picture, "image/jpg")}, "data": options}


def code_of(name: str, answer: Response) -> str | None:
    """The code of an error, its form checked."""
    assert answer.status_code >= 400, answer.content[:200]
    assert answer.headers["content-type"] == KNOWN[name].error_media_type
    assert "content-encoding" not in answer.headers
    return SPEAKERS[name].error(answer.json())


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server with keys and small limits."""
    keys = ",".join(["0123456789", *KEYS.values()])
    folder = tmp_path_factory.mktemp("strict")
    with (
        serve(
            folder, api_keys=keys, max_mb=0.05, max_megapixels=0.05, fetch_allow="127.0.0.0/8", job_wait_s=20
        ) as served,
        served.client() as client,
    ):
        yield client


@pytest.fixture(scope="module")
def pages() -> Iterator[str]:
    with site({"/photo.jpg": PHOTO, "/page.html": b"<html>no picture</html>"}) as address:
        yield address


# --- the table ------------------------------------------------------------------------------------------------------


def test_every_dialect_is_spoken_here() -> None:
    """A new dialect is tested the day it is added."""
    assert set(SPEAKERS) == set(KNOWN)
    assert len(KNOWN) == 11


@pytest.mark.parametrize("name", NAMES)
def test_every_kind_of_failure_has_its_row(name: str) -> None:
    """No failure falls back to something that says another thing."""
    assert set(KNOWN[name].failures) == set(KINDS)
    assert all(400 <= status < 600 for status, _ in KNOWN[name].failures.values())


COLUMNS = (
    "backgrounderase",
    "removebg",
    "foner",
    "jobid",
    "poof",
    "poofbg",
    "photoroom",
    "clipdrop",
    "slazzer",
    "picsart",
    "bgone",
)
# Statuses of every failure, and the codes that providers document; "-": the dialect never says it, "?": code is ours.
FAILURES = """
key_missing        401:unauthorized  403:auth_failed  401:missing_api_key  401  401:authentication_error  401:UNAUTHORIZED  403  401  401  401  401:key_missing
key_wrong          401:unauthorized  403:auth_failed  401:invalid_api_key  401  401:authentication_error  401:UNAUTHORIZED  403  403  401  401  401:key_wrong
key_revoked        403:forbidden  403:auth_failed  401:invalid_api_key  401  403:permission_denied  401:UNAUTHORIZED  403  403  401  401  401:key_revoked
account_barred     403:forbidden  403:auth_failed  403:email_not_verified  403  403:permission_denied  403:FORBIDDEN  403  403  401  403  403:account_barred
no_credits         402:payment_required  402:insufficient_credits  402:insufficient_funds  402  402:payment_required  402:INSUFFICIENT_CREDITS  402:unknown_error  402  402  402  402:no_credits
missing_image      400:missing_image  400:missing_source  422:missing_image  400  400:missing_image  400:INVALID_REQUEST  400:missing_image  400  400  400  400:missing_image
multiple_images    -  400:multiple_sources  -  -  400:validation_error  -  -  -  400  400  400:multiple_images
unreadable_image   400:invalid_image  400:failed_to_read_image  422:invalid_image  400  400:validation_error  400:INVALID_IMAGE_TYPE  400  400  400  422  422:unreadable_image
unsupported_image  400:invalid_image  400:invalid_file_type  422:unsupported_format  400  400:validation_error  400:INVALID_IMAGE_TYPE  400  400  400  415  415:unsupported_image
too_many_bytes     413:image_too_large  400:file_too_large  422:file_too_large  400  400:image_too_large  400:FILE_TOO_LARGE  400  400  400  413  413:too_many_bytes
too_many_pixels    413:image_too_large  400:resolution_too_high  422:image_too_large  400  400:image_too_large  400:INVALID_REQUEST  400  400  400  413  413:too_many_pixels
invalid_option     400:invalid_option  400  422  400  400:validation_error  400:INVALID_REQUEST  400  400  400  422  400:invalid_option
fetch_failed       400:image_fetch_failed  400:failed_image_download  422  -  400:validation_error  -  -  -  400  400  422:fetch_failed
unsupported_body   415:unsupported_media_type  400:missing_source  422  400  400:missing_image  400:INVALID_REQUEST  400  400  400  415  415:unsupported_body
nothing_found      -  400:unknown_foreground  -  -  -  -  -  -  -  -  -
job_not_found      -  -  404:job_not_found  404  404:job_not_found  404:NOT_FOUND  -  -  -  404  -
job_forbidden      -  -  404:job_not_found  404  404:job_not_found  403:FORBIDDEN  -  -  -  404  -
rate_limited       429:rate_limited  429:rate_limit_exceeded  429:rate_limited  429  429:rate_limit_exceeded  429:RATE_LIMITED  429  429  429  429  429:rate_limited
internal           500:internal_error  500  -  500  -  500:INTERNAL_ERROR  500  500  500  500  500:internal
overloaded         503:unavailable  503  503  503  502:upstream_error  503  503  503  503  503  503:overloaded
"""  # fmt: skip  # noqa: E501
MATRIX = {
    (kind, name): cell.partition(":")[::2]
    for kind, *cells in (line.split() for line in FAILURES.strip().splitlines())
    for name, cell in zip(COLUMNS, cells, strict=True)
    if cell != "-"
}


@pytest.mark.parametrize(("kind", "name"), MATRIX, ids=str)
def test_failures_have_the_providers_status_and_code(kind: str, name: str) -> None:
    """The matrix of the wire contracts."""
    expected_status, expected_code = MATRIX[kind, name]
    status, code = KNOWN[name].failures[kind]

    assert status == int(expected_status)
    if expected_code and name != "picsart":
        assert code == expected_code


LIMITS = {
    "backgrounderase": (30, None),
    "removebg": (22, 50),
    "foner": (25, 32),
    "poof": (20, None),
    "poofbg": (10, None),
    "photoroom": (30, None),
    "clipdrop": (30, 25),
    "slazzer": (12, None),
}


@pytest.mark.parametrize("name", LIMITS)
def test_the_providers_limits_are_the_defaults(name: str) -> None:
    """Megabytes and megapixels of one picture."""
    megabytes, megapixels = LIMITS[name]

    assert KNOWN[name].file_bytes == megabytes * 1_000_000
    assert KNOWN[name].pixels == (megapixels * 1_000_000 if megapixels else None)


# --- ways in --------------------------------------------------------------------------------------------------------


def _is_cutout(picture: bytes) -> None:
    pixels = decode(picture)
    assert pixels.shape == (120, 161, 4)
    assert pixels[..., 3].min() == 0
    assert pixels[..., 3].max() == 255


def whole_size(name: str) -> dict[str, str]:
    """Options that ask for the picture's own size: remove.bg's default is a preview."""
    return {"size": "full"} if name == "removebg" else {}


@pytest.mark.parametrize("prefixed", [False, True], ids=["own path", "own prefix"])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_comes_back_cut(client: Client, name: str, *, prefixed: bool) -> None:
    """By the provider's path and by ours; the transparent PNG that is everybody's default."""
    speaker = SPEAKERS[name]
    path = f"/{name}{speaker.path}" if prefixed else speaker.path

    answer = client.post(path, **with_file(name, **whole_size(name)), headers=_key(name))

    assert answer.status_code == speaker.success, answer.text
    assert "content-encoding" not in answer.headers
    _is_cutout(speaker.take(client, answer))


@pytest.mark.parametrize("name", NAMES)
def test_a_trailing_slash_is_served_not_redirected(client: Client, name: str) -> None:
    """A redirect of a POST loses body or key in many clients."""
    answer = client.post(
        SPEAKERS[name].path + "/", **with_file(name, SMALL), headers=_key(name), follow_redirects=False
    )

    assert answer.status_code == SPEAKERS[name].success, answer.text


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("name", NAMES)
def test_common_kinds_of_file_are_read_whatever_they_are_called(client: Client, name: str, kind: str) -> None:
    """Names and types of parts are claims of strangers."""
    picture = encode(pictures.ball(80, 60), kind.upper())

    answer = client.post(SPEAKERS[name].path, **with_file(name, picture), headers=_key(name))

    assert answer.status_code == SPEAKERS[name].success, answer.text


WITH_LINK = [(name, kind) for name, speaker in SPEAKERS.items() if speaker.link for kind in speaker.link_in]


@pytest.mark.parametrize(("name", "kind"), WITH_LINK)
def test_a_url_is_fetched(client: Client, pages: str, name: str, kind: str) -> None:
    """In every kind of body that the provider takes."""
    speaker = SPEAKERS[name]
    options = {speaker.link: f"{pages}/photo.jpg", **whole_size(name)}
    bodies: dict[str, dict[str, Any]] = {
        "multipart": {"files": {option: (None, value) for option, value in options.items()}},
        "urlencoded": {"data": options},
        "json": {"json": options},
    }
    accept = {"accept": "image/*"} if kind == "json" else {}

    answer = client.post(speaker.path, **bodies[kind], headers=_key(name) | accept)

    assert answer.status_code == speaker.success, answer.text
    _is_cutout(speaker.take(client, answer))


WITH_TEXT = [name for name, speaker in SPEAKERS.items() if speaker.encoded]
SPELLINGS = {
    "plain": TEXT,
    "data URL": "data:image/png;base64," + TEXT,
    "wrapped and unpadded": "\r\n".join(TEXT[at : at + 76] for at in range(0, len(TEXT), 76)).rstrip("="),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("name", WITH_TEXT)
def test_base64_is_read(client: Client, name: str, spelling: str) -> None:
    """As text of a form, however it is wrapped."""
    speaker = SPEAKERS[name]
    data = {speaker.encoded: SPELLINGS[spelling], **whole_size(name)}

    for body in ({"data": data}, {"files": {option: (None, value) for option, value in data.items()}}):
        answer = client.post(speaker.path, **body, headers=_key(name))

        assert answer.status_code == 200, answer.text
        _is_cutout(answer.content)


@pytest.mark.parametrize("name", NAMES)
def test_a_chunked_body_needs_no_length(client: Client, name: str) -> None:
    """Node clients stream their forms."""
    request = client.build_request("POST", SPEAKERS[name].path, **with_file(name, SMALL), headers=_key(name))
    body = request.read()
    headers = {"content-type": request.headers["content-type"], **_key(name)}

    answer = client.post(SPEAKERS[name].path, content=iter([body[:700], body[700:]]), headers=headers)

    assert answer.request.headers["transfer-encoding"] == "chunked"
    assert answer.status_code == SPEAKERS[name].success, answer.text


@pytest.mark.parametrize("name", NAMES)
def test_empty_values_and_nameless_empty_files_are_absent(client: Client, name: str) -> None:
    """Browsers and command lines send every field, filled or not."""
    speaker = SPEAKERS[name]
    unset = dict.fromkeys(("format", "bg_color", "size", "crop", "channels", "roi", "shadow"), (None, ""))
    files: list[tuple[str, Any]] = [*unset.items(), ("bg_image_file", ("", b"")), (speaker.file, ("x", SMALL))]
    if speaker.link:
        files.append((speaker.link, (None, "")))

    answer = client.post(speaker.path, files=files, headers=_key(name))

    assert answer.status_code == speaker.success, answer.text


@pytest.mark.parametrize("name", NAMES)
def test_unknown_fields_are_ignored(client: Client, name: str) -> None:
    """Other providers' options, stray keys."""
    answer = client.post(
        SPEAKERS[name].path, **with_file(name, SMALL, nobody_knows="1", api_key="x"), headers=_key(name)
    )

    assert answer.status_code == SPEAKERS[name].success, answer.text


@pytest.mark.parametrize("name", NAMES)
def test_http_1_0_is_answered(server: Served, client: Client, name: str) -> None:
    """WordPress plugins speak it."""
    request = client.build_request("POST", SPEAKERS[name].path, **with_file(name, SMALL), headers=_key(name))
    headers = [
        f"{field}: {value}" for field, value in {**_key(name), "Content-Type": request.headers["content-type"]}.items()
    ]
    start = f"POST {SPEAKERS[name].path} HTTP/1.0"

    (answer,) = wire.answers(wire.talk(server.port, wire.request(request.read(), *headers, start=start)), "POST")

    assert answer.status == SPEAKERS[name].success, answer.body
    assert int(answer.headers["content-length"]) == len(answer.body)


# --- failures over HTTP ---------------------------------------------------------------------------------------------


def _expect(kind: str, name: str, answer: Response) -> None:
    status, code = KNOWN[name].failures[kind]
    assert answer.status_code == status, answer.text
    got = code_of(name, answer)
    if got is not None and kind != "invalid_option":
        assert got == code


@pytest.mark.parametrize("name", NAMES)
def test_no_key_and_a_wrong_key_are_refused(strict: Client, name: str) -> None:
    """Before the body is read."""
    speaker = SPEAKERS[name]

    _expect("key_missing", name, strict.post(speaker.path, **with_file(name, SMALL)))
    _expect("key_wrong", name, strict.post(speaker.path, **with_file(name, SMALL), headers=speaker.key("wrong")))
    right = strict.post(speaker.path, **with_file(name, SMALL), headers=_key(name))
    assert right.status_code == speaker.success, right.text


@pytest.mark.parametrize("name", NAMES)
def test_no_picture(strict: Client, name: str) -> None:
    """An empty form, no body at all, a field of another name."""
    for body in ({"files": {"x": (None, "1")}}, {}, {"files": {"picture": ("x.png", SMALL)}}):
        _expect("missing_image", name, strict.post(SPEAKERS[name].path, **body, headers=_key(name)))


@pytest.mark.parametrize("name", [name for kind, name in MATRIX if kind == "multiple_images"])
def test_two_pictures(strict: Client, pages: str, name: str) -> None:
    """Refused where the provider refuses them."""
    speaker = SPEAKERS[name]
    body = with_file(name, SMALL, **{speaker.link: f"{pages}/photo.jpg"})

    _expect("multiple_images", name, strict.post(speaker.path, **body, headers=_key(name)))


def _huge(width: int, height: int) -> bytes:
    """A PNG whose header declares a size, and nothing behind it."""
    header = b"IHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big") + b"\x08\x02\0\0\0"
    return (
        b"\x89PNG\r\n\x1a\n\0\0\0\x0d"
        + header
        + zlib.crc32(header).to_bytes(4, "big")
        + b"\0\0\0\0IDAT\x35\xaf\x06\x1e"
    )


BAD_PICTURES = {
    "unreadable_image": b"this is no picture at all, whatever its name says",
    "too_many_bytes": PHOTO + b"\0" * 60_000,
    "too_many_pixels": _huge(5000, 4000),
}


@pytest.mark.parametrize("kind", BAD_PICTURES)
@pytest.mark.parametrize("name", NAMES)
def test_bad_pictures_are_refused(strict: Client, name: str, kind: str) -> None:
    """At once, also where a job would have been made of them."""
    _expect(kind, name, strict.post(SPEAKERS[name].path, **with_file(name, BAD_PICTURES[kind]), headers=_key(name)))


@pytest.mark.parametrize("name", [name for name in NAMES if KNOWN[name].kinds is not None])
def test_kinds_of_file_that_the_provider_does_not_take(strict: Client, name: str) -> None:
    """A BMP, which we could read."""
    answer = strict.post(
        SPEAKERS[name].path, **with_file(name, encode(pictures.ball(40, 30), "BMP")), headers=_key(name)
    )

    _expect("unsupported_image", name, answer)


@pytest.mark.parametrize("name", [name for name, speaker in SPEAKERS.items() if speaker.bad])
def test_a_bad_value_of_a_known_option(strict: Client, name: str) -> None:
    """Never ignored; the complaint names the option."""
    option, value = SPEAKERS[name].bad or ("", "")
    answer = strict.post(SPEAKERS[name].path, **with_file(name, SMALL, **{option: value}), headers=_key(name))

    _expect("invalid_option", name, answer)
    if name != "slazzer":  # whose words are fixed
        assert option in answer.text


@pytest.mark.parametrize("page", ["/nothing.jpg", "/page.html"])
@pytest.mark.parametrize("name", [name for kind, name in MATRIX if kind == "fetch_failed"])
def test_a_url_that_gives_no_picture(strict: Client, pages: str, name: str, page: str) -> None:
    """404 is a failed fetch; a page is no picture."""
    answer = strict.post(SPEAKERS[name].path, data={SPEAKERS[name].link: pages + page}, headers=_key(name))

    _expect("fetch_failed" if page == "/nothing.jpg" else "unreadable_image", name, answer)


@pytest.mark.parametrize("name", NAMES)
def test_a_body_of_another_kind(strict: Client, name: str) -> None:
    """XML."""
    answer = strict.post(SPEAKERS[name].path, content=b"<x/>", headers={"content-type": "text/xml", **_key(name)})

    _expect("unsupported_body", name, answer)


@pytest.mark.parametrize("name", NAMES)
def test_404_and_405_are_in_the_dialects_form(strict: Client, name: str) -> None:
    """Inside its paths and under its prefix."""
    speaker = SPEAKERS[name]

    for path in (f"{speaker.path}/nothing", f"/{name}/nothing"):
        assert strict.post(path, headers=_key(name)).status_code == 404
        code_of(name, strict.post(path, headers=_key(name)))
    wrong = strict.put(speaker.path, headers=_key(name))
    assert wrong.status_code == 405
    assert "POST" in wrong.headers["allow"]
    code_of(name, wrong)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAMES)
def test_every_failure_is_told_in_the_dialects_form(name: str, kind: str) -> None:
    """500, 503 and those that nobody can call forth from outside as well, with nothing private in them."""
    dialect = KNOWN[name]
    status, code = dialect.failures[kind]
    error = ApiError(kind, "Public words.", detail="/private/path", facts={"option": "size", "state": "queued"})

    for operation in dialect.operations:
        body = (operation.render_error or dialect.render_error)(status, code, error, "req_1")
        assert "/private" not in str(body)
        if operation is _picture_operation(dialect):
            SPEAKERS[name].error(body)


def test_a_providers_host_name_decides_the_form_of_a_404(strict: Client) -> None:
    """Outside of everybody's paths."""
    answer = strict.get("/nothing", headers={"host": "api.remove.bg"})

    assert answer.status_code == 404
    code_of("removebg", answer)


# --- forms of answers -----------------------------------------------------------------------------------------------


PREFLIGHT = {
    "origin": "https://shop.example",
    "access-control-request-method": "POST",
    "access-control-request-headers": "x-api-key, content-type",
}


@pytest.mark.parametrize("name", NAMES)
def test_browsers_may_call_the_dialects_that_have_browser_clients(strict: Client, name: str) -> None:
    """A preflight without a key, the answer itself, and errors: all open, or none."""
    path = SPEAKERS[name].path
    opens = name in ("removebg", "photoroom", "clipdrop")

    preflight = strict.options(path, headers=PREFLIGHT)
    answers = [strict.post(path, **with_file(name, SMALL), headers=_key(name)), strict.post(path), preflight]

    assert [answer.headers.get("access-control-allow-origin") for answer in answers] == ["*" if opens else None] * 3
    if opens:
        assert preflight.status_code == 204
        assert not preflight.content
        assert preflight.headers["access-control-allow-headers"] == "x-api-key, content-type"
        assert "POST" in preflight.headers["access-control-allow-methods"]
    else:
        assert preflight.status_code == 405


def test_cors_can_be_opened_everywhere_and_closed(tmp_path: Path) -> None:
    """``BGONE_CORS``."""
    for setting, opens in (("all", True), ("off", False)):
        with serve(tmp_path, cors=setting) as served:
            heads = [served.post(SPEAKERS[name].path).headers for name in ("poof", "removebg")]
            assert ["access-control-allow-origin" in head for head in heads] == [opens, opens]


BYTES = [name for name, speaker in SPEAKERS.items() if speaker.take is _bytes]


@pytest.mark.parametrize("name", BYTES)
def test_pictures_have_a_bare_type_and_no_coding(client: Client, name: str) -> None:
    """Node's Photoroom client compares for equality; the PHP client decodes no gzip. axios' Accept means bytes."""
    headers = {"accept": "application/json, text/plain, */*", "accept-encoding": "gzip, br", **_key(name)}
    answer = client.post(SPEAKERS[name].path, **with_file(name, SMALL), headers=headers)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert "content-encoding" not in answer.headers
    assert answer.headers["x-request-id"].startswith("req_")
    assert answer.content.startswith(b"\x89PNG")


def _picture_operation(dialect: Dialect) -> Any:
    (operation,) = (o for o in dialect.operations if SPEAKERS[dialect.name].path in o.paths)
    return operation


@pytest.mark.parametrize("name", NAMES)
def test_picture_routes_are_cut_or_submitted(name: str) -> None:
    """And need a key."""
    operation = _picture_operation(KNOWN[name])

    assert isinstance(operation.does, Cut | Submit)
    assert operation.needs_key


@pytest.mark.parametrize("name", NAMES)
def test_every_answer_of_every_route_is_json_or_a_picture(client: Client, name: str) -> None:
    """GET routes without an id answer an object; with an id that nobody has, an error in form."""
    for operation in KNOWN[name].operations:
        if operation.method != "GET":
            continue
        path = re.sub(r"\{id\}", "0" * 32, operation.paths[0])
        answer = client.get(f"/{name}{path}", headers=_key(name))
        assert answer.status_code in (200, 404), answer.text
        assert isinstance(answer.json(), dict)
        if answer.status_code == 404:
            code_of(name, answer)


def test_the_pictures_of_the_tests_are_pictures() -> None:
    """What is sent above decodes: the tests would refuse nothing else."""
    assert decode(PHOTO).shape[:2] == (120, 161)
    assert len(PHOTO) < 50_000
    assert io.BytesIO(_huge(5000, 4000)).read(8) == b"\x89PNG\r\n\x1a\n"
