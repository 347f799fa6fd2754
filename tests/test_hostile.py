"""Strangers who mean harm: bombs, slow and endless clients, bursts, hang-ups, addresses inside; over real HTTP."""

from __future__ import annotations

import asyncio
import base64
import random
import socket
import struct
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest
import uvicorn
from httpx2 import Client

from bgone.api.auth import StaticKeys
from bgone.api.desk import Desk, make_picture
from bgone.api.dialects import backgrounderase
from bgone.api.endpoint import Conductor
from bgone.api.gate import OpenGate
from bgone.api.health import Health
from bgone.api.metrics import Metrics
from bgone.api.policy import Policy
from bgone.api.protocol import guarded_protocol
from bgone.api.replies import Reply
from bgone.api.results import Signer
from bgone.errors import ApiError, ClientGone, deadline_passed
from bgone.jobs.book import JobBook
from bgone.jobs.webhooks import Webhooks
from bgone.pipeline.budget import Budget
from bgone.pipeline.fetch import Fetcher
from bgone.pipeline.spool import Spool
from bgone.pipeline.studio import Result, Studio, StudioOptions
from bgone.storage.objects import Objects
from tests.pictures import encode, photo, scene
from tests.serving import Served, free_port, serve
from tests.wire import Answer, answers, ask, connect, drain, metric, request, talk, wait_until

PHOTO = photo()
MEGABYTE = 1 << 20


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with little patience; of all that is special it may fetch from 127.0.0.2 only.

    Not so little that a busy machine's honest client, held up between connecting and sending, is cut as well.
    """
    folder = tmp_path_factory.mktemp("strict")
    with serve(folder, head_s=4, read_s=1, fetch_s=2, drain_s=0.1, grace_s=5, fetch_allow="127.0.0.2/32") as served:
        assert served.post("/v2", content=PHOTO).status_code == 200
        yield served


@dataclass(frozen=True)
class _Level:
    descriptors: int
    threads: int
    resident: int


def _level(served: Served) -> _Level:
    return _Level(served.descriptors(), served.threads(), served.resident_bytes())


_warmed: set[int] = set()


def _warm(served: Served) -> _Level:
    """The level once the server's threads are all there and nothing is under way."""
    if served.port not in _warmed:
        many = [request(photo(900, 900, quality=100, seed=seed)) for seed in range(12)]
        asyncio.run(_together(served.port, [request(PHOTO)] * 24 + many))
        _warmed.add(served.port)
    wait_until(lambda: metric(served, "bgone_inflight") == 0)
    time.sleep(0.1)
    return _level(served)


def _settles(served: Served, before: _Level, what: str) -> None:
    """Seats, memory promises, descriptors and threads come back, and a picture is cut."""

    def calm() -> bool:
        names = ("bgone_seats_busy", "bgone_queue_depth", "bgone_inflight", "bgone_memory_held_bytes")
        now = _level(served)
        return (
            all(metric(served, name) == 0 for name in names)
            and now.descriptors <= before.descriptors + 2
            and now.threads <= before.threads + 1
        )

    seconds = wait_until(calm)
    now = _level(served)
    growth = (now.resident - before.resident) / MEGABYTE
    print(
        f"{what}: calm after {seconds:.2f} s; descriptors {before.descriptors} -> {now.descriptors}, "
        f"threads {before.threads} -> {now.threads}, memory {growth:+.0f} MiB"
    )
    assert served.ready()
    assert served.post("/v2", content=PHOTO).status_code == 200


def _no_traceback(served: Served) -> None:
    log = served.log_path.read_text()
    assert "Traceback" not in log
    assert '"failure"' not in log
    assert "ASGI" not in log


async def _together(port: int, requests: list[bytes]) -> list[Answer | BaseException]:
    return await asyncio.gather(*(ask(port, data) for data in requests), return_exceptions=True)


def _p99(seconds: list[float]) -> float:
    return float(np.quantile(seconds, 0.99)) if seconds else 0.0


@contextmanager
def _watching(served: Served) -> Iterator[list[float]]:
    """Seconds of each /livez while something else goes on."""
    seconds: list[float] = []
    stop = threading.Event()

    def watch() -> None:
        with served.client() as client:
            while not stop.is_set():
                answer = client.get("/livez")
                assert answer.status_code == 200
                seconds.append(answer.elapsed.total_seconds())
                stop.wait(0.02)

    with ThreadPoolExecutor(1) as pool:
        watcher = pool.submit(watch)
        try:
            yield seconds
        finally:
            stop.set()
            watcher.result()


