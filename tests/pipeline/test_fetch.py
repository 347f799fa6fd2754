"""The guarded fetch, against real origins on loopback and a resolver of our own."""

from __future__ import annotations

import asyncio
import gzip
import os
import shutil
import ssl
import subprocess
import threading
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bgone.errors import ApiError
from bgone.pipeline.addresses import parse_networks
from bgone.pipeline.fetch import Fetcher, FetchLimits

Answer = Callable[[asyncio.StreamWriter, str], Awaitable[None]]

PICTURE = bytes(range(256)) * 40
LOOPBACK = parse_networks("127.0.0.0/8,::1/128")


class Origin:
    """A web server that says what it is told to and keeps what it was asked."""

    def __init__(self, answer: Answer) -> None:
        self.heads: list[str] = []
        self.open = 0
        self.port = 0
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            self.heads.append(head)
            await self._answer(writer, head)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self.open -= 1


@asynccontextmanager
async def origin(
    answer: Answer | bytes, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Origin]:
    """Serve ``answer``, or these very bytes, on a free port."""

    async def fixed(writer: asyncio.StreamWriter, _head: str) -> None:
        assert isinstance(answer, bytes)
        writer.write(answer)

    site = Origin(fixed if isinstance(answer, bytes) else answer)
    server = await asyncio.start_server(site.serve, host, 0, ssl=tls)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        server.close()


@asynccontextmanager
async def fetching(
    names: Mapping[str, Sequence[str]] | None = None,
    *,
    limits: FetchLimits | None = None,
    allow: str = "127.0.0.0/8,::1/128",
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Fetcher]:
    """A fetcher whose whole world of names is ``names``."""

    def resolve(host: str, _port: int) -> Sequence[str]:
        if names is None or host not in names:
            raise OSError("unknown name")
        return names[host]

    fetcher = Fetcher(limits or FetchLimits(), parse_networks(allow), resolver=resolve, tls=tls)
    try:
        yield fetcher
    finally:
        await fetcher.aclose()


