"""BackgroundErase v2 over real HTTP: every way to send a picture, every option, every error."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import partial
from typing import Any

import cv2
import numpy as np
import pytest
from httpx2 import Client, Response

from tests import pictures
from tests.pictures import ball, decode, encode
from tests.serving import Served

photo = partial(pictures.photo, of=ball)
PHOTO = photo(161, 120)
TEXT = base64.b64encode(PHOTO).decode()


@pytest.fixture(scope="module")
def client(server: Served) -> Iterator[Client]:
    """A keep-alive connection."""
    with server.client() as client:
        yield client


def cut(client: Client, picture: bytes = PHOTO, **options: object) -> Response:
    """POST /v2 by multipart."""
    data = {name: str(value) for name, value in options.items()}
    return client.post("/v2", files={"image_file": ("x.jpg", picture, "application/octet-stream")}, data=data)


def error_of(response: Response) -> dict[str, object]:
    """The error object, checked for its shape."""
    error = response.json()["error"]
    assert set(error) == {"code", "message", "status", "request_id", "details"}
    assert error["status"] == response.status_code
    assert error["request_id"].startswith("req_")
    assert error["request_id"] == response.headers["x-request-id"]
    assert isinstance(error["details"], dict)
    assert response.headers["content-type"] == "application/json"
    return dict(error)


# --- ways to send a picture -----------------------------------------------------------------------------------------


WAYS: dict[str, dict[str, Any]] = {
    "multipart file": {"files": {"image_file": ("a/b\\c.png", PHOTO, "image/jpg")}},
    "multipart file without type": {"files": {"image_file": ("x", PHOTO)}},
    "multipart base64 text": {"files": {"image_base64": (None, TEXT)}},
    "multipart base64 as file": {"files": {"image_base64": ("x.b64", TEXT.encode())}},
    "multipart alias": {"files": {"image_file_b64": (None, "data:image/jpeg;base64," + TEXT)}},
    "urlencoded base64": {"data": {"image_base64": TEXT}},
    "urlencoded, unpadded, wrapped": {
        "data": {"image_file_b64": "\r\n".join(TEXT[i : i + 76] for i in range(0, len(TEXT), 76)).rstrip("=")}
    },
    "json base64 for bytes": {"json": {"image_base64": TEXT}, "headers": {"accept": "image/*"}},
    "json alias for bytes": {"json": {"image_file_b64": TEXT}, "headers": {"accept": "image/png"}},
    "raw": {"content": PHOTO, "headers": {"content-type": "image/jpeg"}},
    "raw mislabelled by curl": {"content": PHOTO, "headers": {"content-type": "application/x-www-form-urlencoded"}},
    "raw without type": {"content": PHOTO},
    "raw chunked": {"content": iter([PHOTO[:1000], PHOTO[1000:]])},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_send_a_picture_gives_the_same_cutout(client: Client, way: str) -> None:
    """The same file gives the same bytes, whatever wraps it."""
    expected = cut(client).content
    options = dict(WAYS[way])
    if way == "raw chunked":
        options["content"] = iter([PHOTO[:1000], PHOTO[1000:]])

    answer = client.post("/v2", **options)

    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == expected


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/backgrounderase/v2", "/backgrounderase/v2/"])
def test_both_spellings_and_the_prefix_answer_without_a_redirect(client: Client, path: str) -> None:
    """Some clients drop the body or the key on a redirect."""
    assert client.post(path, files={"image_file": ("x", PHOTO)}).status_code == 200


def test_legacy_json_answers_a_grey_mask_of_the_sent_size(client: Client) -> None:
    """``{"image": base64}`` is answered ``{"mask": base64 PNG}``, single-channel 8-bit, whatever options say."""
    answer = client.post("/v2", json={"image": TEXT, "size": "preview", "crop": True})

    assert answer.headers["content-type"] == "application/json"
    assert set(answer.json()) == {"mask"}
    mask = decode(base64.b64decode(answer.json()["mask"]))
    assert mask.shape == (120, 161)
    assert mask.dtype == np.uint8


def test_json_calls_answer_json(client: Client) -> None:
    """A JSON body with a picture field is answered with the picture as base64 and its size."""
    answer = client.post("/v2", json={"image_base64": TEXT, "format": "webp"}).json()

    assert (answer["format"], answer["width"], answer["height"]) == ("webp", 161, 120)
    assert base64.b64decode(answer["image"])[8:12] == b"WEBP"


def test_json_calls_for_alpha_answer_a_mask(client: Client) -> None:
    """``channels=alpha`` in JSON answers ``mask``."""
    answer = client.post("/v2", json={"image_base64": TEXT, "channels": "alpha"}).json()
    assert decode(base64.b64decode(answer["mask"])).ndim == 2


def test_options_of_a_raw_body_come_from_the_query(client: Client) -> None:
    """There is nowhere else to put them."""
    answer = client.post("/v2?format=webp&size=preview", content=PHOTO)
    assert answer.headers["content-type"] == "image/webp"


def test_the_first_picture_of_the_contracts_order_wins(client: Client) -> None:
    """Two pictures are no error: the file beats base64."""
    other = base64.b64encode(photo(40, 30)).decode()
    answer = client.post("/v2", files={"image_base64": (None, other), "image_file": ("x", PHOTO)})
    assert decode(answer.content).shape[:2] == (120, 161)


def test_empty_fields_are_absent(client: Client) -> None:
    """Browsers and SDKs send every field of a form."""
    files: dict[str, Any] = {
        "image_file": ("x", PHOTO),
        "image_url": (None, ""),
        "bg_color": (None, ""),
        "size": (None, " "),
    }
    assert client.post("/v2", files=files).status_code == 200


# --- options --------------------------------------------------------------------------------------------------------


FORMATS = {
    "png": ("image/png", b"\x89PNG", 4), "jpg": ("image/jpeg", b"\xff\xd8\xff", 3),
    "jpeg": ("image/jpeg", b"\xff\xd8\xff", 3), "webp": ("image/webp", b"RIFF", 4), "bmp": ("image/bmp", b"BM", 3),
    "tiff": ("image/tiff", b"II*\x00", 4), "tif": ("image/tiff", b"II*\x00", 4), "gif": ("image/gif", b"GIF8", 0),
    "avif": ("image/avif", b"", 4), "PNG": ("image/png", b"\x89PNG", 4),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_whole_and_bare(client: Client, name: str) -> None:
    """Right media type without parameters, right magic number, right size, alpha where the format keeps it."""
    media_type, magic, bands = FORMATS[name]

    answer = cut(client, format=name)

    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == media_type
    assert answer.content.startswith(magic)
    pixels = decode(answer.content)
    assert pixels.shape[:2] == (120, 161)
    if bands:
        assert pixels.shape[2] == bands


def test_alpha_is_one_grey_plane_and_always_png(client: Client) -> None:
    """``format``, ``bg_color`` and ``despill`` have no effect on a mask; its values are the cutout's alpha."""
    answer = cut(client, channels="alpha", format="jpg", bg_color="ff0000", despill="true")

    assert answer.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(decode(answer.content), decode(cut(client).content)[..., 3])