@contextmanager
def _peak(served: Served) -> Iterator[list[int]]:
    """Most resident bytes while something else goes on, above the level before."""
    growth = [0]
    stop = threading.Event()
    before = served.resident_bytes()

    def watch() -> None:
        while not stop.is_set():
            growth[0] = max(growth[0], served.resident_bytes() - before)
            stop.wait(0.01)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield growth
    finally:
        stop.set()
        watcher.join()


# --- bombs ----------------------------------------------------------------------------------------------------------


def _png(width: int, height: int, *, bits: int = 8, kind: int = 2, data: bytes = b"") -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _zeros(size: int) -> bytes:
    squeeze = zlib.compressobj(6)
    return b"".join(squeeze.compress(bytes(MEGABYTE)) for _ in range(size // MEGABYTE + 1)) + squeeze.flush()


def _tiff(width: int, height: int, *, bands: int = 3) -> bytes:
    tags = [
        (256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, 5), (262, 3, 2), (273, 4, 8), (277, 3, bands),
        (278, 4, height), (279, 4, 4),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 12) + b"\x80\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4)


def _jpeg(width: int, height: int) -> bytes:
    start = PHOTO.index(b"\xff\xc0")
    return PHOTO[: start + 5] + struct.pack(">HH", height, width) + PHOTO[start + 9 :]


def _webp(width: int, height: int) -> bytes:
    def small(value: int) -> bytes:
        return (value - 1).to_bytes(3, "little")

    body = b"WEBPVP8X" + struct.pack("<II", 10, 0) + small(width) + small(height)
    inner = encode(scene(), "WEBP")[12:]
    return b"RIFF" + struct.pack("<I", len(body) + len(inner)) + body + inner


def _gif(width: int, height: int) -> bytes:
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\x00;"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes(6) + frame


def _bmp(width: int, height: int, *, compression: int = 0) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + info + bytes(64)


BOMBS: dict[str, Callable[[], bytes]] = {
    "png 65535": lambda: _png(65_535, 65_535),
    "png 2 thousand million": lambda: _png(2**31 - 1, 2**31 - 1),
    "png 20000 with pixels": lambda: _png(20_000, 20_000, bits=1, kind=0, data=_zeros(20_000 * 2_501)),
    "png long": lambda: _png(2**31 - 1, 1),
    "jpeg 65500": lambda: _jpeg(65_500, 65_500),
    "jpeg 65535": lambda: _jpeg(65_535, 65_535),
    "gif 65535": lambda: _gif(65_535, 65_535),
    "webp 16384": lambda: _webp(16_384, 16_384),
    "tiff 100000": lambda: _tiff(100_000, 100_000),
    "tiff 4 thousand million": lambda: _tiff(2**32 - 1, 2**32 - 1),
    "tiff of 200 bands": lambda: _tiff(4_000, 4_000, bands=200),
    "bmp 60000": lambda: _bmp(60_000, 60_000),
    "bmp upside down": lambda: _bmp(60_000, -60_000),
    "bmp 2 thousand million": lambda: _bmp(2**31 - 1, 2**31 - 1, compression=1),
}


def test_tiny_files_that_declare_huge_pictures_are_refused_from_the_header(server: Served) -> None:
    """Each a 4xx at once, one by one and 48 together, without memory; the server lives."""
    files = {name: make() for name, make in BOMBS.items()}
    server.post("/v2", content=PHOTO)
    slowest = 0.0
    with _peak(server) as growth:
        with server.client() as client:
            for name, bomb in files.items():
                for how in ("raw", "multipart"):
                    options: dict[str, Any] = (
                        {"content": bomb} if how == "raw" else {"files": {"image_file": ("x", bomb)}}
                    )
                    answer = client.post("/v2", **options)
                    slowest = max(slowest, answer.elapsed.total_seconds())
                    print(f"{name}, {len(bomb):,} bytes: {answer.status_code} {answer.text[:120]}")
                    assert 400 <= answer.status_code < 500
                    assert answer.json()["error"]["code"] in ("image_too_large", "invalid_image")
        started = time.monotonic()
        many = (list(files.values()) * 4)[:48]
        together = asyncio.run(_together(server.port, [request(bomb) for bomb in many]))
    print(
        f"slowest {slowest:.3f} s; 48 at once {time.monotonic() - started:.2f} s; peak +{growth[0] / MEGABYTE:.0f} MiB"
    )

    assert all(isinstance(answer, Answer) and 400 <= answer.status < 500 for answer in together)
    assert slowest < 10
    assert growth[0] < 300 * MEGABYTE
    _no_traceback(server)


def test_a_bomb_within_the_limit_is_drawn_in_strips(server: Served) -> None:
    """64 MP from 8 kB: an answer within seconds, and never the whole picture in memory."""
    bomb = _png(8_000, 8_000, bits=1, kind=0, data=zlib.compress(bytes(8_000 * 1_001), 9))
    with _peak(server) as growth:
        started = time.monotonic()
        answer = server.post("/v2", content=bomb)
        seconds = time.monotonic() - started
    print(f"{len(bomb):,} bytes, {answer.status_code} in {seconds:.2f} s; +{growth[0] / MEGABYTE:.0f} MiB")
    assert answer.status_code in (200, 503)
    assert growth[0] < 500 * MEGABYTE


@pytest.mark.parametrize("way", ["raw", "multipart", "chunked", "json", "urlencoded"])
def test_31_megabytes_get_a_413_that_the_client_reads(server: Served, way: str) -> None:
    """Whatever wraps them; the client sends to the end and then reads."""
    data = bytes(31_000_000)
    text = base64.b64encode(data).decode()
    options: dict[str, dict[str, Any]] = {
        "raw": {"content": data},
        "multipart": {"files": {"image_file": ("x", data)}},
        "chunked": {"content": iter([data[:1_000_000]] * 31), "headers": {"content-type": "image/png"}},
        "json": {"json": {"image_base64": text}},
        "urlencoded": {
            "content": "image_base64=" + text,
            "headers": {"content-type": "application/x-www-form-urlencoded"},
        },
    }
    with _peak(server) as growth:
        answer = server.post("/v2", **options[way])
    print(f"{way}: {answer.status_code} {answer.text[:200]}; +{growth[0] / MEGABYTE:.0f} MiB")
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "image_too_large"


_PART = b'--b\r\ncontent-disposition: form-data; name="a"; filename="b"\r\n\r\n'
ENDLESS = {
    "raw": ("POST /v2", "image/png", b""),
    "json": ("POST /v2", "application/json", b'{"image_base64":"'),
    "urlencoded": ("POST /v2", "application/x-www-form-urlencoded", b"image_base64="),
    "multipart": ("POST /v2", "multipart/form-data; boundary=b", _PART),
    "multipart preamble": ("POST /v2", "multipart/form-data; boundary=b", b""),
    "a page": ("GET /livez", "text/plain", b""),
    "account": ("GET /v2/account", "text/plain", b""),
    "nothing there": ("PUT /none", "text/plain", b""),
}  # fmt: skip


@pytest.mark.parametrize("case", ENDLESS)
def test_endless_bodies_are_cut(server: Served, case: str) -> None:
    """A chunked body without end is refused, read on a little for the answer's sake, then cut below 200 MB."""
    start, media, prefix = ENDLESS[case]
    piece = b"100000\r\n" + b"A" * MEGABYTE + b"\r\n"
    sent = 0
    line = connect(server.port)
    with line, _peak(server) as growth, suppress(ConnectionError):
        headers = (f"Content-Type: {media}", "Transfer-Encoding: chunked")
        line.sendall("\r\n".join([f"{start} HTTP/1.1", "Host: x", *headers, "", ""]).encode())
        if prefix:
            line.sendall(b"%x\r\n%b\r\n" % (len(prefix), prefix))
        while sent < 300_000_000:
            line.sendall(piece)
            sent += MEGABYTE
    print(f"{case}: cut after {sent / 1e6:.0f} MB; +{growth[0] / MEGABYTE:.0f} MiB")
    assert sent < 200_000_000
    _no_traceback(server)


# --- slow and odd ---------------------------------------------------------------------------------------------------


OVERHEADS = {
    "head": (b"GET / HTTP/1.1\r\nhost: x\r\nx: ", b"a" * 65_536),
    "header lines": (b"GET / HTTP/1.1\r\nhost: x\r\n", b"a: b\r\n" * 10_000),
    "request line": (b"GET /", b"a" * 65_536),
    "empty lines": (b"", b"\r\n" * 32_768),
    "chunk extension": (b"POST /v2 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1;", b"a" * 65_536),
    "trailers": (b"POST /v2 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n", b"a: b\r\n" * 10_000),
    "one trailer": (b"POST /v2 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\na: ", b"a" * 65_536),
}


@pytest.mark.parametrize("case", OVERHEADS)
def test_endless_overhead_is_cut(server: Served, case: str) -> None:
    """Heads, extensions and trailers are no body, so no body limit sees them: 64 KiB, then 431 or cut."""
    start, piece = OVERHEADS[case]
    sent = 0
    with connect(server.port) as line, suppress(ConnectionError):
        line.sendall(start)
        while sent < 50_000_000:
            line.sendall(piece)
            sent += len(piece)
    print(f"{case}: cut after {sent / 1e6:.1f} MB")
    assert sent < 50_000_000


@pytest.mark.parametrize("first", ["a page", "a picture"])
def test_floods_of_pipelined_requests_are_cut(server: Served, first: str) -> None:
    """Requests that pile up behind an unread answer are memory that no body limit sees."""
    picture = photo(1700, 1200)
    start = f"POST /v2?format=bmp HTTP/1.1\r\nHost: x\r\nContent-Length: {len(picture)}\r\n\r\n".encode() + picture
    sent = 0
    with _peak(server) as growth, connect(server.port, 5, receive_bytes=4096) as line, suppress(ConnectionError):
        line.sendall(start if first == "a picture" else b"")
        while sent < 50_000_000:
            line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 5_000)
            sent += 140_000
    print(f"behind {first}: cut after {sent / 1e6:.1f} MB; +{growth[0] / MEGABYTE:.0f} MiB")
    assert sent < 50_000_000
    assert growth[0] < 200 * MEGABYTE


def test_slow_clients_are_cut_while_others_are_served(strict: Served) -> None:
    """50 each of: silent, slow heads, slow and silent bodies, slow chunks, empty lines after a good request."""
    before = _warm(strict)
    slow_body = request(b"", "Content-Length: 20000", "Content-Type: image/jpeg")
    openings = {
        "silent": (b"", b""),
        "slow head": (b"GET / HTTP/1.1\r\n", b"a: b\r\n"),
        "slow body": (slow_body, b"a"),
        "silent body": (slow_body, b""),
        "slow chunks": (request(b"", "Transfer-Encoding: chunked"), b"1\r\na\r\n"),
        "empty lines": (b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n", b"\r\n"),
    }
    cut_after: dict[str, float] = {}
    served: list[float] = []

    async def stay(name: str) -> None:
        start, drip = openings[name]
        reader, writer = await asyncio.open_connection("127.0.0.1", strict.port)
        started = time.monotonic()
        with suppress(ConnectionError):
            writer.write(start)
            reading = asyncio.create_task(reader.read())
            while not reading.done():
                if drip:
                    writer.write(drip)
                await asyncio.wait({reading}, timeout=0.25)
                assert time.monotonic() - started < 30, f"{name}: not cut"
            await reading
        writer.close()
        cut_after[name] = max(cut_after.get(name, 0), time.monotonic() - started)

    async def other() -> None:
        while not done.is_set():
            started = time.monotonic()
            answer = await ask(strict.port, request(PHOTO))
            assert answer.status == 200
            served.append(time.monotonic() - started)
            await asyncio.sleep(0.05)

    async def go() -> None:
        beside = asyncio.create_task(other())
        await asyncio.gather(*(stay(name) for name in openings for _ in range(50)))
        done.set()
        await beside

    done = threading.Event()
    asyncio.run(go())

    print({name: f"cut after {seconds:.2f} s at most" for name, seconds in cut_after.items()})
    print(f"{len(served)} others served meanwhile, slowest {max(served):.2f} s")
    assert max(cut_after.values()) < 10
    _settles(strict, before, "300 slow clients")
    _no_traceback(strict)


def test_clients_that_never_read_hold_up_nobody(server: Served) -> None:
    """20 orders of 6 MB each of which nothing is read: seats come free, others are served."""
    before = _warm(server)
    data = request(photo(1700, 1200), "Content-Type: image/jpeg", start="POST /v2?format=bmp HTTP/1.1")
    with ExitStack() as lines, _watching(server) as health:
        waiting = [lines.enter_context(connect(server.port, receive_bytes=4096)) for _ in range(20)]
        for line in waiting:
            line.sendall(data)
        started = time.monotonic()
        answer = server.post("/v2", content=PHOTO)
        served_s = time.monotonic() - started
        free_s = wait_until(lambda: metric(server, "bgone_seats_busy") == 0, 40)
    print(f"served in {served_s:.2f} s beside them, all seats free {free_s:.2f} s later")
    print(f"/livez p99 {_p99(health) * 1000:.0f} ms of {len(health)}")
    assert answer.status_code in (200, 503)
    _settles(server, before, "20 who do not read")


def test_hang_ups_leave_nothing_behind(server: Served) -> None:
    """100 uploads that break off, 60 clients gone while their picture is made, 30 gone while they read it."""
    before = _warm(server)
    whole = photo(1200, 900)
    data = request(whole, "Content-Type: image/jpeg")
    form = b'--b\r\ncontent-disposition: form-data; name="image_file"; filename="x"\r\n\r\n' + whole
    started = [
        *(data[: random.Random(seed).randrange(1, len(data) - 1)] for seed in range(60)),
        *(request(form, "Content-Type: multipart/form-data; boundary=b")[:-seed] for seed in range(1, 41)),
    ]
    for piece in started:
        with connect(server.port) as line:
            line.sendall(piece)
    _settles(server, before, "100 broken uploads")

    for index in range(60):
        with connect(server.port) as line:
            line.sendall(data)
            if index % 2:  # a reset instead of a polite end
                line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    _settles(server, before, "60 gone while waiting")

    for _ in range(30):
        with connect(server.port, receive_bytes=4096) as line:
            line.sendall(data)
            line.settimeout(30)
            line.recv(10)
    _settles(server, before, "30 gone while reading")
    _no_traceback(server)


def test_a_hang_up_behind_a_pipelined_request_is_heard(server: Served) -> None:
    """The first of two pipelined requests is the one that works: its seat is free when the client has gone."""
    before = _warm(server)
    picture = photo(2600, 1950)
    post = f"POST /v2 HTTP/1.1\r\nHost: x\r\nContent-Length: {len(picture)}\r\n\r\n".encode() + picture
    hang_up = 'bgone_requests_total{dialect="backgrounderase",operation="cut",status="499"}'
    with connect(server.port) as line:  # so that the counter is there
        line.sendall(post[:-1])
    wait_until(lambda: hang_up in server.get("/metrics").text)
    gone = metric(server, hang_up)
    with connect(server.port) as line:
        line.sendall(post + b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: metric(server, "bgone_inflight") == 1)
    _settles(server, before, "a pipelined hang-up")
    assert metric(server, hang_up) == gone + 1


_MULTIPART = "multipart/form-data; boundary=b"
_FIELD = '--b\r\ncontent-disposition: form-data; name="f{}"\r\n\r\n1\r\n'
FORMS = {
    "urlencoded": ("application/x-www-form-urlencoded", "&".join(f"f{i}=1" for i in range(10_000))),
    "multipart": (_MULTIPART, "".join(_FIELD.format(i) for i in range(10_000)) + "--b--\r\n"),
    "json": ("application/json", "{" + ",".join(f'"f{i}":1' for i in range(10_000)) + "}"),
    "deep json": ("application/json", '{"a":' * 10_000 + "1" + "}" * 10_000),
    "part with 10,000 headers": (_MULTIPART, "--b\r\n" + "a: b\r\n" * 10_000 + "\r\n1\r\n--b--\r\n"),
    "query": ("", ""),
}


@pytest.mark.parametrize("case", FORMS)
def test_10_000_fields_are_refused(server: Served, case: str) -> None:
    """400 in words, at once."""
    media, body = FORMS[case]
    query = "&".join(f"f{i}=1" for i in range(7_000)) if case == "query" else ""
    answer = server.post(f"/v2?{query}", content=body or PHOTO, headers={"content-type": media})
    print(answer.status_code, answer.text[:150], answer.elapsed)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] in ("invalid_request", "missing_image")
    assert answer.elapsed.total_seconds() < 10


# --- bursts ---------------------------------------------------------------------------------------------------------


def test_a_burst_is_answered_to_the_last(server: Served) -> None:
    """200 posts at once: 200, 429 or 503 with whole seconds to wait; after some rounds everybody has a picture."""
    before = _warm(server)
    waiting = [request(photo(320, 240, seed=seed), "Content-Type: image/jpeg") for seed in range(200)]
    rounds: list[Counter[int]] = []
    pauses: list[int] = []
    with _watching(server) as health, _peak(server) as growth:
        started = time.monotonic()
        while waiting:
            assert len(rounds) < 12
            found = asyncio.run(_together(server.port, waiting))
            lost = [answer for answer in found if not isinstance(answer, Answer)]
            assert not lost, lost[:3]
            kept = [answer for answer in found if isinstance(answer, Answer)]
            rounds.append(Counter(answer.status for answer in kept))
            for answer in kept:
                if answer.status != 200:
                    assert answer.headers["retry-after"].isdigit()
                    pauses.append(int(answer.headers["retry-after"]))
            waiting = [data for data, answer in zip(waiting, kept, strict=True) if answer.status != 200]
        seconds = time.monotonic() - started
    print(
        f"{[dict(counts) for counts in rounds]} in {seconds:.2f} s; Retry-After {sorted(set(pauses))}; "
        f"/livez p99 {_p99(health) * 1000:.0f} ms of {len(health)}; peak +{growth[0] / MEGABYTE:.0f} MiB"
    )
    assert set().union(*rounds) <= {200, 429, 503}
    assert min(pauses, default=1) >= 1
    _settles(server, before, "burst")
    _no_traceback(server)


def test_pictures_of_a_burst_are_never_mixed_up(server: Served) -> None:
    """16 sizes and colours at once, twice: each client gets its own."""
    pictures = [
        np.full((40 + index, 61 + 2 * index, 3), (index * 15, 255 - index * 15, 77), np.uint8) for index in range(16)
    ]
    data = [request(encode(picture, "PNG"), start="POST /v2?format=bmp HTTP/1.1") for picture in pictures]
    alone = [answers(talk(server.port, one))[0].body for one in data]
    assert len(set(alone)) == 16

    for _ in range(2):
        for index, answer in enumerate(asyncio.run(_together(server.port, data))):
            assert isinstance(answer, Answer), answer
            assert answer.status == 200
            assert answer.body == alone[index]


def test_a_soak_of_mixed_requests_leaves_nothing_behind(server: Served) -> None:
    """150 requests, good, bad and broken, eight at a time: descriptors and threads return, memory is printed."""
    choice = random.Random(7)
    bombs = [make() for name, make in BOMBS.items() if "pixels" not in name]
    sizes = [(61, 40), (640, 480), (1000, 1000), (1200, 900)]
    good = [
        request(photo(*size), start=f"POST /v2?format={form} HTTP/1.1")
        for size in sizes
        for form in ("png", "webp", "jpg")
    ]
    mixed = [*good * 2, *(request(bomb) for bomb in bombs[:8]), request(PHOTO[:700]), request(b"x" * 50), request(b"")]

    def one(index: int) -> str:
        data = mixed[index % len(mixed)]
        with connect(server.port, 60) as line:
            if choice.random() < 0.1:
                line.sendall(data[: len(data) // 2])
                return "gone"
            line.sendall(data)
            return str(answers(drain(line))[0].status)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(len(mixed))))
        before = _warm(server)
        counts = Counter(pool.map(one, range(150)))
    print(dict(counts))
    assert set(counts) <= {"200", "400", "413", "415", "503", "gone"}
    _settles(server, before, "soak of 150")
    _no_traceback(server)


# --- a failure after the first byte ---------------------------------------------------------------------------------


@contextmanager
def _running(app: Any, port: int) -> Iterator[uvicorn.Server]:
    """An ASGI application of a test's own on our protocol."""
    config = uvicorn.Config(app, port=port, http=guarded_protocol(15), lifespan="off", ws="none", log_config=None)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield server
    finally:
        server.should_exit = True
        thread.join()


class _BreakingStudio(Studio):
    """Every picture fails after 200 kB."""

    def __init__(self, error: BaseException, disk: Executor) -> None:
        options = StudioOptions(threads=1, seats=1, queue=1, deadline_s=10)
        super().__init__(Fetcher(), options, Budget(1 << 30))
        self._error = error
        self._own_disk = disk

    async def make(self, *_: object) -> Result:
        spool = Spool(self._own_disk)
        spool.write(b"\x89PNG" + bytes(200_000))
        asyncio.get_running_loop().call_later(0.05, spool.fail, self._error)
        return Result(spool, "image/png", "png", 10, 10, 10, 10, None)


def _desk(studio: Studio, gate: OpenGate) -> Desk:
    objects = Objects("memory:///")
    book = JobBook(partial(make_picture, studio), objects)
    return Desk(studio, book, objects, Signer(b"secret"), Fetcher().fetch, gate, Webhooks(), lambda _: None, 0)


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize("error", [deadline_passed(1), ClientGone(), OSError("disk full"), RuntimeError("bug")])
def test_a_failure_after_the_first_byte_never_looks_like_a_whole_picture(error: BaseException, version: str) -> None:
    """The connection is cut in the middle of the chunks; where nothing was sent yet, the client gets the error."""
    port = free_port()
    operations = {"POST": backgrounderase.DIALECT.operations[0]}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        with ThreadPoolExecutor(1) as disk:
            studio = _BreakingStudio(error, disk)
            gate = OpenGate(StaticKeys(()), keys_needed=False)
            desk = _desk(studio, gate)
            conductor = Conductor(studio, desk, gate, Health(studio, gate), Metrics(), Policy())
            await conductor.serve(backgrounderase.DIALECT, operations, scope, receive, send)

    with _running(app, port):
        data = talk(port, request(PHOTO).replace(b"HTTP/1.1", f"HTTP/{version}".encode(), 1))

    if version == "1.0":
        assert data.split(b" ")[1] == (b"503" if isinstance(error, ApiError) else b"500")
    else:
        assert data.startswith(b"HTTP/1.1 200")
        assert len(data) > 100_000
        assert not data.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("keep_alive", [False, True])
def test_a_closed_connection_does_not_wait_for_ever_for_its_reader(
    monkeypatch: pytest.MonkeyPatch, *, keep_alive: bool
) -> None:
    """A whole answer of 20 MB that nobody takes is dropped some time after it was written."""
    monkeypatch.setattr("bgone.api.protocol.CLOSE_S", 0.3)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await Reply(scope, receive, send, []).whole(200, bytes(20_000_000), [])

    port = free_port()
    with _running(app, port) as server, connect(port, receive_bytes=4096) as line:
        server.config.timeout_keep_alive = 1
        line.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n" + (b"" if keep_alive else b"Connection: close\r\n") + b"\r\n")
        wait_until(lambda: server.server_state.connections)
        seconds = wait_until(lambda: not server.server_state.connections, 10)
    print(f"dropped after {seconds:.2f} s")


# --- addresses inside -----------------------------------------------------------------------------------------------


@dataclass
class _Site:
    """A stranger's web server.

    Attributes:
        heads: What was asked of it.
    """

    host: str
    port: int = 0
    heads: list[bytes] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://{self.host}:{self.port}{path}"


@contextmanager
def _site(host: str, redirect_to: str = "") -> Iterator[_Site]:
    """Answers /x.jpg with a picture, /away with a redirect, /slow not at all, /endless without an end."""
    site = _Site(host)
    stop = threading.Event()

    def answer(line: socket.socket) -> None:
        with line, suppress(OSError):
            head = line.recv(65_536)
            site.heads.append(head)
            path = head.split(b" ")[1] if head.count(b" ") > 1 else b""
            if path == b"/away":
                line.sendall(f"HTTP/1.1 302 Found\r\nLocation: {redirect_to}\r\nContent-Length: 0\r\n\r\n".encode())
            elif path == b"/slow":
                stop.wait(20)
            elif path == b"/endless":
                line.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + PHOTO)
                while not stop.is_set():
                    line.sendall(bytes(65_536))
            else:
                line.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(PHOTO) + PHOTO)

    def accept() -> None:
        while not stop.is_set():
            with suppress(TimeoutError):
                line, _ = listener.accept()
                line.settimeout(20)
                threads.append(threading.Thread(target=answer, args=(line,)))
                threads[-1].start()

    threads: list[threading.Thread] = []
    with socket.create_server((host, 0), backlog=100) as listener:
        listener.settimeout(0.1)
        site.port = listener.getsockname()[1]
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield site
        finally:
            stop.set()
            for thread in (accepting, *threads):
                thread.join()


