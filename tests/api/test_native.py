"""bgone's own dialect: every option as an order, every refusal with its words, then over real HTTP."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from httpx2 import Client, Response

from bgone.api.auth import Account, Caller
from bgone.api.dialect import Context, Tell
from bgone.api.dialects.native import DIALECT, OPTIONS, PICTURES, parse
from bgone.api.fields import Fields, File
from bgone.errors import KINDS, ApiError, region_empty
from bgone.imaging.formats import FORMATS
from bgone.imaging.geometry import Length, SizeCap
from bgone.pipeline.order import (
    BlurGround,
    Colour,
    Frame,
    Link,
    Outline,
    PictureGround,
    RenderOptions,
    Shadow,
    Source,
    Upload,
)
from tests import pictures
from tests.pictures import ball, decode, encode
from tests.serving import Served
from tests.test_house import marked, rows

PHOTO = pictures.photo(161, 120, of=ball)
TEXT = base64.b64encode(PHOTO).decode()


def px(*amounts: float) -> tuple[Length, ...]:
    """Lengths in pixels."""
    return tuple(Length(amount) for amount in amounts)


def percent(*amounts: float) -> tuple[Length, ...]:
    """Lengths in percent."""
    return tuple(Length(amount, "%") for amount in amounts)


def asked(**more: Any) -> RenderOptions:
    """What is asked, beside what is always asked: the subject's box."""
    return RenderOptions(measure=True, **more)


def read(text: dict[str, str], files: dict[str, File] | None = None) -> RenderOptions:
    """The options of a multipart body with a photo."""
    return parse(Fields("multipart", text=text, files={"image": File(b"photo"), **(files or {})})).options


# --- values ---------------------------------------------------------------------------------------------------------

