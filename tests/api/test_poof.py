"""Poof v1: what its fields mean, and every way, option and error over real HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from typing import Any, cast

import numpy as np
import pytest
from httpx2 import Client, Response

from bgone.api.auth import Account, Caller
from bgone.api.dialect import Context, Cut, Show, Tell
from bgone.api.dialects.poof import _OPTIONS, DIALECT
from bgone.api.fields import Fields, File
from bgone.errors import KINDS, ApiError
from bgone.imaging.geometry import Length, SizeCap
from bgone.pipeline.order import WHITE, Colour, Frame, Link, Order, RenderOptions, Upload
from bgone.pipeline.studio import Result
from tests import pictures
from tests.conftest import ROOT
from tests.origin import site
from tests.pictures import ball, decode, encode
from tests.serving import Served, serve

photo = partial(pictures.photo, of=ball)
PHOTO = photo(161, 120)
DATA = b"picture"
KEY = "pk_a-secret-of-tests"
OPERATIONS = {operation.name: operation.does for operation in DIALECT.operations}


# --- fields to order ------------------------------------------------------------------------------------------------


def parse(fields: Fields) -> Order:
    cut = OPERATIONS["remove"]
    assert isinstance(cut, Cut)
    return cut.parse(fields)


def form(**text: str) -> Fields:
    """A multipart form with a picture."""
    return Fields("multipart", text, files={"image_file": File(DATA)})


def complaint(fields: Fields) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse(fields)
    return caught.value


SOURCES = {
    "old field": (Fields("multipart", files={"image_file": File(DATA)}), Upload(DATA)),
    "new field": (Fields("multipart", files={"file": File(DATA, "file", "application/octet-stream")}), Upload(DATA)),
    "url in a urlencoded form": (Fields("urlencoded", {"url": "https://a.test/b.jpg"}), Link("https://a.test/b.jpg")),
    "url in a multipart form": (Fields("multipart", {"url": " https://a.test/b.jpg "}), Link("https://a.test/b.jpg")),
    "blank url beside a file": (Fields("multipart", {"url": " "}, files={"file": File(DATA)}), Upload(DATA)),
}


@pytest.mark.parametrize("way", SOURCES)
def test_every_field_that_carries_a_picture_is_found(way: str) -> None:
    """Old clients send ``image_file``, new ones ``file`` or ``url``."""
    fields, expected = SOURCES[way]
    assert parse(fields).source == expected


WITHOUT = {
    "nothing": Fields("none"),
    "json with a picture": Fields("json", {"url": "https://a.test/b.jpg"}, json={"url": "https://a.test/b.jpg"}),
    "the picture alone": Fields("raw", raw=DATA),
    "another provider's field": Fields("multipart", files={"image": File(DATA)}),
    "a file name for a file": Fields("multipart", {"image_file": "photo.jpg"}),
    "the url as a parameter": Fields("urlencoded", {"crop": "true"}, query={"url": "https://a.test/b.jpg"}),
}


@pytest.mark.parametrize("case", WITHOUT)
def test_anything_else_holds_no_picture(case: str) -> None:
    """A JSON body counts as empty even where it carries one."""
    assert complaint(WITHOUT[case]).kind == "missing_image"


@pytest.mark.parametrize("second", ["file", "url"])
def test_two_pictures_are_one_too_many(second: str) -> None:
    """The client would not know which one it got."""
    if second == "file":
        fields = Fields("multipart", files={"image_file": File(DATA), "file": File(DATA)})
    else:
        fields = Fields("multipart", {"url": "https://a.test/b.jpg"}, files={"file": File(DATA)})
    assert complaint(fields).kind == "multiple_images"


TEN_PERCENT = (Length(10, "%"),) * 4
PLAIN = RenderOptions()
MEANINGS: dict[str, tuple[dict[str, str], RenderOptions]] = {
    "nothing": ({}, PLAIN),
    "png": ({"format": "PNG"}, PLAIN),
    "webp": ({"format": "webp"}, RenderOptions(format="webp")),
    "jpg is opaque on white": ({"format": "jpg"}, RenderOptions(format="jpg", channels="rgb", background=WHITE)),
    "jpg on a colour": (
        {"format": "jpg", "bg_color": "#1a2b3c"},
        RenderOptions(format="jpg", channels="rgb", background=Colour(26, 43, 60)),
    ),
    "rgb is opaque on white": ({"channels": "rgb"}, RenderOptions(channels="rgb", background=WHITE)),
    "rgb on a colour": (
        {"channels": "rgb", "bg_color": "rgb(1, 2, 3)", "format": "webp"},
        RenderOptions(format="webp", channels="rgb", background=Colour(1, 2, 3)),
    ),
    "rgba stays transparent": ({"bg_color": "red"}, PLAIN),
    "alpha": ({"channels": "alpha", "bg_color": "red"}, RenderOptions(channels="alpha")),
    "alpha as jpg": ({"channels": "alpha", "format": "jpg"}, RenderOptions(format="jpg", channels="alpha")),
    "full": ({"size": "full"}, PLAIN),
    "preview": ({"size": "preview"}, RenderOptions(cap=SizeCap(longest=256))),
    "small": ({"size": "small"}, RenderOptions(cap=SizeCap(longest=512))),
    "medium": ({"size": "Medium"}, RenderOptions(cap=SizeCap(longest=1024))),
    "large": ({"size": "large"}, RenderOptions(cap=SizeCap(longest=2048))),
    "hd": ({"size": "hd"}, RenderOptions(cap=SizeCap(longest=2048))),
    "crop": ({"crop": "true"}, RenderOptions(crop=True)),
    "crop as Python says it": ({"crop": "True"}, RenderOptions(crop=True)),
    "no crop": ({"crop": "false", "padding": "10%"}, PLAIN),
    "padding alone": ({"padding": "10%"}, PLAIN),
    "crop to a square": ({"crop": "1:1"}, RenderOptions(crop=True, aspect=1.0)),
    "crop to a ratio": ({"crop": "16:9"}, RenderOptions(crop=True, aspect=16 / 9)),
    "crop with percent": ({"crop": "true", "padding": "10%"}, RenderOptions(crop=True, margin=TEN_PERCENT)),
    "crop with a fraction": (
        {"crop": "4:3", "padding": "0.1"}, RenderOptions(crop=True, aspect=4 / 3, margin=TEN_PERCENT),
    ),
    "width": ({"width": "500"}, RenderOptions(frame=Frame(500, None))),
    "height": ({"height": "6000", "fit": "cover"}, RenderOptions(frame=Frame(None, 6000, "cover"))),
    "frame beats size": ({"width": "1", "height": "2", "size": "preview"}, RenderOptions(frame=Frame(1, 2))),
    "scale-down": (
        {"width": "30", "height": "20", "fit": "scale-down"}, RenderOptions(frame=Frame(30, 20, "scale-down")),
    ),
    "fit alone": ({"fit": "cover", "size": "small"}, RenderOptions(cap=SizeCap(longest=512))),
    "blanks": (dict.fromkeys(_OPTIONS, " "), PLAIN),
}  # fmt: skip


@pytest.mark.parametrize("case", MEANINGS)
def test_options_mean_what_the_provider_says(case: str) -> None:
    """Each option, alone and with those that change it."""
    sent, expected = MEANINGS[case]
    assert parse(form(**sent)).options == expected


BAD_OPTIONS = [
    ("format", "jpeg"), ("format", "zip"), ("channels", "bgr"), ("bg_color", "#12"), ("size", "4k"), ("crop", "yes"),
    ("crop", "1"), ("crop", "on"), ("crop", "0:1"), ("crop", "1:0"), ("crop", "1:100"), ("crop", "16/9"),
    ("padding", "10"), ("padding", "-0.1"), ("padding", "101%"), ("padding", "10px"), ("width", "0"),
    ("width", "6001"), ("width", "12.5"), ("height", "-1"), ("fit", "fill"),
]  # fmt: skip


@pytest.mark.parametrize(("option", "value"), BAD_OPTIONS)
def test_a_bad_option_is_named(option: str, value: str) -> None:
    """Also where it would have had no effect."""
    error = complaint(form(**{option: value}))
    assert (error.kind, error.facts["option"], error.facts["got"]) == ("invalid_option", option, value)


# --- answers --------------------------------------------------------------------------------------------------------


def test_the_header_words_are_whole_numbers() -> None:
    """``poofbg`` reads them as integers."""
    cut = OPERATIONS["remove"]
    assert isinstance(cut, Cut)
    result = Result(cast(Any, None), "image/webp", "webp", 300, 200, 600, 400, None)

    delivery = cut.render(Order(Upload(DATA)), result, Context("req_1", seconds=1.2346))

    assert delivery.media_type == "image/webp"
    assert delivery.wrap is None
    assert dict(delivery.headers) == {
        "x-processing-time-ms": "1235",
        "x-image-width": "300",
        "x-image-height": "200",
    }


@pytest.mark.parametrize(
    ("left", "bought", "quota", "most", "used"),
    [("3766", "0", "5000", 5000, 1234), ("9.5", "0", "10", 10, 0), ("0", "7", "5", 12, 5), ("8", "0", "0", 8, 0)],
)
def test_me_tells_what_is_left(left: str, bought: str, quota: str, most: int, used: int) -> None:
    """The difference of the two whole numbers is what can be spent."""
    account = Account("acc_1", "", "Pro", Decimal(left), Decimal(bought), quota_credits=Decimal(quota))
    me = OPERATIONS["me"]
    assert isinstance(me, Tell)
    info = me.answer(Context("req_1", Caller("tok", account)))

    assert info.status == 200
    assert info.body == {
        "organizationId": "acc_1",
        "plan": "Pro",
        "maxCredits": most,
        "usedCredits": used,
        "autoRechargeThreshold": None,
    }


def test_no_job_is_ever_found() -> None:
    """Jobs are videos at the provider; also another dialect's job is not one of these."""
    show = OPERATIONS["job"]
    assert isinstance(show, Show)
    with pytest.raises(ApiError) as caught:
        show.render(cast(Any, None), Context("req_1"))
    assert caught.value.kind == "job_not_found"


