"""Slazzer v2.0 and its first version: fields as orders, answers and errors, then all of it over real HTTP."""

from __future__ import annotations

import base64
import urllib.parse
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from math import inf
from typing import Any, cast

import numpy as np
import orjson
import pytest
from httpx2 import Client, Response

from bgone.api.auth import Account, Caller
from bgone.api.dialect import Context, Submit, Take
from bgone.api.dialects.slazzer import DIALECT, parse, render, render_job
from bgone.api.fields import Fields, File
from bgone.errors import KINDS, ApiError
from bgone.imaging.geometry import SizeCap
from bgone.jobs.job import Job, Stored
from bgone.pipeline.order import Colour, Link, PictureGround, RenderOptions, Source, Upload
from bgone.pipeline.studio import Result
from tests import origin, pictures
from tests.pictures import ball, decode, encode
from tests.serving import Served, serve
from tests.wire import answers, request, talk

photo = partial(pictures.photo, of=ball)
PHOTO = photo(161, 120)
TEXT = base64.b64encode(PHOTO).decode()
PATH, BALANCE, V1 = "/v2.0/remove_image_background", "/v2.0/account_balance", "/api/v1/remove_image_background"
PNG_CAP, JPG_CAP, PREVIEW = (SizeCap(pixels=most) for most in (10_000_000, 25_000_000, 250_000))
NO_RESULT = cast(Result, None)  # nothing of the result is told
OPERATIONS = {operation.name: operation for operation in DIALECT.operations}


# --- values ---------------------------------------------------------------------------------------------------------


def fields(*files: str, kind: Any = "multipart", **text: str) -> Fields:
    """A body with these files, which hold their own names."""
    return Fields(kind, text=text, files={name: File(name.encode()) for name in files})


OPTIONS: list[tuple[dict[str, str], RenderOptions]] = [
    ({}, RenderOptions(cap=PNG_CAP)),
    ({"format": "png"}, RenderOptions(cap=PNG_CAP)),
    ({"format": "JPG"}, RenderOptions("jpg", cap=JPG_CAP)),
    ({"format": "jpeg"}, RenderOptions("jpg", cap=JPG_CAP)),
    ({"crop": "1"}, RenderOptions(cap=PNG_CAP, crop=True)),
    ({"crop": "true"}, RenderOptions(cap=PNG_CAP, crop=True)),
    ({"crop": "false"}, RenderOptions(cap=PNG_CAP)),
    ({"preview": "1", "format": "jpg"}, RenderOptions("jpg", cap=PREVIEW)),
    ({"preview": "true"}, RenderOptions(cap=PREVIEW)),
    ({"preview": "false"}, RenderOptions(cap=PNG_CAP)),
    ({"bg_color_code": "#ff0000"}, RenderOptions(cap=PNG_CAP, background=Colour(255, 0, 0))),
    ({"bg_color_code": "00ff00"}, RenderOptions(cap=PNG_CAP, background=Colour(0, 255, 0))),
    (
        {"bg_image_url": "http://a/b.jpg"},
        RenderOptions(cap=PNG_CAP, background=PictureGround(Link("http://a/b.jpg"), "cover")),
    ),
    (
        {"bg_image_base64": "AAAA", "bg_color_code": "red"},
        RenderOptions(cap=PNG_CAP, background=PictureGround(Upload(b"\0\0\0"), "cover")),
    ),
    ({"channel": "alpha", "bg_color_code": "red"}, RenderOptions(channels="alpha", cap=PNG_CAP)),
    ({"channel": "alpha", "format": "jpg"}, RenderOptions("jpg", "alpha", cap=JPG_CAP)),
    ({"channel": "rgba", "client": "woocommerce_plugin", "size": "full"}, RenderOptions(cap=PNG_CAP)),
]


@pytest.mark.parametrize(("text", "options"), OPTIONS)
def test_options_are_read(text: dict[str, str], options: RenderOptions) -> None:
    """Every option and its default; the formats have caps of their own."""
    assert parse(fields("source_image_file", **text)).options == options


def test_a_background_file_is_read() -> None:
    """Beside the picture."""
    order = parse(fields("source_image_file", "bg_image_file"))

    assert order.source == Upload(b"source_image_file")
    assert order.options.background == PictureGround(Upload(b"bg_image_file"))