READ: list[tuple[dict[str, str], RenderOptions]] = [
    ({}, asked()),
    *(({"format": name}, asked(format=name)) for name in ("auto", *FORMATS)),
    ({"format": "JPEG"}, asked(format="jpg")),
    ({"format": "tif"}, asked(format="tiff")),
    ({"quality": "1"}, asked(quality_percent=1)),
    ({"quality": "100"}, asked(quality_percent=100)),
    ({"quality": "standard"}, asked(fine=False)),
    ({"quality": "Fine"}, asked(fine=True)),
    ({"quality": "fine 90"}, asked(fine=True, quality_percent=90)),
    ({"quality": "7, standard"}, asked(fine=False, quality_percent=7)),
    ({"channels": "rgba"}, asked()),
    ({"channels": "rgb"}, asked(channels="rgb")),
    ({"channels": "ALPHA"}, asked(channels="alpha")),
    ({"channels": "alpha", "format": "zip"}, asked(format="zip")),
    ({"max_side": "800"}, asked(cap=SizeCap(longest=800))),
    ({"max_megapixels": "0.25"}, asked(cap=SizeCap(pixels=250_000))),
    ({"max_side": "800", "max_megapixels": "4"}, asked(cap=SizeCap(4_000_000, 800))),
    ({"width": "300"}, asked(frame=Frame(300, None))),
    ({"height": "200"}, asked(frame=Frame(None, 200))),
    ({"width": "300", "height": "200", "fit": "contain"}, asked(frame=Frame(300, 200))),
    ({"width": "300", "height": "200", "fit": "cover"}, asked(frame=Frame(300, 200, "cover"))),
    ({"width": "300", "height": "200", "fit": "scale-down"}, asked(frame=Frame(300, 200, "scale-down"))),
    ({"fit": "cover"}, asked()),
    ({"crop": "true"}, asked(crop=True)),
    ({"crop": "0"}, asked()),
    ({"margin": "10"}, asked(crop=True, margin=px(10, 10, 10, 10))),
    ({"margin": "10px 5%"}, asked(crop=True, margin=(Length(10), Length(5, "%"), Length(10), Length(5, "%")))),
    ({"margin": "1, 2, 3, 4"}, asked(crop=True, margin=px(1, 2, 3, 4))),
    ({"margin": "10", "crop": "false"}, asked(margin=px(10, 10, 10, 10))),
    ({"aspect": "4:3"}, asked(crop=True, aspect=4 / 3)),
    ({"aspect": "0.5"}, asked(crop=True, aspect=0.5)),
    ({"scale": "original"}, asked()),
    ({"scale": "1%"}, asked(subject_scale=0.01, position=(0.5, 0.5))),
    ({"scale": "80%", "position": "original"}, asked(subject_scale=0.8)),
    ({"scale": "80%", "position": "20% 80%"}, asked(subject_scale=0.8, position=(0.2, 0.8))),
    ({"position": "original"}, asked()),
    ({"position": "center"}, asked(position=(0.5, 0.5))),
    ({"position": "50%"}, asked(position=(0.5, 0.5))),
    ({"position": "20%, 80%"}, asked(position=(0.2, 0.8))),
    ({"region": "1 2 30 40"}, asked(region=px(1, 2, 30, 40))),
    ({"region": "10% 0% 90% 100%"}, asked(region=percent(10, 0, 90, 100))),
    ({"background": "none"}, asked()),
    ({"background": "transparent"}, asked()),
    ({"background": "#fff"}, asked(background=Colour(255, 255, 255))),
    ({"background": "rgba(0, 128, 255, 0.5)"}, asked(background=Colour(0, 128, 255, 128))),
    ({"background": "Tomato"}, asked(background=Colour(255, 99, 71))),
    ({"background": "blur"}, asked(background=BlurGround(50))),
    ({"background": "BLUR: 12.5"}, asked(background=BlurGround(12.5))),
    ({"background": "blue"}, asked(background=Colour(0, 0, 255))),
    ({"background_url": "http://a/b.png"}, asked(background=PictureGround(Link("http://a/b.png")))),
    (
        {"background_base64": "aGk=", "background_fit": "contain"},
        asked(background=PictureGround(Upload(b"hi"), "contain")),
    ),
    (
        {"background": "none", "background_url": "http://a/b.png", "background_fit": "fill"},
        asked(background=PictureGround(Link("http://a/b.png"), "fill")),
    ),
    ({"background_fit": "cover"}, asked()),
    ({"shadow": "none"}, asked()),
    ({"shadow": "drop"}, asked(shadow=Shadow("drop"))),
    ({"shadow": "3d", "shadow_opacity": "80"}, asked(shadow=Shadow("3D", 80))),
    ({"shadow": "car", "shadow_offset": "5 5"}, asked(shadow=Shadow("car"))),
    ({"shadow": "offset"}, asked(shadow=Shadow("offset", offset_x_px=10, offset_y_px=10))),
    ({"shadow_offset": "-5 7.5px", "shadow_blur": "0"}, asked(shadow=Shadow("offset", 50, 0, -5, 7.5))),
    ({"shadow_opacity": "80", "shadow_blur": "20"}, asked()),
    ({"outline": "7"}, asked(outline=Outline(7))),
    ({"outline": "0"}, asked()),
    ({"outline": "2.5", "outline_color": "#f00"}, asked(outline=Outline(2.5, Colour(255, 0, 0)))),
    ({"outline_color": "red"}, asked()),
    ({"despill": "yes"}, asked(despill=True)),
    ({"semitransparency": "false"}, asked(semitransparency=False)),
    (
        {"channels": "alpha", "background": "red", "shadow": "drop", "outline": "4", "despill": "1", "crop": "1"},
        asked(channels="alpha", crop=True),
    ),
    ({"nobody_knows": "1", "size": "huge"}, asked()),
]


@pytest.mark.parametrize(("text", "options"), READ)
def test_options_are_read(text: dict[str, str], options: RenderOptions) -> None:
    """Every option; what shapes another one has no effect without it, unknown names have none at all."""
    assert read(text) == options


def test_every_option_is_read_above() -> None:
    """A new option is tested the day it is added."""
    assert {name for text, _ in READ for name in text} >= {*OPTIONS, "background_url", "background_base64"}


