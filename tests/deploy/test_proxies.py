"""The examples of nginx and Caddy, each run for real in front of a server, with certificates of an own authority."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path

import pytest

from bgone.api.routes import DIALECTS
from tests.deploy.programs import DEPLOY, debian_program, output
from tests.deploy.running import accepts, running
from tests.pictures import ball, decode, photo
from tests.serving import Served, free_port

NAMES = ("cut.example.com", "api.remove.bg", "api.backgrounderase.com")
LONGEST_BODY = 64 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that has been read."""

    status: int
    headers: Message
    body: bytes


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running proxy.

    Attributes:
        port: Where it speaks TLS on 127.0.0.1.
        trust: Trusts its authority and no other.
    """

    port: int
    trust: ssl.SSLContext

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[http.client.HTTPSConnection]:
        """A connection of a program that means ``name`` and was led here."""
        connection = http.client.HTTPSConnection(name, context=self.trust, timeout=60)
        connection._create_connection = lambda *_: socket.create_connection(  # type: ignore[attr-defined]
            ("127.0.0.1", self.port), timeout=60
        )
        with contextlib.closing(connection):
            yield connection

    def ask(self, name: str, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request and its answer."""
        with self.open(name) as connection:
            connection.request(method, path, body, {key.replace("_", "-"): value for key, value in headers.items()})
            return whole(connection)


def whole(connection: http.client.HTTPSConnection) -> Answer:
    """The answer that is waiting."""
    with connection.getresponse() as answer:
        return Answer(answer.status, answer.headers, answer.read())


def nginx_configuration(folder: Path, port: int, backend: int) -> Path:
    """The example with other places, inside the frame that distributions give it."""
    places = {
        "/etc/nginx": str(folder),
        "127.0.0.1:8000": f"127.0.0.1:{backend}",
        "listen 443": f"listen 127.0.0.1:{port}",
    }
    for name in ("bgone.conf", "bgone-proxy.conf"):
        text = (DEPLOY / "nginx" / name).read_text()
        for theirs, ours in places.items():
            text = text.replace(theirs, ours)
        (folder / name).write_text(text)
    output(DEPLOY / "own-ca.sh", folder / "tls", *NAMES)
    for ending in ("crt", "key"):
        (folder / "tls" / f"cut.example.com.{ending}").symlink_to(f"providers.{ending}")
    temporary = "\n".join(
        f"    {kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    frame = (
        ("user root;\n" if os.geteuid() == 0 else "")
        + f"daemon off;\npid {folder}/pid;\nerror_log stderr;\nevents {{}}\n"
        + f"http {{\n    access_log off;\n{temporary}\n    include {folder}/bgone.conf;\n}}\n"
    )
    (folder / "nginx.conf").write_text(frame)
    return folder / "nginx.conf"


@contextlib.contextmanager
def nginx(folder: Path, backend: int) -> Iterator[Proxy]:
    program, port = debian_program("nginx", "usr/sbin/nginx"), free_port()
    configuration = nginx_configuration(folder, port, backend)
    command: list[str | Path] = [program, "-e", "stderr", "-p", folder, "-c", configuration]
    assert "test is successful" in output(*command, "-t")
    trust = ssl.create_default_context(cafile=folder / "tls" / "ca.crt")
    with running(command, folder / "log", lambda: accepts(port)):
        yield Proxy(port, trust)


@contextlib.contextmanager
def caddy(folder: Path, backend: int) -> Iterator[Proxy]:
    program, port = debian_program("caddy", "usr/bin/caddy"), free_port()
    example = (DEPLOY / "caddy" / "Caddyfile").read_text()
    # Nobody out there signs for example.com.
    text = example.replace("127.0.0.1:8000", f"127.0.0.1:{backend}").replace(
        "cut.example.com {\n", "cut.example.com {\n\ttls internal\n"
    )
    options = f"{{\n\tadmin off\n\tskip_install_trust\n\tauto_https disable_redirects\n\thttps_port {port}\n}}\n"
    (folder / "Caddyfile").write_text(options + text)
    places = {"XDG_DATA_HOME": str(folder / "data"), "XDG_CONFIG_HOME": str(folder), "HOME": str(folder)}
    command: list[str | Path] = [program, "run", "--adapter", "caddyfile", "--config", folder / "Caddyfile"]
    # As it stands, too; another place for data, since checking makes the authority.
    output(
        program, "validate", "--adapter", "caddyfile", "--config", DEPLOY / "caddy" / "Caddyfile", environment=places
    )
    root = folder / "data" / "caddy" / "pki" / "authorities" / "local" / "root.crt"

    def greets() -> bool:
        if not root.exists() or not accepts(port):
            return False
        with contextlib.suppress(OSError):  # certificates are made one after the other
            for name in NAMES:
                with Proxy(port, ssl.create_default_context(cafile=root)).open(name) as connection:
                    connection.connect()
            return True
        return False

    with running(command, folder / "log", greets, places):
        yield Proxy(port, ssl.create_default_context(cafile=root))