def _fetching(client: Client, url: str, how: str, **headers: str) -> Any:
    if how == "multipart":
        return client.post("/v2", files={"image_url": (None, url)}, headers=headers)
    if how == "json":
        return client.post("/v2", json={"image_url": url}, headers={"accept": "image/*", **headers})
    if how == "urlencoded":
        return client.post("/v2", data={"image_url": url}, headers=headers)
    return client.post("/v2", params={"image_url": url}, headers=headers)


def test_allowed_origins_are_fetched_without_our_keys(strict: Served) -> None:
    """By multipart, JSON, form and query alike; the origin hears nothing of the caller."""
    secret = {"x-api-key": "s3cret", "authorization": "Bearer s3cret", "cookie": "a=s3cret", "referer": "s3cret"}
    with _site("127.0.0.2") as site, strict.client() as client:
        expected = client.post("/v2", content=PHOTO).content
        for how in ("multipart", "json", "urlencoded", "query"):
            answer = _fetching(client, site.url("/x.jpg?a=b"), how, **secret)
            assert answer.status_code == 200, (how, answer.text)
            assert answer.content == expected
            assert "fetch" in answer.headers["server-timing"]
    assert len(site.heads) == 4
    for head in site.heads:
        assert b"s3cret" not in head
        assert b"cookie" not in head.lower()
        assert b"Host: 127.0.0.2:%d\r\n" % site.port in head


