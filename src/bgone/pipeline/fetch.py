"""A stranger's URL becomes bytes, without the stranger learning or reaching anything inside.

Each hop is judged in full before a packet leaves (``pipeline/roads.py``). A connection serves one request and is
closed, so nothing (cookies, a TLS session of another name) outlives its hop.
"""

from __future__ import annotations

import asyncio
import ssl
import time
import zlib
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import cast

import httpcore2
import httpx2
from httpcore2 import AsyncHTTPConnection

from bgone import __version__
from bgone.errors import fetch_failed, overloaded, too_many_bytes
from bgone.pipeline.addresses import Network, Target, read_url
from bgone.pipeline.roads import Resolver, Roads, origin_of, system_resolver, wire_url

INFLATED_STEP = 256 * 1024
PIECES_BETWEEN_YIELDS = 32
REDIRECTS = (301, 302, 303, 307, 308)
# 203 is a 200 that a transforming proxy has touched.
GOOD = (200, 203)
CODINGS = ("gzip", "x-gzip", "deflate")


@dataclass(frozen=True, slots=True)
class FetchLimits:
    """What one fetch may cost, and how many run at once.

    Attributes:
        bytes: Most bytes of one picture, as sent and after inflating.
        connect_s: For each address tried, and for the TLS handshake.
        read_s: Longest silence of an origin.
        dns_s: Longest wait for a name.
        total_s: For everything together, waiting for a turn and all hops included.
        redirects: Hops followed after the first.
        concurrency: Fetches at once.
        waiting: Fetches that may wait for a turn; more are refused as overloaded.
    """

    bytes: int = 30_000_000
    connect_s: float = 3.0
    read_s: float = 5.0
    dns_s: float = 4.0
    total_s: float = 11.0
    redirects: int = 3
    concurrency: int = 16
    waiting: int = 64


OnEnd = Callable[[float, int, BaseException | None], None]


def _nobody(_seconds: float, _size_bytes: int, _error: BaseException | None) -> None:
    """Hears of fetches where nobody wants to."""


class Fetcher:
    """Fetch pictures from URLs; lives as long as the app, on one event loop.

    Args:
        limits: What a fetch may cost.
        allow: Networks that may be reached although they are not public, on any port.
        resolver: Stand-in for the system's resolver; runs on this object's own threads.
        tls: Whom to trust; the system's certificate store (and ``SSL_CERT_FILE``) by default.
        on_end: Hears of every fetch: seconds, bytes, what it failed with.
    """

    def __init__(
        self,
        limits: FetchLimits | None = None,
        allow: tuple[Network, ...] = (),
        *,
        resolver: Resolver = system_resolver,
        tls: ssl.SSLContext | None = None,
        on_end: OnEnd = _nobody,
    ) -> None:
        self._limits = limits or FetchLimits()
        self._on_end = on_end
        lookups = min(8, self._limits.concurrency)
        self._roads = Roads(allow, resolver=resolver, dns_s=self._limits.dns_s, lookups=lookups)
        self._tls = tls or ssl.create_default_context()
        self._turns = asyncio.Semaphore(self._limits.concurrency)
        self._inside = 0

    async def aclose(self) -> None:
        """Drop look-ups that have not started; fetches in flight belong to their callers."""
        await self._roads.aclose()

    async def fetch(self, url: str, limit_bytes: int | None = None) -> bytes:
        """Fetch the bytes behind ``url``; what they are is for the decoder to say.

        https may redirect to http: a picture's address is no secret of ours, and both are judged alike.

        Raises:
            fetch_failed: A URL, address or port that is not permitted; an origin that fails, lies or dawdles.
            too_many_bytes: More than ``limit_bytes`` (else ``limits.bytes``), announced or sent.
            overloaded: No turn in time, or too many waiting.
        """
        started = time.monotonic()
        try:
            data = await self._fetch(url, limit_bytes or self._limits.bytes)
        except BaseException as error:
            self._on_end(time.monotonic() - started, 0, error)
            raise
        self._on_end(time.monotonic() - started, len(data), None)
        return data

    async def _fetch(self, url: str, limit_bytes: int) -> bytes:
        target = read_url(url)
        if self._inside >= self._limits.concurrency + self._limits.waiting:
            raise overloaded(2, "too many fetches waiting")
        self._inside += 1
        now = asyncio.get_running_loop().time
        arrived, started = now(), float("inf")
        try:
            async with asyncio.timeout(self._limits.total_s), self._turns:
                started = now()
                return await self._follow(target, limit_bytes)
        except TimeoutError as error:
            # Whoever spent most of the time waiting for a turn was failed by us, not by the origin.
            if started - arrived > self._limits.total_s / 2:
                raise overloaded(5, "no turn to fetch in time") from error
            raise fetch_failed("timed out", detail=f"{target}: {self._limits.total_s:g} s in all") from error
        finally:
            self._inside -= 1

    async def _follow(self, target: Target, limit_bytes: int) -> bytes:
        for _ in range(self._limits.redirects + 1):
            answer = await self._ask(target, limit_bytes)
            if isinstance(answer, bytes):
                return answer
            target = answer
        raise fetch_failed(f"more than {self._limits.redirects} redirects", detail=str(target))

    async def _ask(self, target: Target, limit_bytes: int) -> bytes | Target:
        """One hop: the body, or where it sends us."""
        road = await self._roads.to(target)
        connection = AsyncHTTPConnection(origin_of(target), ssl_context=self._tls, network_backend=road)
        try:
            response = await connection.handle_async_request(self._request(target))
            if response.status in REDIRECTS:
                return _redirected(target, response)
            if response.status not in GOOD:
                raise fetch_failed(f"the origin answered {response.status}", detail=str(target))
            return await collect(response, limit_bytes)
        except httpcore2.TimeoutException as error:
            raise fetch_failed("timed out", detail=f"{target}: {error!r}") from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
            raise fetch_failed("the connection failed or broke off", detail=f"{target}: {error!r}") from error
        finally:
            await road.aclose()

    def _request(self, target: Target) -> httpcore2.Request:
        timeout = {"connect": self._limits.connect_s, "read": self._limits.read_s, "write": self._limits.read_s}
        headers: list[tuple[bytes | str, bytes | str]] = [
            ("Host", target.url.netloc),
            ("User-Agent", f"bgone/{__version__}"),
            ("Accept", "image/*,*/*;q=0.8"),
            ("Accept-Encoding", "identity"),
            ("Connection", "close"),
        ]
        return httpcore2.Request("GET", wire_url(target), headers=headers, extensions={"timeout": timeout})


