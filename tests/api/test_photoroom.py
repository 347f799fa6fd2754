"""Photoroom v1: its fields as orders, its answers and errors, then all of it over real HTTP."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any, cast

import numpy as np
import orjson
import pytest
from httpx2 import Client, Response

from bgone.api.auth import Account, Caller
from bgone.api.dialect import Context, Tell
from bgone.api.dialects.photoroom import DIALECT, parse, render
from bgone.api.fields import Fields, File
from bgone.errors import KINDS, ApiError, key_missing, key_wrong
from bgone.imaging.geometry import SizeCap
from bgone.pipeline.order import Colour, RenderOptions, Upload
from bgone.pipeline.studio import Result
from tests import pictures
from tests.pictures import ball, decode, encode
from tests.serving import Served, serve
from tests.wire import answers, request, talk

photo = partial(pictures.photo, of=ball)
PHOTO = photo(161, 120)
TEXT = base64.b64encode(PHOTO).decode()
FULL = SizeCap(pixels=36_000_000)
NO_RESULT = cast(Result, None)  # nothing of the result is told


# --- values ---------------------------------------------------------------------------------------------------------


def fields(text: dict[str, str] | None = None, accept: str = "*/*") -> Fields:
    """A multipart body with a picture."""
    return Fields("multipart", text=text or {}, files={"image_file": File(b"picture")}, headers={"accept": accept})


OPTIONS: list[tuple[dict[str, str], RenderOptions]] = [
    ({}, RenderOptions(cap=FULL)),
    ({"format": "png", "channels": "rgba", "size": "full", "crop": "false"}, RenderOptions(cap=FULL)),
    ({"format": "JPG"}, RenderOptions("jpg", cap=FULL)),
    ({"format": "webp"}, RenderOptions("webp", cap=FULL)),
    ({"size": "preview"}, RenderOptions(cap=SizeCap(pixels=250_000))),
    ({"size": "medium"}, RenderOptions(cap=SizeCap(pixels=1_500_000))),
    ({"size": "hd"}, RenderOptions(cap=SizeCap(pixels=4_000_000))),
    ({"crop": "true"}, RenderOptions(cap=FULL, crop=True)),
    ({"despill": "true"}, RenderOptions(cap=FULL, despill=True)),
    ({"bg_color": "#FF00FF"}, RenderOptions(cap=FULL, background=Colour(255, 0, 255))),
    ({"bg_color": "FF0000"}, RenderOptions(cap=FULL, background=Colour(255, 0, 0))),
    ({"bg_color": "yellow"}, RenderOptions(cap=FULL, background=Colour(255, 255, 0))),
    ({"channels": "alpha"}, RenderOptions(channels="alpha", cap=FULL)),
    (
        {"channels": "alpha", "format": "jpg", "bg_color": "red", "despill": "true", "crop": "true"},
        RenderOptions("jpg", "alpha", cap=FULL, crop=True),
    ),
    ({"template": "x", "image_url": "http://a/b.png", "image_file_b64": TEXT}, RenderOptions(cap=FULL)),
]


@pytest.mark.parametrize(("text", "options"), OPTIONS)
def test_options_are_read(text: dict[str, str], options: RenderOptions) -> None:
    """Every option and its default; what is not documented is ignored, beside the file too."""
    order = parse(fields(text))

    assert order.options == options
    assert order.source == Upload(b"picture")


@pytest.mark.parametrize(
    "text", [{"image_url": "http://a/b.png"}, {"image_file_b64": TEXT}, {"image_file": TEXT}, {"crop": "true"}]
)
def test_only_a_file_is_a_picture(text: dict[str, str]) -> None:
    """The provider documents neither URLs nor base64."""
    with pytest.raises(ApiError) as caught:
        parse(Fields("multipart", text=text))

    assert caught.value.kind == "missing_image"


@pytest.mark.parametrize(
    ("accept", "delivery"),
    [
        ("", "bytes"), ("*/*", "bytes"), ("image/png, application/json", "bytes"), ("application/json", "json"),
        ("application/json, text/plain, */*", "bytes"), ("application/json; charset=utf-8", "json"),
    ],
)  # fmt: skip
def test_json_comes_only_to_those_who_take_nothing_else(accept: str, delivery: str) -> None:
    """axios names JSON in every request and means the picture."""
    assert parse(fields(accept=accept)).delivery == delivery


def test_json_holds_the_picture_as_base64() -> None:
    """One member, ``base64img``."""
    delivery = render(parse(fields(accept="application/json")), NO_RESULT, Context("req_1"))

    assert delivery.media_type == "application/json"
    assert delivery.wrap is not None
    assert orjson.loads(delivery.wrap(b"\x89PNG")) == {"base64img": "iVBORw=="}


def told(name: str, account: Account) -> object:
    """What an account route says."""
    (operation,) = (operation for operation in DIALECT.operations if operation.name == name)
    assert isinstance(operation.does, Tell)
    return operation.does.answer(Context("req_1", Caller("tok", account))).body


@pytest.mark.parametrize(("left", "available"), [("100", 100), ("99.75", 99), ("-0.5", 0), ("1E+6", 1_000_000)])
def test_accounts_tell_whole_numbers(left: str, available: int) -> None:
    """Clients type them as integers."""
    account = Account("a", plan="basic", subscription_credits=Decimal(left), quota_credits=Decimal(250))
    balance = {"available": available, "subscription": 250}

    assert told("account_v1", account) == {"credits": balance}
    assert told("account_v2", account) == {"images": balance, "plan": "basic"}


STATUSES = {
    "key_missing": (403, "forbidden"), "key_wrong": (403, "forbidden"), "key_revoked": (403, "forbidden"),
    "account_barred": (403, "forbidden"), "no_credits": (402, "unknown_error"), "rate_limited": (429, "rate_limited"),
    "missing_image": (400, "missing_image"), "invalid_option": (400, "invalid_option"),
    "unreadable_image": (400, "invalid_image"), "unsupported_image": (400, "unsupported_image"),
    "too_many_bytes": (400, "image_too_large"), "too_many_pixels": (400, "image_too_large"),
    "unsupported_body": (400, "invalid_request"), "overloaded": (503, "unavailable"),
    "internal": (500, "unknown_error"),
}  # fmt: skip


@pytest.mark.parametrize("kind", STATUSES)
def test_failures_have_the_contracts_status_and_type(kind: str) -> None:
    """403 for keys, 400 for large pictures: the provider knows neither 401 nor 413."""
    status, code = DIALECT.failures[kind]
    body = DIALECT.render_error(status, code, ApiError(kind, "Words."), "req_1")

    assert (status, code) == STATUSES[kind]
    assert set(body) == {"detail", "status_code", "type"}
    assert (body["status_code"], body["type"]) == STATUSES[kind]


def test_every_kind_of_failure_has_its_row() -> None:
    """No failure falls back to 500."""
    assert set(DIALECT.failures) == set(KINDS)


def test_the_providers_own_words_are_kept() -> None:
    """Programs may look for them."""
    texts = [
        DIALECT.render_error(400, "", ApiError(kind, "x"), "")["detail"] for kind in ("missing_image", "no_credits")
    ]

    assert texts == ["Please provide an image.", "API credits exhausted."]


@pytest.mark.parametrize(
    ("error", "message"), [(key_missing(), "apiKey: Required"), (key_wrong(), "This API key is not known.")]
)
def test_account_errors_have_their_own_shape(error: ApiError, message: str) -> None:
    """``{"error": {"message"}}`` on account routes alone."""
    renderers = {operation.name: operation.render_error for operation in DIALECT.operations}

    assert renderers["cut"] is None
    for name in ("account_v1", "account_v2"):
        shape = renderers[name]
        assert shape is not None
        assert shape(403, "forbidden", error, "req_1") == {"error": {"message": message}}


# --- over HTTP ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    """A keep-alive connection."""
    with server.client() as client:
        yield client


def cut(client: Client, picture: bytes = PHOTO, accept: str = "*/*", **options: str) -> Response:
    """POST /v1/segment by multipart."""
    files = {"image_file": ("photo.png", picture, "image/jpeg")}
    return client.post("/v1/segment", files=files, data=options, headers={"accept": accept})


def error_of(answer: Response) -> str:
    """The error's type, its shape checked."""
    body = answer.json()
    assert set(body) == {"detail", "status_code", "type"}
    assert body["status_code"] == answer.status_code
    assert answer.headers["content-type"] == "application/json"
    assert isinstance(body["detail"], str)
    return str(body["type"])