SPELLINGS = (
    "http://127.0.0.1:PORT/", "http://localhost:PORT/", "http://LOCALHOST.:PORT/", "http://127.1:PORT/",
    "http://127.0.1:PORT/", "http://2130706433:PORT/", "http://0x7f000001:PORT/", "http://0x7f.0.0.1:PORT/",
    "http://0177.0.0.1:PORT/", "http://017700000001:PORT/", "http://127.0.0.1.:PORT/", "http://0:PORT/",
    "http://0.0.0.0:PORT/", "http://[::1]:PORT/", "http://[::]:PORT/", "http://[::ffff:127.0.0.1]:PORT/",
    "http://[::ffff:7f00:1]:PORT/", "http://[::127.0.0.1]:PORT/", "http://[64:ff9b::7f00:1]:PORT/",
    "http://[2002:7f00:1::]:PORT/", "http://[0:0:0:0:0:0:0:1]:PORT/", "http://[::1%25lo]:PORT/",
    "http://127.0.0.2@127.0.0.1:PORT/", "http://127.0.0.1:PORT#@127.0.0.2/", "http://127.0.0.2:80\\@127.0.0.1:PORT/",
    "http://127.0.0.1:PORT?.png", "http:\\\\127.0.0.1:PORT/", "http:/127.0.0.1:PORT/", "//127.0.0.1:PORT/",
    "http://①②⑦.⓪.⓪.①:PORT/", "http://127。0。0。1:PORT/", "http://127.0.0.1%00.example:PORT/",
    "http://%31%32%37.0.0.1:PORT/", "http://127.0.0.3:PORT/", "http://127.255.255.254:PORT/", "HTTP://127.0.0.1:PORT/",
    "http://127.0.0.1\t:PORT/", "ht\ntp://127.0.0.1:PORT/", "http://localhost:PORT/\r\nX: y", "http://169.254.169.254/",
    "http://10.0.0.1/", "http://192.168.0.1/", "http://172.16.0.1/", "http://100.64.0.1/", "http://[fe80::1]/",
    "http://[fd00:ec2::254]/", "ftp://127.0.0.1:PORT/", "file:///etc/passwd", "gopher://127.0.0.1:PORT/_x",
    "data:image/png;base64,AAAA", "unix:///var/run/docker.sock", "http://", "http://:PORT/",
)  # fmt: skip