@pytest.mark.parametrize(
    ("sent", "source"),
    [
        (fields("source_image_file"), Upload(b"source_image_file")),
        (fields(source_image_url=" https://a/b.jpg "), Link("https://a/b.jpg")),
        (fields(source_image_base64="data:image/png;base64,AAAA"), Upload(b"\0\0\0")),
        (fields(kind="urlencoded", source_image_base64="+/ +"), Upload(b"\xfb\xff\xbe")),
    ],
)
def test_pictures_are_found(sent: Fields, source: Source) -> None:
    """A file, a URL or base64; a ``+`` that was sent raw in a form has become a space."""
    assert parse(sent).source == source


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (fields(), "missing_image"),
        (fields("bg_image_file"), "missing_image"),
        (fields(source_image_file="photo.jpg"), "missing_image"),
        (fields("source_image_file", source_image_url="http://a/"), "multiple_images"),
        (fields(source_image_url="http://a/", source_image_base64="AAAA"), "multiple_images"),
        (fields(source_image_base64="@@"), "unreadable_image"),
        (fields("source_image_file", "bg_image_file", bg_image_url="http://a/"), "multiple_grounds"),
        (fields("source_image_file", format="webp"), "invalid_option"),
        (fields("source_image_file", channel="rgb"), "invalid_option"),
        (fields("source_image_file", crop="maybe"), "invalid_option"),
        (fields("source_image_file", preview="2"), "invalid_option"),
        (fields("source_image_file", bg_color_code="#12"), "invalid_option"),
        (fields("source_image_file", output_image_format="hex"), "invalid_option"),
    ],
)
def test_bad_fields_are_complaints(sent: Fields, kind: str) -> None:
    """Exactly one picture, at most one background picture, known values."""
    with pytest.raises(ApiError) as caught:
        parse(sent)

    assert caught.value.kind == kind


def test_json_holds_the_picture_as_base64() -> None:
    """One member, where ``output_image_format`` asks for it."""
    asked = parse(fields("source_image_file", output_image_format="base64", format="jpg"))
    delivery = render(asked, NO_RESULT, Context("req_1"))
    plain = render(parse(fields("source_image_file", format="jpg")), NO_RESULT, Context("req_1"))

    assert delivery.media_type == "application/json"
    assert delivery.wrap is not None
    assert orjson.loads(delivery.wrap(b"\xff\xd8\xff")) == {"output_image_base64": "/9j/"}
    assert (plain.media_type, plain.wrap) == ("image/jpeg", None)


@pytest.mark.parametrize(("left", "told"), [("120", 120), ("119.75", 119), ("1E+6", 1_000_000)])
def test_the_balance_is_a_whole_number(left: str, told: int) -> None:
    """The plugin returns it as an int; a ``status`` beside it would mean failure."""
    action = OPERATIONS["balance"].does
    assert isinstance(action, Take)
    caller = Caller("tok", Account("a", subscription_credits=Decimal(left)))

    assert action.key_field == "api_key"
    assert action.answer(fields(kind="urlencoded"), Context("req_1", caller)).body == {"total_credits": told}


DONE = Job(
    "0" * 32, "slazzer", "a", "done", datetime(2026, 1, 1, tzinfo=UTC),
    result=Stored("k", "image/jpeg", ".jpg", 1000, 161, 120),
)  # fmt: skip


def test_the_first_version_answers_a_link() -> None:
    """Absolute, ending in a file name, for a day."""
    context = Context("req_1", link=lambda stored, name, seconds: f"https://h/{stored.key}/{name}?{seconds:g}")
    info = render_job(DONE, context)

    assert info.status == 200
    assert info.body == {
        "status": True, "message": "success", "output_image_url": "https://h/k/cutout.jpg?86400",
    }  # fmt: skip


def test_the_first_version_waits_to_the_end_and_fails_as_an_error() -> None:
    """Its callers know no jobs."""
    action = OPERATIONS["cut_v1"].does
    assert isinstance(action, Submit)

    assert action.wait_s(parse(fields("source_image_file")), 30) == inf
    assert action.raises is None
    with pytest.raises(ApiError) as caught:
        render_job(replace(DONE, state="cancelled", result=None), Context("req_1"))
    assert caught.value.kind == "job_not_ready"