@pytest.mark.parametrize(
    "part",
    [
        ("x.jpg", PHOTO, "image/jpeg"), ("x.png", PHOTO, "image/jpg"), ("x", PHOTO, "application/octet-stream"),
        ("x", PHOTO, "*/*"), ("a/b\\c.heic", PHOTO, ""), ("x.jpg", PHOTO),
    ],
)  # fmt: skip
def test_part_types_and_names_are_not_believed(client: Client, part: tuple[Any, ...]) -> None:
    """The Swift sample says image/jpg, the Node sample image/jpeg whatever the bytes."""
    answer = client.post("/v1/segment", files={"image_file": part})

    assert answer.status_code == 200, answer.text
    assert answer.content == cut(client).content


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_documented_kinds_of_picture_are_read(client: Client, kind: str) -> None:
    """PNG, JPEG and WebP; HEIC needs its extra."""
    answer = cut(client, encode(ball(161, 120), kind))

    assert answer.status_code == 200, answer.text
    assert decode(answer.content).shape == (120, 161, 4)


def multipart(**options: str) -> tuple[bytes, str]:
    """A body as a client writes it by hand, and its content type."""
    texts = "".join(
        f'--edge\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in options.items()
    )
    head = '--edge\r\nContent-Disposition: form-data; name="image_file"; filename="a.jpg"\r\n\r\n'
    return (texts + head).encode() + PHOTO + b"\r\n--edge--\r\n", "multipart/form-data; boundary=edge"


