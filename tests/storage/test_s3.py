"""The object store on a bucket: a real S3 server (moto's) on a port of its own, and results that are served from it."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx2
import pytest

from bgone.storage.objects import READ_BYTES, WRITE_BYTES, Objects, new_key
from tests.pictures import ball, decode, photo
from tests.serving import free_port, serve

Value = TypeVar("Value")
BUCKET = "bgone-results"
BODY = bytes(range(256)) * 20
# The server asks who calls, and checks no signature.
SIGNED = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"


@dataclass(frozen=True, slots=True)
class Bucket:
    """An empty folder of a bucket, and a look at it past obstore.

    Attributes:
        endpoint: The S3 server.
        prefix: The folder.
    """

    endpoint: str
    prefix: str

    @property
    def address(self) -> str:
        return f"s3://{BUCKET}/{self.prefix}"

    def ask(self, method: str, path: str = "", **options: Any) -> httpx2.Response:
        """The S3 server's answer about a path of the bucket."""
        headers = {"Authorization": SIGNED}
        return httpx2.request(method, f"{self.endpoint}/{BUCKET}{path}", headers=headers, trust_env=False, **options)

    def seen(self, key: str) -> httpx2.Response:
        """What the bucket itself says of a key."""
        return self.ask("HEAD", f"/{self.prefix}/{key}")

    def count(self) -> int:
        """How many objects are under the folder."""
        answer = self.ask("GET", params={"list-type": "2", "prefix": self.prefix + "/"})
        (number,) = re.findall("<KeyCount>([0-9]+)</KeyCount>", answer.text)
        return int(number)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running S3 server with one bucket; the environment leads there, as an operator's would."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    log_path = tmp_path_factory.mktemp("s3") / "log"
    with log_path.open("wb") as log:
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        give_up_at = time.monotonic() + 30
        while not _made(f"{url}/{BUCKET}"):
            if process.poll() is not None or time.monotonic() > give_up_at:
                raise AssertionError(f"the S3 server did not start:\n{log_path.read_text()}")
            time.sleep(0.05)
        with pytest.MonkeyPatch.context() as patch:
            for name in [name for name in os.environ if name.startswith("AWS_")]:
                patch.delenv(name)  # the developer's own account
            patch.setenv("AWS_ENDPOINT_URL", url)
            patch.setenv("AWS_ALLOW_HTTP", "true")
            patch.setenv("AWS_ACCESS_KEY_ID", "test")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
            patch.setenv("AWS_REGION", "us-east-1")
            patch.setenv("NO_PROXY", "127.0.0.1")
            yield url
    finally:
        process.terminate()
        process.wait(timeout=30)


def _made(url: str) -> bool:
    """Whether the bucket could be made."""
    try:
        return httpx2.put(url, trust_env=False).status_code == 200
    except httpx2.TransportError:
        return False


@pytest.fixture
def bucket(endpoint: str) -> Bucket:
    """A folder of the test's own."""
    return Bucket(endpoint, f"replica/{new_key()}")


def on_store(address: str, main: Callable[[Objects], Awaitable[Value]]) -> Value:
    """What ``main`` answers with a store that is open."""

    async def bounded() -> Value:
        objects = Objects(address)
        try:
            async with asyncio.timeout(30):
                return await main(objects)
        finally:
            await objects.aclose()

    return asyncio.run(bounded())


async def pieces_of(body: bytes, size: int) -> AsyncIterator[bytes | memoryview]:
    """The body in pieces, bytes and views in turn."""
    for number, at in enumerate(range(0, len(body), size)):
        piece = body[at : at + size]
        yield memoryview(piece) if number % 2 else piece


# --- the store ------------------------------------------------------------------------------------------------------


def test_bytes_come_back_with_their_media_type(bucket: Bucket) -> None:
    """Bytes in, the same bytes out, under the prefix, with the type that a bucket can keep."""

    async def main(objects: Objects) -> str:
        key = new_key()
        assert await objects.put(key, BODY, "image/webp") == len(BODY)
        assert await objects.get(key) == BODY
        assert await objects.head(key) == len(BODY)
        return key

    seen = bucket.seen(on_store(bucket.address, main))
    assert seen.status_code == 200
    assert seen.headers["content-type"] == "image/webp"


