"""What the clients of a storm say, in every dialect and every wrong way, and what they know afterwards.

A client believes only what it has read to the end: a whole picture, or a whole refusal. Everything else is unknown.
"""

from __future__ import annotations

import asyncio
import http.client
import io
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, cast

import orjson
import PIL.Image

Outcome = Literal["picture", "refused", "unknown"]
Where = Literal["", "before", "within", "behind", "first byte"]
ONE, QUARTER = Decimal(1), Decimal("0.25")
_BOUNDARY = "bgone-storm-51c0d2"
LONGEST_S = 60.0  # of one call
POLL_S = 0.05


# --- how dialects are spoken ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Speaker:
    """A picture route as its clients use it.

    Attributes:
        path: With the dialect's name before it, so that nothing has to be guessed.
        file_field: Its file.
        key: Header line, ``{}`` for the key.
        options: Texts of the form that are asked for in turn, and what each costs.
        bad: An option with a value that is refused.
        headers: Further header lines.
        job: How its jobs are followed; None where the answer is the picture.
    """

    path: str
    file_field: str
    key: str = "x-api-key: {}"
    options: tuple[tuple[Mapping[str, str], Decimal], ...] = (({}, ONE),)
    bad: tuple[str, str] = ("format", "psd")
    headers: tuple[str, ...] = ()
    job: Following | None = None


@dataclass(frozen=True, slots=True)
class Following:
    """How a client follows a job.

    Attributes:
        id: Member of the answer that names it; "" where none does.
        shown: Path that shows it, ``{}`` for the name.
        link: Members that lead to the picture's address.
        key_for_link: The address wants the key.
    """

    id: str
    shown: str
    link: tuple[str, ...]
    key_for_link: bool = False


_BEARER = "authorization: Bearer {}"
_SIZES: tuple[tuple[Mapping[str, str], Decimal], ...] = (
    ({}, QUARTER),
    ({"size": "preview"}, QUARTER),
    ({"size": "auto"}, QUARTER),
    ({"size": "full"}, ONE),
)
_PICSART = Following("transaction_id", "/picsart/tools/1.0/image/{}", ("data", "url"))
_LATER = ("prefer: respond-async",)
SPEAKERS: Mapping[str, Speaker] = {
    "backgrounderase": Speaker("/backgrounderase/v2", "image_file", bad=("size", "huge")),
    "removebg": Speaker("/removebg/v1.0/removebg", "image_file", options=_SIZES, bad=("size", "huge")),
    "photoroom": Speaker("/photoroom/v1/segment", "image_file", bad=("size", "huge")),
    "clipdrop": Speaker("/clipdrop/remove-background/v1", "image_file", bad=("transparency_handling", "perhaps")),
    "slazzer": Speaker("/slazzer/v2.0/remove_image_background", "source_image_file", "api-key: {}"),
    "poof": Speaker("/poof/v1/remove", "image_file", bad=("crop", "yes")),
    "slazzer v1": Speaker(
        "/slazzer/api/v1/remove_image_background",
        "source_image_file",
        "api-key: {}",
        job=Following("", "", ("output_image_url",)),
    ),
    "picsart": Speaker("/picsart/tools/1.0/removebg", "image", "x-picsart-api-key: {}", job=_PICSART),
    "picsart later": Speaker(
        "/picsart/tools/1.0/removebg", "image", "x-picsart-api-key: {}", headers=_LATER, job=_PICSART
    ),
    "poofbg": Speaker(
        "/poofbg/v1/remove-background",
        "file",
        _BEARER,
        # It has no options that could be wrong: what is no picture stands for them.
        bad=("", ""),
        job=Following("id", "/poofbg/v1/jobs/{}", ("result_url",)),
    ),
    "foner": Speaker(
        "/foner/v1/remove-bg",
        "file",
        bad=("", ""),
        job=Following("job_id", "/foner/v1/jobs/{}", ("download_url",), key_for_link=True),
    ),
    "jobid": Speaker(
        "/jobid/api/v1/remove-bg",
        "image_file",
        _BEARER,
        bad=("", ""),
        job=Following("jobId", "/jobid/api/v1/jobs/{}", ("outputUrl",)),
    ),
}


# --- one call -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Call:
    """One call, and what its client knows of it.

    Attributes:
        speaker: Name of the way in.
        account: Whose key is shown; "" for nobody's.
        key: The key.
        price: What a picture costs.
        kind: What is wrong with it, or ``well``.
        hang_up: Where the client hangs up.
        port: Of the server.
        outcome: What is known for sure.
        status: Of the first answer; 0 where none was read.
        ledger_id: Under which the ledger has it, where the client can know: the request's id or the job's.
        began: When it was sent, unix seconds.
        ended: When the first answer had been read.
    """

    speaker: str
    account: str
    key: str
    price: Decimal
    kind: str = "well"
    hang_up: Where = ""
    port: int = 0
    outcome: Outcome = "unknown"
    status: int = 0
    ledger_id: str = ""
    began: float = 0.0
    ended: float = 0.0


@dataclass(frozen=True, slots=True)
class Heard:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class NobodyListensError(Exception):
    """There was no connection."""


class _Lost(Exception):  # noqa: N818 - an outcome, not an error
    """The answer did not come, or not to its end."""


class _Wire(io.BytesIO):
    """What HTTPResponse takes for a socket."""

    def makefile(self, *_: object) -> _Wire:
        return self