REFUSED = [
    ("format", "psd", "png, auto, jpg, webp"), ("quality", "0", "1 to 100"), ("quality", "101", "1 to 100"),
    ("quality", "high", "standard or fine"), ("quality", "fine fine", "or both"), ("quality", "9 9", "or both"),
    ("quality", "fine 0", "1 to 100"), ("quality", ",", "standard or fine"),
    ("channels", "cmyk", "rgba, rgb or alpha"), ("max_side", "0", "1 to 100000"),
    ("max_side", "9.5", "whole"), ("max_megapixels", "0", "0.0001 to 10000"), ("width", "10001", "1 to 10000"),
    ("height", "-1", "1 to 10000"), ("fit", "fill", "contain, cover or scale-down"), ("crop", "maybe", "true"),
    ("margin", "1 2 3", "1, 2 or 4"), ("margin", "5001", "5000 pixels"), ("margin", "101%", "100%"),
    ("aspect", "4:0", "width:height"), ("aspect", "1:11", "0.1 to 10"), ("aspect", "wide", "0.1 to 10"),
    ("aspect", "1:2:3", "width:height"), ("scale", "0%", "1% to 100%"), ("scale", "0.5", "1% to 100%"),
    ("scale", "101%", "1% to 100%"), ("position", "left", "center"), ("position", "1% 2% 3%", "one or two"),
    ("position", "50", "0% to 100%"), ("region", "1 2 3", "4 lengths"), ("region", "-1 0 5 5", "4 lengths"),
    ("background", "blurry", "none, blur"), ("background", "blur:0", "blur:1"), ("background", "blur:", "blur:1"),
    ("background", "blur:101", "blur:100"), ("background_fit", "scale-down", "cover, contain or fill"),
    ("shadow", "soft", "none, drop, 3D, car or offset"), ("shadow_opacity", "101", "0 to 100"),
    ("shadow_blur", "-1", "0 to 100"), ("shadow_offset", "5", "two numbers"), ("shadow_offset", "5% 5%", "two numbers"),
    ("shadow_offset", "5001 0", "5000"), ("outline", "501", "0 to 500"), ("outline_color", "reddish", "a colour"),
    ("despill", "2", "true"), ("semitransparency", "glass", "true"),
]  # fmt: skip


@pytest.mark.parametrize(("option", "value", "expected"), REFUSED)
def test_a_bad_value_is_refused(option: str, value: str, expected: str) -> None:
    """Which option, what was expected, what came."""
    with pytest.raises(ApiError) as caught:
        read({option: value})

    assert caught.value.kind == "invalid_option"
    assert caught.value.message.startswith(f"{option}: expected ")
    assert expected in str(caught.value.facts["expected"])
    assert caught.value.facts["got"] == value


def test_every_option_is_refused_above() -> None:
    """None takes everything."""
    assert {option for option, *_ in REFUSED} == set(OPTIONS)


SEVERAL = [
    {"background": "red", "background_url": "http://a/b"},
    {"background": "blur", "background_base64": "aGk="},
    {"background_url": "http://a/b", "background_base64": "aGk="},
]


@pytest.mark.parametrize("text", SEVERAL)
def test_one_background_only(text: dict[str, str]) -> None:
    """A colour and a picture, or two pictures, are a mistake of the caller's."""
    with pytest.raises(ApiError) as caught:
        read(text)

    assert caught.value.kind == "multiple_grounds"


def test_a_background_may_be_a_file() -> None:
    """The part ``background_image``."""
    options = read({"background_fit": "contain"}, {"background_image": File(b"below")})

    assert options.background == PictureGround(Upload(b"below"), "contain")


WAYS: list[tuple[Fields, Source]] = [
    (Fields("multipart", files={"image": File(b"photo")}), Upload(b"photo")),
    (Fields("multipart", text={"image_url": "http://a/b"}), Link("http://a/b")),
    (Fields("urlencoded", text={"image_base64": "data:image/png;base64,aGk="}), Upload(b"hi")),
    (Fields("json", text={"image_url": " http://a/b "}, json={"image_url": "http://a/b"}), Link("http://a/b")),
    (Fields("raw", raw=b"photo"), Upload(b"photo")),
    (Fields("none", query={"image_url": "http://a/b"}), Link("http://a/b")),
    (Fields("json", text={"image_url": "http://a/b"}, query={"image_url": "http://c"}, json={}), Link("http://a/b")),
]


@pytest.mark.parametrize(("fields", "source"), WAYS)
def test_the_photo_comes_in_many_ways(fields: Fields, source: Source) -> None:
    """A file, a link, base64, or the body itself; the body wins over the query."""
    assert parse(fields).source == source


def test_no_photo_and_two_photos_are_refused() -> None:
    """With the names that would do."""
    for fields, kind in (
        (Fields("none"), "missing_image"),
        (Fields("raw", raw=b"photo", query={"image_url": "http://a/b"}), "multiple_images"),
        (Fields("multipart", text={"image_url": "http://a"}, files={"image": File(b"x")}), "multiple_images"),
    ):
        with pytest.raises(ApiError, match="image_base64") as caught:
            parse(fields)
        assert caught.value.kind == kind


