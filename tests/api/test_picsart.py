"""Picsart 1.0: what its fields and preferences mean, and every way, option and error over real HTTP."""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from math import inf
from typing import Any

import numpy as np
import pytest
from httpx2 import Client, Response

from bgone.accounts.rate import Rate
from bgone.api.auth import Account, Caller
from bgone.api.dialect import Context, Info, Keep, Show, Submit, Tell
from bgone.api.dialects.picsart import _OPTIONS, DIALECT
from bgone.api.fields import Fields, File
from bgone.errors import KINDS, ApiError
from bgone.jobs.job import Failure, Job, State, Stored
from bgone.pipeline.order import (
    BlurGround,
    Colour,
    Frame,
    Link,
    Order,
    Outline,
    PictureGround,
    RenderOptions,
    Shadow,
    StoredPicture,
    Upload,
)
from tests import pictures
from tests.conftest import ROOT
from tests.pictures import ball, decode, encode
from tests.serving import Served, serve

photo = partial(pictures.photo, of=ball)
PHOTO = photo(161, 120)
DATA = b"picture"
DATA_URL = "data:image/jpeg;base64," + base64.b64encode(DATA).decode()
URL = "https://a.test/b.jpg"
KEY = "a-secret-of-tests"
OPERATIONS = {operation.name: operation.does for operation in DIALECT.operations}


# --- fields to order ------------------------------------------------------------------------------------------------


def submit_of() -> Submit:
    does = OPERATIONS["removebg"]
    assert isinstance(does, Submit)
    return does


def parse(fields: Fields) -> Order:
    return submit_of().parse(fields)


def form(**text: str) -> Fields:
    """A multipart form with a picture."""
    return Fields("multipart", text, files={"image": File(DATA)})


def complaint(fields: Fields) -> ApiError:
    with pytest.raises(ApiError) as caught:
        parse(fields)
    return caught.value


SOURCES = {
    "file": (Fields("multipart", files={"image": File(DATA, "a/b.jpg")}), Upload(DATA)),
    "url": (Fields("multipart", {"image_url": f" {URL} "}), Link(URL)),
    "url in a urlencoded form": (Fields("urlencoded", {"image_url": URL}), Link(URL)),
    "url in json": (Fields("json", {"image_url": URL}, json={"image_url": URL}), Link(URL)),
    "data url": (Fields("multipart", {"image_url": DATA_URL}), Upload(DATA)),
    "data url in json": (Fields("json", {"image_url": DATA_URL}, json={"image_url": DATA_URL}), Upload(DATA)),
    "data url, loud": (Fields("multipart", {"image_url": "\r\n DATA:" + DATA_URL[5:] + "\n"}), Upload(DATA)),
    "long data url": (
        Fields("multipart", {"image_url": "data:;base64," + base64.b64encode(DATA * 900).decode()}), Upload(DATA * 900),
    ),
    "id": (Fields("multipart", {"image_id": " abc "}), StoredPicture("abc")),
    "blank others": (Fields("multipart", {"image_url": " ", "image_id": ""}, {"image": File(DATA)}), Upload(DATA)),
}  # fmt: skip


@pytest.mark.parametrize("way", SOURCES)
def test_a_picture_comes_as_a_file_a_url_or_an_id(way: str) -> None:
    """A ``data:`` URL holds the picture itself."""
    fields, expected = SOURCES[way]
    assert parse(fields).source == expected


def test_one_picture_is_needed_and_no_more() -> None:
    """None and two are both 400."""
    for fields in (Fields("none"), Fields("raw", raw=DATA), Fields("multipart", {"image": "photo.jpg"})):
        assert complaint(fields).kind == "missing_image"
    for text in ({"image_url": URL}, {"image_id": "abc"}, {"image_url": DATA_URL}):
        assert complaint(form(**text)).kind == "multiple_images"


def test_urls_are_at_most_2083_characters() -> None:
    """The provider's own bound, met exactly."""
    longest = URL + "x" * (2083 - len(URL))
    assert parse(Fields("urlencoded", {"image_url": longest})).source == Link(longest)
    assert complaint(Fields("urlencoded", {"image_url": longest + "x"})).kind == "invalid_option"
    assert complaint(form(bg_image_url=longest + "x")).facts["option"] == "bg_image_url"


def test_broken_data_urls_are_unreadable() -> None:
    """Not fetched, and not taken for something else."""
    assert complaint(Fields("multipart", {"image_url": "data:image/png;base64,@@@"})).kind == "unreadable_image"


def shadow(right: int, down: int, opacity: int = 20, blur: int = 50) -> RenderOptions:
    return RenderOptions(shadow=Shadow("offset", opacity, blur, right, down))