def test_no_spelling_reaches_an_address_inside(strict: Served) -> None:
    """Every form of loopback, private and special addresses, by two kinds of body: 400 and not one packet."""
    slowest = 0.0
    with _site("0.0.0.0") as site, strict.client() as client:
        for spelling in SPELLINGS:
            url = spelling.replace("PORT", str(site.port))
            for how in ("json", "multipart"):
                answer = _fetching(client, url, how)
                slowest = max(slowest, answer.elapsed.total_seconds())
                assert answer.status_code == 400, (url, answer.text)
                assert answer.json()["error"]["code"] == "image_fetch_failed", (url, answer.text)
        others = (
            "bg_image_url",
            "bg_url",
            "url",
            "image",
            "webhook_url",
            "callback",
            "image_file",
            "image_base64",
            "bg_color",
        )
        for name in others:
            data = {name: site.url("/").replace("0.0.0.0", "127.0.0.1")}
            answer = client.post("/v2", files={"image_file": ("x", PHOTO)}, data=data)
            assert answer.status_code in (200, 400)
    print(f"{len(SPELLINGS)} spellings twice, {len(site.heads)} hits, slowest {slowest:.2f} s")
    assert not site.heads


def test_redirects_to_addresses_inside_are_not_followed(strict: Served) -> None:
    """The allowed origin is asked once, the canary never."""
    with _site("127.0.0.1") as canary, strict.client() as client:
        for target in (
            canary.url("/"),
            f"http://localhost:{canary.port}/",
            f"//127.0.0.1:{canary.port}/",
            "file:///etc/passwd",
        ):
            with _site("127.0.0.2", target) as site:
                answer = _fetching(client, site.url("/away"), "json")
                assert answer.status_code == 400
                assert answer.json()["error"]["code"] == "image_fetch_failed"
                assert len(site.heads) == 1
    assert not canary.heads