@pytest.mark.parametrize(("size", "parts"), [(0, 0), (1000, 0), (2 * WRITE_BYTES + 77, 3)])
def test_pieces_become_one_picture(bucket: Bucket, size: int, parts: int) -> None:
    """Little is put at once; more than a part goes up in parts, which S3 counts at the end of the tag."""
    body = (BODY * (size // len(BODY) + 1))[:size]

    async def main(objects: Objects) -> str:
        key = new_key()
        assert await objects.put(key, pieces_of(body, 700_001), "image/png") == size
        assert await objects.get(key) == body
        return key

    seen = bucket.seen(on_store(bucket.address, main))
    assert seen.headers["content-type"] == "image/png"
    assert seen.headers["etag"].strip('"').partition("-")[2] == (str(parts) if parts else "")


def test_a_part_is_streamed_in_bounded_pieces(bucket: Bucket) -> None:
    """Bytes from the first to before the end, no piece larger than the bound."""
    body = (BODY * (2 * READ_BYTES // len(BODY) + 9))[: 2 * READ_BYTES + 500]

    async def main(objects: Objects) -> None:
        key = new_key()
        await objects.put(key, body, "image/png")
        pieces = [piece async for piece in objects.stream(key, 100, len(body) - 3)]
        assert b"".join(pieces) == body[100:-3]
        assert [len(piece) for piece in pieces] == [READ_BYTES, READ_BYTES, 397]

    on_store(bucket.address, main)


def test_a_broken_upload_is_never_seen(bucket: Bucket) -> None:
    """After two whole parts the source fails: before and after, nothing is under the key."""
    seen: list[int] = []

    async def main(objects: Objects) -> None:
        key = new_key()
        await objects.put(new_key(), BODY, "image/png")

        async def breaking() -> AsyncIterator[bytes]:
            yield bytes(2 * WRITE_BYTES)
            seen.append(bucket.seen(key).status_code)
            raise RuntimeError("the encoder failed")

        with pytest.raises(RuntimeError, match="the encoder failed"):
            await objects.put(key, breaking(), "image/png")
        with pytest.raises(KeyError):
            await objects.get(key)

    on_store(bucket.address, main)
    assert seen == [404]
    assert bucket.count() == 1


def test_what_is_missing_is_a_key_error(bucket: Bucket) -> None:
    """Never stored and deleted alike; deleting twice is no error, and the neighbour stays."""

    async def main(objects: Objects) -> None:
        gone, kept = new_key(), new_key()
        for key in (gone, kept):
            await objects.put(key, BODY, "image/png")
        await objects.delete(gone)
        await objects.delete(gone)
        for key in (gone, new_key(), "../" + kept):
            for call in (objects.get(key), objects.head(key), anext(objects.stream(key, 0, 5))):
                with pytest.raises(KeyError):
                    await call
        assert await objects.get(kept) == BODY

    on_store(bucket.address, main)


def test_sweep_removes_by_age_but_what_is_kept(bucket: Bucket) -> None:
    """Young pictures, those in use, other files and other folders stay."""
    others = [f"/{bucket.prefix}{rest}" for rest in ("/holiday.jpg", "/deeper/" + new_key(), "-2/" + new_key())]
    for path in others:
        bucket.ask("PUT", path, content=BODY).raise_for_status()

    async def main(objects: Objects) -> None:
        keys = [new_key() for _ in range(3)]
        for key in keys:
            await objects.put(key, BODY, "image/png")
        assert await objects.sweep(3600) == 0
        assert await objects.sweep(0, keep={keys[1]}) == 2
        assert await objects.get(keys[1]) == BODY
        with pytest.raises(KeyError):
            await objects.head(keys[0])
        assert await objects.sweep(0) == 1

    on_store(bucket.address, main)
    for path in others:
        assert bucket.ask("HEAD", path).status_code == 200


# --- served ---------------------------------------------------------------------------------------------------------


def test_results_are_served_from_the_bucket(bucket: Bucket, tmp_path: Path) -> None:
    """A link of Picsart's answer gives the picture that lies in the bucket, whole, in part, and by its tag."""
    with serve(tmp_path, objects_url=bucket.address) as served, served.client() as client:
        answer = client.post("/tools/1.0/removebg", files={"image": ("x.jpg", photo(161, 120, of=ball), "image/jpeg")})
        assert answer.status_code == 200, answer.text
        url = answer.json()["data"]["url"]

        whole = client.get(url)
        assert whole.status_code == 200
        assert whole.headers["content-type"] == "image/png"
        assert decode(whole.content).shape == (120, 161, 4)
        tag = whole.headers["etag"]
        stored = bucket.seen(tag.strip('"'))
        assert stored.status_code == 200
        assert int(stored.headers["content-length"]) == len(whole.content)

        part = client.get(url, headers={"Range": "bytes=10-99"})
        assert part.status_code == 206
        assert part.content == whole.content[10:100]
        assert part.headers["content-range"] == f"bytes 10-99/{len(whole.content)}"
        assert part.headers["etag"] == tag
        assert client.get(url, headers={"Range": "bytes=-7"}).content == whole.content[-7:]
        assert client.get(url, headers={"If-None-Match": tag}).status_code == 304

        bucket.ask("DELETE", f"/{bucket.prefix}/" + tag.strip('"')).raise_for_status()
        assert client.get(url).status_code == 404


def test_a_bucket_that_is_not_there_fails_the_request(endpoint: str, tmp_path: Path) -> None:
    """No link to nowhere: the server says that it failed, and goes on."""
    with serve(tmp_path, objects_url="s3://no-such-bucket/x") as served, served.client() as client:
        answer = client.post("/tools/1.0/removebg", files={"image": ("x.jpg", photo(161, 120, of=ball), "image/jpeg")})
        assert answer.status_code == 500
        assert served.ready()