ERRORS = {
    **dict.fromkeys(
        (
            "missing_image", "multiple_images", "multiple_grounds", "malformed_body", "unsupported_body",
            "too_many_bytes", "invalid_option", "unreadable_image", "unsupported_image", "too_many_pixels",
            "fetch_failed", "ground_failed",
        ),
        (400, "Source image file not found"),
    ),
    **dict.fromkeys(("key_missing", "key_wrong", "key_revoked", "account_barred"), (401, "invalid api key")),
    "no_credits": (402, "No credits remaining"),
    "rate_limited": (429, "Api rate limit crossed"),
    "overloaded": (503, "Words."),
    "internal": (500, "Words."),
}  # fmt: skip


@pytest.mark.parametrize("kind", ERRORS)
def test_failures_have_the_providers_status_and_words(kind: str) -> None:
    """And nothing beside them on the picture route; ``status`` too where callers look for it."""
    status, code = DIALECT.failures[kind]
    error = ApiError(kind, "Words.")

    assert (status, DIALECT.render_error(status, code, error, "req_1")) == (ERRORS[kind][0], {"error": ERRORS[kind][1]})
    assert OPERATIONS["cut"].render_error is None
    for name in ("balance", "cut_v1"):
        shape = OPERATIONS[name].render_error
        assert shape is not None
        assert shape(status, code, error, "req_1") == {"status": False, "error": ERRORS[kind][1]}


def test_every_kind_of_failure_has_its_row() -> None:
    """No failure falls back to 500."""
    assert set(DIALECT.failures) == set(KINDS)


def test_keys_are_found() -> None:
    """In one header; white space is not a key."""
    assert DIALECT.find_key({"api-key": " k "}, {}) == "k"
    assert DIALECT.find_key({"api-key": " ", "x-api-key": "k"}, {"api-key": "k"}) is None


# --- over HTTP ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    """A keep-alive connection."""
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """Where pictures can be fetched."""
    with origin.site({"/photo.jpg": PHOTO, "/ground.png": GROUND}) as url:
        yield url


def cut(client: Client, picture: bytes = PHOTO, **text: str) -> Response:
    """POST /v2.0/remove_image_background by multipart."""
    return client.post(PATH, files={"source_image_file": ("a.jpg", picture, "image/jpeg")}, data=text)


def error_of(answer: Response) -> str:
    """The error's text, its shape checked."""
    body = answer.json()
    assert set(body) == {"error"}
    assert answer.headers["content-type"] == "application/json"
    return str(body["error"])


WAYS: dict[str, dict[str, Any]] = {
    "part of any type": {"files": {"source_image_file": ("a/b.png", PHOTO, "*/*")}},
    "part typed image/jpg": {"files": {"source_image_file": ("a.jpg", PHOTO, "image/jpg")}},
    "part without a type": {"files": {"source_image_file": ("a.jpg", PHOTO)}},
    "base64 part": {"files": {"source_image_base64": (None, TEXT)}},
    "base64 part with a prefix": {"files": {"source_image_base64": (None, "data:image/jpeg;base64," + TEXT)}},
    "base64 in a form": {"data": {"source_image_base64": TEXT, "client": "woocommerce_plugin"}},
    "base64 in a form, not escaped": {
        "content": "source_image_base64=" + TEXT,
        "headers": {"content-type": "application/x-www-form-urlencoded"},
    },
    "url part": {"files": {"source_image_url": (None, "SITE/photo.jpg")}},
    "url in a form": {"data": {"source_image_url": "SITE/photo.jpg"}},
    "with the plugin's header": {"data": {"source_image_base64": TEXT}, "headers": {"preview": "1"}},
}