PLAIN = RenderOptions()
MEANINGS: dict[str, tuple[dict[str, str], RenderOptions]] = {
    "nothing": ({}, PLAIN),
    "png": ({"format": "PNG"}, PLAIN),
    "jpg": ({"format": "JPG"}, RenderOptions(format="jpg")),
    "webp as Python sends it": ({"format": "webp"}, RenderOptions(format="webp")),
    "cutout": ({"output_type": "cutout"}, PLAIN),
    "mask": ({"output_type": "mask", "format": "jpg"}, RenderOptions(format="jpg", channels="alpha")),
    "mask with all that is for cutouts": (
        {
            "output_type": "MASK", "bg_color": "red", "bg_width": "50", "auto_center": "true", "stroke_size": "9",
            "shadow": "bottom",
        },
        RenderOptions(channels="alpha"),
    ),
    "colour": ({"bg_color": "82d5fa"}, RenderOptions(background=Colour(0x82, 0xD5, 0xFA))),
    "half-transparent colour": ({"bg_color": "#18d4ff87"}, RenderOptions(background=Colour(0x18, 0xD4, 0xFF, 0x87))),
    "blur": ({"bg_blur": "70"}, RenderOptions(background=BlurGround(70))),
    "no blur": ({"bg_blur": "0", "bg_color": "black"}, RenderOptions(background=Colour(0, 0, 0))),
    "ground by url": ({"bg_image_url": URL}, RenderOptions(background=PictureGround(Link(URL)))),
    "ground by data url": ({"bg_image_url": DATA_URL}, RenderOptions(background=PictureGround(Upload(DATA)))),
    "ground by id": ({"bg_image_id": "abc"}, RenderOptions(background=PictureGround(StoredPicture("abc")))),
    "ground and blur": (
        {"bg_image_url": URL, "bg_blur": "50"}, RenderOptions(background=PictureGround(Link(URL))),
    ),
    "width": ({"bg_width": "50"}, RenderOptions(frame=Frame(50, None))),
    "both sides": ({"bg_width": "5000", "bg_height": "60"}, RenderOptions(frame=Frame(5000, 60))),
    "fit": ({"bg_height": "60", "scale": "fit"}, RenderOptions(frame=Frame(None, 60))),
    "fill": ({"bg_width": "80", "bg_height": "60", "scale": "fill"}, RenderOptions(frame=Frame(80, 60, "cover"))),
    "scale alone": ({"scale": "fill"}, PLAIN),
    "centre": ({"auto_center": "True"}, RenderOptions(position=(0.5, 0.5))),
    "as it stands": ({"auto_center": "false"}, PLAIN),
    "stroke": ({"stroke_size": "12"}, RenderOptions(outline=Outline(12))),
    "red half stroke": (
        {"stroke_size": "100", "stroke_color": "red", "stroke_opacity": "50"},
        RenderOptions(outline=Outline(100, Colour(255, 0, 0, 128))),
    ),
    "opacity times the colour's own": (
        {"stroke_size": "1", "stroke_color": "ff000080", "stroke_opacity": "50"},
        RenderOptions(outline=Outline(1, Colour(255, 0, 0, 64))),
    ),
    "no stroke": ({"stroke_size": "0", "stroke_color": "red"}, PLAIN),
    "shadow disabled": ({"shadow": "disabled", "shadow_opacity": "90", "shadow_offset_x": "5"}, PLAIN),
    "bottom-right": ({"shadow": "bottom-right"}, shadow(10, 10)),
    "bottom": ({"shadow": "Bottom"}, shadow(0, 10)),
    "bottom-left": ({"shadow": "bottom-left"}, shadow(-10, 10)),
    "left": ({"shadow": "left"}, shadow(-10, 0)),
    "right": ({"shadow": "right"}, shadow(10, 0)),
    "top-left": ({"shadow": "top-left"}, shadow(-10, -10)),
    "top": ({"shadow": "top"}, shadow(0, -10)),
    "top-right": ({"shadow": "top-right"}, shadow(10, -10)),
    "strength of a shadow": (
        {"shadow": "top", "shadow_opacity": "100", "shadow_blur": "0"}, shadow(0, -10, opacity=100, blur=0),
    ),
    "custom": ({"shadow": "custom", "shadow_offset_x": "-100", "shadow_offset_y": "0"}, shadow(-100, 0)),
    "presets know their direction": ({"shadow": "left", "shadow_offset_x": "50"}, shadow(-10, 0)),
    "any model": ({"model": "urn:air:picsart:model:picsart:sod@99"}, PLAIN),
    "blanks": (dict.fromkeys((*_OPTIONS, "bg_image", "bg_image_url", "bg_image_id", "model"), ""), PLAIN),
}  # fmt: skip