def whole(body: bytes = PICTURE, *headers: str, status: str = "200 OK") -> bytes:
    lines = (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", "")
    return "\r\n".join(lines).encode() + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    return whole(b"", f"Location: {location}", "Set-Cookie: a=b; Path=/", status=status)


def outcome(answer: Answer | bytes, limits: FetchLimits | None = None) -> bytes:
    """What a fetch of an origin that answers ``answer`` comes to."""

    async def go() -> bytes:
        async with origin(answer) as site, fetching(limits=limits) as fetcher:
            return await fetcher.fetch(f"http://127.0.0.1:{site.port}/")

    return asyncio.run(go())


def failure(answer: Answer | bytes, limits: FetchLimits | None = None) -> ApiError:
    with pytest.raises(ApiError) as caught:
        outcome(answer, limits)
    return caught.value


async def refusal(fetcher: Fetcher, url: str) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await fetcher.fetch(url)
    return caught.value


# --- asking ---------------------------------------------------------------------------------------------------------


def test_the_request_names_the_host_and_carries_nothing_else() -> None:
    """The name goes into Host; no cookie, key, referrer or proxy header is sent."""

    async def go() -> list[str]:
        async with origin(whole()) as site, fetching({"pictures.test": ["127.0.0.1"]}) as fetcher:
            assert await fetcher.fetch(f"http://pictures.test:{site.port}/a%20b.png?c=d#e") == PICTURE
            expected = f"host: pictures.test:{site.port}"
            assert expected in site.heads[0].lower()
            return site.heads

    lines = asyncio.run(go())[0].strip().split("\r\n")

    assert lines[0] == "GET /a%20b.png?c=d HTTP/1.1"
    assert sorted(line.split(":")[0].lower() for line in lines[1:]) == [
        "accept",
        "accept-encoding",
        "connection",
        "host",
        "user-agent",
    ]


def test_proxy_variables_are_not_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment would reach whatever it likes: it is not asked."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    assert outcome(whole()) == PICTURE


def test_ipv6_literals_are_fetched() -> None:
    """A bracketed address is connected to and named with its brackets."""

    async def go() -> str:
        async with origin(whole(), host="::1") as site, fetching() as fetcher:
            assert await fetcher.fetch(f"http://[::1]:{site.port}/") == PICTURE
            return site.heads[0]

    try:
        head = asyncio.run(go())
    except OSError as error:
        pytest.skip(f"no IPv6 loopback here: {error}")
    assert "host: [::1]:" in head.lower()


def test_a_dead_address_does_not_stop_the_next() -> None:
    """Checked addresses are tried in turn until one answers."""

    async def go() -> bytes:
        names = {"pictures.test": ["::1", "127.0.0.2", "127.0.0.1"]}
        async with origin(whole()) as site, fetching(names) as fetcher:
            return await fetcher.fetch(f"http://pictures.test:{site.port}/")

    assert asyncio.run(go()) == PICTURE


def test_families_are_tried_in_turn() -> None:
    """Five dead addresses of one family do not use up every try before the other family has one."""

    async def go() -> bytes:
        names = {"pictures.test": [*(f"fd00:bad::{i}" for i in range(5)), "127.0.0.1"]}
        limits = FetchLimits(connect_s=0.1)
        async with origin(whole()) as site, fetching(names, allow="fd00::/8,127.0.0.1", limits=limits) as fetcher:
            return await fetcher.fetch(f"http://pictures.test:{site.port}/")

    assert asyncio.run(go()) == PICTURE


# --- addresses ------------------------------------------------------------------------------------------------------


def test_private_addresses_are_not_reached() -> None:
    """Without an allow list, loopback gets no packet, by literal, by name or among public addresses."""

    async def go() -> None:
        names = {
            "inside.test": ["127.0.0.1"],
            "mixed.test": ["8.8.8.8", "127.0.0.1"],
            "mapped.test": ["::ffff:127.0.0.1"],
            "scoped.test": ["fe80::1%1"],
        }
        async with origin(whole()) as site, fetching(names, allow="") as fetcher:
            for host in ("127.0.0.1", "[::ffff:127.0.0.1]", "[::1]", "127.0.0.1.", *names):
                error = await refusal(fetcher, f"http://{host}:{site.port}/")
                assert error.kind == "fetch_failed"
                assert "not allowed" in error.message
                assert "127.0.0.1" not in error.message
            assert site.heads == []

    asyncio.run(go())


def test_unknown_names_read_like_refused_ones() -> None:
    """A scanner of inside names cannot tell which of them exist."""

    async def go() -> tuple[str, str]:
        async with fetching({"inside.test": ["10.0.0.1"]}) as fetcher:
            inside = await refusal(fetcher, "http://inside.test/")
            unknown = await refusal(fetcher, "http://unknown.test/")
            return inside.message, unknown.message

    inside, unknown = asyncio.run(go())
    assert inside == unknown


def test_names_are_looked_up_once_a_hop() -> None:
    """The address that was judged is the one connected to: there is no second answer to be had."""

    async def go() -> None:
        answers = [["127.0.0.1"], ["10.0.0.1"]]
        asked: list[str] = []

        def rebinding(host: str, _port: int) -> Sequence[str]:
            asked.append(host)
            return answers[len(asked) - 1]

        async with origin(whole()) as site:
            fetcher = Fetcher(allow=LOOPBACK, resolver=rebinding)
            assert await fetcher.fetch(f"http://pictures.test:{site.port}/") == PICTURE
            assert asked == ["pictures.test"]
            await fetcher.aclose()

    asyncio.run(go())


def test_low_ports_are_open_on_allowed_addresses_only() -> None:
    """A public host is not asked on port 25; an allowed one is (and refuses the connection here)."""

    async def go() -> tuple[ApiError, ApiError]:
        async with fetching({"public.test": ["8.8.8.8"]}) as fetcher:
            return await refusal(fetcher, "http://public.test:25/"), await refusal(fetcher, "http://127.0.0.1:1/")

    public, allowed = asyncio.run(go())
    assert "port is not allowed" in public.message
    assert "connection failed" in allowed.message


def test_a_hung_look_up_is_cut() -> None:
    """A resolver that does not answer costs dns_s, not the fetch's whole time."""
    release = threading.Event()

    def hung(_host: str, _port: int) -> Sequence[str]:
        release.wait(10)
        return []

    async def go() -> ApiError:
        fetcher = Fetcher(FetchLimits(dns_s=0.1), resolver=hung)
        try:
            return await refusal(fetcher, "http://pictures.test/")
        finally:
            release.set()
            await fetcher.aclose()

    assert "timed out" in asyncio.run(go()).message


# --- redirects ------------------------------------------------------------------------------------------------------


def chain(hops: int) -> Answer:
    async def answer(writer: asyncio.StreamWriter, head: str) -> None:
        step = int(head.split(" ")[1].rpartition("/")[2])
        writer.write(whole() if step == hops else redirect(f"/{step + 1}"))

    return answer


@pytest.mark.parametrize("hops", [1, 3, 4])
def test_at_most_three_redirects_are_followed(hops: int) -> None:
    """Three are, a fourth is not; a cookie set on the way is not sent back."""

    async def go() -> None:
        async with origin(chain(hops)) as site, fetching() as fetcher:
            url = f"http://127.0.0.1:{site.port}/0"
            if hops <= 3:
                assert await fetcher.fetch(url) == PICTURE
            else:
                assert "redirects" in (await refusal(fetcher, url)).message
            assert len(site.heads) == min(hops, 3) + 1
            assert not any("cookie" in head.lower() or "referer" in head.lower() for head in site.heads)

    asyncio.run(go())


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.2:{port}/",
        "//127.0.0.2:{port}/",
        "http://inside.test:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://0x7f000001:{port}/",
        "http://2130706433:{port}/",
        "http://user@127.0.0.1:{port}/",
        "http:\\\\127.0.0.2:{port}/",
        "ftp://127.0.0.1:{port}/",
        "file:///etc/passwd",
        "gopher:x",
        "http://",
        "",
    ],
)
def test_redirects_are_judged_like_first_addresses(location: str) -> None:
    """A permitted origin cannot send us where we would not have gone."""

    async def go() -> None:
        async def answer(writer: asyncio.StreamWriter, _head: str) -> None:
            writer.write(redirect(location.format(port=site.port)))

        names = {"inside.test": ["127.0.0.2"]}
        async with origin(answer, host="0.0.0.0") as site, fetching(names, allow="127.0.0.1") as fetcher:
            assert (await refusal(fetcher, f"http://127.0.0.1:{site.port}/")).kind == "fetch_failed"
            assert len(site.heads) == 1

    asyncio.run(go())


