"""remove.bg v1.0 over real HTTP: every way to send a picture, every option, every error, requests of known programs."""

from __future__ import annotations

import base64
import io
import uuid
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import orjson
import pytest
from httpx2 import Client, Response

from tests import pictures
from tests.origin import site
from tests.pictures import ball, decode, encode
from tests.serving import Served, serve

photo = partial(pictures.photo, of=ball)
PHOTO = photo(161, 120)
TEXT = base64.b64encode(PHOTO).decode()

PATH = "/v1.0/removebg"


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    """A keep-alive connection."""
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """The address of a site with the photo at ``/x.jpg``."""
    with site({"/x.jpg": PHOTO, "/heavy.jpg": PHOTO + bytes(22_000_000)}) as address:
        yield address


def test_a_link_leads_to_no_more_bytes_than_an_upload_may_have(client: Client, web: str) -> None:
    """22 MB here, whatever another provider takes."""
    link = {"image_url": f"{web}/heavy.jpg"}
    assert code_of(client.post(PATH, data=link)) == (400, "file_too_large")
    assert client.post("/v2", data=link).status_code == 200


def cut(client: Client, picture: bytes = PHOTO, accept: str = "*/*", **fields: str) -> Response:
    """POST by multipart."""
    return client.post(PATH, files={"image_file": ("x.jpg", picture)}, data=fields, headers={"accept": accept})


def error_of(response: Response) -> dict[str, str]:
    """The one error, checked for its shape."""
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    (error,) = response.json()["errors"]
    assert set(error) == {"title", "detail", "code"}
    assert all(isinstance(value, str) and value for value in error.values())
    return cast(dict[str, str], error)


def code_of(response: Response) -> tuple[int, str]:
    return response.status_code, error_of(response)["code"]


def chunked(body: bytes) -> Iterator[bytes]:
    """``body`` piece by piece: sent without a length."""
    return (body[i : i + 1000] for i in range(0, len(body), 1000))


