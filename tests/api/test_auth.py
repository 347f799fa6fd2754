"""Keys: who may ask is decided from the headers, before the body is read."""

from __future__ import annotations

import base64
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from httpx2 import Client

from tests.pictures import photo
from tests.serving import Served, serve

KEY = "k3y-with-pluses+and/slashes"
OTHER = "second-key"


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that needs a key."""
    with serve(tmp_path_factory.mktemp("guarded"), auth="required", api_keys=f"{KEY},{OTHER}") as served:
        yield served


@pytest.fixture(scope="module")
def client(guarded: Served) -> Iterator[Client]:
    with guarded.client() as client:
        yield client


FILES = {"image_file": ("x.jpg", photo())}

GOOD = [
    {"x-api-key": KEY}, {"X-API-KEY": OTHER}, {"authorization": f"Bearer {KEY}"}, {"authorization": f"token {KEY}"},
    {"Authorization": f"Api-Key {KEY}"},
]  # fmt: skip

BAD = [
    {}, {"x-api-key": ""}, {"x-api-key": "nope"}, {"x-api-key": KEY[:-1]}, {"x-api-key": KEY + "x"},
    {"x-api-key": KEY.upper()}, {"authorization": f"Basic {KEY}"}, {"authorization": "Bearer"},
    {"authorization": KEY}, {"x-api-key": "nope", "authorization": f"Bearer {KEY}"}, {"x-api-key": "\xff\xfe"},
    {"x-api-key": "a" * 8000},
]  # fmt: skip


@pytest.mark.parametrize("headers", GOOD)
def test_keys_are_accepted_in_every_documented_way(client: Client, headers: dict[str, str]) -> None:
    """Schemes and header names compare without case."""
    assert client.post("/v2", files=FILES, headers=headers).status_code == 200


@pytest.mark.parametrize("name", ["api_key", "apikey", "key", "token"])
def test_legacy_keys_stand_in_the_query_or_in_json(client: Client, name: str) -> None:
    """Headers win over the query, the query over the body; a wrong one is refused as anywhere."""
    body = {"image_base64": base64.b64encode(photo()).decode()}

    assert client.post(f"/v2?{name}={quote(KEY)}", files=FILES).status_code == 200
    assert client.post("/v2", json={**body, name: KEY}).status_code == 200
    assert client.post("/v2", json={**body, name: "nope"}).status_code == 401
    assert client.post("/v2", json=body).status_code == 401
    assert client.post("/v2", json={**body, name: KEY}, headers={"x-api-key": "nope"}).status_code == 401
    assert client.post(f"/v2?{name}=nope", json={**body, name: KEY}).status_code == 401


def test_legacy_keys_can_be_turned_off(tmp_path: Path) -> None:
    """``BGONE_LEGACY_KEYS``."""
    body = {"image_base64": base64.b64encode(photo()).decode(), "api_key": KEY}
    with serve(tmp_path, api_keys=KEY, legacy_keys="false") as served:
        assert served.post(f"/v2?api_key={quote(KEY)}", files=FILES).status_code == 401
        assert served.post("/v2", json=body).status_code == 401
        assert served.post("/v2", files=FILES, headers={"x-api-key": KEY}).status_code == 200
        assert KEY not in served.log_path.read_text()


@pytest.mark.parametrize("headers", BAD)
@pytest.mark.parametrize(("method", "path"), [("POST", "/v2"), ("GET", "/v2/account")])
def test_other_keys_get_401(client: Client, headers: dict[str, str], method: str, path: str) -> None:
    """In the dialect's form; the header wins over what else is shown."""
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = client.request(method, path, headers=raw)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "unauthorized"


@pytest.mark.parametrize("name", ["api_key", "apikey", "key", "token"])
def test_the_query_is_accepted_for_old_programs(client: Client, name: str) -> None:
    """The contract names it legacy."""
    assert client.post("/v2", files=FILES, params={name: KEY}).status_code == 200


def test_probes_need_no_key(client: Client) -> None:
    """Load balancers have none."""
    for path in ("/", "/health", "/v2/health", "/livez", "/readyz", "/metrics"):
        assert client.get(path).status_code == 200


def test_401_comes_before_the_body(guarded: Served) -> None:
    """The answer is there although the client has sent nothing of the 20 MB that it announced."""
    head = b"POST /v2 HTTP/1.1\r\nhost: x\r\ncontent-type: image/jpeg\r\ncontent-length: 20000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as line:
        line.sendall(head)
        assert line.recv(100).startswith(b"HTTP/1.1 401")


def test_401_is_readable_for_a_client_that_sends_everything_first(client: Client) -> None:
    """Answered at once, then read on: no broken connection for 20 MB."""
    answer = client.post("/v2", content=bytes(20_000_000), headers={"x-api-key": "nope"})
    assert answer.status_code == 401


def test_no_body_is_invited_without_a_key(guarded: Served) -> None:
    """``Expect: 100-continue`` is answered 401 and not 100."""
    head = b"POST /v2 HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 20000000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as line:
        line.sendall(head)
        assert line.recv(100).startswith(b"HTTP/1.1 401")


def test_keys_never_reach_the_log(client: Client, guarded: Served) -> None:
    """Fingerprints do."""
    answer = client.post("/v2", files=FILES, headers={"x-api-key": KEY}, params={"token": OTHER})
    line = guarded.logged(answer.headers["x-request-id"])
    assert str(line["key"]).startswith("tok_fp_")
    log = guarded.log_path.read_text()
    assert KEY not in log
    assert OTHER not in log


def test_the_account_shows_a_fingerprint_and_no_key(client: Client) -> None:
    """It identifies the key without being it."""
    answer = client.get("/v2/account", headers={"x-api-key": KEY})
    assert answer.json()["api_key"]["fingerprint"].startswith("tok_fp_")
    assert KEY not in answer.text
