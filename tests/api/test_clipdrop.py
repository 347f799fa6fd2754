"""Clipdrop v1: its fields and its Accept header as orders, its answers and errors, then all of it over real HTTP."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
from httpx2 import Client, Response

from bgone.api.auth import Account, Caller
from bgone.api.dialect import Context
from bgone.api.dialects.clipdrop import DIALECT, parse, render
from bgone.api.fields import Fields, File
from bgone.errors import KINDS, ApiError, key_missing, key_wrong
from bgone.pipeline.order import Order, OwnAlpha, RenderOptions, Upload
from bgone.pipeline.studio import Result
from tests import pictures
from tests.pictures import ball, decode, encode
from tests.serving import Served, serve
from tests.wire import answers, request, talk

photo = partial(pictures.photo, of=ball)
PHOTO = photo(161, 120)
PATH = "/remove-background/v1"
NO_RESULT = cast(Result, None)  # nothing of the result is told


# --- values ---------------------------------------------------------------------------------------------------------


def fields(accept: str | None = None, **text: str) -> Fields:
    """A multipart body with a picture."""
    headers = {} if accept is None else {"accept": accept}
    return Fields("multipart", text=text, files={"image_file": File(b"picture")}, headers=headers)


@pytest.mark.parametrize(
    ("accept", "name"),
    [
        (None, "png"), ("", "png"), ("*/*", "png"), ("image/*", "png"), ("image/png", "png"), ("image/webp", "webp"),
        ("image/jpeg", "jpg"), ("image/jpg", "jpg"), ("IMAGE/JPG", "jpg"), ("application/json, text/plain, */*", "png"),
        ("image/webp, image/png", "webp"), ("image/avif, image/jpeg;q=0.8", "jpg"),
        ("image/png;q=0.5, image/webp;q=0.9", "webp"), ("text/html, image/webp, */*;q=0.8", "webp"),
    ],
)  # fmt: skip
def test_accept_chooses_the_format(accept: str | None, name: str) -> None:
    """What is liked best and can be written; anything at all means PNG."""
    assert parse(fields(accept)) == Order(Upload(b"picture"), RenderOptions(name, own_alpha="keep"))


@pytest.mark.parametrize("accept", ["application/json", "image/gif", "text/html, image/avif", "image/png;q=0"])
def test_accept_that_nothing_fits_is_a_complaint(accept: str) -> None:
    """The complaint names what can be had, also where the picture is missing too."""
    for sent in (fields(accept), Fields("none", headers={"accept": accept})):
        with pytest.raises(ApiError) as caught:
            parse(sent)

        assert caught.value.kind == "not_acceptable"
        assert "image/png, image/webp or image/jpeg" in caught.value.message


@pytest.mark.parametrize(
    ("text", "own_alpha"),
    [
        ({}, "keep"),
        ({"transparency_handling": ""}, "keep"),
        ({"transparency_handling": "return_input_if_non_opaque"}, "keep"),
        ({"transparency_handling": "discard_alpha_layer"}, "drop"),
        ({"outputs[]": "mask", "format": "gif"}, "keep"),
    ],
)
def test_transparency_handling_is_read(text: dict[str, str], own_alpha: OwnAlpha) -> None:
    """Two words and a default; other fields are ignored."""
    assert parse(fields("*/*", **text)).options == RenderOptions(own_alpha=own_alpha)


def test_another_transparency_handling_is_a_complaint() -> None:
    """With both words."""
    with pytest.raises(ApiError) as caught:
        parse(fields(transparency_handling="multiply"))

    assert caught.value.kind == "invalid_option"
    assert "return_input_if_non_opaque or discard_alpha_layer" in caught.value.message


@pytest.mark.parametrize("name", ["image_url", "image_file_b64", "image_file"])
def test_only_a_file_is_a_picture(name: str) -> None:
    """The provider documents neither URLs nor base64."""
    with pytest.raises(ApiError) as caught:
        parse(Fields("multipart", text={name: "http://127.0.0.1/x.png"}))

    assert caught.value.kind == "missing_image"


@pytest.mark.parametrize(
    ("left", "told"), [("99", "99"), ("99.0", "99"), ("0.75", "0.75"), ("1000000", "1000000"), ("1E+3", "1000")]
)
def test_headers_tell_credits_in_plain_numbers(left: str, told: str) -> None:
    """Whole where the value is whole, never with an exponent."""
    context = Context("req_1", Caller("tok", Account("a", subscription_credits=Decimal(left))))

    delivery = render(parse(fields("image/jpg")), NO_RESULT, context)

    assert delivery.media_type == "image/jpeg"
    assert dict(delivery.headers) == {"x-remaining-credits": told, "x-credits-consumed": "1"}


STATUSES = {
    "key_missing": 401, "key_wrong": 403, "key_revoked": 403, "account_barred": 403, "no_credits": 402,
    "rate_limited": 429, "missing_image": 400, "invalid_option": 400, "unreadable_image": 400, "unsupported_image": 400,
    "too_many_bytes": 400, "too_many_pixels": 400, "unsupported_body": 400, "not_acceptable": 406, "overloaded": 503,
    "internal": 500,
}  # fmt: skip


@pytest.mark.parametrize("kind", STATUSES)
def test_failures_have_the_contracts_status(kind: str) -> None:
    """``error`` is a text and there is nothing else."""
    status, code = DIALECT.failures[kind]

    assert status == STATUSES[kind]
    assert DIALECT.render_error(status, code, ApiError(kind, "Words."), "req_1").keys() == {"error"}


def test_every_kind_of_failure_has_its_row() -> None:
    """No failure falls back to 500."""
    assert set(DIALECT.failures) == set(KINDS)


@pytest.mark.parametrize(
    ("error", "text"), [(key_missing(), "No api key provided"), (key_wrong(), "This API key is not known.")]
)
def test_the_providers_own_words_are_kept(error: ApiError, text: str) -> None:
    """One text is known; the others are ours."""
    assert DIALECT.render_error(401, "", error, "req_1") == {"error": text}


def test_keys_are_found() -> None:
    """In one header; white space is not a key."""
    assert DIALECT.find_key({"x-api-key": " k "}, {}) == "k"
    assert DIALECT.find_key({"x-api-key": " ", "authorization": "Bearer k"}, {"x-api-key": "k"}) is None


# --- over HTTP ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    """A keep-alive connection."""
    with server.client() as client:
        yield client


def cut(client: Client, picture: bytes = PHOTO, accept: str = "*/*", **text: str) -> Response:
    """POST /remove-background/v1 by multipart."""
    files = {"image_file": ("car.jpg", picture, "image/jpeg")}
    return client.post(PATH, files=files, data=text, headers={"accept": accept})


def error_of(answer: Response) -> str:
    """The error's text, its shape checked."""
    body = answer.json()
    assert set(body) == {"error"}
    assert isinstance(body["error"], str)
    assert answer.headers["content-type"] == "application/json"
    return str(body["error"])