@pytest.mark.parametrize("kind", KINDS)
def test_every_failure_has_the_flat_shape(kind: str) -> None:
    """``details`` is a text: the clients print it."""
    status, code = DIALECT.failures[kind]
    body = DIALECT.render_error(status, code, ApiError(kind, "width: expected 1"), "req_1")

    assert status >= 400
    assert set(body) == {"code", "message", "details", "request_id"}
    assert (body["code"], body["details"], body["request_id"]) == (code, "width: expected 1", "req_1")
    assert body["message"]


def test_keys_come_in_one_header() -> None:
    """``x-api-key``, and nothing in the address."""
    assert DIALECT.find_key({"x-api-key": " pk_1 "}, {}) == "pk_1"
    assert DIALECT.find_key({"x-api-key": ""}, {"api_key": "pk_1"}) is None
    assert DIALECT.find_key({"authorization": "Bearer pk_1"}, {}) is None


def test_the_page_shows_every_option_and_code() -> None:
    """docs/dialects/poof.md has a row for each."""
    page = (ROOT / "docs/dialects/poof.md").read_text(encoding="utf-8")
    codes = {code for _status, code in DIALECT.failures.values()}
    assert [name for name in (*_OPTIONS, *codes) if f"`{name}`" not in page] == []


# --- over HTTP ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    """A keep-alive connection."""
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def link() -> Iterator[str]:
    """Where PHOTO can be fetched."""
    with site({"/photo.jpg": PHOTO}) as address:
        yield f"{address}/photo.jpg"


