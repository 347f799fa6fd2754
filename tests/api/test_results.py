"""Links to results: what is signed, what is refused, and what an HTTP client gets for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

import orjson
import pytest
from starlette.types import Message, Scope

from bgone.api.results import Results, Signer
from bgone.jobs.job import Stored
from bgone.storage.objects import READ_BYTES, Objects, new_key

BASE = "https://cut.example"
BODY = bytes(range(256)) * 4
STORED = Stored(new_key(), "image/png", ".png", len(BODY), 61, 40)
NOW = 1_800_000_000.0
SIGNER = Signer(b"s" * 32, lambda: NOW)
LINK = SIGNER.sign(BASE, STORED, "output.png", 3600)


@dataclass
class Answer:
    """What came back; ``cut`` where the connection was."""

    status: int
    headers: dict[str, str]
    body: bytes
    ended: bool
    cut: bool


def ask(
    link: str = LINK,
    method: str = "GET",
    *,
    now: float = NOW,
    body: bytes = BODY,
    objects: Objects | None = None,
    **headers: str,
) -> Answer:
    """One request to a store that holds ``body``; header names with underscores."""

    async def main() -> Answer:
        store = objects or Objects("memory:///")
        if objects is None:
            await store.put(STORED.key, body, "image/png")
        messages: list[Message] = []
        cuts: list[bool] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            messages.append(message)

        parts = urlsplit(link)
        scope: Scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": parts.path,
            "query_string": parts.query.encode(),
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
            "extensions": {"bgone.abort": lambda: cuts.append(True)},
        }
        await Results(store, Signer(b"s" * 32, lambda: now)).serve(scope, receive, send)
        await store.aclose()
        start, *rest = messages
        return Answer(
            start["status"],
            {name.decode(): value.decode() for name, value in start["headers"]},
            b"".join(message["body"] for message in rest),
            bool(rest) and not rest[-1]["more_body"],
            bool(cuts),
        )

    return asyncio.run(main())


def changed(**query: str) -> str:
    """The link with other parameters."""
    parts = urlsplit(LINK)
    pairs = dict(parse_qsl(parts.query)) | query
    return f"{parts.path}?" + "&".join(f"{name}={value}" for name, value in pairs.items())


# --- signing --------------------------------------------------------------------------------------------------------


def test_links_end_in_a_file_name() -> None:
    """Absolute, with the file name last in the path (``curl -O``) and everything else in the query."""
    parts = urlsplit(LINK)
    query = dict(parse_qsl(parts.query))

    assert f"{parts.scheme}://{parts.netloc}" == BASE
    assert parts.path == f"/results/{STORED.key}/output.png"
    assert (query["expires"], query["type"]) == ("1800003600", "image/png")
    assert len(query["signature"]) == 43


def test_a_link_works_until_its_time() -> None:
    """The last second still, then no more."""
    assert ask(now=NOW + 3599.9).status == 200
    assert ask(now=NOW + 3600).status == 403


@pytest.mark.parametrize(
    "link",
    [
        LINK.replace("output.png", "other.png"),
        LINK.replace(STORED.key, new_key()),
        changed(expires="1900000000"),
        changed(type="text/html"),
        changed(signature="A" * 43),
        changed(signature=""),
        changed(signature="%C3%BC"),
        changed(expires="soon"),
        LINK.partition("?")[0],
        f"{LINK.partition('?')[0]}?" + "&".join(f"p{number}=1" for number in range(200)),
        Signer(b"t" * 32, lambda: NOW).sign(BASE, STORED, "output.png", 3600),
    ],
)
def test_whatever_was_changed_is_refused(link: str) -> None:
    """Another name, picture, time, type, signature or secret: 403 and nothing of the picture."""
    answer = ask(link)

    assert answer.status == 403
    assert orjson.loads(answer.body) == {
        "error": {
            "code": "forbidden",
            "message": "This link is not valid, or its time is over.",
            "status": 403,
            "details": {},
        }
    }
    assert answer.headers["content-type"] == "application/json"


def test_parts_of_a_link_cannot_be_moved() -> None:
    """A signature is of each part by itself, not of their letters in a row."""
    moved = LINK.replace("/output.png?", "/output.pngimage?").replace("type=image/png", "type=/png")

    assert ask(moved).status == 403


@pytest.mark.parametrize("name", ["my holiday.png", "ü&?.png", "100%.png"])
def test_strange_names_survive(name: str) -> None:
    """The name is quoted in the link and signed as it is."""
    parts = urlsplit(SIGNER.sign(BASE, STORED, name, 60))

    assert SIGNER.knows(STORED.key, unquote(parts.path.rpartition("/")[2]), dict(parse_qsl(parts.query)))


# --- serving --------------------------------------------------------------------------------------------------------


def test_a_link_gives_the_picture() -> None:
    """The bytes with a bare content type, their length, a tag, for any page, for private caches until it ends."""
    answer = ask()

    assert (answer.status, answer.body, answer.ended) == (200, BODY, True)
    assert answer.headers == {
        "etag": f'"{STORED.key}"',
        "cache-control": "private, max-age=3600",
        "access-control-allow-origin": "*",
        "x-content-type-options": "nosniff",
        "content-type": "image/png",
        "content-length": "1024",
        "accept-ranges": "bytes",
    }


def test_large_pictures_are_streamed() -> None:
    """More than one piece, every byte in its place."""
    large = BODY * (2 * READ_BYTES // len(BODY)) + b"end"

    answer = ask(body=large)
    assert answer.body == large
    assert answer.headers["content-length"] == str(len(large))


def test_head_tells_without_the_picture() -> None:
    """The same head as GET, ranges ignored, no body."""
    answer = ask(method="HEAD", range="bytes=0-9")

    assert (answer.status, answer.body, answer.ended) == (200, b"", True)
    assert answer.headers == ask().headers


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=1000-", 1000, 1024),
        ("bytes=1000-5000", 1000, 1024),
        ("bytes=-24", 1000, 1024),
        ("bytes=-5000", 0, 1024),
        ("bytes=0-", 0, 1024),
    ],
)
def test_a_range_gives_a_part(text: str, start: int, end: int) -> None:
    """206 with the part, its length and where it lies."""
    answer = ask(range=text)

    assert (answer.status, answer.body) == (206, BODY[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/1024"
    assert answer.headers["content-length"] == str(end - start)


@pytest.mark.parametrize("text", ["bytes=1024-", "bytes=5000-6000", "bytes=-0"])
def test_a_range_beyond_the_end_is_not_satisfiable(text: str) -> None:
    """416 with the true size."""
    answer = ask(range=text)

    assert answer.status == 416
    assert answer.headers["content-range"] == "bytes */1024"
    assert orjson.loads(answer.body)["error"]["code"] == "range_not_satisfiable"


@pytest.mark.parametrize("text", ["bytes=5-2", "bytes=0-1,5-6", "lines=1-2", "bytes=", "bytes=-", "bytes=a-b", "0-5"])
def test_other_ranges_are_ignored(text: str) -> None:
    """Several ranges, other units and nonsense give the whole picture."""
    assert (ask(range=text).status, ask(range=text).body) == (200, BODY)


def test_a_range_of_another_picture_is_ignored() -> None:
    """``If-Range`` with another tag gives all of it, with this one the part."""
    assert ask(range="bytes=0-9", if_range='"other"').status == 200
    assert ask(range="bytes=0-9", if_range=f'"{STORED.key}"').status == 206


def test_who_has_it_already_gets_nothing() -> None:
    """304 for the tag, the picture for another."""
    answer = ask(if_none_match=f'"{STORED.key}"')

    assert (answer.status, answer.body, answer.headers["etag"]) == (304, b"", f'"{STORED.key}"')
    assert ask(if_none_match='"other"').status == 200


def test_what_is_no_longer_kept_is_missing() -> None:
    """A good link to a picture that was swept: 404."""
    answer = ask(SIGNER.sign(BASE, Stored(new_key(), "image/png", ".png", 1, 1, 1), "output.png", 60))

    assert answer.status == 404
    assert orjson.loads(answer.body)["error"]["code"] == "not_found"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_results_are_only_read(method: str) -> None:
    """405 that says what goes."""
    answer = ask(method=method)

    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


def test_a_body_that_nobody_reads_ends_the_connection() -> None:
    """A GET that announces one is answered, and the next request needs a new connection."""
    assert ask(content_length="7").headers["connection"] == "close"


class Vanishing(Objects):
    """Its pictures go while they are read."""

    async def head(self, key: str) -> int:
        return len(BODY)

    async def stream(self, key: str, start: int, end: int) -> AsyncIterator[bytes]:
        yield BODY[:10]
        raise KeyError(key)


def test_a_picture_that_goes_while_it_is_sent_is_cut() -> None:
    """What came looks broken off, never whole."""
    answer = ask(objects=Vanishing("memory:///"))

    assert (answer.status, answer.body, answer.ended, answer.cut) == (200, BODY[:10], False, True)