@pytest.mark.parametrize(("word", "most"), [("preview", 250_000), ("medium", 1_500_000), ("hd", 4_000_000)])
def test_sizes_cap_pixels_and_keep_the_shape(client: Client, word: str, most: int) -> None:
    """The cap is nearly used up and never passed."""
    height, width = decode(cut(client, photo(2600, 1950, quality=60), size=word, format="jpg").content).shape[:2]

    assert 0.97 * most <= width * height <= most
    assert width / height == pytest.approx(4 / 3, rel=0.01)


@pytest.mark.parametrize("word", ["preview", "medium", "hd", "full", "auto"])
def test_no_size_enlarges(client: Client, word: str) -> None:
    """A small picture stays as it is."""
    assert decode(cut(client, size=word).content).shape[:2] == (120, 161)


@pytest.mark.parametrize("options", [{}, {"channels": "alpha"}, {"size": "preview"}, {"format": "webp"}])
def test_crop_is_tight_in_the_delivered_picture(client: Client, options: dict[str, str]) -> None:
    """Alpha > 0 touches all four sides of what is delivered."""
    pixels = decode(cut(client, photo(900, 700), crop="true", **options).content)
    alpha = pixels if pixels.ndim == 2 else pixels[..., 3]

    assert alpha.shape[0] < 700
    for side in (alpha[0], alpha[-1], alpha[:, 0], alpha[:, -1]):
        assert side.any()


def test_a_picture_without_a_subject_is_delivered_empty_and_whole(client: Client) -> None:
    """Nothing found is no error, also with ``crop``."""
    empty = encode(np.zeros((50, 70, 4), np.uint8), "PNG")
    answer = cut(client, empty, crop="true")

    assert answer.status_code == 200
    pixels = decode(answer.content)
    assert pixels.shape == (50, 70, 4)
    assert not pixels.any()


@pytest.mark.parametrize("spelling", ["#1a2B3c", "1A2B3C", "rgb(26, 43, 60)", "#1a2b3cff"])
def test_a_background_colour_shows_exactly(client: Client, spelling: str) -> None:
    """Where nothing of the subject is, the colour is the one asked for."""
    pixels = decode(cut(client, bg_color=spelling).content)
    assert tuple(pixels[2, 2][:3]) == (26, 43, 60)