def remove(client: Client, picture: bytes = PHOTO, **options: str) -> Response:
    """POST /v1/remove by multipart."""
    return client.post("/v1/remove", files={"image_file": ("x.png", picture, "image/png")}, data=options)


def error_of(response: Response) -> dict[str, str]:
    """The error object, checked for its shape."""
    error = response.json()
    assert set(error) == {"code", "message", "details", "request_id"}
    assert all(isinstance(value, str) and value for value in error.values())
    assert error["request_id"] == response.headers["x-request-id"]
    assert response.headers["content-type"] == "application/json"
    return dict(error)


def test_every_way_to_send_a_picture_gives_the_same_cutout(client: Client, link: str) -> None:
    """Old field, new field, and the URL in both kinds of form."""
    expected = remove(client).content
    ways: dict[str, dict[str, Any]] = {
        "new": {"files": {"file": ("file", PHOTO, "application/octet-stream")}},
        "no type": {"files": {"file": ("a/b\\c.gif", PHOTO)}},
        "chunked": {"files": {"image_file": ("x", PHOTO)}, "headers": {"transfer-encoding": "chunked"}},
        "url": {"data": {"url": link}},
        "url by multipart": {"files": {"url": (None, link)}},
    }
    for name, way in ways.items():
        answer = client.post("/v1/remove", **way)
        assert (name, answer.status_code) == (name, 200), answer.text
        assert answer.content == expected, name