def test_the_query_holds_options_too() -> None:
    """The body's win."""
    order = parse(Fields("raw", raw=b"photo", query={"format": "webp", "crop": "true"}, text={"crop": "false"}))

    assert order.options == asked(format="webp")


# --- the tables -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OPTIONS)
def test_rows_of_the_table_are_whole(name: str) -> None:
    """Others are made of them: each has words, and every choice is one that is read."""
    option = OPTIONS[name]

    assert option.name == name
    assert name.replace("_", "").isalpha()
    assert option.metavar
    assert option.help
    assert "\n" not in option.help
    assert all(option.reader.parse(choice) is not None for choice in option.choices)


def test_switches_are_known() -> None:
    """A flag needs no value for them."""
    assert [name for name, option in OPTIONS.items() if option.is_switch] == ["crop", "despill", "semitransparency"]


def test_the_page_shows_the_tables() -> None:
    """docs/dialects/bgone.md has every option and every picture field in the table's words."""
    options = [
        [
            f"`{option.name}`",
            ", ".join(f"`{word}`" for word in option.choices)
            or ("`true`, `false`" if option.is_switch else f"`{option.metavar}`"),
            option.help,
        ]
        for option in OPTIONS.values()
    ]
    fields = [[f"`{field.name}`", field.kind, field.help] for field in PICTURES.values()]

    assert rows(marked("docs/dialects/bgone.md", "options")) == options
    assert rows(marked("docs/dialects/bgone.md", "pictures")) == fields


# --- answers --------------------------------------------------------------------------------------------------------


def test_every_kind_of_failure_is_its_own_code() -> None:
    """Nothing has to be translated."""
    assert {kind: code for kind, (_, code) in DIALECT.failures.items()} == {kind: kind for kind in KINDS}


def test_errors_are_problems() -> None:
    """RFC 9457's members, and the facts beside them; no fact can hide a member."""
    error = ApiError("invalid_option", "Words.", facts={"option": "quality", "title": "x"})

    assert DIALECT.render_error(400, "invalid_option", error, "req_1") == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "Words.",
        "code": "invalid_option",
        "request_id": "req_1",
        "option": "quality",
    }


def test_a_regions_complaint_names_the_option_as_it_is_called_here() -> None:
    """remove.bg's word for it is another."""
    told = DIALECT.render_error(422, "region_empty", region_empty("1 1 1 1"), "req_1")

    assert str(told["detail"]).startswith("region: ")
    assert told["option"] == "region"


def test_the_account_tells_what_is_left() -> None:
    """Credits, the plan, and jobs by state."""
    (tell,) = (o.does for o in DIALECT.operations if isinstance(o.does, Tell))
    caller = Caller("tok", Account("acc", plan="basic", subscription_credits=Decimal("2.5")))
    body = tell.answer(Context("req_1", caller, job_counts={"done": 3})).body

    assert body == {
        "account": "acc", "plan": "basic", "mode": "live", "credits": 2.5, "quota": 1_000_000, "rate": None,
        "jobs": {"done": 3},
    }  # fmt: skip


# --- over HTTP ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    """A keep-alive connection."""
    with server.client() as client:
        yield client


def cut(client: Client, **options: str) -> Response:
    """POST /cut/v1 by multipart."""
    return client.post("/cut/v1", files={"image": ("photo.png", PHOTO)}, data=options)


def test_a_photo_comes_back_cut(client: Client) -> None:
    """With its size and the subject's box."""
    answer = cut(client)
    shown = decode(answer.content)[..., 3] > 0
    down, across = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert (answer.headers["x-width"], answer.headers["x-height"]) == ("161", "120")
    sides = ("left", "top", "width", "height")
    assert [int(answer.headers[f"x-subject-{side}"]) for side in sides] == [
        across[0],
        down[0],
        across[-1] - across[0] + 1,
        down[-1] - down[0] + 1,
    ]
    assert "predict" in answer.headers["server-timing"]
    assert answer.headers["x-request-id"].startswith("req_")


def test_the_body_may_be_the_photo(client: Client) -> None:
    """Options in the query, as curl's ``--data-binary`` sends them."""
    answer = client.post("/cut/v1?format=webp&width=50&background=%23ff0000", content=PHOTO)

    assert answer.headers["content-type"] == "image/webp"
    assert decode(answer.content).shape == (37, 50, 3)