@pytest.mark.parametrize(
    "part",
    [
        ("/home/me/pictures/x.jpg", PHOTO, "image/jpg"), ("x.png", PHOTO, "image/png"), ("x", PHOTO, "*/*"),
        ("x", PHOTO, ""), ("x.jpg", PHOTO),
    ],
)  # fmt: skip
def test_part_types_and_names_are_not_believed(client: Client, part: tuple[Any, ...]) -> None:
    """pyclipdrop says image/jpg and sends a whole path as the file's name."""
    answer = client.post(PATH, files={"image_file": part})

    assert answer.status_code == 200, answer.text
    assert answer.content == cut(client).content


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_documented_kinds_of_picture_are_read(client: Client, kind: str) -> None:
    """The answer has the size of what was sent."""
    pixels = decode(cut(client, encode(ball(161, 120), kind)).content)

    assert pixels.shape == (120, 161, 4)
    assert pixels[60, 80, 3] == 255
    assert pixels[2, 2, 3] == 0


@pytest.mark.parametrize("prefix", ["", "/clipdrop"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_spelling_answers_without_a_redirect(client: Client, prefix: str, slash: str) -> None:
    """Some clients drop the body or the key on a redirect."""
    assert client.post(prefix + PATH + slash, files={"image_file": ("x", PHOTO)}).status_code == 200


def multipart() -> tuple[bytes, str]:
    """A body as a client writes it by hand, and its content type."""
    head = b'--edge\r\nContent-Disposition: form-data; name="image_file"; filename="a.jpg"\r\n\r\n'
    return head + PHOTO + b"\r\n--edge--\r\n", "multipart/form-data; boundary=edge"


def test_chunked_bodies_are_read(client: Client) -> None:
    """Nothing tells their length."""
    body, media_type = multipart()
    pieces = (body[start : start + 1000] for start in range(0, len(body), 1000))

    answer = client.post(PATH, content=pieces, headers={"content-type": media_type})

    assert answer.content == cut(client).content


def test_a_client_without_accept_gets_png_by_http_1_0_too(client: Client, server: Served) -> None:
    """Whole, with its length, and the connection ends."""
    body, media_type = multipart()

    sent = request(body, f"Content-Type: {media_type}", start=f"POST {PATH} HTTP/1.0")
    (answer,) = answers(talk(server.port, sent), "POST")

    assert (answer.status, answer.headers["content-type"]) == (200, "image/png")
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert answer.body == cut(client).content


@pytest.mark.parametrize(
    ("accept", "media_type", "bands"),
    [
        ("image/png", "image/png", 4), ("image/webp", "image/webp", 4), ("image/jpeg", "image/jpeg", 3),
        ("image/jpg", "image/jpeg", 3), ("*/*", "image/png", 4),
    ],
)  # fmt: skip
def test_accept_chooses_the_picture(client: Client, accept: str, media_type: str, bands: int) -> None:
    """Bare content types, and never ``image/jpg``."""
    answer = cut(client, accept=accept)

    assert answer.headers["content-type"] == media_type
    assert "content-encoding" not in answer.headers
    assert decode(answer.content).shape == (120, 161, bands)


def test_jpeg_is_laid_on_white(client: Client) -> None:
    """There is no transparency in it."""
    assert decode(cut(client, accept="image/jpeg").content)[2, 2].min() >= 253


def test_headers_tell_credits(client: Client) -> None:
    """On every picture."""
    headers = cut(client).headers

    assert headers["x-credits-consumed"] == "1"
    assert float(headers["x-remaining-credits"]) >= 0


def with_alpha(alpha: int) -> bytes:
    """A PNG whose left half has this alpha, over a ball."""
    pixels = np.dstack([ball(161, 120), np.full((120, 161), 255, np.uint8)])
    pixels[:, :80, 3] = alpha
    return encode(pixels, "PNG")


@pytest.mark.parametrize("text", [{}, {"transparency_handling": "return_input_if_non_opaque"}])
def test_cut_out_pictures_come_back_as_they_are(client: Client, text: dict[str, str]) -> None:
    """The wall beside the ball stays where it was opaque; what was clear is clear."""
    picture = with_alpha(0)
    pixels = decode(cut(client, picture, **text).content)

    np.testing.assert_array_equal(pixels[..., 3], decode(picture)[..., 3])
    np.testing.assert_array_equal(pixels[:, 80:, :3], decode(picture)[:, 80:, :3])


def test_an_alpha_channel_that_hides_nothing_changes_nothing(client: Client) -> None:
    """An opaque RGBA file is cut like its RGB twin."""
    answer = cut(client, with_alpha(255))

    assert answer.content == cut(client, encode(ball(161, 120), "PNG")).content


def test_discarded_alpha_is_as_if_it_had_never_been(client: Client) -> None:
    """The picture below is cut, its clear half too."""
    answer = cut(client, with_alpha(0), transparency_handling="discard_alpha_layer")

    assert answer.content == cut(client, encode(ball(161, 120), "PNG")).content


def test_the_layers_sample_gets_its_picture(client: Client) -> None:
    """It asks for ``outputs[]=mask`` and treats the answer as an RGBA cutout."""
    files: dict[str, Any] = {"image_file": ("x.png", PHOTO), "outputs[]": (None, "mask")}
    answer = client.post(PATH, files=files, headers={"accept": "image/png"})

    assert decode(answer.content).shape == (120, 161, 4)


BAD: dict[str, tuple[dict[str, Any], int]] = {
    "nothing": ({}, 400),
    "no file": ({"files": {"outputs[]": (None, "mask")}}, 400),
    "empty file": ({"files": {"image_file": ("", b"")}}, 400),
    "base64": ({"data": {"image_file_b64": base64.b64encode(PHOTO).decode()}}, 400),
    "json": ({"json": {"image_file": base64.b64encode(PHOTO).decode()}}, 400),
    "text": ({"content": b"hello", "headers": {"content-type": "text/plain"}}, 400),
    "no boundary": ({"content": b"--x", "headers": {"content-type": "multipart/form-data"}}, 400),
    "no picture": ({"files": {"image_file": ("x.jpg", b"hello")}}, 400),
    "half a picture": ({"files": {"image_file": ("x.jpg", PHOTO[: len(PHOTO) // 2])}}, 400),
    "a GIF": ({"files": {"image_file": ("x.png", encode(ball(), "GIF"))}}, 400),
    "31 MB": ({"files": {"image_file": ("x.jpg", PHOTO + bytes(31_000_000))}}, 400),
    "bad option": ({"files": {"image_file": ("x", PHOTO)}, "data": {"transparency_handling": "x"}}, 400),
    "no such format": ({"files": {"image_file": ("x", PHOTO)}, "headers": {"accept": "image/gif"}}, 406),
    "JSON wanted": ({"files": {"image_file": ("x", PHOTO)}, "headers": {"accept": "application/json"}}, 406),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_get_the_contracts_status(client: Client, case: str) -> None:
    """And one text that says what was wrong."""
    options, status = BAD[case]
    answer = client.post(PATH, **options)

    assert answer.status_code == status
    assert len(error_of(answer)) > 10


def test_25_megapixels_are_the_most(client: Client) -> None:
    """One row more is refused from the header, by what it says and what would be taken."""
    start = PHOTO.index(b"\xff\xc0")
    picture = PHOTO[: start + 5] + (5_000).to_bytes(2, "big") + (5_001).to_bytes(2, "big") + PHOTO[start + 9 :]

    answer = cut(client, picture)

    assert answer.status_code == 400
    assert error_of(answer) == "At most 25000000 pixels; this picture has 25005000."


@pytest.mark.parametrize(("method", "path", "status"), [("GET", PATH, 405), ("GET", "/clipdrop/nothing", 404)])
def test_lost_requests_get_the_same_shape(client: Client, method: str, path: str, status: int) -> None:
    """404 and 405 inside the dialect's paths are its JSON."""
    answer = client.request(method, path)

    assert answer.status_code == status
    error_of(answer)


def test_browsers_may_call(client: Client) -> None:
    """The web samples run in a page: a preflight for their key header, then the call."""
    origin = {"origin": "https://shop.example"}
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    preflight = client.request("OPTIONS", PATH, headers=origin | asked)
    answer = client.post(PATH, files={"image_file": ("x", PHOTO)}, headers=origin)

    assert preflight.is_success
    assert "x-api-key" in preflight.headers["access-control-allow-headers"].lower()
    for one in (preflight, answer):
        assert one.headers["access-control-allow-origin"] == "*"


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A connection to a server that needs a key."""
    folder = tmp_path_factory.mktemp("guarded")
    with serve(folder, auth="required", api_keys="k3y") as served, served.client() as client:
        yield client


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 401), ({"authorization": "Bearer k3y"}, 401), ({"x-api-key": "nope"}, 403)]
)
def test_missing_keys_get_401_and_wrong_ones_403(guarded: Client, headers: dict[str, str], status: int) -> None:
    """The provider tells them apart."""
    answer = guarded.post(PATH, files={"image_file": ("x", PHOTO)}, headers=headers)

    assert answer.status_code == status
    assert (error_of(answer) == "No api key provided") == (status == 401)


@pytest.mark.parametrize("name", ["x-api-key", "X-API-KEY"])
def test_keys_are_taken_whatever_the_headers_case(guarded: Client, name: str) -> None:
    """Samples spell it both ways."""
    assert guarded.post(PATH, files={"image_file": ("x", PHOTO)}, headers={name: "k3y"}).status_code == 200