def aimed(value: Any, site: str) -> Any:
    """``SITE`` in any text becomes the site's address."""
    if isinstance(value, dict):
        return {name: aimed(one, site) for name, one in value.items()}
    if isinstance(value, tuple):
        return tuple(aimed(one, site) for one in value)
    return value.replace("SITE", site) if isinstance(value, str) else value


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_send_a_picture_gives_the_same_cutout(client: Client, site: str, way: str) -> None:
    """The same file gives the same bytes, whatever wraps it."""
    answer = client.post(PATH, **aimed(WAYS[way], site))

    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == cut(client).content


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_pictures_of_the_usual_kinds_are_read(client: Client, kind: str) -> None:
    """PNG and JPG by the provider's word, WebP beside them."""
    assert decode(cut(client, encode(ball(161, 120), kind)).content).shape == (120, 161, 4)


@pytest.mark.parametrize("prefix", ["", "/slazzer"])
@pytest.mark.parametrize("path", [PATH, V1])
@pytest.mark.parametrize("slash", ["", "/"])
def test_every_spelling_answers_without_a_redirect(client: Client, prefix: str, path: str, slash: str) -> None:
    """Some clients drop the body or the key on a redirect."""
    files = {"source_image_file": ("x", PHOTO)}

    assert client.post(prefix + path + slash, files=files).status_code == 200


def test_chunked_bodies_are_read(client: Client) -> None:
    """The npm package pipes its form."""
    head = b'--edge\r\nContent-Disposition: form-data; name="source_image_file"; filename="a.jpg"\r\n\r\n'
    body = head + PHOTO + b"\r\n--edge--\r\n"
    pieces = (body[start : start + 1000] for start in range(0, len(body), 1000))

    answer = client.post(PATH, content=pieces, headers={"content-type": "multipart/form-data; boundary=edge"})

    assert answer.content == cut(client).content


def test_the_plugins_requests_are_answered(client: Client, server: Served) -> None:
    """The WordPress plugin: forms by HTTP/1.0, a header that means nothing, JPEG on a colour, then the balance."""
    body = urllib.parse.urlencode(
        {"source_image_base64": TEXT, "client": "woocommerce_plugin", "format": "jpg", "bg_color_code": "#336699"}
    ).encode()
    form = "Content-Type: application/x-www-form-urlencoded"
    sent = request(body, form, "API-KEY: k", "preview: 1", start=f"POST {PATH} HTTP/1.0")
    (picture,) = answers(talk(server.port, sent), "POST")
    (balance,) = answers(talk(server.port, request(b"api_key=k", form, start=f"POST {BALANCE} HTTP/1.0")), "POST")

    assert (picture.status, picture.headers["content-type"]) == (200, "image/jpeg")
    assert picture.body == cut(client, format="jpg", bg_color_code="336699").content
    assert balance.status == 200
    told = orjson.loads(balance.body)
    assert set(told) == {"total_credits"}
    assert isinstance(told["total_credits"], int)


# --- options --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "media_type", "bands"), [("png", "image/png", 4), ("jpg", "image/jpeg", 3), ("jpeg", "image/jpeg", 3)]
)
def test_every_format_is_whole_and_bare(client: Client, name: str, media_type: str, bands: int) -> None:
    """The media type without parameters, alpha where there can be some."""
    answer = cut(client, format=name)

    assert answer.headers["content-type"] == media_type
    assert decode(answer.content).shape == (120, 161, bands)


def test_jpeg_without_a_background_is_white(client: Client) -> None:
    """There is no transparency in it."""
    assert decode(cut(client, format="jpg").content)[2, 2].min() >= 253


@pytest.mark.parametrize("preview", ["1", "true"])
def test_previews_are_a_quarter_megapixel(client: Client, preview: str) -> None:
    """Nearly used up, never passed, the shape kept; small pictures stay as they are."""
    height, width = decode(cut(client, photo(900, 600), preview=preview).content).shape[:2]

    assert 0.97 * 250_000 <= width * height <= 250_000
    assert width / height == pytest.approx(1.5, rel=0.01)
    assert decode(cut(client, preview=preview).content).shape[:2] == (120, 161)


@pytest.mark.parametrize(("name", "most"), [("png", 10_000_000), ("jpg", 12_582_912)])
def test_results_are_scaled_to_their_formats_cap(client: Client, name: str, most: int) -> None:
    """12.6 MP are too much for PNG and little for JPG."""
    large = encode(ball(256, 192).repeat(16, 0).repeat(16, 1), "JPEG", quality=30)

    height, width = decode(cut(client, large, format=name).content).shape[:2]

    assert 0.99 * most <= width * height <= most


