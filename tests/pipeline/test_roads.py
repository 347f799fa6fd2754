"""Roads: names become addresses, each one judged, and connections lead to these alone."""

from __future__ import annotations

import asyncio
import time

import pytest

from bgone.errors import ApiError
from bgone.pipeline.addresses import parse_networks, read_url
from bgone.pipeline.roads import ADDRESSES_TRIED, Roads


def addresses_of(url: str, found: list[str], allow: str = "") -> list[str]:
    """Where a road leads that is asked for while the resolver answers ``found``."""

    async def main() -> list[str]:
        roads = Roads(parse_networks(allow), resolver=lambda _host, _port: found)
        try:
            return list((await roads.to(read_url(url)))._addresses)
        finally:
            await roads.aclose()

    return asyncio.run(main())


def test_families_take_turns() -> None:
    """In the resolver's order, doubles once, no more than are tried: a dead IPv6 does not use up every try."""
    sixes = [f"2a00:1450:4001::{number}" for number in range(1, 6)]
    fours = ["93.184.216.34", "93.184.216.35"]

    assert addresses_of("https://a.test/", [*sixes, sixes[0], *fours]) == [sixes[0], fours[0], sixes[1], fours[1]]
    assert len(addresses_of("https://a.test/", sixes)) == ADDRESSES_TRIED


def test_addresses_in_urls_are_taken_as_they_are() -> None:
    """Nobody is asked for them."""
    assert addresses_of("https://93.184.216.34/", []) == ["93.184.216.34"]


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("http://127.0.0.1/", []),
        ("http://a.test/", []),
        ("http://a.test/", ["10.0.0.1"]),
        ("http://a.test/", ["93.184.216.34", "10.0.0.1"]),
        ("http://a.test/", ["nonsense"]),
        ("http://a.test:22/", ["93.184.216.34"]),
    ],
)
def test_one_refused_address_refuses_all(url: str, found: list[str]) -> None:
    """Loopback, no address, private ones, also beside public ones, ports of other services."""
    with pytest.raises(ApiError) as caught:
        addresses_of(url, found)
    assert caught.value.kind == "fetch_failed"


def test_allowed_networks_open_every_port() -> None:
    """What the operator names is reached."""
    assert addresses_of("http://a.test:22/", ["10.0.0.1"], allow="10.0.0.0/8") == ["10.0.0.1"]


def test_look_ups_that_hang_are_left() -> None:
    """After ``dns_s``."""

    def hang(_host: str, _port: int) -> list[str]:
        time.sleep(0.3)
        return ["93.184.216.34"]

    async def main() -> None:
        roads = Roads(resolver=hang, dns_s=0.05)
        with pytest.raises(ApiError):
            await roads.to(read_url("http://a.test/"))
        await roads.aclose()

    asyncio.run(main())
