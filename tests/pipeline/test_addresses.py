"""Which addresses a stranger's URL may lead to."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from bgone.errors import ApiError
from bgone.pipeline.addresses import parse_networks, permitted, port_permitted, read_url

REFUSED = """
0.0.0.0 0.1.2.3 10.0.0.1 10.255.255.255 100.64.0.1 100.100.100.200 100.127.255.255 127.0.0.1 127.255.255.254
168.63.129.16 169.254.0.1 169.254.169.254 172.16.0.1 172.31.255.255 192.0.0.1 192.0.0.192 192.0.2.1 192.31.196.1
192.52.193.1 192.88.99.1 192.168.0.1 192.175.48.1 198.18.0.1 198.19.255.255 198.51.100.1 203.0.113.1 224.0.0.1
239.255.255.255 240.0.0.1 255.255.255.255 :: ::1 ::7f00:1 ::808:808 ::ffff:127.0.0.1 ::ffff:8.8.8.8
::ffff:0:127.0.0.1 64:ff9b::127.0.0.1 64:ff9b::10.0.0.1 64:ff9b::169.254.169.254 64:ff9b:1::1 64:ff9b:1::8.8.8.8
100::1 100:0:0:1::1 2001::1 2001:0:7f00:1::1 2001:2::1 2001:10::1 2001:20::1 2001:db8::1 2002:7f00:1::1
2002:808:808::1 2620:4f:8000::1 3ffe::1 3fff::1 4000::1 5f00::1 fc00::1 fd00:ec2::254 fe80::1 fe80::1%2 febf::1
fec0::1 ff02::1 ff0e::1 2a00:1450:4001::5efe:7f00:1 2a00:1450:4001:0:200:5efe:7f00:1
"""

PUBLIC = """
1.1.1.1 8.8.8.8 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.1 168.63.129.17 172.15.0.1
172.32.0.1 192.0.1.1 192.167.1.1 192.169.1.1 198.17.0.1 198.20.0.1 223.255.255.255 2606:4700:4700::1111
2a00:1450:4001:80b::200e 2001:200::1 2001:4860:4860::8888 2003::1 3ffd::1 64:ff9b::8.8.8.8
"""


@pytest.mark.parametrize("text", REFUSED.split())
def test_special_addresses_are_refused(text: str) -> None:
    """No address outside the public internet is permitted, in whatever form it is wrapped."""
    assert not permitted(ip_address(text))


@pytest.mark.parametrize("text", PUBLIC.split())
def test_public_addresses_are_permitted(text: str) -> None:
    """Neighbours of the special ranges, and public resolvers, stay reachable."""
    assert permitted(ip_address(text))


def test_allowed_networks_are_permitted_and_nothing_beside_them() -> None:
    """An allow list opens its own networks only, and not through wrapped forms."""
    allow = parse_networks("127.0.0.0/8, ::1/128")

    assert permitted(ip_address("127.9.9.9"), allow)
    assert permitted(ip_address("::1"), allow)
    for text in ("10.0.0.1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "::2"):
        assert not permitted(ip_address(text), allow)


def test_networks_are_read_from_a_comma_list() -> None:
    """Spaces and empty items do not matter; a bare address is a network of one."""
    assert [str(network) for network in parse_networks(" 10.1.2.3 ,, fd00::/8,")] == ["10.1.2.3/32", "fd00::/8"]
    assert parse_networks("") == ()


@pytest.mark.parametrize("item", ["10.0.0.1/8", "localhost", "10.0.0.0/33", "::1/129"])
def test_bad_networks_are_named(item: str) -> None:
    """The complaint about an allow list names the bad item."""
    with pytest.raises(ValueError, match=item.replace(".", r"\.")):
        parse_networks(f"127.0.0.0/8,{item}")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/",
        "pictures.test/a.png",
        "//pictures.test/a.png",
        "http:pictures.test",
        "http:/pictures.test",
        "http:///a.png",
        "http://",
        "http://:80/",
        "http://./",
        "http://../",
        "http://?",
        "http://a..b/",
        "ftp://pictures.test/",
        "file:///etc/passwd",
        "gopher://pictures.test/",
        "data:image/png;base64,AAAA",
        "javascript:1",
        "unix:///run/docker.sock",
        "http+unix://x/",
        " http://pictures.test/",
        "http://pictures.test/ ",
        "http://pictures.test/a b",
        "http://pict\tures.test/",
        "http://pictures.test/\r\nX: y",
        "http://pictures.test/\x00",
        "http://pictures.test\\@127.0.0.1/",
        "http://user@pictures.test/",
        "http://user:word@pictures.test/",
        "http://@pictures.test/",
        "http://pictures.test:80@127.0.0.1/",
        "http://pictures.test:0/",
        "http://pictures.test:65536/",
        "http://pictures.test:99999999/",
        "http://pictures.test:-1/",
        "http://pictures.test:8 0/",
        "http://pictures.test:٨٠/",
        "http://pictures.test:80:80/",
        "http://0/",
        "http://1/",
        "http://127.1/",
        "http://127.0.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://017700000001/",
        "http://0177.0.0.1/",
        "http://127.0.0.01/",
        "http://127.0.0.256/",
        "http://1.2.3.4.5/",
        "http://127.0.0.0x1/",
        "http://127.0.0.0x/",
        "http://%31%32%37.0.0.1/",
        "http://127%2e0.0.1/",
        "http://\uff11\uff12\uff17.\uff10.\uff10.\uff11/",
        "http://①②⑦.0.0.1/",
        "http://127。0。0。1/",
        "http://[::1/",
        "http://::1/",
        "http://[::1]80/",
        "http://[::1%25lo]/",
        "http://[fe80::1%eth0]/",
        "http://[v1.a]/",
        "http://[127.0.0.1]/",
        "http://[]/",
        "http://pictu(res.test/",
        "http://pictures.test;a/",
        "http://" + "a" * 64 + ".test/",
        "http://" + "a." * 130 + "test/",
        "http://pictures.test/" + "a" * 4096,
        "http://pictures.test/\ud800",
    ],
)
def test_odd_urls_are_refused(url: str) -> None:
    """Other schemes and every text that two readers could understand differently end before a look-up."""
    try:
        target = read_url(url)
    except ApiError as error:
        assert error.kind == "fetch_failed"  # noqa: PT017 - either branch is a pass
    else:
        # An ideographic full stop is a dot (IDNA): then the address is judged as what it is.
        assert target.literal is not None
        assert not permitted(target.literal)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("http://pictures.test", "pictures.test", 80),
        ("HTTPS://Pictures.Test/a.png?b=c#d", "pictures.test", 443),
        ("http://pictures.test.:8080/", "pictures.test", 8080),
        ("http://pictures.test:/", "pictures.test", 80),
        ("http://under_score.test?a@b", "under_score.test", 80),
        ("http://bücher.test/größe.png", "xn--bcher-kva.test", 80),
        ("http://127.0.0.1./", "127.0.0.1", 80),
        ("https://[2606:4700::1]:8443/", "2606:4700::1", 8443),
        ("http://1.2.3.4.test/", "1.2.3.4.test", 80),
        ("http://localhost/", "localhost", 80),
    ],
)
def test_good_urls_are_read(url: str, host: str, port: int) -> None:
    """Names are lower-cased, put into ASCII and lose a closing dot; ports default by scheme."""
    target = read_url(url)

    assert (target.host, target.port) == (host, port)


def test_targets_in_logs_hide_paths_and_queries() -> None:
    """A signed URL's secret does not reach the log."""
    assert "secret" not in str(read_url("https://pictures.test/secret?token=secret"))


@pytest.mark.parametrize(("port", "good"), [(80, 1), (443, 1), (9000, 1), (65535, 1), (22, 0), (25, 0), (6667, 0)])
def test_ports_of_other_services_are_refused(port: int, good: int) -> None:
    """Public hosts are asked on web ports and free ones, never on a mail server's."""
    assert port_permitted(port) == bool(good)