WAYS: dict[str, dict[str, Any]] = {
    "file": {"files": {"image_file": ("no-bg.png", PHOTO, "image/png")}},
    "file without type": {"files": {"image_file": ("x", PHOTO)}},
    "file in a part with more headers": {
        "content": b'--b\r\nContent-Disposition: form-data; name="image_file"; filename="x.jpg"\r\n'
        + b"Content-Length: %d\r\nContent-Type: image/jpeg\r\nContent-Transfer-Encoding: binary\r\n\r\n" % len(PHOTO)
        + PHOTO
        + b"\r\n--b--\r\n",
        "headers": {"content-type": "multipart/form-data; boundary=b"},
    },
    "base64 in multipart": {"files": {"image_file_b64": (None, TEXT)}},
    "base64 in a form": {"data": {"image_file_b64": TEXT}},
    "base64 with prefix and lines": {
        "data": {"image_file_b64": "data:image/jpeg;base64," + TEXT[:76] + "\n" + TEXT[76:]},
    },
    "base64 in json": {"json": {"image_file_b64": TEXT, "crop": False}},
    "browser sample": {"files": {"image_url": (None, ""), "image_file": ("x.jpg", PHOTO), "api_key": (None, "k")}},
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_send_a_picture_gives_the_same_cutout(client: Client, way: str) -> None:
    """The same file gives the same bytes, whatever wraps it."""
    expected = cut(client)
    answer = client.post(PATH, **WAYS[way])

    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == expected.content


@pytest.mark.parametrize("body", ["data", "json", "files"])
def test_pictures_are_fetched(client: Client, web: str, body: str) -> None:
    """``image_url`` in each kind of body, with the browser sample's empty file beside it."""
    fields: dict[str, Any] = {"image_url": f"{web}/x.jpg"}
    if body == "files":
        fields = {"image_url": (None, f"{web}/x.jpg"), "image_file": ("", b""), "api_key": (None, "k")}
    sent: dict[str, Any] = {body: fields}
    assert client.post(PATH, **sent).content == cut(client).content


def test_json_may_come_in_chunks(client: Client) -> None:
    """removd builds its JSON as a stream: no length, ``Accept: */*``, a colour that cannot be seen; it wants a PNG."""
    body = orjson.dumps(
        {
            "image_file_b64": TEXT, "size": "small", "channels": "rgba", "bg_color": "00000000", "format": "auto",
            "type": "auto",
        }
    )  # fmt: skip
    answer = client.post(
        PATH, content=chunked(body), headers={"content-type": "application/json", "accept": "*/*", "x-api-key": "k"}
    )

    assert answer.headers["content-type"] == "image/png"
    assert decode(answer.content).shape == (120, 161, 4)


@pytest.mark.parametrize("path", [PATH, PATH + "/", "/removebg" + PATH])
def test_spellings_answer_without_a_redirect(client: Client, path: str) -> None:
    """Some clients drop the body or the key on a redirect."""
    assert client.post(path, files={"image_file": ("x", PHOTO)}).status_code == 200


def test_the_default_answer_is_a_picture_with_alpha(client: Client) -> None:
    """Shell scripts send the file alone and pipe the answer on; no content coding, one bare type."""
    answer = client.post(PATH, files={"image_file": ("x.jpg", PHOTO)}, headers={"accept-encoding": "gzip, br"})

    assert answer.headers["content-type"] == "image/png"
    assert "content-encoding" not in answer.headers
    pixels = decode(answer.content)
    assert pixels.shape == (120, 161, 4)
    assert (pixels[0, 0, 3], pixels[60, 80, 3]) == (0, 255)
    assert answer.headers["access-control-allow-origin"] == "*"


def test_headers_agree_with_the_picture(client: Client) -> None:
    """Size, box of alpha > 0, largest size, credits, type."""
    answer = cut(client, photo(900, 700), type="product")
    alpha = decode(answer.content)[..., 3]
    headers = {name: answer.headers[name] for name in answer.headers if name.startswith("x-")}

    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    assert (int(headers["x-width"]), int(headers["x-height"])) == alpha.shape[::-1]
    assert 240_000 < alpha.size <= 250_000
    assert (headers["x-max-width"], headers["x-max-height"]) == ("900", "700")
    assert (headers["x-type"], headers["x-credits-charged"]) == ("product", "0.25")
    assert int(headers["x-foreground-top"]) == rows[0]
    assert int(headers["x-foreground-left"]) == columns[0]
    assert int(headers["x-foreground-height"]) == rows[-1] - rows[0] + 1
    assert int(headers["x-foreground-width"]) == columns[-1] - columns[0] + 1


@pytest.mark.parametrize(("accept", "is_json"), [
    ("application/json", True), ("application/json, text/plain, */*", False), ("*/*", False), ("image/*", False),
])  # fmt: skip
def test_json_over_http(client: Client, accept: str, is_json: bool) -> None:
    """JSON for clients that take nothing else, with the headers of the picture; bytes for axios."""
    answer = cut(client, accept=accept)
    plain = cut(client)

    assert answer.headers["content-type"] == ("application/json" if is_json else "image/png")
    for name in ("x-width", "x-height", "x-credits-charged", "x-type", "x-foreground-left"):
        assert answer.headers[name] == plain.headers[name]
    if is_json:
        data = answer.json()["data"]
        assert set(data) == {
            "result_b64", "foreground_top", "foreground_left", "foreground_width", "foreground_height",
        }  # fmt: skip
        assert base64.b64decode(data["result_b64"]) == plain.content
        assert data["foreground_left"] == int(plain.headers["x-foreground-left"])
    else:
        assert answer.content == plain.content


@pytest.mark.parametrize(
    ("form", "ground", "media_type", "bands"),
    [
        ("auto", "", "image/png", 4), ("auto", "fff", "image/jpeg", 3), ("png", "", "image/png", 4),
        ("png", "fff", "image/png", None), ("jpg", "", "image/jpeg", 3), ("webp", "", "image/webp", 4),
        ("auto", "ffffff80", "image/png", 4),
    ],
)  # fmt: skip
def test_formats_over_http(client: Client, form: str, ground: str, media_type: str, bands: int | None) -> None:
    """``auto`` is PNG where something may be transparent, else JPEG."""
    answer = cut(client, format=form, bg_color=ground)

    assert answer.headers["content-type"] == media_type
    pixels = decode(answer.content)
    assert pixels.shape[:2] == (120, 161)
    assert bands is None or pixels.shape[2] == bands


def test_an_archive_holds_the_whole_picture_and_its_mask(client: Client) -> None:
    """``color.jpg`` then ``alpha.png``, stored; together they are the cutout, as the official clients compose it."""
    answer = cut(client, format="zip")

    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["color.jpg", "alpha.png"]
        assert [item.compress_type for item in archive.infolist()] == [zipfile.ZIP_STORED] * 2
        colour, alpha = (decode(archive.read(name)) for name in archive.namelist())
    assert colour.shape == (120, 161, 3)
    assert alpha.shape == (120, 161)
    assert colour.dtype == alpha.dtype == np.uint8
    cutout = decode(cut(client).content)
    np.testing.assert_array_equal(alpha, cutout[..., 3])
    sure = cutout[..., 3] == 255
    # JPEG of quality 90 and above stays within a few levels on smooth pictures.
    assert np.abs(colour[sure].astype(int) - cutout[sure][:, :3]).mean() < 4


def test_a_mask_is_grey(client: Client) -> None:
    """``channels=alpha`` is the cutout's alpha, in PNG unless another format is asked for."""
    answer = cut(client, channels="alpha", bg_color="ff0000")

    assert answer.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(decode(answer.content), decode(cut(client).content)[..., 3])
    assert cut(client, channels="alpha", format="jpg").headers["content-type"] == "image/jpeg"


@pytest.mark.parametrize(("word", "most"), [("preview", 250_000), ("medium", 1_500_000), ("hd", 4_000_000)])
def test_sizes_over_http(client: Client, word: str, most: int) -> None:
    """The cap is nearly used up and never passed; a small picture stays as it is."""
    answer = cut(client, photo(2600, 1950, quality=60), size=word, format="jpg")
    height, width = decode(answer.content).shape[:2]

    assert 0.97 * most <= width * height <= most
    assert (answer.headers["x-width"], answer.headers["x-height"]) == (str(width), str(height))
    assert decode(cut(client, size=word).content).shape[:2] == (120, 161)


def test_crop_and_margins(client: Client) -> None:
    """Tight without a margin; with one, as many rows and columns more as it says, at full size."""
    picture = photo(900, 700)
    tight = decode(cut(client, picture, size="full", crop="true").content)
    assert all(side.any() for side in (tight[0], tight[-1], tight[:, 0], tight[:, -1]))

    wide = cut(client, picture, size="full", crop="true", crop_margin="10px 20px 30px 40px")
    pixels = decode(wide.content)
    assert pixels.shape[:2] == (tight.shape[0] + 40, tight.shape[1] + 60)
    assert (wide.headers["x-foreground-top"], wide.headers["x-foreground-left"]) == ("10", "40")
    np.testing.assert_array_equal(pixels[10:-30, 40:-20, 3], tight[..., 3])


def test_scale_and_position_place_the_subject(client: Client) -> None:
    """The frame stays, the subject takes its share of it and stands where it was told."""
    picture = photo(600, 400)
    answer = cut(client, picture, size="full", scale="50%", position="0% 100%")
    box = {name: int(answer.headers[f"x-foreground-{name}"]) for name in ("top", "left", "width", "height")}

    assert decode(answer.content).shape[:2] == (400, 600)
    assert max(box["width"] / 600, box["height"] / 400) == pytest.approx(0.5, abs=0.02)
    assert box["left"] == pytest.approx(0, abs=2)
    assert box["top"] + box["height"] == pytest.approx(400, abs=2)

    centred = cut(client, picture, size="full", scale="50%")
    left, width = int(centred.headers["x-foreground-left"]), int(centred.headers["x-foreground-width"])
    assert left + width / 2 == pytest.approx(300, abs=2)


def test_outside_of_the_region_is_background(client: Client) -> None:
    """The picture keeps its size; what lies outside is transparent."""
    two = np.hstack([ball(300, 300), ball(300, 300, seed=1)])
    alpha = decode(cut(client, encode(two), roi="50% 0% 100% 100%").content)[..., 3]

    assert alpha.shape == (300, 600)
    assert not alpha[:, :300].any()
    assert alpha[:, 300:].any()


def test_background_pictures_lie_under_the_subject(client: Client) -> None:
    """Scaled to cover, centred; the subject stays."""
    ground = np.full((50, 50, 3), (0, 0, 250), np.uint8)
    files = {"image_file": ("x.jpg", PHOTO), "bg_image_file": ("y.png", encode(ground, "PNG"))}
    answer = client.post(PATH, files=files, data={"format": "png"})
    pixels = decode(answer.content)

    assert answer.status_code == 200, answer.text
    assert pixels.shape[:2] == (120, 161)
    for corner in (pixels[0, 0], pixels[0, -1], pixels[-1, 0], pixels[-1, -1]):
        assert np.abs(corner[:3].astype(int) - (0, 0, 250)).max() <= 2
    plain = decode(cut(client).content)
    sure = plain[..., 3] == 255
    np.testing.assert_array_equal(pixels[sure][:, :3], plain[sure][:, :3])


@pytest.mark.parametrize("kind", ["drop", "3D", "car"])
def test_shadows_darken_what_was_transparent(client: Client, kind: str) -> None:
    """A shadow adds alpha beside the subject and changes nothing of it."""
    picture = photo(600, 400)
    plain = decode(cut(client, picture).content)
    shaded = decode(cut(client, picture, shadow_type=kind, shadow_opacity="80").content)

    beside = (plain[..., 3] == 0) & (shaded[..., 3] > 0)
    assert beside.sum() > 100
    assert shaded[beside][:, :3].max() <= 10
    sure = plain[..., 3] == 255
    np.testing.assert_array_equal(shaded[sure], plain[sure])


def test_unknown_fields_are_ignored(client: Client) -> None:
    """``shadow_method`` was removed; ``api_key`` strays in from the browser sample."""
    assert cut(client, shadow_method="3d", api_key="x", extra="y").status_code == 200


GOLDEN: dict[str, dict[str, Any]] = {
    "official command line": {
        "files": {"image_file": ("a.jpg", PHOTO, "image/jpeg")},
        "data": {
            "size": "auto", "type": "", "channels": "", "bg_color": "", "format": "zip", "crop": "", "crop_margin": "",
            "scale": "", "position": "", "roi": "", "add_shadow": "", "semitransparency": "", "bg_image_url": "",
        },
    },
    "official go": {
        "files": {"image_file": ("a.jpg", PHOTO), "size": (None, "auto"), "format": (None, "zip")},
        "headers": {"accept": "*/*", "user-agent": "remove-bg-go-x"},
    },
    "php": {
        "files": {"image_file": ("removed.png", PHOTO), "size": (None, "regular"), "bg_color": (None, "#fff")},
    },
    "brilam": {
        "files": {"image_file": ("a.jpg", PHOTO)},
        "data": {
            "size": "regular", "type": "auto", "type_level": "none", "format": "auto", "roi": "0 0 100% 100%",
            "crop": "false", "scale": "original", "position": "original", "channels": "rgba", "add_shadow": "false",
            "semitransparency": "true",
        },
    },
    "npm remove.bg": {
        "json": {"size": "preview", "type": "auto", "crop": False, "add_shadow": False, "image_file_b64": TEXT},
        "headers": {"accept": "application/json", "content-type": "application/json"},
    },
    "curl": {"files": {"image_file": ("a.jpg", PHOTO), "size": (None, "auto")}, "headers": {"accept": "*/*"}},
}  # fmt: skip


@pytest.mark.parametrize("program", GOLDEN)
def test_requests_of_known_programs_are_answered_200(client: Client, program: str) -> None:
    """As their sources write them."""
    sent = GOLDEN[program]
    answer = client.post(PATH, **{**sent, "headers": {"X-Api-Key": "k", **sent.get("headers", {})}})

    assert answer.status_code == 200, answer.text
    assert float(answer.headers["x-credits-charged"]) == 0.25
    assert ("x-type" in answer.headers) == (program != "brilam")
    expected = {"npm remove.bg": "application/json", "php": "image/jpeg"}
    zipped = "application/zip" if program.startswith("official") else "image/png"
    assert answer.headers["content-type"] == expected.get(program, zipped)


def test_the_account_over_http(client: Client) -> None:
    """Numbers that the clients add up."""
    answer = client.get("/v1.0/account", headers={"x-api-key": "k"})
    attributes = answer.json()["data"]["attributes"]

    assert answer.headers["content-type"] == "application/json"
    assert set(attributes["credits"]) == {"total", "subscription", "payg", "enterprise"}
    assert set(attributes["api"]) == {"free_calls", "sizes"}
    assert attributes["api"]["free_calls"] + attributes["credits"]["total"] > 0


def test_improve_over_http(client: Client) -> None:
    """An id for a picture, an error for none."""
    answer = client.post("/v1.0/improve", files={"image_file": ("x.jpg", PHOTO)}, data={"tag": "x"})
    assert set(answer.json()) == {"id"}
    assert uuid.UUID(answer.json()["id"])
    assert code_of(client.post("/v1.0/improve", data={"tag": "x"})) == (400, "missing_source")


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "missing_source"),
    "empty form": ({"data": {"size": "auto"}}, "missing_source"),
    "nameless empty file": ({"files": {"image_file": ("", b""), "image_url": (None, "")}}, "missing_source"),
    "empty json": ({"json": {}}, "missing_source"),
    "raw body": ({"content": PHOTO, "headers": {"content-type": "image/jpeg"}}, "missing_source"),
    "text body": ({"content": b"hello", "headers": {"content-type": "text/plain"}}, "missing_source"),
    "two pictures": (
        {"files": {"image_file": ("x", PHOTO), "image_url": (None, "https://example.com/x.jpg")}}, "multiple_sources",
    ),
    "not a picture": ({"files": {"image_file": ("x.jpg", b"hello, world!")}}, "failed_to_read_image"),
    "truncated": ({"files": {"image_file": ("x.jpg", PHOTO[: len(PHOTO) // 2])}}, "failed_to_read_image"),
    "broken base64": ({"json": {"image_file_b64": "@@@@"}}, "failed_to_read_image"),
    "gif": ({"files": {"image_file": ("x.gif", encode(ball(), "GIF"))}}, "invalid_file_type"),
    "not a url": ({"json": {"image_url": "example"}}, "invalid_image_url"),
    "private address": ({"json": {"image_url": "http://10.0.0.1/x.png"}}, "failed_image_download"),
    "not a background url": (
        {"files": {"image_file": ("x", PHOTO), "bg_image_url": (None, "example")}}, "invalid_bg_image_url",
    ),
    "private background": (
        {"files": {"image_file": ("x", PHOTO), "bg_image_url": (None, "http://10.0.0.1/x.png")}}, "failed_bg_download",
    ),
    "broken background": (
        {"files": {"image_file": ("x", PHOTO), "bg_image_file": ("y.png", b"hello, world!")}}, "failed_bg_download",
    ),
    "two backgrounds": (
        {"files": {"image_file": ("x", PHOTO), "bg_image_file": ("y", PHOTO), "bg_color": (None, "fff")}},
        "multiple_bg_sources",
    ),
    "no foreground": (
        {"files": {"image_file": ("x.png", encode(np.zeros((50, 70, 4), np.uint8), "PNG"))}}, "unknown_foreground",
    ),
    "region outside": ({"files": {"image_file": ("x", PHOTO), "roi": (None, "0 0 999 999")}}, "roi_exceeds_bounds"),
    "region beyond 100 %": (
        {"files": {"image_file": ("x", PHOTO), "roi": (None, "0% 0% 120% 100%")}}, "roi_exceeds_bounds",
    ),
    "empty region": ({"files": {"image_file": ("x", PHOTO), "roi": (None, "10 10 10 10")}}, "roi_region_empty"),
    "bad size": ({"files": {"image_file": ("x", PHOTO), "size": (None, "huge")}}, "invalid_size"),
    "bad json value": ({"json": {"image_file_b64": TEXT, "crop": [1]}}, "invalid_crop"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_requests_get_the_providers_error(client: Client, case: str) -> None:
    """400 with the code of the provider's list."""
    options, code = BAD[case]
    assert code_of(client.post(PATH, **options)) == (400, code)


def test_a_picture_that_is_not_there_is_an_error(client: Client, web: str) -> None:
    """The origin's 404 is ours to tell."""
    assert code_of(client.post(PATH, data={"image_url": f"{web}/absent"})) == (400, "failed_image_download")


def test_too_many_bytes_are_400(client: Client) -> None:
    """22 MB, by length and by counting, so that the client can read it."""
    big = PHOTO + bytes(23_000_000)
    for options in (
        {"files": {"image_file": ("x.jpg", big)}},
        {"data": {"image_file_b64": base64.b64encode(big).decode()}},
    ):
        assert code_of(client.post(PATH, **cast(Any, options))) == (400, "file_too_large")


def test_too_many_pixels_are_400(client: Client) -> None:
    """A tiny file that declares 64 megapixels."""
    start = PHOTO.index(b"\xff\xc0")
    declared = PHOTO[: start + 5] + (8000).to_bytes(2, "big") * 2 + PHOTO[start + 9 :]
    assert code_of(cut(client, declared)) == (400, "resolution_too_high")


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", PATH, 405), ("PUT", PATH, 405), ("POST", "/v1.0/account", 405), ("GET", "/v1.0/improve", 405),
    ("POST", "/v1.0/removebg/more", 404), ("GET", "/removebg/nothing", 404),
])  # fmt: skip
def test_lost_requests_get_the_dialects_error_too(client: Client, method: str, path: str, status: int) -> None:
    """The Go client reads 4xx as JSON."""
    answer = client.request(method, path)
    assert answer.status_code == status
    error_of(answer)


def test_browsers_may_ask(client: Client) -> None:
    """The preflight of the provider's browser sample."""
    answer = client.options(
        PATH,
        headers={
            "origin": "https://example.com",
            "access-control-request-method": "POST",
            "access-control-request-headers": "accept,content-type,x-api-key",
        },
    )
    allowed = {name.strip() for name in answer.headers["access-control-allow-headers"].lower().split(",")}

    assert answer.status_code in (200, 204)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert {"x-api-key", "content-type", "accept"} <= allowed


def test_keys_are_403(tmp_path: Path) -> None:
    """Missing and wrong ones, on every route; errors too may be read by browsers."""
    with serve(tmp_path, api_keys="right", preview_price=0) as served, served.client() as client:
        for key, title in ((None, "Missing API Key"), ("wrong", "API Key invalid")):
            headers = {} if key is None else {"X-Api-Key": key}
            for answer in (
                client.post(PATH, files={"image_file": ("x", PHOTO)}, headers=headers),
                client.get("/v1.0/account", headers=headers),
                client.post("/v1.0/improve", files={"image_file": ("x", PHOTO)}, headers=headers),
            ):
                assert code_of(answer) == (403, "auth_failed")
                assert error_of(answer)["title"] == title
                assert answer.headers["access-control-allow-origin"] == "*"
        for headers in ({"X-API-KEY": "right"}, {"Authorization": "Bearer right"}):
            answer = client.post(PATH, files={"image_file": ("x", PHOTO)}, headers=headers)
            assert answer.status_code == 200
            assert answer.headers["x-credits-charged"] == "0"