def test_chunked_bodies_are_read(client: Client) -> None:
    """The Node sample pipes its form, so nothing tells the length."""
    body, media_type = multipart(format="jpg")
    pieces = (body[start : start + 1000] for start in range(0, len(body), 1000))

    answer = client.post("/v1/segment", content=pieces, headers={"content-type": media_type})

    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content == cut(client, format="jpg").content


def test_http_1_0_is_answered(client: Client, server: Served) -> None:
    """Whole, with its length, and the connection ends."""
    body, media_type = multipart()
    sent = request(body, f"Content-Type: {media_type}", start="POST /v1/segment HTTP/1.0")

    (answer,) = answers(talk(server.port, sent), "POST")

    assert answer.status == 200
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert answer.body == cut(client).content


@pytest.mark.parametrize("path", ["/v1/segment", "/v1/segment/", "/photoroom/v1/segment", "/photoroom/v1/segment/"])
def test_every_spelling_answers_without_a_redirect(client: Client, path: str) -> None:
    """Some clients drop the body or the key on a redirect."""
    assert client.post(path, files={"image_file": ("x", PHOTO)}).status_code == 200


def test_what_the_python_client_always_sends_is_the_default(client: Client) -> None:
    """All five options in every request."""
    sent = cut(client, format="png", channels="rgba", size="full", crop="false", despill="false")

    assert sent.content == cut(client).content


@pytest.mark.parametrize(
    ("name", "media_type", "bands"),
    [("png", "image/png", 4), ("jpg", "image/jpeg", 3), ("jpeg", "image/jpeg", 3), ("webp", "image/webp", 4)],
)
def test_every_format_is_whole_and_bare(client: Client, name: str, media_type: str, bands: int) -> None:
    """The Node sample compares the content type for equality."""
    answer = cut(client, format=name)

    assert answer.headers["content-type"] == media_type
    assert "content-encoding" not in answer.headers
    assert decode(answer.content).shape == (120, 161, bands)