def compose(call: Call, options: Mapping[str, str], picture: bytes) -> bytes:
    """The request on the wire; its answer ends the connection."""
    speaker = SPEAKERS[call.speaker]
    key = [speaker.key.format(call.key)] if call.key else []
    if call.kind == "account":
        return _request("GET /removebg/v1.0/account HTTP/1.1", SPEAKERS["removebg"].key.format(call.key))
    texts = dict(options) | (dict([speaker.bad]) if call.kind == "bad option" else {})
    parts = [_part(f'name="{name}"') + value.encode() for name, value in texts.items()]
    parts.append(_part(f'name="{speaker.file_field}"; filename="photo.jpg"') + picture)
    body = b"\r\n".join([*parts, f"--{_BOUNDARY}--\r\n".encode()])
    kind = f"content-type: multipart/form-data; boundary={_BOUNDARY}"
    return _request(f"POST {speaker.path} HTTP/1.1", *speaker.headers, *key, kind, body=body)


def _part(disposition: str) -> bytes:
    return f"--{_BOUNDARY}\r\ncontent-disposition: form-data; {disposition}\r\n\r\n".encode()


def _request(start: str, *lines: str, body: bytes = b"") -> bytes:
    length = [f"content-length: {len(body)}"] if body else []
    return "\r\n".join([start, "host: 127.0.0.1", "connection: close", *lines, *length, "", ""]).encode() + body


async def make(call: Call, data: bytes, patience: random.Random) -> None:
    """Make a call on a server that listens; ``call`` is filled in.

    Raises:
        NobodyListensError: It was never made.
    """
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", call.port)
    except ConnectionError as error:
        raise NobodyListensError from error
    call.began = time.time()
    try:
        async with asyncio.timeout(LONGEST_S):
            if call.hang_up:
                await _hang_up(call, data, reader, writer, patience)
            else:
                await _listen(call, data, reader, writer)
    except (_Lost, ConnectionError, TimeoutError):
        call.outcome = "unknown"
    finally:
        writer.transport.abort()


async def _hang_up(
    call: Call, data: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience: random.Random
) -> None:
    head = data.index(b"\r\n\r\n") + 4
    if call.hang_up in ("before", "within"):
        # What was never asked to the end cannot have been done.
        call.outcome = "refused"
        writer.write(data[: head if call.hang_up == "before" else (head + len(data)) // 2])
        await writer.drain()
        await asyncio.sleep(patience.random() * 0.02)
        return
    writer.write(data)
    await writer.drain()
    if call.hang_up == "behind":
        await asyncio.sleep(patience.random() * 0.3)
        return
    read = b""
    while not (read.partition(b"\r\n\r\n")[2]):
        piece = await reader.read(64)
        if not piece:
            raise _Lost
        read += piece
    answer = http.client.HTTPResponse(cast(Any, _Wire(read)), method="POST")
    answer.begin()
    call.status = answer.status
    call.ledger_id = answer.headers["x-request-id"]
    # A picture that was begun is to be paid for; of a refusal the beginning is enough.
    call.outcome = "picture" if call.status == 200 else "refused"


async def _listen(call: Call, data: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(data)
    heard = _parse(await reader.read(-1))
    call.status, call.ended = heard.status, time.time()
    following = SPEAKERS[call.speaker].job
    if heard.status >= 400 or call.kind == "account":
        # What is wrong with a job's call is told under the request's id, which the ledger does not know.
        call.outcome = "refused"
        call.ledger_id = "" if following else heard.headers["x-request-id"]
    elif following is None:
        _check(heard.body)
        call.ledger_id = heard.headers["x-request-id"]
        call.outcome = "picture"
    else:
        await _follow(call, following, heard)


async def _follow(call: Call, following: Following, heard: Heard) -> None:
    body = orjson.loads(heard.body)
    name = str(body.get(following.id, ""))
    call.ledger_id = name.removeprefix("job_")
    while (link := _member(body, following.link)) is None:
        if body.get("status") == "failed" or heard.status >= 400:
            call.outcome = "unknown" if heard.status in (404, 503) else "refused"
            return
        await asyncio.sleep(POLL_S)
        heard = await _get(call, following.shown.format(name), with_key=True)
        body = orjson.loads(heard.body)
    picture = await _get(call, "/" + link.split("/", 3)[3], with_key=following.key_for_link)
    if picture.status == 200:
        _check(picture.body)
        call.outcome = "picture"


def _member(body: Any, names: tuple[str, ...]) -> str | None:
    for name in names:
        body = body.get(name) if isinstance(body, dict) else None
    return body if isinstance(body, str) else None


async def _get(call: Call, path: str, *, with_key: bool) -> Heard:
    reader, writer = await asyncio.open_connection("127.0.0.1", call.port)
    try:
        key = [SPEAKERS[call.speaker].key.format(call.key)] if with_key else []
        writer.write(_request(f"GET {path} HTTP/1.1", *key))
        return _parse(await reader.read(-1), "GET")
    finally:
        writer.transport.abort()


def _parse(data: bytes, method: str = "POST") -> Heard:
    try:
        answer = http.client.HTTPResponse(cast(Any, _Wire(data)), method=method)
        answer.begin()
        return Heard(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())
    except http.client.HTTPException as error:
        raise _Lost from error


def _check(body: bytes) -> None:
    """A whole picture, or the storm is over."""
    with PIL.Image.open(io.BytesIO(body)) as image:
        image.load()