def test_jpeg_without_a_background_is_white(client: Client) -> None:
    """Flattening takes white unless told otherwise."""
    assert decode(cut(client, format="jpg").content)[2, 2].min() >= 253


def test_despill_takes_green_off_the_subject(client: Client) -> None:
    """Green above the mean of red and blue is gone, luma stays."""
    picture = ball(161, 120)
    green = np.clip(picture.astype(int) + np.array([0, 120, 0]), 0, 255).astype(np.uint8)
    plain = decode(cut(client, encode(green, "PNG")).content).astype(int)
    clean = decode(cut(client, encode(green, "PNG"), despill="1").content).astype(int)
    spilled = (plain[..., 3] > 0) & (plain[..., 1] > (plain[..., 0] + plain[..., 2]) / 2 + 2)
    spilled &= clean[..., :3].max(axis=2) < 255  # where nothing clips
    assert spilled.any()
    rest = clean[..., 1] - (clean[..., 0] + clean[..., 2]) / 2
    assert rest[spilled].max() <= 2
    luma = np.array([0.2126, 0.7152, 0.0722])
    assert np.abs((clean[..., :3] - plain[..., :3]) @ luma)[spilled].max() <= 2


def test_unknown_fields_are_ignored(client: Client) -> None:
    """Programs of other providers send theirs."""
    assert cut(client, type="person", scale="80%", add_shadow="true").status_code == 200


# --- pixels ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
def test_cutouts_are_upright(client: Client, orientation: int) -> None:
    """Every EXIF orientation is applied to colour and alpha."""
    expected = decode(cut(client, photo(161, 120)).content).astype(int)
    pixels = decode(cut(client, photo(161, 120, orientation=orientation)).content).astype(int)

    assert pixels.shape == expected.shape
    # The stored JPEG blocks differ, so colours and the net's answer do by a little.
    assert np.abs(pixels - expected).mean() < 4


def test_the_subject_keeps_its_colours_and_hides_nothing(client: Client) -> None:
    """Sure subject is copied, under alpha 0 nothing is left of the background."""
    picture = ball(161, 120)
    pixels = decode(cut(client, encode(picture, "PNG")).content)
    sure = pixels[..., 3] == 255
    assert sure.any()
    np.testing.assert_array_equal(pixels[sure][:, :3], picture[sure])
    assert not pixels[pixels[..., 3] == 0].any()


def test_the_pictures_own_alpha_multiplies(client: Client) -> None:
    """What was transparent stays so."""
    own = np.dstack([ball(161, 120), np.full((120, 161), 255, np.uint8)])
    own[:, :80, 3] = 0
    assert not decode(cut(client, encode(own, "PNG")).content)[:, :80].any()


def test_metadata_is_dropped_and_resolution_kept(client: Client) -> None:
    """No EXIF (GPS!) travels on; 300 dpi does."""
    import io

    import PIL.Image

    exif = PIL.Image.Exif()
    exif[0x010F] = "Camera"
    answer = cut(client, encode(ball(), "JPEG", exif=exif, dpi=(300, 300)))
    with PIL.Image.open(io.BytesIO(answer.content)) as image:
        assert not image.getexif()
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)
    assert b"Camera" not in answer.content


def test_large_pictures_stream_and_match_the_small_answer(client: Client) -> None:
    """Above 4 MP the picture is never whole: chunked, and readable by another decoder."""
    answer = cut(client, photo(2600, 1950))

    assert "content-length" not in answer.headers
    pixels = cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert pixels is not None
    assert pixels.shape == (1950, 2600, 4)
    assert pixels[975, 1300, 3] == 255
    assert pixels[5, 5, 3] == 0


def test_small_answers_carry_their_length(client: Client) -> None:
    """Clients show progress by it."""
    answer = cut(client)
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_server_timing_names_the_real_steps(client: Client) -> None:
    """Operators see where the time went."""
    steps = {part.split(";")[0].strip() for part in cut(client).headers["server-timing"].split(",")}
    assert {"read", "look", "predict", "maps"} <= steps


# --- complaints -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("format", "svg"), ("channels", "rgb"), ("size", "huge"), ("crop", "maybe"), ("bg_color", "#12"),
        ("bg_color", "blurple"), ("despill", "2"), ("size", "a" * 5000),
    ],
)  # fmt: skip
def test_a_bad_option_is_named_with_what_was_expected_and_what_came(client: Client, option: str, value: str) -> None:
    """400 ``invalid_option`` with the three facts."""
    answer = cut(client, PHOTO, **{option: value})
    error = error_of(answer)

    assert (answer.status_code, error["code"]) == (400, "invalid_option")
    details = error["details"]
    assert isinstance(details, dict)
    assert details["option"] == option
    assert details["expected"]
    assert str(details["got"])[:60] == value[:60]