# --- TLS ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for pictures.test, with its key in the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl command")
    path = tmp_path_factory.mktemp("tls") / "pictures.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=pictures.test"
    )
    names = ["-addext", "subjectAltName=DNS:pictures.test"]
    files = ["-keyout", str(path), "-out", str(path.with_suffix(".crt"))]
    subprocess.run([*command.split(), *names, *files], check=True, capture_output=True)
    path.write_text(path.read_text() + path.with_suffix(".crt").read_text())
    return path


def test_tls_is_verified_against_the_name(certificate: Path) -> None:
    """Connected by address, the origin hears the name (SNI) and must prove it; any other name fails."""

    async def go() -> None:
        heard: list[str | None] = []
        serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        serving.load_cert_chain(certificate)
        serving.sni_callback = lambda _socket, name, _context: heard.append(name)
        trusting = ssl.create_default_context(cafile=str(certificate))
        names = {"pictures.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]}
        async with origin(whole(), tls=serving) as site, fetching(names, tls=trusting) as fetcher:
            assert await fetcher.fetch(f"https://pictures.test.:{site.port}/") == PICTURE
            for host in ("other.test", "127.0.0.1"):
                error = await refusal(fetcher, f"https://{host}:{site.port}/")
                assert "connection failed" in error.message
            assert heard[:2] == ["pictures.test", "other.test"]
            async with fetching(names) as suspicious:
                await refusal(suspicious, f"https://pictures.test:{site.port}/")
            assert len(site.heads) == 1

    asyncio.run(go())


# --- bodies ---------------------------------------------------------------------------------------------------------


def chunked(*pieces: bytes, headers: str = "") -> bytes:
    head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{headers}\r\n".encode()
    return head + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


@pytest.mark.parametrize(
    "answer",
    [
        whole(),
        whole(PICTURE, "Content-Type: text/html"),
        whole(status="203 Non-Authoritative Information"),
        chunked(PICTURE[:100], PICTURE[100:101], PICTURE[101:]),
        b"HTTP/1.0 200 OK\r\n\r\n" + PICTURE,
        b"HTTP/1.1 103 Early Hints\r\n\r\n" + whole(),
        whole(gzip.compress(PICTURE), "Content-Encoding: gzip"),
        whole(zlib.compress(PICTURE), "Content-Encoding: deflate"),
        whole(gzip.compress(PICTURE), "Content-Encoding: identity", "Content-Encoding: X-GZIP"),
        chunked(*(bytes([byte]) for byte in gzip.compress(PICTURE)), headers="Content-Encoding: gzip\r\n"),
    ],
    ids=["plain", "html", "203", "chunked", "until-close", "hints", "gzip", "deflate", "x-gzip", "gzip-dripped"],
)
def test_bodies_arrive_whole(answer: bytes) -> None:
    """However the body is framed or coded, its bytes come out."""
    assert outcome(answer) == PICTURE


@pytest.mark.parametrize(
    "answer",
    [
        whole(status="404 Not Found"),
        whole(status="500 Oops"),
        whole(status="206 Partial Content"),
        whole(status="304 Not Modified"),
        whole(b"", status="204 No Content"),
        whole(b""),
        chunked(),
        b"",
        b"HTTP/1.1",
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + PICTURE,
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n" + PICTURE,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n" + PICTURE,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n" + PICTURE,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300_000 + b"\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        chunked(PICTURE)[:-5],
        whole(PICTURE, "Content-Encoding: br"),
        whole(PICTURE, "Content-Encoding: zstd"),
        whole(PICTURE, "Content-Encoding: gzip"),
        whole(gzip.compress(PICTURE)[:-1], "Content-Encoding: gzip"),
        whole(gzip.compress(PICTURE) + b"more", "Content-Encoding: gzip"),
        whole(gzip.compress(gzip.compress(PICTURE)), "Content-Encoding: gzip, gzip"),
        whole(gzip.compress(b""), "Content-Encoding: gzip"),
    ],
)
def test_bad_answers_are_failed_fetches(answer: bytes) -> None:
    """Statuses, framings, lengths and codings that cannot be trusted end as fetch_failed, never as half a picture."""
    assert failure(answer).kind == "fetch_failed"


def test_a_long_answer_is_refused_by_its_announced_length() -> None:
    """Nothing of a body over the limit is waited for."""

    async def announce(writer: asyncio.StreamWriter, _head: str) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 30000001\r\n\r\n")
        await writer.drain()
        await asyncio.sleep(30)

    assert failure(announce).kind == "too_many_bytes"


async def endless(writer: asyncio.StreamWriter, head: str) -> None:
    coded = "gzip" in head.split(" ")[1]
    writer.write(b"HTTP/1.1 200 OK\r\n" + b"Content-Encoding: gzip\r\n" * coded + b"\r\n")
    # A gzip head, then stored blocks of length zero: input without end, output never.
    writer.write(b"\x1f\x8b\x08\0\0\0\0\0\0\xff" * coded)
    while not writer.is_closing():
        writer.write(b"\0\0\0\xff\xff" * 20_000)
        await writer.drain()


@pytest.mark.parametrize("path", ["plain", "gzip"])
def test_endless_answers_are_cut_at_the_limit(path: str) -> None:
    """Bytes are counted as they arrive, whether or not anything inflates out of them."""

    async def go() -> ApiError:
        async with origin(endless) as site, fetching(limits=FetchLimits(bytes=1_000_000)) as fetcher:
            return await refusal(fetcher, f"http://127.0.0.1:{site.port}/{path}")

    assert asyncio.run(go()).kind == "too_many_bytes"


def test_a_gzip_bomb_is_cut_at_the_limit() -> None:
    """Inflating stops at the limit, in steps small enough for the event loop."""
    bomb = gzip.compress(bytes(100_000_000), 1)
    assert len(bomb) < 1_000_000

    assert failure(whole(bomb, "Content-Encoding: gzip"), FetchLimits(bytes=5_000_000)).kind == "too_many_bytes"


async def silent(_writer: asyncio.StreamWriter, _head: str) -> None:
    await asyncio.sleep(30)


async def dripping(writer: asyncio.StreamWriter, _head: str) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("answer", "limits"),
    [(silent, FetchLimits(read_s=0.1)), (dripping, FetchLimits(total_s=0.3)), (silent, FetchLimits(total_s=0.1))],
    ids=["silent", "dripping", "silent-in-all"],
)
def test_slow_origins_are_cut(answer: Answer, limits: FetchLimits) -> None:
    """Silence ends after read_s, drops of data after total_s."""
    assert "timed out" in failure(answer, limits).message