def test_hostile_origins_are_over_soon_and_delay_nobody(strict: Served) -> None:
    """30 that never answer and one without an end: 400 and 413 in time, ordinary posts go on meanwhile."""
    before = _warm(strict)
    with _site("127.0.0.2") as site, ThreadPoolExecutor(31) as pool, _peak(strict) as growth:

        def visit(path: str) -> tuple[int, float]:
            with strict.client() as client:
                answer = _fetching(client, site.url(path), "json")
                return answer.status_code, answer.elapsed.total_seconds()

        visits = [pool.submit(visit, path) for path in ["/endless"] + ["/slow"] * 30]
        ordinary = []
        with strict.client() as client:
            while not all(one.done() for one in visits):
                answer = client.post("/v2", content=PHOTO)
                assert answer.status_code == 200
                ordinary.append(answer.elapsed.total_seconds())
        outcomes = [one.result() for one in visits]
    counts = Counter(status for status, _ in outcomes)
    slowest = max(seconds for _, seconds in outcomes)
    print(
        f"{dict(counts)}, slowest {slowest:.2f} s; {len(ordinary)} ordinary posts, slowest {max(ordinary):.2f} s; "
        f"peak +{growth[0] / MEGABYTE:.0f} MiB"
    )
    assert outcomes[0][0] == 413
    assert set(counts) <= {400, 413, 503}
    assert slowest < 15
    _settles(strict, before, "31 hostile origins")
    _no_traceback(strict)