@pytest.mark.parametrize("case", MEANINGS)
def test_options_mean_what_the_provider_says(case: str) -> None:
    """Each option, alone and with those that change it."""
    sent, expected = MEANINGS[case]
    assert parse(form(**sent)).options == expected


def test_a_ground_may_be_a_file() -> None:
    """``bg_image`` beside ``image``."""
    fields = Fields("multipart", files={"image": File(DATA), "bg_image": File(b"ground")})
    assert parse(fields).options.background == PictureGround(Upload(b"ground"))


BAD_OPTIONS = [
    ("output_type", "both"), ("bg_color", "#12"), ("bg_blur", "101"), ("bg_blur", "-1"), ("bg_width", "49"),
    ("bg_width", "5001"), ("bg_height", "0"), ("bg_height", "1e3"), ("scale", "stretch"), ("auto_center", "maybe"),
    ("stroke_size", "101"), ("stroke_color", "blurple"), ("stroke_opacity", "200"), ("shadow", "middle"),
    ("shadow_opacity", "-1"), ("shadow_blur", "1.5"), ("shadow_offset_x", "101"), ("shadow_offset_y", "-101"),
    ("format", "GIF"),
]  # fmt: skip


@pytest.mark.parametrize(("option", "value"), BAD_OPTIONS)
def test_a_bad_option_is_named(option: str, value: str) -> None:
    """Also where it would have had no effect."""
    error = complaint(form(**{option: value}))
    assert (error.kind, error.facts["option"], error.facts["got"]) == ("invalid_option", option, value)


def test_every_option_has_a_bad_value_here() -> None:
    """A new option is tested the day it is added."""
    assert {option for option, _ in BAD_OPTIONS} == set(_OPTIONS)


@pytest.mark.parametrize("missing", ["shadow_offset_x", "shadow_offset_y"])
def test_a_custom_shadow_needs_both_offsets(missing: str) -> None:
    """There is no default direction."""
    sent = {"shadow": "custom", "shadow_offset_x": "1", "shadow_offset_y": "1"}
    del sent[missing]
    assert complaint(form(**sent)).facts["option"] == missing


GROUNDS = [
    {"bg_color": "red", "bg_image_url": URL}, {"bg_color": "red", "bg_image_id": "abc"},
    {"bg_color": "red", "bg_blur": "5"}, {"bg_image_url": URL, "bg_image_id": "abc"},
]  # fmt: skip


@pytest.mark.parametrize("sent", GROUNDS)
def test_grounds_exclude_each_other(sent: dict[str, str]) -> None:
    """A colour, or one picture."""
    assert complaint(form(**sent)).kind == "multiple_grounds"


# --- waiting --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prefer", "wait_s", "applied"),
    [
        ("", inf, None), ("respond-async", 0, "respond-async"), ("Respond-Async", 0, "respond-async"),
        ("wait=1", 1, "wait=1"), ("wait=600", 600, "wait=600"), ('wait = "30"', 30, "wait=30"),
        ("respond-async, wait=10", 10, "respond-async, wait=10"), ("wait=601", inf, None), ("wait=0", inf, None),
        ("wait=-1", inf, None), ("wait=soon", inf, None), ("return=minimal", inf, None),
        ("return=minimal, respond-async", 0, "respond-async"), ("wait=601, respond-async", 0, "respond-async"),
    ],
)  # fmt: skip
def test_prefer_says_how_long_to_wait(prefer: str, wait_s: float, applied: str | None) -> None:
    """To the end by default; what is not understood is ignored."""
    order = parse(replace(form(), headers={"prefer": prefer}))
    assert submit_of().wait_s(order, 30.0) == wait_s
    assert order.notes.get("applied") == applied


# --- answers --------------------------------------------------------------------------------------------------------


def job(state: State, **more: Any) -> Job:
    return Job("0f" * 16, "picsart", "acc", state, datetime(2026, 11, 1, tzinfo=UTC), **more)


STORED = Stored("a-key", "image/webp", ".webp", 1000, 30, 20)
CONTEXT = Context("req_1", link=lambda stored, name, seconds: f"https://b.test/{stored.key}/{name}?{seconds:g}")
SUCCESS = {"data": {"id": "a-key", "url": "https://b.test/a-key/a-key.webp?86400"}, "status": "success"}


def show(job: Job) -> Info:
    does = OPERATIONS["image"]
    assert isinstance(does, Show)
    return does.render(job, CONTEXT)


def test_a_finished_job_has_an_id_and_a_url() -> None:
    """The id is one that ``image_id`` takes."""
    done = job("done", result=STORED)
    for info in (show(done), submit_of().render(done, CONTEXT)):
        assert (info.status, info.body, info.headers) == (200, SUCCESS, ())


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_job_under_way_is_accepted(state: State) -> None:
    """202 with the id that ``GET /image/{id}`` takes."""
    for info in (show(job(state)), submit_of().render(job(state), CONTEXT)):
        assert (info.status, info.body) == (202, {"transaction_id": "0f" * 16, "status": "ACCEPTED"})