@pytest.mark.parametrize("crop", ["1", "true"])
def test_crop_is_tight(client: Client, crop: str) -> None:
    """Alpha > 0 touches all four sides."""
    alpha = decode(cut(client, crop=crop).content)[..., 3]

    assert alpha.shape[0] < 120
    assert all(side.any() for side in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]))


def test_channel_alpha_is_the_mask(client: Client) -> None:
    """The cutout's alpha as one grey plane, in the asked format."""
    mask = cut(client, channel="alpha", bg_color_code="red")

    np.testing.assert_array_equal(decode(mask.content), decode(cut(client).content)[..., 3])
    assert cut(client, channel="alpha", format="jpg").headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize("spelling", ["#336699", "336699"])
def test_background_colours_fill(client: Client, spelling: str) -> None:
    """With or without #."""
    assert tuple(decode(cut(client, bg_color_code=spelling).content)[2, 2][:3]) == (51, 102, 153)


# Twice as tall as the photo is for its width: what covers the frame is cut above and below.
GROUND = encode(np.repeat(np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8), 240, 0)[:, None].repeat(483, 1),
                "PNG")  # fmt: skip


@pytest.mark.parametrize("way", ["file", "url", "base64", "file and colour"])
def test_background_pictures_cover_the_frame(client: Client, site: str, way: str) -> None:
    """Scaled to fill, centred: of three stripes the middle one is left whole, the others lose their outer parts."""
    ways: dict[str, dict[str, Any]] = {
        "file": {"bg_image_file": ("b.png", GROUND)},
        "url": {"bg_image_url": (None, f"{site}/ground.png")},
        "base64": {"bg_image_base64": (None, base64.b64encode(GROUND).decode())},
        "file and colour": {"bg_image_file": ("b.png", GROUND), "bg_color_code": (None, "000000")},
    }

    files = {"source_image_file": ("a.jpg", PHOTO), **ways[way]}
    pixels = decode(client.post(PATH, files=files).content).astype(int)

    # 483 x 720 becomes 161 x 240; rows 60 to 180 are seen, so the stripes meet at rows 20 and 100.
    assert pixels.shape[:2] == (120, 161)
    for row, colour in ((10, (255, 0, 0)), (30, (0, 255, 0)), (90, (0, 255, 0)), (110, (0, 0, 255))):
        np.testing.assert_allclose(pixels[row, 3, :3], colour, atol=3)


def test_base64_answers_hold_the_same_picture(client: Client) -> None:
    """``output_image_format=base64``."""
    answer = cut(client, output_image_format="base64", format="jpg")

    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"output_image_base64"}
    assert base64.b64decode(answer.json()["output_image_base64"]) == cut(client, format="jpg").content


# --- the first version ----------------------------------------------------------------------------------------------


def test_the_first_version_answers_a_url_of_the_same_picture(client: Client) -> None:
    """As the npm package asks: axios' Accept, a chunked form; the URL needs no key."""
    answer = client.post(
        V1,
        files={"source_image_file": ("a.jpg", PHOTO)},
        data={"format": "jpg"},
        headers={"accept": "application/json, text/plain, */*"},
    )
    body = answer.json()

    assert answer.status_code == 200, answer.text
    assert (body["status"], body["message"]) == (True, "success")
    result = client.get(body["output_image_url"])
    assert result.headers["content-type"] == "image/jpeg"
    assert result.content == cut(client, format="jpg").content
    assert urllib.parse.urlsplit(body["output_image_url"]).path.endswith("/cutout.jpg")


def test_the_first_version_tells_its_errors_at_once(client: Client) -> None:
    """The package returns the JSON of errors as it does that of answers: ``status`` tells them apart."""
    for files in ({"source_image_file": ("a.jpg", PHOTO[:2000])}, {"crop": (None, "true")}):
        answer = client.post(V1, files=cast(Any, files))

        assert answer.status_code == 400
        assert answer.json() == {"status": False, "error": "Source image file not found"}


# --- complaints -----------------------------------------------------------------------------------------------------