# --- many at once ---------------------------------------------------------------------------------------------------


def test_too_many_fetches_are_refused_with_a_time_to_return() -> None:
    """Beyond the seats and the waiting room a fetch is overloaded at once; one that waits in vain, in the end."""

    async def go() -> list[ApiError]:
        limits = FetchLimits(concurrency=1, waiting=1, total_s=0.3)
        async with origin(silent) as site, fetching(limits=limits) as fetcher:
            url = f"http://127.0.0.1:{site.port}/"
            return await asyncio.gather(*(refusal(fetcher, url) for _ in range(3)))

    errors = asyncio.run(go())
    assert sorted(error.kind for error in errors) == ["fetch_failed", "overloaded", "overloaded"]
    assert all(error.retry_after_s for error in errors if error.kind == "overloaded")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_cancelled_fetch_closes_its_connection(scheme: str) -> None:
    """A client that hung up leaves no socket behind, in the body's middle or in a TLS handshake's."""

    async def go() -> None:
        closed = asyncio.Event()
        asked = asyncio.Event()

        async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            asked.set()
            if scheme == "http":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")
            await reader.read()
            closed.set()
            writer.close()

        server = await asyncio.start_server(swallow, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with fetching() as fetcher:
            before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
            task = asyncio.create_task(fetcher.fetch(f"{scheme}://127.0.0.1:{port}/"))
            await asked.wait()
            await asyncio.sleep(0.05)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(closed.wait(), 1)
            await asyncio.sleep(0.01)
            if before:
                assert len(os.listdir("/proc/self/fd")) <= before
        server.close()

    asyncio.run(go())