def test_preferences_that_were_honoured_are_told_once() -> None:
    """On the answer to the call that said them."""
    for one in (job("queued", notes={"applied": "wait=5"}), job("done", result=STORED, notes={"applied": "wait=5"})):
        assert submit_of().render(one, CONTEXT).headers == (("preference-applied", "wait=5"),)
        assert show(one).headers == ()


def test_a_failed_job_is_its_error() -> None:
    """As it would have been had the caller waited."""
    with pytest.raises(ApiError) as caught:
        show(job("failed", failure=Failure("unreadable_image", "Damaged.")))
    assert (caught.value.kind, caught.value.message) == ("unreadable_image", "Damaged.")
    assert submit_of().raises is None


@pytest.mark.parametrize("state", ["cancelled", "expired"])
def test_a_job_that_ended_without_either_is_gone(state: State) -> None:
    """There is nothing to show."""
    with pytest.raises(ApiError) as caught:
        show(job(state))
    assert caught.value.kind == "job_not_found"


def test_uploads_are_files_or_urls() -> None:
    """An id is stored already."""
    does = OPERATIONS["upload"]
    assert isinstance(does, Keep)
    assert does.parse(form()) == Upload(DATA)
    assert does.parse(Fields("urlencoded", {"image_url": URL})) == Link(URL)
    assert does.parse(Fields("json", {"image_url": DATA_URL}, json={})) == Upload(DATA)
    for fields, kind in [
        (Fields("multipart", {"image_id": "abc"}), "missing_image"),
        (form(image_url=URL), "multiple_images"),
    ]:
        with pytest.raises(ApiError) as caught:
            does.parse(fields)
        assert caught.value.kind == kind
    assert does.render(STORED, CONTEXT).body == SUCCESS


@pytest.mark.parametrize(("left", "expected"), [("77", 77), ("0.75", 0), ("-1", 0)])
def test_credits_are_whole_numbers(left: str, expected: int) -> None:
    """In the balance and in the header of every answer."""
    does = OPERATIONS["balance"]
    assert isinstance(does, Tell)
    context = Context("req_1", Caller("tok", Account("acc", subscription_credits=Decimal(left))))
    assert does.answer(context).body == {"credits": expected}
    assert dict(DIALECT.headers(context))["x-picsart-credit-available"] == str(expected)


@pytest.mark.parametrize(
    ("rate", "expected"), [(Rate(60, 7, 1_800_000_000, 42), ("60", "7", "42")), (None, ("500", "500", "0"))]
)
def test_rates_are_whole_numbers(rate: Rate | None, expected: tuple[str, str, str]) -> None:
    """Reset is in seconds from now; without a limit the documented one is all there."""
    headers = dict(DIALECT.headers(Context("req_1", Caller(rate=rate))))
    names = ("limit", "available", "reset-time")
    assert tuple(headers[f"x-picsart-ratelimit-{name}"] for name in names) == expected
    assert headers["x-picsart-correlation-id"] == "req_1"


def test_keys_come_in_a_header_or_a_parameter() -> None:
    """Of the same name, in any case."""
    assert DIALECT.find_key({"x-picsart-api-key": " k "}, {"X-Picsart-API-Key": "other"}) == "k"
    assert DIALECT.find_key({}, {"X-Picsart-API-Key": "k"}) == "k"
    assert DIALECT.find_key({}, {"x-picsart-api-key": "k"}) == "k"
    assert DIALECT.find_key({"x-api-key": "k"}, {"api_key": "k"}) is None


@pytest.mark.parametrize("kind", KINDS)
def test_every_failure_has_the_three_members(kind: str) -> None:
    """``code`` is the status as a number, ``detail`` says what was wrong."""
    status, code = DIALECT.failures[kind]
    body = DIALECT.render_error(status, code, ApiError(kind, "scale: expected fit"), "req_1")
    assert body == {"code": status, "message": code, "detail": "scale: expected fit"}
    assert code


def test_the_page_shows_every_option_and_status() -> None:
    """docs/dialects/picsart.md has a word for each."""
    page = (ROOT / "docs/dialects/picsart.md").read_text(encoding="utf-8")
    statuses = {status for status, _code in DIALECT.failures.values()}
    assert [name for name in (*_OPTIONS, *statuses) if f"`{name}`" not in page] == []


# --- over HTTP ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    """A keep-alive connection."""
    with server.client() as client:
        yield client