async def collect(response: httpcore2.Response, limit_bytes: int) -> bytes:
    """Gather a body, counted while it arrives and while it inflates, in steps that leave the event loop air.

    Raises:
        too_many_bytes: The announced length, the bytes sent or the bytes inflated pass ``limit_bytes``.
        fetch_failed: An unknown coding, damaged or truncated coded data, an empty body.
    """
    announced, inflater = _read_headers(response)
    if announced > limit_bytes:
        raise too_many_bytes(limit_bytes)
    body = bytearray()
    sent = pieces = 0
    stream = cast(AsyncGenerator[bytes, None], aiter(cast(AsyncGenerator[bytes, None], response.stream)))
    async with aclosing(stream):
        async for raw in stream:
            sent += len(raw)
            for piece in inflate(inflater, raw) if inflater else (raw,):
                body += piece
                pieces += 1
                if max(sent, len(body)) > limit_bytes:
                    raise too_many_bytes(limit_bytes)
                if pieces % PIECES_BETWEEN_YIELDS == 0:
                    await asyncio.sleep(0)
    if inflater and not inflater.eof:
        raise fetch_failed("the answer was cut short", detail="coded data ended early")
    if not body:
        raise fetch_failed("the answer was empty")
    return bytes(body)


def inflate(inflater: zlib._Decompress, raw: bytes) -> Iterable[bytes]:
    """Yield what ``raw`` inflates to, at most ``INFLATED_STEP`` bytes at a time."""
    while True:
        if raw and inflater.eof:
            raise fetch_failed("the answer's coding is damaged", detail="data after the end of coded data")
        try:
            piece = inflater.decompress(raw, INFLATED_STEP)
        except zlib.error as error:
            raise fetch_failed("the answer's coding is damaged", detail=str(error)) from error
        yield piece
        raw = inflater.unconsumed_tail or inflater.unused_data
        # A full step may leave more inside zlib, even when all input is taken.
        if not raw and len(piece) < INFLATED_STEP:
            return


def _read_headers(response: httpcore2.Response) -> tuple[int, zlib._Decompress | None]:
    announced = 0
    codings: list[str] = []
    for name, value in response.headers:
        match name.lower():
            case b"content-length":
                announced = int(value)  # h11 has checked the digits
            case b"content-encoding":
                codings += [part.strip().lower() for part in value.decode("latin-1").split(",")]
    codings = [coding for coding in codings if coding not in ("", "identity")]
    if not codings:
        return announced, None
    if len(codings) > 1 or codings[0] not in CODINGS:
        raise fetch_failed("the answer is compressed although identity was asked for", detail=str(codings)[:200])
    return announced, zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # reads gzip and zlib headers alike


def _redirected(target: Target, response: httpcore2.Response) -> Target:
    location = next((value for name, value in response.headers if name.lower() == b"location"), b"")
    if not location:
        raise fetch_failed("the origin redirects nowhere", detail=str(target))
    text = location.decode("utf-8", "replace")
    try:
        # Relative ones are joined; absolute ones are read from their own text, before anything normalises it.
        return read_url(text if "://" in text.partition("?")[0] else str(target.url.join(text)))
    except httpx2.InvalidURL as error:
        raise fetch_failed("the origin redirects to a bad URL", detail=f"{target}: {error}") from error
