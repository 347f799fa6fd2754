"""Reading: the same picture by every way in, and limits that hold while the bytes arrive."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, urlencode

import pybase64
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope

from bgone.api.encoded import decode_picture
from bgone.api.fields import Fields
from bgone.api.reading import ReadLimits, discard, has_body, query_of, read_fields
from bgone.errors import ApiError, ClientGone, overloaded

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 2
B64 = pybase64.b64encode(PNG).decode()
LIMITS = ReadLimits(file_bytes=200_000)
FORM = "application/x-www-form-urlencoded"


def scope_of(content_type: str | None = None, query: str = "", **headers: str) -> Scope:
    named = dict(headers) if content_type is None else {"Content-Type": content_type, **headers}
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in named.items()]
    return {"type": "http", "method": "POST", "path": "/v2", "headers": raw, "query_string": query.encode()}


def messages(pieces: Iterable[bytes], *, ended: bool = True) -> Receive:
    """A client that sends ``pieces`` and then hangs up."""

    def tell() -> Iterator[Message]:
        for piece in pieces:
            yield {"type": "http.request", "body": piece, "more_body": True}
        if ended:
            yield {"type": "http.request"}
        yield {"type": "http.disconnect"}

    told = tell()

    async def receive() -> Message:
        return next(told)

    return receive


def cut(body: bytes, piece_bytes: int) -> list[bytes]:
    return [body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes)]


def read(
    scope: Scope,
    body: bytes | Receive = b"",
    *,
    piece_bytes: int = 65_536,
    limits: ReadLimits = LIMITS,
    held: Callable[[int], None] = lambda _: None,
) -> Fields:
    receive = messages(cut(body, piece_bytes)) if isinstance(body, bytes) else body
    return asyncio.run(read_fields(scope, receive, limits, held))


def refusal(
    scope: Scope, body: bytes | Receive = b"", *, limits: ReadLimits = LIMITS, piece_bytes: int = 65_536
) -> str:
    with pytest.raises(ApiError) as caught:
        read(scope, body, limits=limits, piece_bytes=piece_bytes)
    return caught.value.kind


def multipart(name: str, content: bytes, filename: str | None = None) -> bytes:
    claim = "" if filename is None else f'; filename="{filename}"'
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{claim}\r\n\r\n'
    return head.encode() + content + b"\r\n--b--\r\n"


MULTIPART = "multipart/form-data; boundary=b"


def picture_in(fields: Fields) -> bytes:
    """The picture, wherever it came in."""
    if fields.raw is not None:
        return fields.raw
    if file := fields.files.get("image"):
        return file.data
    text = fields.encoded("image")
    assert text is not None
    return decode_picture("image", text, urlencoded=fields.kind == "urlencoded")


WAYS: dict[str, tuple[str | None, bytes]] = {
    "file": (MULTIPART, multipart("image", PNG, "a.png")),
    "file, boundary quoted": ('Multipart/Form-Data; charset=x; Boundary="b"', multipart("image", PNG, "a.png")),
    "base64 part": (MULTIPART, multipart("image", B64.encode())),
    "json": ("application/json", json.dumps({"image": B64}).encode()),
    "json, data URL": ("text/json; charset=utf-8", json.dumps({"image": "data:image/png;base64," + B64}).encode()),
    "json, slashes escaped": ("application/json", json.dumps({"image": B64}).replace("/", "\\/").encode()),
    "json, byte order mark": ("application/vnd.x+json", b"\xef\xbb\xbf" + json.dumps({"image": B64}).encode()),
    "form": (FORM, urlencode({"image": B64}).encode()),
    "form, nothing encoded": (FORM, f"image={B64}".encode()),
    "raw": ("image/png", PNG),
    "raw as bytes": ("application/octet-stream", PNG),
    "raw without a type": (None, PNG),
    "raw as a form (curl --data-binary)": (FORM, PNG),
    "raw as text": ("text/plain", PNG),
    "raw as json": ("application/json", PNG),
    "raw as multipart": ("multipart/form-data", PNG),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("piece_bytes", [1, 7, 65_536])
def test_the_same_picture_arrives_by_every_way(way: str, piece_bytes: int) -> None:
    """Whatever the wrapping and however it is cut, the bytes are equal."""
    content_type, body = WAYS[way]

    assert picture_in(read(scope_of(content_type), body, piece_bytes=piece_bytes)) == PNG


@pytest.mark.parametrize("way", ["base64 part", "json", "json, slashes escaped", "form", "form, nothing encoded"])
def test_large_pictures_arrive_by_every_way(way: str) -> None:
    """Values of more than 64 KiB go another way than short ones, to the same end."""
    large = PNG + bytes(range(256)) * 600 + b"\xfb\xef\xff" * 5_000
    text = pybase64.b64encode(large).decode()
    content_type, body = WAYS[way]
    escaped = {"json, slashes escaped": text.replace("/", "\\/"), "form": quote(text, safe="")}.get(way, text)
    original = {"json, slashes escaped": B64.replace("/", "\\/"), "form": quote(B64, safe="")}.get(way, B64)

    fields = read(scope_of(content_type), body.replace(original.encode(), escaped.encode()), piece_bytes=5_000)

    assert picture_in(fields) == large
    if way != "form, nothing encoded":
        assert fields.text["image"] == text


@pytest.mark.parametrize(
    "head",
    [
        b"\xff\xd8\xff\xe0\0\x10JFIF", b"GIF89a\x01\0", b"RIFF\x24\0\0\0WEBPVP8 ", b"BM\x46\0\0\0\0\0\0\0\x36\0",
        b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"\0\0\0\x1cftypavif\0\0\0\0", b"\0\0\0\x1cftypheic\0\0\0\0",
    ],
)  # fmt: skip
def test_every_kind_of_picture_is_seen_behind_a_wrong_type(head: bytes) -> None:
    """curl labels everything a form; the first bytes tell."""
    fields = read(scope_of(FORM), head + b"&x=1" * 500)

    assert fields.kind == "raw"
    assert fields.raw is not None


@pytest.mark.parametrize(
    ("content_type", "body", "kind"),
    [
        (FORM, b"BMW=1&crop=true", "urlencoded"),
        (FORM, b"", "none"),
        (MULTIPART, b"", "none"),
        (None, b"", "none"),
        ("image/svg+xml", b"<svg/>", "raw"),
        ("application/octet-stream", b"anything", "raw"),
        (None, b"anything", "raw"),
    ],
)
def test_kinds(content_type: str | None, body: bytes, kind: str) -> None:
    """A body is what its type says unless its bytes say better; unknown bytes are for the decoder to judge."""
    assert read(scope_of(content_type), body).kind == kind


@pytest.mark.parametrize(
    ("content_type", "body", "kind"),
    [
        ("text/plain", b"hello", "unsupported_body"),
        ("application/xml", b"<x/>", "unsupported_body"),
        ("application/json", b"{", "malformed_body"),
        ("application/json", b"[1]", "malformed_body"),
        ("application/json", b'"x"', "malformed_body"),
        ("application/json", b'{"a":"\xff"}', "malformed_body"),
        ("application/json", b'{"a":' + b"[" * 100_000, "malformed_body"),
        ("application/json", b'{"a":[' + b"1," * 50_000 + b"1]}", "malformed_body"),
        ("application/json", b'{"a":"' + b"x" * 100_000, "malformed_body"),
        ("application/json", b'"",' * 25_000, "malformed_body"),
        ("application/json", b'{"a":"' + b'\\"' * 50_000 + b'"}', "malformed_body"),
        ("application/json", json.dumps({str(n): n for n in range(101)}).encode(), "malformed_body"),
        (FORM, b"a=1&" * 10_000, "malformed_body"),
        (FORM, b"a=" + b"1" * 300_000, "too_many_bytes"),
        ("multipart/form-data", b"--b\r\n", "malformed_body"),
        ("multipart/form-data; boundary=", b"--b\r\n", "malformed_body"),
        (MULTIPART, multipart("image", PNG, "a.png")[:-9], "malformed_body"),
        (MULTIPART, multipart("image", b"x" * 200_001, "a.png"), "too_many_bytes"),
        ("image/png", PNG + b"x" * 200_000, "too_many_bytes"),
        (FORM, PNG + b"x" * 200_000, "too_many_bytes"),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("piece_bytes", [1_000, 65_536])
def test_bad_bodies_are_refused(content_type: str, body: bytes, kind: str, piece_bytes: int) -> None:
    """Wrong kinds, broken forms and floods each have their complaint."""
    assert refusal(scope_of(content_type), body, piece_bytes=piece_bytes) == kind


def test_a_coded_body_is_refused() -> None:
    """gzip would let a small body grow without limit."""
    assert refusal(scope_of("image/png", Content_Encoding="gzip"), PNG) == "unsupported_body"


def test_json_values_are_text_spelled_as_in_json() -> None:
    """Scalars become text, null and empty ones are absent, nested ones stay visible as they are."""
    body = b'{"a": true, "b": 1, "c": 1.0, "d": null, "e": "", "f": ["x"], "g": {"h": 1}, "i": "x"}'
    fields = read(scope_of("application/json"), body)

    assert dict(fields.text) == {"a": "true", "b": "1", "c": "1.0", "i": "x"}
    assert fields.json is not None
    assert fields.json["f"] == ["x"]
    assert fields.json["d"] is None


PLAIN = st.characters(codec="utf-8", exclude_characters=",[{")  # these are counted, wherever they stand


@given(st.dictionaries(st.text(PLAIN, max_size=8), st.text(PLAIN, max_size=300), max_size=8), st.integers(1, 4))
def test_long_strings_set_aside_change_nothing(values: dict[str, str], repeat: int) -> None:
    """JSON with large strings reads as a plain JSON reader reads it, quotes, escapes and all."""
    values = {name: value * 400 * repeat for name, value in values.items()}
    body = json.dumps(values, ensure_ascii=False).encode()
    wide = ReadLimits()

    assert dict(read(scope_of("application/json"), body, limits=wide).text) == {n: v for n, v in values.items() if v}


@pytest.mark.parametrize("backslashes", [0, 1, 2, 15, 16, 17, 127, 128, 129, 130])
def test_quotes_behind_backslashes_are_told_apart(backslashes: int) -> None:
    """However many backslashes stand before a quote, a long neighbour is cut out where it ends."""
    values = {"a": "\\" * backslashes + '"', "image": "A" * 100_000, "b": "\\" * backslashes}

    read_values = read(scope_of("application/json"), json.dumps(values).encode()).text

    assert dict(read_values) == {name: value for name, value in values.items() if value}


@given(st.dictionaries(st.text(min_size=1, max_size=8), st.text(min_size=1, max_size=300), max_size=8))
def test_forms_are_read_as_they_were_encoded(values: dict[str, str]) -> None:
    """Any text survives percent-encoding, short or long."""
    long = {name: value * 700 for name, value in values.items()}
    for sent in (values, long):
        body = urlencode(sent, quote_via=quote).encode()

        assert dict(read(scope_of(FORM), b"&" + body, limits=ReadLimits()).text) == sent


def test_text_that_is_not_utf8_is_latin1() -> None:
    """Old clients send Latin-1; no byte is an error."""
    assert read(scope_of(MULTIPART), multipart("a", b"caf\xe9")).text["a"] == "café"


def test_query_and_headers_come_along() -> None:
    """The first of a name wins; header names are lower case; empty parameters are absent."""
    fields = read(scope_of("image/png", "a=1&a=2&b=&c=x+y%21&d", X_Api_Key="k"), PNG)

    assert fields.query == {"a": "1", "c": "x y!"}
    assert fields.headers == {"content-type": "image/png", "x-api-key": "k"}


def test_a_query_of_ten_thousand_is_refused() -> None:
    """Parameters are counted like fields."""
    with pytest.raises(ApiError, match="At most 100"):
        query_of(scope_of(query="a=1&" * 10_000))


@pytest.mark.parametrize(
    ("headers", "announced"),
    [
        ({}, False),
        ({"Content_Length": "0"}, False),
        ({"Content_Length": "5"}, True),
        ({"Transfer_Encoding": "chunked"}, True),
    ],
)
def test_headers_tell_whether_a_body_comes(headers: dict[str, str], announced: bool) -> None:
    """An early answer needs to know whether there is something to discard."""
    assert has_body(scope_of(**headers)) is announced


# --- memory ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content_type", "length"), [("image/png", "200001"), (MULTIPART, "5000000"), (FORM, "99999999999")]
)
def test_a_length_over_the_limit_is_refused_unread(content_type: str, length: str) -> None:
    """What a client says about too much is believed at once: nothing is received."""
    silent = messages([], ended=False)

    assert refusal(scope_of(content_type, Content_Length=length), silent) == "too_many_bytes"


@pytest.mark.parametrize("length", ["-1", "1e3", "abc", "\u0661", "9" * 30])
def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    """A server in front should have refused it; we do too."""
    scope = scope_of("image/png")
    scope["headers"].append((b"content-length", length.encode()))

    assert refusal(scope, PNG) == "malformed_body"


def test_a_picture_announced_as_a_form_is_refused_by_its_picture_limit() -> None:
    """Once seen to be a picture, its announced length is compared with the limit of pictures."""
    pieces = messages([PNG])

    assert refusal(scope_of(FORM, Content_Length="200001"), pieces) == "too_many_bytes"


def test_bytes_are_held_before_they_are_kept() -> None:
    """Once, as announced; without an announcement as they come; a lie is held as it is found out."""
    for headers, expected in (
        ({"Content_Length": str(len(PNG))}, [len(PNG)]),
        ({}, [200, 200, len(PNG) - 400]),
        ({"Content_Length": "300"}, [300, 100, len(PNG) - 400]),
    ):
        held: list[int] = []
        read(scope_of("image/png", **headers), PNG, piece_bytes=200, held=held.append)

        assert held == expected


def test_a_full_memory_refuses_the_body() -> None:
    """What ``held`` raises reaches the client; nothing more is read."""

    def full(_: int) -> None:
        raise overloaded(1, "full")

    with pytest.raises(ApiError) as caught:
        read(scope_of("image/png"), PNG, held=full)

    assert caught.value.kind == "overloaded"


def test_an_endless_body_is_cut_at_the_limit() -> None:
    """Without a length, too much is found out by counting."""
    sent = 0

    async def receive() -> Message:
        nonlocal sent
        sent += 10_000
        return {"type": "http.request", "body": b"x" * 10_000, "more_body": True}

    assert refusal(scope_of("application/octet-stream"), receive) == "too_many_bytes"
    assert sent <= LIMITS.file_bytes + 10_000


# --- time -----------------------------------------------------------------------------------------------------------

HURRY = ReadLimits(patience_s=0.03, floor_bytes_per_s=100_000)


async def _silent() -> Message:
    await asyncio.Event().wait()
    raise AssertionError


def test_silence_is_cut() -> None:
    """A client that sends nothing gets 408."""
    assert refusal(scope_of("image/png"), _silent, limits=HURRY) == "slow_body"


@pytest.mark.parametrize("start", [b"", PNG * 50])
def test_a_drip_is_cut_even_after_a_fast_start(start: bytes) -> None:
    """One byte now and then earns almost no time, and what came before is no credit."""
    first = [start] if start else []
    waited = 0

    async def receive() -> Message:
        nonlocal waited
        if first:
            return {"type": "http.request", "body": first.pop(), "more_body": True}
        waited += 1
        await asyncio.sleep(0.005)
        return {"type": "http.request", "body": b"x", "more_body": True}

    assert refusal(scope_of("image/png"), receive, limits=HURRY) == "slow_body"
    assert waited <= 7


def test_a_slow_but_honest_line_lives() -> None:
    """Above the floor rate a body may take longer than the patience."""
    left = 12

    async def receive() -> Message:
        nonlocal left
        left -= 1
        await asyncio.sleep(0.005)
        return {"type": "http.request", "body": bytes(5_000), "more_body": left > 0}

    assert read(scope_of("application/octet-stream"), receive, limits=HURRY).raw == bytes(60_000)


@pytest.mark.parametrize("pieces", [[], [b"\x89PNG"], [PNG]])
@pytest.mark.parametrize("content_type", ["image/png", MULTIPART, "application/json", FORM])
def test_a_client_that_hangs_up_is_noticed(pieces: list[bytes], content_type: str) -> None:
    """Half a body is nobody's request."""
    with pytest.raises(ClientGone):
        read(scope_of(content_type), messages(pieces, ended=False))