BAD: dict[str, dict[str, Any]] = {
    "nothing": {},
    "no picture field": {"data": {"crop": "true"}},
    "empty file": {"files": {"source_image_file": ("", b"")}},
    "two pictures": {"files": {"source_image_file": ("x", PHOTO), "source_image_base64": (None, TEXT)}},
    "no picture": {"files": {"source_image_file": ("x.jpg", b"hello")}},
    "half a picture": {"files": {"source_image_file": ("x.jpg", PHOTO[: len(PHOTO) // 2])}},
    "broken base64": {"data": {"source_image_base64": "@@@@"}},
    "13 MB": {"files": {"source_image_file": ("x.jpg", PHOTO + bytes(13_000_000))}},
    "13 MB in base64": {"data": {"source_image_base64": base64.b64encode(PHOTO + bytes(13_000_000)).decode()}},
    "text": {"content": b"hello", "headers": {"content-type": "text/plain"}},
    "no boundary": {"content": b"--x", "headers": {"content-type": "multipart/form-data"}},
    "address inside": {"data": {"source_image_url": "http://10.0.0.1/x.png"}},
    "nothing there": {"data": {"source_image_url": "SITE/gone"}},
    "background not there": {"data": {"source_image_base64": TEXT, "bg_image_url": "SITE/gone"}},
    "background is none": {"files": {"source_image_file": ("x", PHOTO), "bg_image_file": ("y", b"hello")}},
    "two backgrounds": {
        "data": {"source_image_base64": TEXT, "bg_image_base64": TEXT, "bg_image_url": "SITE/ground.png"}
    },
    "format": {"data": {"source_image_base64": TEXT, "format": "webp"}},
    "colour": {"data": {"source_image_base64": TEXT, "bg_color_code": "blurple"}},
}


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_get_the_providers_one_text(client: Client, site: str, case: str) -> None:
    """400, and nothing beside the text that programs know."""
    answer = client.post(PATH, **aimed(BAD[case], site))

    assert answer.status_code == 400
    assert error_of(answer) == "Source image file not found"


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", PATH, 405), ("GET", "/v2.0/nothing", 404), ("GET", "/slazzer/nothing", 404),
])  # fmt: skip
def test_lost_requests_get_json_with_a_text(client: Client, method: str, path: str, status: int) -> None:
    """404 and 405 are not HTML."""
    answer = client.request(method, path)

    assert answer.status_code == status
    assert answer.json()["error"]


# --- keys -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A connection to a server that needs a key."""
    folder = tmp_path_factory.mktemp("guarded")
    with serve(folder, auth="required", api_keys="k3y") as served, served.client() as client:
        yield client


@pytest.mark.parametrize("headers", [{}, {"API-KEY": "nope"}, {"x-api-key": "k3y"}])
def test_keys_are_refused_with_the_providers_words(guarded: Client, headers: dict[str, str]) -> None:
    """Missing, wrong, or in a header that the provider does not read."""
    answer = guarded.post(PATH, files={"source_image_file": ("x", PHOTO)}, headers=headers)

    assert answer.status_code == 401
    assert error_of(answer) == "invalid api key"


@pytest.mark.parametrize("name", ["API-KEY", "api-key", "Api-Key"])
def test_keys_are_taken_whatever_the_headers_case(guarded: Client, name: str) -> None:
    """Header names have no case."""
    files = {"source_image_file": ("x", PHOTO)}

    assert guarded.post(PATH, files=files, headers={name: "k3y"}).status_code == 200


@pytest.mark.parametrize("kind", ["data", "files"])
def test_the_balance_takes_its_key_from_the_form(guarded: Client, kind: str) -> None:
    """Urlencoded as the plugin does it, or multipart; a header is as good."""
    good = {"data": {"api_key": "k3y"}, "files": {"api_key": (None, "k3y")}}[kind]
    bad = {"data": {"api_key": "nope"}, "files": {"api_key": (None, "nope")}}[kind]

    assert set(guarded.post(BALANCE, **{kind: good}).json()) == {"total_credits"}  # type: ignore[arg-type]
    assert guarded.post(BALANCE, headers={"API-KEY": "k3y"}).status_code == 200
    refused = guarded.post(BALANCE, **{kind: bad})  # type: ignore[arg-type]
    assert (refused.status_code, refused.json()) == (401, {"status": False, "error": "invalid api key"})