@pytest.mark.parametrize("path", ["/v1/remove/", "/poof/v1/remove", "/poof/v1/remove/"])
def test_every_spelling_answers_without_a_redirect(client: Client, path: str) -> None:
    """Clients keep a base URL that ends in ``/v1``, with or without a prefix before it."""
    assert client.post(path, files={"file": ("x", PHOTO)}).status_code == 200


def test_the_answer_is_a_bare_picture_with_its_facts(client: Client) -> None:
    """Exactly 200, a bare media type, and integers in the headers."""
    answer = remove(client, format="webp", size="preview")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")
    assert answer.headers["x-request-id"].startswith("req_")
    assert "," not in answer.headers["x-request-id"]
    assert int(answer.headers["x-processing-time-ms"]) >= 0
    height, width = decode(answer.content).shape[:2]
    assert (answer.headers["x-image-width"], answer.headers["x-image-height"]) == (str(width), str(height))


@pytest.mark.parametrize(
    ("name", "media_type", "magic", "bands"),
    [
        ("png", "image/png", b"\x89PNG", 4),
        ("jpg", "image/jpeg", b"\xff\xd8\xff", 3),
        ("webp", "image/webp", b"RIFF", 4),
    ],
)
def test_every_format(client: Client, name: str, media_type: str, magic: bytes, bands: int) -> None:
    """The provider's three, alpha where the format keeps it."""
    answer = remove(client, format=name)
    assert answer.headers["content-type"] == media_type
    assert answer.content.startswith(magic)
    assert decode(answer.content).shape == (120, 161, bands)


def test_opaque_answers_stand_on_their_colour(client: Client) -> None:
    """White unless told otherwise; a transparent answer ignores ``bg_color``."""
    plain = remove(client)
    assert tuple(decode(remove(client, channels="rgb").content)[2, 2]) == (255, 255, 255)
    assert tuple(decode(remove(client, channels="rgb", bg_color="#1a2b3c").content)[2, 2]) == (26, 43, 60)
    assert decode(remove(client, format="jpg").content)[2, 2].min() >= 253
    assert remove(client, bg_color="red").content == plain.content


def test_alpha_is_the_cutouts_own_plane(client: Client) -> None:
    """One grey plane of 8 bits."""
    grey = decode(remove(client, channels="alpha", bg_color="red").content)
    np.testing.assert_array_equal(grey, decode(remove(client).content)[..., 3])


SIZES = {"preview": 256, "small": 512, "medium": 1024, "large": 2048, "hd": 2048, "full": 2600}