def test_discarding_ends_with_the_body_or_the_limits() -> None:
    """By its end, by a hang-up, by bytes, by time."""
    endless = messages([b"x" * 100] * 1_000, ended=False)

    asyncio.run(discard(messages([b"x"] * 5), 1_000, 1))
    asyncio.run(discard(messages([], ended=False), 1_000, 1))
    asyncio.run(discard(_silent, 1_000, 0.01))
    asyncio.run(discard(endless, 1_000, 1))

    assert asyncio.run(_count(endless)) == 990


async def _count(receive: Receive) -> int:
    count = 0
    while (await receive())["type"] == "http.request":
        count += 1
    return count


# --- base64 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        B64,
        B64.encode(),
        memoryview(B64.encode()),
        B64.rstrip("="),
        B64 + "==",
        B64.replace("+", "-").replace("/", "_"),
        "data:image/png;base64," + B64,
        " DATA:;base64," + B64,
        "data:image/png;name=a.png;charset=utf-8;base64," + B64,
        "\r\n".join(B64[n : n + 76] for n in range(0, len(B64), 76)) + "\r\n",
        "\n " + " ".join(B64) + "\t",
    ],
)
def test_base64_is_read_as_clients_wrap_it(text: str | bytes | memoryview) -> None:
    """Prefixes, line breaks, spaces, missing padding and the URL-safe alphabet change nothing."""
    assert decode_picture("image", text) == PNG