def test_masks_come_in_the_asked_format(client: Client) -> None:
    """The cutout's alpha as one grey plane; a colour behind it does not matter."""
    mask = cut(client, channels="alpha", bg_color="red", despill="true")
    jpeg = cut(client, channels="alpha", format="jpg")

    np.testing.assert_array_equal(decode(mask.content), decode(cut(client).content)[..., 3])
    assert (mask.headers["content-type"], jpeg.headers["content-type"]) == ("image/png", "image/jpeg")
    assert decode(jpeg.content).shape == (120, 161)
    assert np.abs(decode(jpeg.content).astype(int) - decode(mask.content)).mean() < 4  # JPEG at quality 90


def test_preview_is_a_quarter_megapixel(client: Client) -> None:
    """Nearly used up, never passed, the shape kept; small pictures stay as they are."""
    height, width = decode(cut(client, photo(900, 600), size="preview").content).shape[:2]

    assert 0.97 * 250_000 <= width * height <= 250_000
    assert width / height == pytest.approx(1.5, rel=0.01)
    assert decode(cut(client, size="preview").content).shape[:2] == (120, 161)


@pytest.mark.parametrize("spelling", ["#FF00FF", "FF00FF", "magenta", "Fuchsia"])
def test_background_colours_fill(client: Client, spelling: str) -> None:
    """With or without #, or by name, also in PNG."""
    pixels = decode(cut(client, bg_color=spelling).content)

    assert tuple(pixels[2, 2][:3]) == (255, 0, 255)


def test_jpeg_without_a_background_is_white(client: Client) -> None:
    """There is no transparency in it."""
    assert decode(cut(client, format="jpg").content)[2, 2].min() >= 253


def test_crop_is_tight(client: Client) -> None:
    """Alpha > 0 touches all four sides."""
    alpha = decode(cut(client, crop="true").content)[..., 3]

    assert alpha.shape[0] < 120
    assert all(side.any() for side in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))


def test_despill_weakens_green(client: Client) -> None:
    """A green cast on the subject loses its excess over the mean of red and blue."""
    green = np.clip(ball(161, 120).astype(int) + np.array([0, 120, 0]), 0, 255).astype(np.uint8)

    def excess(**options: str) -> float:
        pixels = decode(cut(client, encode(green, "PNG"), **options).content).astype(float)
        inside = pixels[pixels[..., 3] == 255]
        return float(np.maximum(inside[:, 1] - (inside[:, 0] + inside[:, 2]) / 2, 0).mean())

    assert excess(despill="true") < 1 < excess()


def test_json_mode_holds_the_same_picture(client: Client) -> None:
    """``base64img`` is the file itself."""
    answer = cut(client, accept="application/json", format="webp")

    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"base64img"}
    assert base64.b64decode(answer.json()["base64img"]) == cut(client, format="webp").content