def test_json_holds_numbers_and_booleans(client: Client) -> None:
    """Not only texts."""
    answer = client.post("/cut/v1", json={"image_base64": TEXT, "max_side": 80, "crop": False, "outline": 2.5})

    assert answer.headers["x-width"] == "80"


def test_a_background_picture_is_laid_under(client: Client) -> None:
    """Sent as a second file."""
    below = encode(pictures.ball(40, 30) * 0 + 200, "PNG")
    answer = client.post("/cut/v1", files={"image": ("a", PHOTO), "background_image": ("b", below)})
    corner = decode(answer.content)[0, 0]

    assert answer.status_code == 200, answer.text
    assert corner.tolist() == [200, 200, 200]


@pytest.mark.parametrize(
    ("options", "status", "code"),
    [
        ({"channels": "cmyk"}, 400, "invalid_option"),
        ({"region": "0 0 500 500"}, 422, "region_out_of_bounds"),
        ({"background": "red", "background_base64": TEXT}, 400, "multiple_grounds"),
        ({"background_base64": "aGVsbG8="}, 422, "ground_failed"),
    ],
)
def test_problems_are_told(client: Client, options: dict[str, str], status: int, code: str) -> None:
    """As ``application/problem+json``."""
    answer = cut(client, **options)
    problem = answer.json()

    assert answer.status_code == problem["status"] == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["code"] == code
    assert problem["request_id"] == answer.headers["x-request-id"]


@pytest.mark.parametrize("header", [{"x-api-key": "k"}, {"authorization": "Bearer k"}, {"authorization": "bearer  k "}])
def test_keys_stand_in_two_headers(header: dict[str, str]) -> None:
    """``X-Api-Key`` or a bearer token."""
    assert DIALECT.find_key(header, {}) == "k"


@pytest.mark.parametrize("header", [{}, {"x-api-key": " "}, {"authorization": "Basic k"}, {"authorization": "Bearer "}])
def test_other_headers_hold_no_key(header: dict[str, str]) -> None:
    """Nor does the query: addresses end in logs."""
    assert DIALECT.find_key(header, {"api_key": "k"}) is None


def test_a_job_is_the_same_picture_later(client: Client) -> None:
    """Taken at once, asked for until it is over, fetched by its link."""
    options = {"format": "png", "width": "60", "outline": "3"}
    taken = client.post("/cut/v1/jobs", files={"image": ("photo.png", PHOTO)}, data=options)
    assert taken.status_code == 202, taken.text
    job = taken.json()
    give_up_at = time.monotonic() + 60
    while job["status"] in ("queued", "running"):
        assert time.monotonic() < give_up_at
        time.sleep(0.02)
        job = client.get(f"/cut/v1/jobs/{job['id']}").json()

    assert job["status"] == "done", job
    assert (job["width"], job["height"], job["error"]) == (60, 45, None)
    assert client.get(job["result_url"]).content == cut(client, **options).content


def test_a_job_that_fails_says_why(client: Client) -> None:
    """In the words that the call itself would have had."""
    taken = client.post("/cut/v1/jobs", data={"image_url": "http://127.0.0.1:9/photo.png"})
    job = taken.json()
    give_up_at = time.monotonic() + 60
    while job["status"] in ("queued", "running"):
        assert time.monotonic() < give_up_at
        time.sleep(0.02)
        job = client.get(f"/cut/v1/jobs/{job['id']}").json()

    assert job["status"] == "failed"
    assert job["error"]["code"] == "fetch_failed"
    assert job["result_url"] is None


def test_a_jobs_webhook_must_be_an_address(client: Client) -> None:
    """Known before the job is taken."""
    answer = client.post("/cut/v1/jobs", files={"image": ("a", PHOTO)}, data={"webhook_url": "mailto:me"})

    assert answer.status_code == 400
    assert answer.json()["option"] == "webhook_url"


def test_nobodys_job_is_not_found(client: Client) -> None:
    """404 in the dialect's form."""
    assert client.get(f"/cut/v1/jobs/{'0' * 32}").json()["code"] == "job_not_found"


def test_the_account_is_told(client: Client) -> None:
    """A server without accounts has plenty of credits."""
    body = client.get("/cut/v1/account").json()

    assert body["credits"] >= 1_000_000
    assert isinstance(body["jobs"], dict)