def check_headers(answer: Response) -> None:
    """What stands on every answer; the TypeScript client parses integers."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-picsart-correlation-id"] == answer.headers["x-request-id"]
    for name in ("credit-available", "ratelimit-limit", "ratelimit-available", "ratelimit-reset-time"):
        assert re.fullmatch("[0-9]+", answer.headers[f"x-picsart-{name}"])


def data_of(answer: Response) -> dict[str, str]:
    """``data`` of a success, checked for its shape."""
    assert answer.status_code == 200, answer.text
    check_headers(answer)
    body = answer.json()
    assert set(body) == {"data", "status"}
    assert body["status"] == "success"
    assert set(body["data"]) == {"id", "url"}
    return dict(body["data"])


def removebg(client: Client, picture: bytes = PHOTO, /, *, headers: Any = None, **data: str) -> Response:
    """POST /tools/1.0/removebg by multipart."""
    files = {"image": ("/home/me/x.png", picture, "image/png")}
    return client.post("/tools/1.0/removebg", files=files, data=data, headers=headers)


def cut(client: Client, picture: bytes = PHOTO, /, **data: str) -> bytes:
    """The result's bytes, fetched without a key."""
    return client.get(data_of(removebg(client, picture, **data))["url"]).content


def error_of(answer: Response) -> dict[str, Any]:
    """The error object, checked for its shape."""
    check_headers(answer)
    error = answer.json()
    assert set(error) == {"code", "message", "detail"}
    assert error["code"] == answer.status_code
    assert all(isinstance(error[name], str) and error[name] for name in ("message", "detail"))
    return dict(error)


def upload(client: Client, picture: bytes = PHOTO) -> dict[str, str]:
    """What is said of a picture that was stored."""
    return data_of(client.post("/tools/1.0/upload", files={"image": ("x.jpg", picture)}))


@pytest.fixture(scope="module")
def stored(client: Client) -> dict[str, str]:
    """PHOTO, stored."""
    return upload(client)


def test_every_way_to_send_a_picture_gives_the_same_cutout(client: Client, stored: dict[str, str]) -> None:
    """File, URL, ``data:`` URL and id; multipart, urlencoded and JSON."""
    expected = cut(client)
    data_url = "data:image/jpeg;base64," + base64.b64encode(PHOTO).decode()
    ways: dict[str, dict[str, Any]] = {
        "url urlencoded": {"data": {"image_url": stored["url"]}},
        "url multipart": {"files": {"image_url": (None, stored["url"])}},
        "url json": {"json": {"image_url": stored["url"]}},
        "data url": {"files": {"image_url": (None, data_url)}},
        "data url urlencoded": {"data": {"image_url": data_url}},
        "data url json": {"json": {"image_url": data_url}},
        "id": {"data": {"image_id": stored["id"]}},
        "id json": {"json": {"image_id": stored["id"], "bg_color": None}},
    }
    for name, way in ways.items():
        answer = client.post("/tools/1.0/removebg", **way)
        assert (name, answer.status_code) == (name, 200), answer.text
        assert client.get(answer.json()["data"]["url"]).content == expected, name


@pytest.mark.parametrize(
    "path", ["/tools/1.0/removebg/", "/picsart/tools/1.0/removebg", "/picsart/tools/1.0/removebg/"]
)
def test_every_spelling_answers_without_a_redirect(client: Client, path: str) -> None:
    """Base URLs end in ``/tools/1.0`` or, in the Python client, in ``/tools``."""
    assert data_of(client.post(path, files={"image": ("x", PHOTO)}))["id"]


def test_results_are_fetched_without_a_key_by_their_name(client: Client) -> None:
    """Both clients do; an absolute address that ends in a file name."""
    url = data_of(removebg(client, format="WEBP"))["url"]
    answer = client.get(url)

    assert url.startswith(str(client.base_url).rstrip("/"))
    assert re.search(r"\.webp(\?|$)", url)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/webp")


@pytest.mark.parametrize(
    ("name", "media_type", "bands"),
    [("PNG", "image/png", 4), ("JPG", "image/jpeg", 3), ("WEBP", "image/webp", 4), ("webp", "image/webp", 4),
     ("", "image/png", 4)],
)  # fmt: skip
def test_every_format(client: Client, name: str, media_type: str, bands: int) -> None:
    """In any case; PNG by default."""
    answer = client.get(data_of(removebg(client, format=name))["url"])
    assert answer.headers["content-type"] == media_type
    assert decode(answer.content).shape == (120, 161, bands)


def test_a_mask_is_the_cutouts_own_plane(client: Client) -> None:
    """One grey plane, whatever is asked for cutouts."""
    mask = decode(cut(client, output_type="mask", bg_color="red", stroke_size="9", shadow="bottom"))
    np.testing.assert_array_equal(mask, decode(cut(client))[..., 3])