@pytest.mark.parametrize("word", SIZES)
def test_sizes_cap_the_longest_side(client: Client, word: str) -> None:
    """The shape is kept."""
    answer = remove(client, photo(2600, 1300, quality=60), size=word, format="jpg")
    assert decode(answer.content).shape[:2] == (SIZES[word] // 2, SIZES[word])


@pytest.mark.parametrize("word", SIZES)
def test_no_size_enlarges(client: Client, word: str) -> None:
    """A small picture stays as it is."""
    assert decode(remove(client, size=word).content).shape[:2] == (120, 161)


def box(pixels: pictures.Pixels) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is not transparent."""
    down, across = np.nonzero(pixels[..., 3])
    return int(across.min()), int(down.min()), int(across.max()) + 1, int(down.max()) + 1


def test_crop_is_tight_and_padding_stands_around_it(client: Client) -> None:
    """Padding is a share of the subject's box, on all sides."""
    picture = photo(900, 700)
    tight = decode(remove(client, picture, crop="true").content)
    wide = decode(remove(client, picture, crop="true", padding="10%").content)
    height, width = tight.shape[:2]

    assert box(tight) == (0, 0, width, height)
    assert width < 700
    assert wide.shape[0] == pytest.approx(1.2 * height, abs=2)
    assert wide.shape[1] == pytest.approx(1.2 * width, abs=2)
    left, top, right, bottom = box(wide)
    assert [left, wide.shape[1] - right] == pytest.approx([width / 10] * 2, abs=2)
    assert [top, wide.shape[0] - bottom] == pytest.approx([height / 10] * 2, abs=2)
    assert (
        remove(client, picture, crop="true", padding="0.1").content
        == remove(client, picture, crop="true", padding="10%").content
    )


@pytest.mark.parametrize(("ratio", "expected"), [("1:1", 1.0), ("4:3", 4 / 3), ("16:9", 16 / 9), ("9:16", 9 / 16)])
def test_a_ratio_grows_the_crop_around_the_subject(client: Client, ratio: str, expected: float) -> None:
    """Nothing of the subject is lost, and it stays in the middle."""
    picture = photo(900, 700)
    tight = decode(remove(client, picture, crop="true").content)
    shaped = decode(remove(client, picture, crop=ratio).content)
    left, top, right, bottom = box(shaped)
    height, width = shaped.shape[:2]

    assert width / height == pytest.approx(expected, rel=0.02)
    assert [bottom - top, right - left] == pytest.approx(tight.shape[:2], abs=2)
    assert left == pytest.approx(width - right, abs=2)
    assert top == pytest.approx(height - bottom, abs=2)


FRAMES: dict[str, tuple[dict[str, str], tuple[int, int]]] = {
    "width alone keeps the aspect": ({"width": "80"}, (80, 60)),
    "height alone keeps the aspect": ({"height": "240"}, (320, 240)),
    "contain": ({"width": "200", "height": "200"}, (200, 200)),
    "cover": ({"width": "200", "height": "200", "fit": "cover"}, (200, 200)),
    "scale-down": ({"width": "400", "height": "400", "fit": "scale-down"}, (400, 400)),
    "over size": ({"width": "300", "height": "225", "size": "preview"}, (300, 225)),
}


@pytest.mark.parametrize("case", FRAMES)
def test_width_and_height_are_exact(client: Client, case: str) -> None:
    """Other than ``size``, they may enlarge."""
    options, (width, height) = FRAMES[case]
    answer = remove(client, photo(160, 120), **options)

    assert decode(answer.content).shape[:2] == (height, width)
    assert (answer.headers["x-image-width"], answer.headers["x-image-height"]) == (str(width), str(height))


def test_fits_never_stretch(client: Client) -> None:
    """The ball stays round: whole in ``contain``, larger in ``cover``, as it is in ``scale-down``."""
    picture = encode(ball(160, 120), "PNG")
    sides = {}
    for fit in ("contain", "cover", "scale-down"):
        left, top, right, bottom = box(decode(remove(client, picture, width="320", height="320", fit=fit).content))
        assert right - left == pytest.approx(bottom - top, abs=4)
        sides[fit] = right - left
    left, _top, right, _bottom = box(decode(remove(client, picture).content))

    assert sides["scale-down"] == pytest.approx(right - left, abs=2)
    assert sides["contain"] == pytest.approx(2 * (right - left), abs=5)
    assert sides["cover"] == pytest.approx((right - left) * 320 / 120, abs=6)


def test_a_picture_without_a_subject_is_delivered_empty(client: Client) -> None:
    """Nothing found is no error, also with ``crop``."""
    answer = remove(client, encode(np.zeros((50, 70, 4), np.uint8), "PNG"), crop="1:1")
    assert answer.status_code == 200
    assert not decode(answer.content).any()


MP4 = b"\x00\x00\x00\x18ftypisom\x00\x00\x02\x00isomiso2mp41" + bytes(4000)

REFUSED: dict[str, tuple[dict[str, Any], int, str]] = {
    "nothing": ({}, 400, "missing_image"),
    "json": ({"json": {"url": "http://127.0.0.1/x.jpg"}}, 400, "missing_image"),
    "the picture alone": ({"content": PHOTO, "headers": {"content-type": "image/jpeg"}}, 400, "missing_image"),
    "text": ({"content": b"hello", "headers": {"content-type": "text/plain"}}, 400, "missing_image"),
    "wrong field": ({"files": {"image": ("x", PHOTO)}}, 400, "missing_image"),
    "empty file": ({"files": {"file": ("", b"")}}, 400, "missing_image"),
    "two": ({"files": {"file": ("x", PHOTO), "image_file": ("x", PHOTO)}}, 400, "validation_error"),
    "no picture": ({"files": {"file": ("x.png", b"hello")}}, 400, "validation_error"),
    "cut short": ({"files": {"file": ("x.png", PHOTO[:2000])}}, 400, "validation_error"),
    "video": ({"files": {"file": ("clip.mp4", MP4, "video/mp4")}}, 400, "validation_error"),
    "gif": ({"files": {"file": ("x.gif", encode(ball(), "GIF"))}}, 400, "validation_error"),
    "tiff": ({"files": {"file": ("x.jpg", encode(ball(), "TIFF"))}}, 400, "validation_error"),
    "crop=yes": ({"files": {"file": ("x", PHOTO)}, "data": {"crop": "yes"}}, 400, "validation_error"),
    "private url": ({"data": {"url": "http://10.0.0.1/x.png"}}, 400, "validation_error"),
    "no boundary": (
        {"content": b"--x\r\n", "headers": {"content-type": "multipart/form-data"}}, 400, "validation_error",
    ),
    "20 MB": ({"files": {"file": ("x.jpg", PHOTO + bytes(20_000_000))}}, 400, "image_too_large"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_have_status_and_code(client: Client, case: str) -> None:
    """And the flat object that the clients read."""
    options, status, code = REFUSED[case]
    answer = client.post("/v1/remove", **options)
    assert (answer.status_code, error_of(answer)["code"]) == (status, code)


def test_a_refusal_says_which_option_and_what_was_expected(client: Client) -> None:
    """``details`` is for people."""
    details = error_of(remove(client, format="gif"))["details"]
    assert "format" in details
    assert "png, jpg or webp" in details
    assert "gif" in details


@pytest.mark.parametrize(("method", "path", "status", "code"), [
    ("GET", "/v1/remove", 405, "method_not_allowed"), ("POST", "/v1/me", 405, "method_not_allowed"),
    ("GET", "/poof/v1/nothing", 404, "not_found"), ("GET", "/poof/v1/jobs/job_8f3a1c2e9b7d4a10", 404, "job_not_found"),
])  # fmt: skip
def test_lost_requests_get_the_same_shape(client: Client, method: str, path: str, status: int, code: str) -> None:
    """``poofbg`` reads JSON from every status."""
    answer = client.request(method, path)
    assert (answer.status_code, error_of(answer)["code"]) == (status, code)


def test_me_over_http(client: Client) -> None:
    """The n8n node shows plan and credits."""
    body = client.get("/v1/me", headers={"x-api-key": "pk_anything"}).json()
    assert set(body) == {"organizationId", "plan", "maxCredits", "usedCredits", "autoRechargeThreshold"}
    assert body["maxCredits"] >= body["usedCredits"] >= 0


def test_keys_are_asked_for_on_every_route(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Missing and wrong keys are answered alike; the right one opens."""
    with serve(tmp_path_factory.mktemp("poof"), auth="required", api_keys=KEY) as served, served.client() as client:
        for headers in ({}, {"x-api-key": "pk_wrong"}):
            for answer in (
                client.post("/v1/remove", files={"file": ("x", PHOTO)}, headers=headers),
                client.get("/v1/me", headers=headers),
                client.get("/poof/v1/jobs/1", headers=headers),
            ):
                error = error_of(answer)
                assert (answer.status_code, error["code"]) == (401, "authentication_error")
                assert error["message"] == "Invalid or missing API key"
        assert client.get("/v1/me", headers={"X-API-Key": KEY}).status_code == 200