def test_a_plus_that_a_form_turned_into_a_space_is_a_plus_again() -> None:
    """Clients post base64 unencoded; the space can have been nothing else."""
    raw = b"\xfb\xef\xbe" * 20

    assert decode_picture("image", "++++" * 20, urlencoded=True) == raw
    assert decode_picture("image", "    " * 20, urlencoded=True) == raw
    assert decode_picture("image", " +  " * 20 + "\r\n", urlencoded=True) == raw


@pytest.mark.parametrize("text", ["", "data:image/png;base64,", b""])
def test_nothing_but_a_prefix_is_empty(text: str | bytes) -> None:
    """The caller takes it as absent."""
    assert decode_picture("image", text) == b""


@pytest.mark.parametrize(
    "text", ["A", "AAAAA", "AA?A", "naïve", "AA=A", b"\xff\xfe\xfd\xfc", "http://x/y.png", B64 + "*"]
)
def test_broken_base64_names_its_field(text: str | bytes) -> None:
    """What is not base64 is no picture, and the complaint says which field."""
    with pytest.raises(ApiError, match=r"^image_base64 is not valid base64\.$") as caught:
        decode_picture("image_base64", text)

    assert caught.value.kind == "unreadable_image"


@given(st.binary(max_size=300))
def test_base64_round_trip(data: bytes) -> None:
    """Any bytes survive both alphabets, padded or not."""
    for encoded in (pybase64.b64encode(data), pybase64.urlsafe_b64encode(data).rstrip(b"=")):
        assert decode_picture("image", encoded) == data