def test_a_colour_stands_under_the_subject(client: Client) -> None:
    """With and without ``#``; JPEG is white without one."""
    assert tuple(decode(cut(client, bg_color="1a2b3c"))[2, 2][:3]) == (26, 43, 60)
    assert tuple(decode(cut(client, bg_color="#18d4ff87"))[2, 2]) == (0x18, 0xD4, 0xFF, 0x87)
    assert decode(cut(client, format="JPG"))[2, 2].min() >= 253


def test_a_picture_stands_under_the_subject(client: Client, stored: dict[str, str]) -> None:
    """As a file, by URL and by id; it fills the frame."""
    green = encode(np.full((40, 40, 3), (0, 200, 0), np.uint8), "PNG")
    other = upload(client, green)
    expected = cut(client, bg_image_id=other["id"])
    pixels = decode(expected)
    assert pixels.shape[:2] == (120, 161)
    for at in ((1, 1), (118, 1), (1, 159), (118, 159)):
        assert np.abs(pixels[at][:3].astype(int) - (0, 200, 0)).max() <= 2
    assert tuple(pixels[60, 80][:3]) == tuple(decode(cut(client))[60, 80][:3])

    assert cut(client, bg_image_url=other["url"]) == expected
    files = {"image": ("x", PHOTO), "bg_image": ("y", green)}
    answer = client.post("/tools/1.0/removebg", files=files, data={"image_url": "", "bg_color": ""})
    assert client.get(data_of(answer)["url"]).content == expected


def test_blur_keeps_the_photo_under_the_subject(client: Client) -> None:
    """Opaque, the subject as it was, the rest near its own colours."""
    sharp = ball(161, 120).astype(int)
    pixels = decode(cut(client, encode(ball(161, 120), "PNG"), bg_blur="60")).astype(int)
    assert pixels.shape[:2] == (120, 161)
    if pixels.shape[2] == 4:
        assert pixels[..., 3].min() == 255
    assert np.abs(pixels[60, 80, :3] - sharp[60, 80]).max() <= 2
    assert np.abs(pixels[3, 3, :3] - sharp[3, 3]).max() <= 25


@pytest.mark.parametrize(("scale", "grown"), [("fit", 300 / 161), ("fill", 300 / 120)])
def test_width_and_height_are_exact(client: Client, scale: str, grown: float) -> None:
    """``fit`` brings all of the photo in, ``fill`` fills; neither stretches."""
    picture = encode(ball(161, 120), "PNG")
    plain = _box(decode(cut(client, picture)))
    pixels = decode(cut(client, picture, bg_width="300", bg_height="300", scale=scale))
    left, top, right, bottom = _box(pixels)

    assert pixels.shape[:2] == (300, 300)
    assert right - left == pytest.approx(grown * (plain[2] - plain[0]), abs=6)
    assert bottom - top == pytest.approx(grown * (plain[3] - plain[1]), abs=6)


def test_one_side_keeps_the_aspect(client: Client) -> None:
    """The other follows."""
    assert decode(cut(client, photo(160, 120), bg_width="320")).shape[:2] == (240, 320)