BAD_BODIES: dict[str, tuple[dict[str, Any], int, str]] = {
    "nothing": ({}, 400, "missing_image"),
    "empty multipart file": ({"files": {"image_file": ("", b"")}}, 400, "missing_image"),
    "no picture field": ({"files": {"crop": (None, "true")}}, 400, "missing_image"),
    "empty json": ({"json": {}}, 400, "missing_image"),
    "json list": ({"json": [1, 2]}, 400, "invalid_request"),
    "broken json": ({"content": b'{"image":', "headers": {"content-type": "application/json"}}, 400, "invalid_request"),
    "not a picture": ({"files": {"image_file": ("x.jpg", b"hello")}}, 400, "invalid_image"),
    "truncated": ({"files": {"image_file": ("x.jpg", PHOTO[: len(PHOTO) // 2])}}, 400, "invalid_image"),
    "broken base64": ({"json": {"image_base64": "@@@@"}}, 400, "invalid_image"),
    "base64 of nothing": ({"json": {"image_base64": "data:image/png;base64,"}}, 400, "missing_image"),
    "text body": ({"content": b"hello", "headers": {"content-type": "text/plain"}}, 415, "unsupported_media_type"),
    "no boundary": (
        {"content": b"--x\r\n", "headers": {"content-type": "multipart/form-data"}}, 400, "invalid_request",
    ),
    "10,000 fields": ({"data": {f"f{i}": "1" for i in range(10_000)}}, 400, "invalid_request"),
    "private address": ({"json": {"image_url": "http://10.0.0.1/x.png"}}, 400, "image_fetch_failed"),
    "file scheme": ({"json": {"image_url": "file:///etc/passwd"}}, 400, "image_fetch_failed"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_BODIES)
def test_bad_bodies_get_the_contracts_error(client: Client, case: str) -> None:
    """Status, code and the full error object."""
    options, status, code = BAD_BODIES[case]
    answer = client.post("/v2", **options)

    assert (answer.status_code, error_of(answer)["code"]) == (status, code)


def test_too_many_bytes_are_refused_so_that_the_client_can_read_it(client: Client) -> None:
    """31 MB: 413 ``image_too_large``, by length and by counting."""
    big = PHOTO + bytes(31_000_000)
    for options in (
        {"files": {"image_file": ("x.jpg", big)}},
        {"content": big},
        {"content": (big[i : i + 100_000] for i in range(0, len(big), 100_000))},
        {"data": {"image_base64": base64.b64encode(big).decode()}},
    ):
        answer = client.post("/v2", **options)
        assert (answer.status_code, error_of(answer)["code"]) == (413, "image_too_large")


@pytest.mark.parametrize(("side", "status"), [(60_000, 413), (65_535, 400)])
def test_too_many_pixels_are_refused_from_the_header(client: Client, side: int, status: int) -> None:
    """A tiny file that declares a huge picture; above 65,500 a side libjpeg itself calls the header broken."""
    start = PHOTO.index(b"\xff\xc0")
    bomb = PHOTO[: start + 5] + side.to_bytes(2, "big") * 2 + PHOTO[start + 9 :]

    answer = cut(client, bomb)

    assert answer.status_code == status
    error_of(answer)


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", "/v2", 405), ("PUT", "/v2/", 405), ("POST", "/v2/account", 405), ("GET", "/v2/nothing", 404),
    ("POST", "/livez", 405), ("GET", "/no/such/thing", 404),
])  # fmt: skip
def test_lost_requests_get_the_dialects_error_too(client: Client, method: str, path: str, status: int) -> None:
    """404 and 405 are JSON with a request id."""
    answer = client.request(method, path)
    assert answer.status_code == status
    error_of(answer)
    if status == 405:
        assert answer.headers["allow"]


def test_account_has_the_contracts_shape(client: Client) -> None:
    """The no-code packages read these paths."""
    body = client.get("/v2/account").json()
    assert body["status"] == "ok"
    assert set(body["api_key"]) == {"valid", "mode", "fingerprint"}
    assert set(body["account"]) == {"email", "plan", "subscription_status", "billing_model", "usage_unit"}


def test_errors_never_show_the_inside(client: Client, server: Served) -> None:
    """Decoder text goes to the log, under the request's id."""
    answer = cut(client, PHOTO[:3000])
    assert "vips" not in answer.text.lower()
    line = server.logged(answer.headers["x-request-id"])
    assert "vips" in str(line["detail"]).lower()
