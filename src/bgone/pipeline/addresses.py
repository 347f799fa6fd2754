"""Which addresses a stranger's URL may lead to: public ones, and those that the operator allows.

The text of a URL proves nothing: what counts is the address that is connected to. So the text is only read here
(:func:`read_url`), and every address behind it is judged by tables (:func:`permitted`), never by ``is_global``, whose
answers differ between Python versions. IPv6 is judged the other way round, by what is permitted: only global unicast
2000::/3 is assigned to the public, so loopback, ::/96, ::ffff:0:0/96, 64:ff9b:1::/48, 100::/64, 5f00::/16, fc00::/7,
fe80::/10, fec0::/10 and ff00::/8 are refused without being named.

Source: RFC 6890 and the IANA IPv4 and IPv6 Special-Purpose Address Registries; RFC 6052 (NAT64), RFC 5214 (ISATAP).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

import httpx2

from bgone.errors import ApiError, fetch_failed

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

URL_CHARACTERS = 4096

REFUSED_V4 = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # carrier NAT; Alibaba's metadata service
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host agent: a public number, answered inside every Azure machine
        "169.254.0.0/16",  # link-local; metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocol assignments; Oracle's metadata service
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays, deprecated
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
)
GLOBAL_V6 = IPv6Network("2000::/3")
REFUSED_V6 = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # IETF protocol assignments: Teredo (carries two IPv4 addresses), benchmarking, ORCHID
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: carries an IPv4 address; deprecated
        "2620:4f:8000::/48",  # AS112
        "3ffe::/16",  # 6bone, returned
        "3fff::/20",  # documentation
    )
)
# An IPv6-only host reaches all of IPv4 through this prefix (DNS64), so it is unwrapped, not refused.
NAT64 = IPv6Network("64:ff9b::/96")
ISATAP_MARKS = (0x0000_5EFE, 0x0200_5EFE)

# Well-known services live below 1024; above it, those that browsers refuse too.
# Source: https://fetch.spec.whatwg.org/#port-blocking
WEB_PORTS = (80, 443)
REFUSED_PORTS = frozenset(
    (1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080)
)

AUTHORITY = re.compile(r"(?i:https?)://(\[[0-9A-Fa-f:.]+\]|[^\[\]:@%/?#]+)(?::([0-9]{0,5}))?(?=[/?#]|\Z)")
NAME = re.compile(r"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a URL leads, read once; nothing after this looks at its text again.

    Attributes:
        url: The URL as parsed, to join redirects to.
        host: Name in ASCII or address, lower case, without brackets or a closing dot.
        port: 1..65535.
        literal: The host where it is an address itself, else None.
    """

    url: httpx2.URL
    host: str
    port: int
    literal: Address | None

    def __str__(self) -> str:
        """Scheme, host and port alone: paths and queries hold strangers' secrets and do not belong in logs."""
        return f"{self.url.scheme}://{self.host} port {self.port}"


def read_url(url: str) -> Target:
    """Read an absolute http or https URL, strictly: what two readers could understand differently is refused.

    Raises:
        fetch_failed: Another scheme, a user name, control characters, a backslash, an odd form of an address, no host.
    """
    if len(url) > URL_CHARACTERS:
        raise fetch_failed(f"the URL is longer than {URL_CHARACTERS} characters")
    if "\\" in url or any(character <= " " or character == "\x7f" for character in url):
        raise _bad_url()
    match = AUTHORITY.match(url)
    if match is None:
        raise _bad_url()
    try:
        parsed = httpx2.URL(url)
        host = parsed.raw_host.decode("ascii").removesuffix(".")
        port = int(match[2] or (443 if parsed.scheme == "https" else 80))
        literal = _literal(host)
    except (httpx2.InvalidURL, ValueError) as error:
        raise _bad_url(str(error)) from error
    if not 1 <= port <= 65535 or (literal is None and (len(host) > 253 or not NAME.fullmatch(host))):
        raise _bad_url()
    return Target(parsed, host, port, literal)


def permitted(address: Address, allow: tuple[Network, ...] = ()) -> bool:
    """Tell whether ``address`` is public, or inside a network of ``allow``."""
    if allowed(address, allow):
        return True
    if isinstance(address, IPv4Address):
        return not any(address in network for network in REFUSED_V4)
    if address in NAT64:
        return permitted(IPv4Address(int(address) & 0xFFFF_FFFF))
    if (int(address) >> 32) & 0xFFFF_FFFF in ISATAP_MARKS:
        return False
    return address in GLOBAL_V6 and not any(address in network for network in REFUSED_V6)


def allowed(address: Address, allow: tuple[Network, ...]) -> bool:
    """Tell whether the operator names this address: then any port is permitted too."""
    return any(address in network for network in allow)


def port_permitted(port: int) -> bool:
    """Tell whether a public host may be asked on ``port``: object stores and development servers use odd ones."""
    return port in WEB_PORTS or (port >= 1024 and port not in REFUSED_PORTS)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Read a comma list of networks or single addresses, e.g. ``127.0.0.0/8,::1/128``; empty allows nothing.

    Raises:
        ValueError: An item is no network, or has bits set beyond its prefix; names the item.
    """
    networks: list[Network] = []
    for item in filter(None, (part.strip() for part in text.split(","))):
        try:
            networks.append(ip_network(item))
        except ValueError as error:
            raise ValueError(f"expected networks like 127.0.0.0/8,::1/128, got {item!r}: {error}") from error
    return tuple(networks)


def _literal(host: str) -> Address | None:
    if ":" in host:
        return IPv6Address(host)
    # inet_aton reads 0x7f.1, 017700000001 and 127.1 as addresses: a host that ends in a number is one or nothing.
    if NUMBER.fullmatch(host.rpartition(".")[2]):
        return IPv4Address(host)
    return None


def _bad_url(detail: str = "") -> ApiError:
    return fetch_failed("expected an absolute http or https URL without user name", detail=detail)
