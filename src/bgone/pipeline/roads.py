"""Roads to strangers: a URL's host becomes addresses that were judged, and connections that lead nowhere else.

The name is resolved once, every address of it must be permitted, and the connection goes to those very addresses; the
name lives on only in ``Host``, SNI and the certificate check. Fetched pictures and webhooks take the same roads.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from itertools import chain, zip_longest

import httpcore2
from httpcore2 import AnyIOBackend, AsyncNetworkBackend, AsyncNetworkStream

from bgone.errors import ApiError, fetch_failed
from bgone.pipeline.addresses import Address, Network, Target, allowed, permitted, port_permitted

Resolver = Callable[[str, int], Sequence[str]]
"""Blocking: name and port to addresses in text, best first; raises OSError for an unknown name."""

ADDRESSES_TRIED = 4


def system_resolver(host: str, port: int) -> list[str]:
    """Ask the system for the addresses of ``host``."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


class Roads:
    """Finds and judges addresses; lives on one event loop, with threads of its own for look-ups.

    Args:
        allow: Networks that may be reached although they are not public, on any port.
        resolver: Stand-in for the system's resolver.
        dns_s: Longest wait for a name.
        lookups: Look-ups at once.
    """

    def __init__(
        self,
        allow: tuple[Network, ...] = (),
        *,
        resolver: Resolver = system_resolver,
        dns_s: float = 4.0,
        lookups: int = 8,
    ) -> None:
        self._allow = allow
        self._resolver = resolver
        self._dns_s = dns_s
        # A look-up cannot be interrupted: hung ones fill these threads only, and the rest time out unstarted.
        self._lookups = ThreadPoolExecutor(lookups, thread_name_prefix="bgone-dns")

    async def aclose(self) -> None:
        """Drop look-ups that have not started."""
        self._lookups.shutdown(wait=False, cancel_futures=True)

    async def to(self, target: Target) -> PinnedRoad:
        """The road to every address behind ``target``, in the order to try them.

        Raises:
            fetch_failed: An unknown name, an address or a port that is not permitted: one refused address refuses all.
        """
        found = [target.literal] if target.literal else await self._look_up(target)
        if not all(permitted(address, self._allow) for address in found):
            raise _not_reachable(target, f"{target}: refused among {[str(address) for address in found]}")
        if not port_permitted(target.port) and not all(allowed(address, self._allow) for address in found):
            raise fetch_failed("the port is not allowed", detail=str(target))
        return PinnedRoad([str(address) for address in _alternate(found)[:ADDRESSES_TRIED]])

    async def _look_up(self, target: Target) -> list[Address]:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._dns_s):
                texts = await loop.run_in_executor(self._lookups, self._resolver, target.host, target.port)
            found = [ip_address(text) for text in dict.fromkeys(texts)]
        except TimeoutError as error:
            raise fetch_failed("timed out", detail=f"{target}: name look-up") from error
        except (OSError, ValueError) as error:
            raise _not_reachable(target, f"{target}: {error!r}") from error
        if not found:
            raise _not_reachable(target, f"{target}: no address")
        return found


class PinnedRoad(AsyncNetworkBackend):
    """Connect to given addresses and no others, whatever name is asked for; the first that answers is taken."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self._addresses = addresses
        self._inner = AnyIOBackend()
        self._stream: AsyncNetworkStream | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        failure: Exception = httpcore2.ConnectError("no address")
        for address in self._addresses:
            try:
                self._stream = await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
                return self._stream
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def aclose(self) -> None:
        # Not left to httpcore: it forgets the socket when it is cancelled during the TLS handshake.
        if self._stream is not None:
            await self._stream.aclose()


def origin_of(target: Target) -> httpcore2.Origin:
    """Whom a connection is made to, and whose certificate is checked."""
    return httpcore2.Origin(target.url.raw_scheme, target.host.encode(), target.port)


def wire_url(target: Target) -> httpcore2.URL:
    """The URL as httpcore writes it on the wire."""
    return httpcore2.URL(
        scheme=target.url.raw_scheme, host=target.host.encode(), port=target.port, target=target.url.raw_path
    )


def _alternate(addresses: Sequence[Address]) -> list[Address]:
    """Take the families in turn, so that a dead IPv6 does not use up every try (RFC 8305, section 4)."""
    first = [address for address in addresses if address.version == addresses[0].version]
    second = [address for address in addresses if address.version != addresses[0].version]
    return [address for address in chain.from_iterable(zip_longest(first, second)) if address is not None]


def _not_reachable(target: Target, detail: str) -> ApiError:
    # One wording for an unknown name and a refused one: inside names must not be told apart from outside.
    why = "the address is not allowed" if target.literal else "the host is unknown or its address is not allowed"
    return fetch_failed(why, detail=detail)