def _box(pixels: pictures.Pixels) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of what is not transparent."""
    down, across = np.nonzero(pixels[..., 3])
    return int(across.min()), int(down.min()), int(across.max()) + 1, int(down.max()) + 1


def test_auto_center_brings_the_subject_to_the_middle(client: Client) -> None:
    """As large as before."""
    aside = encode(ball(400, 300)[:, 60:], "PNG")
    before = _box(decode(cut(client, aside)))
    left, top, right, bottom = _box(decode(cut(client, aside, auto_center="true")))

    assert abs(before[0] - (340 - before[2])) > 20
    assert left == pytest.approx(340 - right, abs=2)
    assert top == pytest.approx(300 - bottom, abs=2)
    assert right - left == pytest.approx(before[2] - before[0], abs=2)


def test_a_stroke_grows_the_subject_in_its_colour(client: Client) -> None:
    """On all sides by its width; half opacity is half alpha."""
    picture = encode(ball(400, 300), "PNG")
    plain = _box(decode(cut(client, picture)))
    pixels = decode(cut(client, picture, stroke_size="12", stroke_color="00ff00", stroke_opacity="50"))
    box = _box(pixels)

    for before, after in zip(plain, box, strict=True):
        assert abs(before - after) == pytest.approx(12, abs=4)
    middle = (box[1] + box[3]) // 2
    red, green, blue, alpha = (int(value) for value in pixels[middle, box[0] + 4])
    assert (red, green, blue) == (0, 255, 0)
    assert alpha == pytest.approx(128, abs=3)


@pytest.mark.parametrize(("word", "right", "down"), [("bottom-right", 1, 1), ("top", 0, -1), ("left", -1, 0)])
def test_a_shadow_falls_where_it_is_told(client: Client, word: str, right: int, down: int) -> None:
    """Black, behind the subject, on the side that is named."""
    picture = encode(ball(400, 300), "PNG")
    before = _box(decode(cut(client, picture)))
    pixels = decode(cut(client, picture, shadow=word, shadow_blur="0", shadow_opacity="80"))
    left, top, over, under = _box(pixels)

    assert [left - before[0], over - before[2]] == pytest.approx([min(0, 10 * right), max(0, 10 * right)], abs=3)
    assert [top - before[1], under - before[3]] == pytest.approx([min(0, 10 * down), max(0, 10 * down)], abs=3)


def test_a_custom_shadow_takes_its_offsets(client: Client) -> None:
    """In pixels of the answer."""
    picture = encode(ball(400, 300), "PNG")
    before = _box(decode(cut(client, picture)))
    options = {"shadow": "custom", "shadow_offset_x": "25", "shadow_offset_y": "-5", "shadow_blur": "0"}
    after = _box(decode(cut(client, picture, **options)))
    assert after[2] - before[2] == pytest.approx(25, abs=3)
    assert before[1] - after[1] == pytest.approx(5, abs=3)


def test_a_picture_without_a_subject_is_delivered_empty(client: Client) -> None:
    """Nothing found is no error."""
    assert not decode(cut(client, encode(np.zeros((50, 70, 4), np.uint8), "PNG"))).any()


def test_what_the_python_client_sends_is_understood(client: Client) -> None:
    """Every option every time, blank where unset, a path for a file name."""
    sent = {
        "output_type": "cutout", "bg_image": "", "bg_color": "", "bg_width": "", "bg_height": "", "scale": "fit",
        "auto_center": "false", "stroke_size": "0", "stroke_color": "FFFFFF", "stroke_opacity": "100",
        "shadow": "disabled", "shadow_opacity": "20", "shadow_blur": "50", "shadow_offset_x": "",
        "shadow_offset_y": "", "format": "png",
    }  # fmt: skip
    assert cut(client, **sent) == cut(client)


# --- waiting over HTTP ----------------------------------------------------------------------------------------------


def test_an_asynchronous_call_is_accepted_and_fetched_later(client: Client) -> None:
    """202 with an id; the result is the one that a waiting call gets."""
    answer = removebg(client, headers={"Prefer": "respond-async"})
    check_headers(answer)
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "respond-async"
    assert set(answer.json()) == {"transaction_id", "status"}
    assert answer.json()["status"] == "ACCEPTED"

    url = f"/tools/1.0/image/{answer.json()['transaction_id']}"
    give_up_at = time.monotonic() + 30
    while (shown := client.get(url)).status_code == 202:
        assert shown.json() == answer.json()
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
    data = data_of(shown)
    assert client.get(data["url"]).content == cut(client)
    again = client.post("/tools/1.0/removebg", data={"image_id": data["id"], "output_type": "mask"})
    assert decode(client.get(data_of(again)["url"]).content).shape == (120, 161)


def test_a_call_that_waits_is_told_so(client: Client) -> None:
    """200 where the picture was ready in time."""
    answer = removebg(client, headers={"Prefer": "wait=30"})
    assert data_of(answer)["id"]
    assert answer.headers["preference-applied"] == "wait=30"
    assert "preference-applied" not in removebg(client).headers


def test_a_failed_job_is_shown_as_its_error(client: Client) -> None:
    """A picture that cannot be fetched fails when the worker tries."""
    data = {"image_url": "http://127.0.0.1:9/x.png"}
    assert error_of(client.post("/tools/1.0/removebg", data=data))["code"] == 400
    answer = client.post("/tools/1.0/removebg", data=data, headers={"prefer": "respond-async"})
    assert answer.status_code == 202
    url = f"/tools/1.0/image/{answer.json()['transaction_id']}"
    give_up_at = time.monotonic() + 30
    while (shown := client.get(url)).status_code == 202:
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
    assert error_of(shown)["code"] == 400


# --- complaints -----------------------------------------------------------------------------------------------------


FILES = {"image": ("x", PHOTO)}
REFUSED: dict[str, tuple[dict[str, Any], int]] = {
    "nothing": ({}, 400),
    "no picture field": ({"files": {"image_file": ("x", PHOTO)}}, 400),
    "empty": ({"files": {"image": ("", b"")}}, 400),
    "two": ({"files": FILES, "data": {"image_url": "http://127.0.0.1/x.png"}}, 400),
    "broken json": ({"content": b'{"image_url":', "headers": {"content-type": "application/json"}}, 400),
    "private url": ({"data": {"image_url": "http://10.0.0.1/x.png"}}, 400),
    "private ground": ({"files": FILES, "data": {"bg_image_url": "http://10.0.0.1/x.png"}}, 400),
    "text": ({"content": b"hello", "headers": {"content-type": "text/plain"}}, 415),
    "31 MB": ({"files": {"image": ("x", PHOTO + bytes(31_000_000))}}, 413),
    "no picture": ({"files": {"image": ("x.png", b"hello")}}, 422),
    "cut short": ({"files": {"image": ("x.png", PHOTO[:2000])}}, 422),
    "broken data url": ({"json": {"image_url": "data:image/png;base64,@@@"}}, 422),
    "bad value": ({"files": FILES, "data": {"stroke_size": "101"}}, 422),
    "two grounds": ({"files": FILES, "data": {"bg_color": "red", "bg_image_id": "abc"}}, 422),
    "half a custom shadow": ({"files": FILES, "data": {"shadow": "custom", "shadow_offset_x": "3"}}, 422),
    "unknown id": ({"data": {"image_id": "A" * 32}}, 404),
    "unknown ground": ({"files": FILES, "data": {"bg_image_id": "A" * 32}}, 404),
    "no id at all": ({"data": {"image_id": "../../etc/passwd"}}, 404),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_have_their_status(client: Client, case: str) -> None:
    """And the three members."""
    options, status = REFUSED[case]
    answer = client.post("/tools/1.0/removebg", **options)
    assert (answer.status_code, error_of(answer)["code"]) == (status, status)


def test_a_refusal_says_which_option_and_what_was_expected(client: Client) -> None:
    """``detail`` is what the TypeScript client shows."""
    detail = error_of(removebg(client, scale="stretch"))["detail"]
    assert "scale" in detail
    assert "fit or fill" in detail
    assert "stretch" in detail


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/tools/1.0/removebg", 405), ("POST", "/tools/1.0/balance", 405), ("GET", "/picsart/tools/nothing", 404),
    ("GET", "/picsart/nothing", 404), ("GET", "/tools/1.0/image/" + "0" * 32, 404), ("GET", "/tools/1.0/image/x", 404),
])  # fmt: skip
def test_lost_requests_get_the_same_shape(client: Client, method: str, path: str, status: int) -> None:
    """Headers and body."""
    answer = client.request(method, path)
    assert (answer.status_code, error_of(answer)["code"]) == (status, status)


@pytest.mark.parametrize("case", ["nothing", "no picture", "31 MB"])
def test_uploads_are_checked(client: Client, case: str) -> None:
    """What is stored is a picture."""
    options, status = REFUSED[case]
    answer = client.post("/tools/1.0/upload", **options)
    assert error_of(answer)["code"] == status


def test_what_was_uploaded_comes_back_as_it_was(client: Client, stored: dict[str, str]) -> None:
    """Byte for byte; also from a URL."""
    assert client.get(stored["url"]).content == PHOTO
    again = data_of(client.post("/tools/1.0/upload", data={"image_url": stored["url"]}))
    assert again["id"] != stored["id"]
    assert client.get(again["url"]).content == PHOTO


def test_balance_over_http(client: Client) -> None:
    """A whole number."""
    answer = client.get("/tools/1.0/balance")
    check_headers(answer)
    assert list(answer.json()) == ["credits"]
    assert isinstance(answer.json()["credits"], int)


def test_keys_are_asked_for_and_jobs_are_private(tmp_path_factory: pytest.TempPathFactory) -> None:
    """By header or parameter; another key's job does not exist."""
    other = "another-secret-of-tests"
    folder = tmp_path_factory.mktemp("picsart")
    with serve(folder, auth="required", api_keys=f"{KEY},{other}") as served, served.client() as client:
        for headers in ({}, {"X-Picsart-API-Key": "wrong"}):
            for answer in (
                removebg(client, headers=headers),
                client.get("/tools/1.0/balance", headers=headers),
                client.get("/tools/1.0/image/1", headers=headers),
                client.post("/tools/1.0/upload", files=FILES, headers=headers),
            ):
                assert error_of(answer)["message"] == "Unauthorized"
                assert answer.status_code == 401
        assert client.get("/tools/1.0/balance", params={"X-Picsart-API-Key": KEY}).status_code == 200
        answer = removebg(client, headers={"X-Picsart-API-Key": KEY, "Prefer": "respond-async"})
        url = f"/tools/1.0/image/{answer.json()['transaction_id']}"
        assert client.get(url, headers={"X-Picsart-API-Key": KEY}).status_code in (200, 202)
        assert error_of(client.get(url, headers={"X-Picsart-API-Key": other}))["code"] == 404