@pytest.fixture(scope="module", params=[nginx, caddy], ids=["nginx", "caddy"])
def proxy(request: pytest.FixtureRequest, server: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """Each of the two in front of the same server."""
    with request.param(tmp_path_factory.mktemp("proxy"), server.port) as found:
        yield found


def form(picture: bytes, **fields: str) -> tuple[bytes, str]:
    """A multipart body and its type."""
    parts = [
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    ]
    head = (
        '--b\r\nContent-Disposition: form-data; name="image_file"; filename="a.jpg"\r\nContent-Type: image/jpeg\r\n\r\n'
    )
    return "".join([*parts, head]).encode() + picture + b"\r\n--b--\r\n", "multipart/form-data; boundary=b"


def metric(server: Served, name: str) -> float:
    """A number of the server itself, asked past the proxy."""
    (line,) = re.findall(rf"^{name} (\S+)$", server.get("/metrics").text, re.MULTILINE)
    return float(line)


def test_a_program_of_the_provider_gets_its_picture(proxy: Proxy) -> None:
    """By the provider's name over TLS, and with the provider's own words for a path that is none."""
    body, kind = form(photo(161, 120, of=ball), size="auto")
    answer = proxy.ask("api.remove.bg", "POST", "/v1.0/removebg", body, Content_Type=kind, X_Api_Key="any")

    assert (answer.status, answer.headers["Content-Type"]) == (200, "image/png")
    assert decode(answer.body).shape == (120, 161, 4)
    lost = proxy.ask("api.remove.bg", "GET", "/v1.0/nothing")
    assert lost.status == 404
    assert b'"errors"' in lost.body


def test_a_body_reaches_the_server_while_it_is_still_being_sent(proxy: Proxy, server: Served) -> None:
    """Proxies that gathered it first would hold megabytes for everybody who is slow."""
    body, kind = form(photo(1300, 1000, of=ball) + bytes(5_000_000), size="full")
    before = metric(server, "bgone_inflight")
    with proxy.open("api.remove.bg") as connection:
        connection.putrequest("POST", "/v1.0/removebg")
        connection.putheader("Content-Type", kind)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        connection.send(body[: len(body) // 2])
        give_up_at = time.monotonic() + 25  # less than BGONE_READ_S
        while metric(server, "bgone_inflight") <= before:
            assert time.monotonic() < give_up_at, "the proxy keeps the body"
            time.sleep(0.02)
        connection.send(body[len(body) // 2 :])
        answer = whole(connection)

    assert answer.status == 200
    assert answer.headers["Transfer-Encoding"] == "chunked"  # drawn as it goes, its length unknown
    assert decode(answer.body).shape == (1000, 1300, 4)


def test_the_dialects_own_complaint_about_size_comes_through(proxy: Proxy) -> None:
    """413 with the provider's JSON, for a picture that the dialect does not take and the proxy does."""
    body, kind = form(photo(61, 40) + bytes(33_000_000))
    answer = proxy.ask("api.backgrounderase.com", "POST", "/v2", body, Content_Type=kind)

    assert answer.status == 413
    assert answer.headers["Content-Type"].startswith("application/json")
    assert b"error" in answer.body


@pytest.mark.parametrize("proxy", [nginx], ids=["nginx"], indirect=True)
def test_a_body_beyond_every_dialect_is_refused_by_its_announcement(proxy: Proxy) -> None:
    """By nginx, which looks at the length; Caddy lets such a body in until it is too long."""
    with proxy.open("cut.example.com") as connection:
        connection.putrequest("POST", "/v2")
        connection.putheader("Content-Type", "image/jpeg")
        connection.putheader("Content-Length", str(LONGEST_BODY + 1))
        connection.endheaders()

        assert whole(connection).status == 413


@pytest.mark.parametrize("path", ["/metrics", "/admin/v1/accounts"])
def test_strangers_see_neither_numbers_nor_administration(proxy: Proxy, server: Served, path: str) -> None:
    """Though the server itself has both."""
    assert server.get("/metrics").status_code == 200
    assert proxy.ask("cut.example.com", "GET", path).status == 404


def test_other_paths_come_through(proxy: Proxy) -> None:
    """The server's own name leads to all of it."""
    assert proxy.ask("cut.example.com", "GET", "/readyz").status == 200


def test_examples_name_every_providers_host() -> None:
    """And the own authority signs for nothing else."""
    hosts = {host for dialect in DIALECTS for host in dialect.hosts if host.count(".") > 1 or host == "clipdrop-api.co"}
    for file in ("nginx/bgone.conf", "caddy/Caddyfile"):
        text = (DEPLOY / file).read_text()
        assert {host for host in hosts - {"www.slazzer.com"} if host not in text} == set(), file


def test_own_authority_signs_for_its_names_alone(tmp_path: Path) -> None:
    """Its key can make a certificate for another name, but nobody who checks believes it."""
    output(DEPLOY / "own-ca.sh", tmp_path, "api.remove.bg")
    ca: list[str | Path] = ["-CA", tmp_path / "ca.crt", "-CAkey", tmp_path / "ca.key"]
    (tmp_path / "san").write_text("subjectAltName=DNS:bank.example")
    output(
        "openssl",
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=x",
        "-keyout",
        tmp_path / "k",
        "-out",
        tmp_path / "r",
    )
    output(
        "openssl",
        "x509",
        "-req",
        "-in",
        tmp_path / "r",
        *ca,
        "-CAcreateserial",
        "-extfile",
        tmp_path / "san",
        "-out",
        tmp_path / "c",
    )

    assert "OK" in output("openssl", "verify", "-CAfile", tmp_path / "ca.crt", tmp_path / "providers.crt")
    assert "permitted subtree violation" in output(
        "openssl", "verify", "-CAfile", tmp_path / "ca.crt", tmp_path / "c", status=2
    )