def test_axios_gets_bytes(client: Client) -> None:
    """Its default Accept names JSON first and then everything."""
    assert cut(client, accept="application/json, text/plain, */*").headers["content-type"] == "image/png"


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "missing_image"),
    "no file": ({"files": {"crop": (None, "true")}}, "missing_image"),
    "empty file": ({"files": {"image_file": ("", b"")}}, "missing_image"),
    "base64 instead": ({"data": {"image_file_b64": TEXT}}, "missing_image"),
    "url instead": ({"data": {"image_url": "http://127.0.0.1:1/x.png"}}, "missing_image"),
    "json": ({"json": {"image_file_b64": TEXT}}, "missing_image"),
    "text": ({"content": b"hello", "headers": {"content-type": "text/plain"}}, "invalid_request"),
    "no boundary": ({"content": b"--x", "headers": {"content-type": "multipart/form-data"}}, "invalid_request"),
    "no picture": ({"files": {"image_file": ("x.jpg", b"hello")}}, "invalid_image"),
    "half a picture": ({"files": {"image_file": ("x.jpg", PHOTO[: len(PHOTO) // 2])}}, "invalid_image"),
    "a GIF": ({"files": {"image_file": ("x.png", encode(ball(), "GIF"))}}, "unsupported_image"),
    "31 MB": ({"files": {"image_file": ("x.jpg", PHOTO + bytes(31_000_000))}}, "image_too_large"),
    **{
        f"{name}={value}": ({"files": {"image_file": ("x.jpg", PHOTO)}, "data": {name: value}}, "invalid_option")
        for name, value in {
            "format": "gif", "channels": "rgb", "size": "auto", "crop": "maybe", "bg_color": "blurple", "despill": "2",
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_get_400_and_their_type(client: Client, case: str) -> None:
    """The segment route's shape."""
    options, code = BAD[case]
    answer = client.post("/v1/segment", **options)

    assert answer.status_code == 400
    assert error_of(answer) == code


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/v1/segment", 405), ("GET", "/photoroom/nothing", 404),
])  # fmt: skip
def test_lost_requests_get_the_same_shape(client: Client, method: str, path: str, status: int) -> None:
    """404 and 405 inside the dialect's paths are its JSON."""
    answer = client.request(method, path)

    assert answer.status_code == status
    error_of(answer)


def test_account_routes_answer(client: Client) -> None:
    """Under the dialect's prefix, and at the provider's path by the provider's host."""
    v1 = client.get("/photoroom/v1/account").json()
    v2 = client.get("/v2/account", headers={"host": "image-api.photoroom.com"}).json()

    assert set(v1["credits"]) == {"available", "subscription"}
    assert v2["images"] == v1["credits"]
    assert isinstance(v2["plan"], str)
    assert all(isinstance(number, int) and number >= 0 for number in v2["images"].values())


def test_browsers_may_call(client: Client) -> None:
    """The web sample runs in a page: a preflight for its key header, then the call."""
    origin = {"origin": "https://shop.example"}
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    preflight = client.request("OPTIONS", "/v1/segment", headers=origin | asked)
    answer = client.post("/v1/segment", files={"image_file": ("x", PHOTO)}, headers=origin)

    assert preflight.is_success
    assert "x-api-key" in preflight.headers["access-control-allow-headers"].lower()
    for one in (preflight, answer):
        assert one.headers["access-control-allow-origin"] == "*"


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A connection to a server that needs a key."""
    folder = tmp_path_factory.mktemp("guarded")
    with serve(folder, auth="required", api_keys="sandbox_k3y") as served, served.client() as client:
        yield client


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "nope"}, {"authorization": "Bearer sandbox_k3y"}])
def test_keys_are_refused_with_403(guarded: Client, headers: dict[str, str]) -> None:
    """Missing, wrong, or in a header that the provider does not read."""
    picture = guarded.post("/v1/segment", files={"image_file": ("x", PHOTO)}, headers=headers)
    account = guarded.get("/photoroom/v1/account", headers=headers)

    assert (picture.status_code, error_of(picture)) == (403, "forbidden")
    assert account.status_code == 403
    assert set(account.json()) == {"error"}
    assert (account.json()["error"]["message"] == "apiKey: Required") == ("x-api-key" not in headers)


@pytest.mark.parametrize("name", ["x-api-key", "X-API-KEY", "X-Api-Key"])
def test_keys_are_taken_whatever_the_headers_case(guarded: Client, name: str) -> None:
    """The OpenAPI text and the samples spell it differently; test keys work like others."""
    assert guarded.get("/photoroom/v2/account", headers={name: "sandbox_k3y"}).status_code == 200
    assert guarded.get("/v1/account", headers={name: "sandbox_k3y"}).json().keys() == {"credits"}


def test_keys_are_found_as_values() -> None:
    """White space is not a key."""
    assert DIALECT.find_key({"x-api-key": " k "}, {}) == "k"
    assert DIALECT.find_key({"x-api-key": " "}, {"x-api-key": "k"}) is None
