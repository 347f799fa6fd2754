"""The admin API: what the commands do, over HTTP, for whoever shows an admin key and for nobody else."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import httpx2
import msgspec
import orjson
import pytest
import structlog.testing
from sqlalchemy import text
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from bgone.accounts.books import Books, open_books
from bgone.api import admin
from bgone.api.admin_asks import Operation
from bgone.api.admin_openapi import EXAMPLES, document
from bgone.api.admin_operations import OPERATIONS, find
from bgone.errors import overloaded
from tests.conftest import ROOT
from tests.databases import KINDS, on_database, own_postgres, sqlite_address
from tests.serving import Served, serve

Value = TypeVar("Value")
Work = Callable[[httpx2.AsyncClient, Books], Awaitable[Value]]

STATIC = "operators-own-kéy"
CHANGES = [operation for operation in OPERATIONS if operation.body is not None]
TRICKY = 'Robert\'); DROP TABLE accounts;-- "x" %s {0} ünï'


@pytest.fixture(params=KINDS)
def address(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with all tables, of each kind."""
    if request.param == "sqlite":
        yield sqlite_address(tmp_path)
    else:
        with own_postgres() as found:
            on_database(found, lambda database: database.migrate())
            yield found


@pytest.fixture
def here(tmp_path: Path) -> str:
    """A SQLite database."""
    return sqlite_address(tmp_path)


@asynccontextmanager
async def client_of(rooms: object, key: str = "") -> AsyncIterator[httpx2.AsyncClient]:
    """A client of the admin routes alone, over ``rooms``, that shows ``key``."""
    router = Router(admin.routes())

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await router({**scope, "state": {"rooms": rooms}}, receive, send)

    transport = httpx2.ASGITransport(app)
    headers = [(b"x-api-key", key.encode())] if key else []
    async with httpx2.AsyncClient(transport=transport, base_url="http://here/admin/v1", headers=headers) as client:
        yield client


def administer(address: str, work: Work[Value]) -> Value:
    """Run ``work`` with a client that shows the operator's key."""

    async def main() -> Value:
        async with open_books(address) as books:
            rooms = SimpleNamespace(books=books, running=None, admin_key=STATIC)
            async with client_of(rooms, STATIC) as client:
                return await work(client, books)

    return asyncio.run(main())


def spelled(operation: Operation) -> str:
    """Its address, with a name in it."""
    return re.sub(r"\{\w+\}", "shop", operation.path)


def error_of(answer: httpx2.Response) -> dict[str, Any]:
    """The complaint, which is in BackgroundErase's form."""
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"code", "message", "status", "request_id", "details"}
    assert (error["status"], error["request_id"]) == (answer.status_code, answer.headers["x-request-id"])
    return error


# --- who may ask ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_nothing_is_open_without_an_admin_key(here: str, operation: Operation) -> None:
    """401 without a key and with a wrong one, 403 with a live, a test or an ended one; nothing else is looked at."""

    async def work(client: httpx2.AsyncClient, books: Books) -> list[tuple[int, str]]:
        account = await books.accounts.create("shop")
        live, test, ended = [(await books.keys.create(account.id, mode=mode))[0] for mode in ("live", "test", "admin")]
        await books.keys.revoke(ended[:12])
        del client.headers["x-api-key"]
        shown: list[dict[str, str]] = [{}, {"x-api-key": ""}, {"x-api-key": "wrong"}, {"authorization": "Basic YTpi"}]
        shown += [{"x-api-key": key} for key in (live, test, ended)]
        answers = [
            await client.request(operation.method, spelled(operation), headers=headers, content=b"{")
            for headers in shown
        ]
        assert (await books.accounts.get("shop")) == account
        return [(answer.status_code, error_of(answer)["code"]) for answer in answers]

    assert administer(here, work) == [(401, "unauthorized")] * 4 + [(403, "forbidden")] * 3


def test_unknown_addresses_are_as_closed(here: str) -> None:
    """Whoever has no key does not learn what there is; 401 says how to show one."""

    async def work(client: httpx2.AsyncClient, _: Books) -> httpx2.Response:
        del client.headers["x-api-key"]
        return await client.get("/nothing")

    answer = administer(here, work)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_wrong_keys_are_not_told_apart(here: str) -> None:
    """One that nobody has and one that begins like somebody's: the same words, status and headers."""

    async def work(client: httpx2.AsyncClient, books: Books) -> list[tuple[int, str, list[str]]]:
        account = await books.accounts.create("shop")
        secret, _ = await books.keys.create(account.id, mode="admin")
        del client.headers["x-api-key"]
        keys = ("A" * 45, secret[:12] + "A" * 33, secret[:-1], STATIC[:-1])
        answers = [await client.get("/accounts", headers=[(b"x-api-key", key.encode())]) for key in keys]
        return [(each.status_code, error_of(each)["message"], sorted(each.headers)) for each in answers]

    first, *others = administer(here, work)
    assert first[0] == 401
    assert others == [first] * 3


@pytest.mark.parametrize("scheme", ["x-api-key", "Bearer", "bearer"])
@pytest.mark.parametrize("kind", ["static", "admin"])
def test_admin_keys_are_let_in(here: str, scheme: str, kind: str) -> None:
    """The operator's own and those of mode admin, in either header."""

    async def work(client: httpx2.AsyncClient, books: Books) -> int:
        account = await books.accounts.create("staff")
        key = STATIC if kind == "static" else (await books.keys.create(account.id, mode="admin", prefix="sk_live_"))[0]
        del client.headers["x-api-key"]
        shown = key if scheme == "x-api-key" else f"{scheme} {key}"
        name = "x-api-key" if scheme == "x-api-key" else "authorization"
        answer = await client.get("/accounts", headers=[(name.encode(), shown.encode())])
        return answer.status_code

    assert administer(here, work) == 200


def test_admin_key_of_a_barred_account_is_refused(here: str) -> None:
    """403, like every call of it."""

    async def work(client: httpx2.AsyncClient, books: Books) -> int:
        account = await books.accounts.create("staff")
        key, _ = await books.keys.create(account.id, mode="admin")
        await books.accounts.bar("staff")
        return (await client.get("/accounts", headers={"x-api-key": key})).status_code

    assert administer(here, work) == 403


def test_without_an_operators_key_nobody_has_it(here: str) -> None:
    """An empty setting matches no header."""

    async def main() -> list[int]:
        async with (
            open_books(here) as books,
            client_of(SimpleNamespace(books=books, running=None, admin_key="")) as client,
        ):
            shown = [{"x-api-key": " "}, {"authorization": "Bearer "}, {"authorization": "Bearer"}]
            return [(await client.get("/accounts", headers=headers)).status_code for headers in shown]

    assert asyncio.run(main()) == [401, 401, 401]


def test_without_accounts_there_is_nothing() -> None:
    """404 that says what to do."""

    async def main() -> httpx2.Response:
        async with client_of(SimpleNamespace(books=None, running=None, admin_key=STATIC)) as client:
            return await client.get("/accounts", headers={"x-api-key": "any"})

    answer = asyncio.run(main())
    assert answer.status_code == 404
    assert "bgone accounts create" in error_of(answer)["message"]


# --- accounts -------------------------------------------------------------------------------------------------------


def test_accounts_live_through_the_api(address: str) -> None:
    """Made, shown by id and name, credited, given a plan, barred; every amount is decimal text."""

    async def work(client: httpx2.AsyncClient, books: Books) -> None:
        made = await client.post("/accounts", json={"name": TRICKY, "email": "a@b.example", "credits": "0.1"})
        assert made.status_code == 201
        account = made.json()
        assert (account["name"], account["balance"], account["payg"]) == (TRICKY, "0.1", "0.1")
        here = f"/accounts/{account['id']}"
        assert (await client.get(here)).json() == account
        assert (await client.get(f"/accounts/{TRICKY.replace('%', '%25')}")).json() == account

        credited = await client.post(f"{here}/credit", content=b'{"amount": 0.2, "reason": "gift"}', headers=AS_JSON)
        assert credited.json()["balance"] == "0.3"
        assert (await client.post(f"{here}/credit", json={"amount": "-0.3"})).json()["balance"] == "0"
        assert (await client.put("/plans/pro", json={"quota": 500})).status_code == 200
        assert (await client.post(f"{here}/plan", json={"plan": "pro"})).json()["subscription"] == "500"
        assert (await client.post(f"{here}/bar")).json()["status"] == "barred"
        assert (await client.post(f"{here}/unbar", json={})).json()["status"] == "active"

        entries = (await client.get(f"{here}/ledger?limit=3&offset=1")).json()["entries"]
        assert [(each["reason"], each["payg"]) for each in entries] == [
            ("credit", "-0.3"),
            ("gift", "0.2"),
            ("opening", "0.1"),
        ]
        assert (await client.get("/audit")).json() == {"balanced": True, "differences": []}
        assert (await books.accounts.get(TRICKY)).balance == Decimal(500)

    administer(address, work)


AS_JSON = {"content-type": "application/json"}


def test_lists_have_pages(here: str) -> None:
    """By name."""

    async def work(client: httpx2.AsyncClient, books: Books) -> list[str]:
        for name in ("c", "a", "b"):
            await books.accounts.create(name)
        answer = await client.get("/accounts?limit=2&offset=1")
        return [account["name"] for account in answer.json()["accounts"]]

    assert administer(here, work) == ["b", "c"]


def test_audit_tells_what_differs(here: str) -> None:
    """Pot by pot."""

    async def work(client: httpx2.AsyncClient, books: Books) -> dict[str, Any]:
        await books.accounts.create("shop", credits=Decimal(5))
        await books.db.write(lambda link: link.execute(text("UPDATE accounts SET payg = payg + 250000")))
        answer: dict[str, Any] = (await client.get("/audit")).json()
        return answer

    found = administer(here, work)
    (difference,) = found["differences"]
    assert not found["balanced"]
    assert difference["balance"] == {"subscription": "0", "payg": "5.25", "free_calls": 0}
    assert difference["ledger"] == {"subscription": "0", "payg": "5", "free_calls": 0}


# --- keys -----------------------------------------------------------------------------------------------------------


def test_keys_live_through_the_api(address: str) -> None:
    """Made, found, listed, rotated with an overlap, revoked; the secret is told once."""

    async def work(client: httpx2.AsyncClient, books: Books) -> None:
        account = await books.accounts.create("shop")
        made = await client.post("/accounts/shop/keys", json={"prefix": "sk_live_", "mode": "test"})
        assert made.status_code == 201
        secret, key = made.json()["key"], made.json()
        holder = await books.keys.find(secret)
        assert (holder.account.id, holder.key.mode, key["account_id"]) == (account.id, "test", account.id)

        rotated = (await client.post(f"/keys/{key['name']}/rotate", json={"overlap_s": 60})).json()
        await books.keys.find(rotated["key"])
        await books.keys.find(secret)
        old = (await client.get(f"/keys/{key['id']}")).json()
        assert old["replaced_by"] == rotated["id"]
        assert datetime.fromisoformat(old["expires_at"]) <= datetime.now(UTC) + timedelta(seconds=60)

        ended = await client.delete(f"/keys/{rotated['name']}")
        assert ended.json()["revoked_at"] is not None
        for address in ("/keys", "/keys?account=shop", f"/keys?account={account.id}", "/accounts/shop/keys"):
            listed = await client.get(address)
            assert {each["id"] for each in listed.json()["keys"]} == {key["id"], rotated["id"]}
            assert secret.removeprefix(key["name"]) not in listed.text

    administer(address, work)


def test_rotation_needs_no_body(here: str) -> None:
    """A day of overlap then."""

    async def work(client: httpx2.AsyncClient, books: Books) -> timedelta:
        account = await books.accounts.create("shop")
        _, key = await books.keys.create(account.id)
        assert (await client.post(f"/keys/{key.id}/rotate")).status_code == 201
        end = (await books.keys.get(key.id)).expires_at
        assert end is not None
        return end - datetime.now(UTC)

    assert timedelta(hours=23) < administer(here, work) <= timedelta(hours=24)


def test_expiry_is_kept(here: str) -> None:
    """A moment with its zone; one without, or in the past, is refused."""

    async def work(client: httpx2.AsyncClient, books: Books) -> list[tuple[int, object]]:
        await books.accounts.create("shop")
        answers = [
            await client.post("/accounts/shop/keys", json={"expires_at": moment})
            for moment in ("2099-01-31T12:00:00+02:00", "2099-01-31T12:00:00", "2001-01-31T12:00:00Z", None)
        ]
        return [(answer.status_code, answer.json().get("expires_at")) for answer in answers]

    assert administer(here, work) == [(201, "2099-01-31T10:00:00Z"), (400, None), (400, None), (201, None)]


# --- usage ----------------------------------------------------------------------------------------------------------


def test_usage_is_json_or_csv(here: str) -> None:
    """By Accept, or by address; the same numbers."""

    async def work(client: httpx2.AsyncClient, books: Books) -> list[httpx2.Response]:
        account = await books.accounts.create("shop")
        secret, _ = await books.keys.create(account.id)
        books.usage.count(await books.keys.find(secret), "removebg", Decimal("0.25"), 64)
        await books.usage.flush()
        return [
            await client.get("/accounts/shop/usage"),
            await client.get("/accounts/shop/usage", headers={"accept": "text/csv"}),
            await client.get("/accounts/shop/usage.csv"),
        ]

    told, *tables = administer(here, work)
    (day,) = told.json()["days"]
    assert (day["dialect"], day["calls"], day["credits"], day["pixels"]) == ("removebg", 1, "0.25", 64)
    for table in tables:
        assert table.headers["content-type"] == "text/csv; charset=utf-8"
        (row,) = csv.DictReader(io.StringIO(table.text, newline=""))
        assert {name: row[name] for name in ("day", "credits")} == {name: day[name] for name in ("day", "credits")}


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("since=2026-02-30", "since: "),
        ("since=2026-02-03&until=2026-02-01", "since: expected a day not after"),
        ("since=2025-01-01&until=2026-01-02", "since: expected at most 366 days"),
        ("from=2026-01-01", "from"),
        ("limit=3", "limit"),
    ],
)
def test_days_that_mean_nothing_are_refused(here: str, query: str, words: str) -> None:
    """400, with the parameter's name."""

    async def work(client: httpx2.AsyncClient, books: Books) -> httpx2.Response:
        await books.accounts.create("shop")
        return await client.get(f"/accounts/shop/usage?{query}")

    answer = administer(here, work)
    assert answer.status_code == 400
    assert words in error_of(answer)["message"]


# --- plans ----------------------------------------------------------------------------------------------------------


def test_plans_are_replaced_whole(here: str) -> None:
    """What is left out has its default again."""

    async def work(client: httpx2.AsyncClient, _: Books) -> None:
        first = (await client.put("/plans/pro", json=EXAMPLES[OPERATION["putPlan"].body])).json()  # type: ignore[index]
        assert (first["quota"], first["rollover"], first["prices"]) == ("500", "100", {"removebg": "0.5"})
        assert first["rates"]["removebg"][0]["weight"] == "megapixels"
        assert (await client.get("/plans/pro")).json() == first
        second = (await client.put("/plans/pro", json={"rollover": None})).json()
        assert (second["quota"], second["rollover"], second["prices"], second["rates"]) == ("0", None, {}, {})
        assert second in (await client.get("/plans")).json()["plans"]

    administer(here, work)


OPERATION = {operation.name: operation for operation in OPERATIONS}


# --- what is refused ------------------------------------------------------------------------------------------------


ABSENT = (
    ("GET", "/accounts/ghost"),
    ("GET", "/accounts/acc_000000000000000000000000"),
    ("GET", "/accounts/two%0Dlines"),
    ("GET", "/accounts/nul%00"),
    ("GET", "/accounts/ghost/usage"),
    ("GET", "/accounts/ghost/ledger"),
    ("GET", "/accounts/ghost/keys"),
    ("GET", "/keys?account=ghost"),
    ("POST", "/accounts/ghost/bar"),
    ("GET", "/keys/sk_live_none"),
    ("GET", "/keys/%27%20OR%201%3D1%20--"),
    ("GET", "/keys/%25"),
    ("DELETE", "/keys/ghost"),
    ("POST", "/keys/ghost/rotate"),
    ("GET", "/plans/ghost"),
    ("GET", "/nothing"),
    ("GET", "/accounts/"),
    ("GET", "/accounts/a/b/c"),
)


def test_what_is_not_there_is_404(address: str) -> None:
    """Whatever the name is made of, on both databases."""

    async def work(client: httpx2.AsyncClient, books: Books) -> list[tuple[str, int, str]]:
        account = await books.accounts.create("shop")
        await books.keys.create(account.id)
        answers = [(path, await client.request(method, path)) for method, path in ABSENT]
        return [(path, answer.status_code, error_of(answer)["code"]) for path, answer in answers]

    assert administer(address, work) == [(path, 404, "not_found") for _, path in ABSENT]


def test_a_key_is_not_found_by_its_secret(here: str) -> None:
    """Nor is the secret written to the log: an address is no place for it."""

    async def work(client: httpx2.AsyncClient, books: Books) -> tuple[str, int]:
        account = await books.accounts.create("shop")
        secret, _ = await books.keys.create(account.id, prefix="sk_live_")
        return secret, (await client.get(f"/keys/{secret}")).status_code

    with structlog.testing.capture_logs() as lines:
        secret, status = administer(here, work)
    assert status == 404
    assert secret[-33:] not in str(lines)


@pytest.mark.parametrize(
    ("name", "body", "words"),
    [
        ("createAccount", "{}", "name"),
        ("createAccount", '{"name": "x", "owner": "y"}', "unknown field"),
        ("createAccount", '{"name": 5}', "name: "),
        ("createAccount", '{"name": ""}', "name: "),
        ("createAccount", '{"name": "two\\r\\nlines"}', "name: expected"),
        ("createAccount", '{"name": "nul\\u0000"}', "name: expected"),
        ("createAccount", '{"name": "acc_x"}', "name: expected"),
        ("createAccount", '{"name": "shop"}', "name: expected one that is not taken"),
        ("createAccount", '{"name": "x", "email": "a@b\\r\\nX-Injected: 1"}', "email: expected"),
        ("createAccount", '{"name": "x", "plan": "gold"}', "plan: expected"),
        ("createAccount", '{"name": "x", "plan": "nul\\u0000"}', "plan: expected"),
        ("createAccount", '{"name": "x", "credits": "NaN"}', "credits: expected"),
        ("createAccount", '{"name": "x", "credits": 1e999999999}', "credits: expected"),
        ("createAccount", '{"name": "x", "credits": "1e-999999999"}', "credits: expected"),
        ("createAccount", '{"name": "x", "credits": true}', "credits: "),
        ("createAccount", '{"name": "x", "credits": -1}', "credits: expected 0 or more"),
        ("createAccount", '{"name": "x", "credits": 0.0000001}', "credits: expected"),
        ("createAccount", '{"name": "x", "credits": 1000000001}', "credits: expected"),
        ("addCredits", '{"amount": 0}', "amount: expected"),
        ("addCredits", '{"amount": "-1"}', "amount: expected at least"),
        ("addCredits", '{"amount": 1, "reason": "hold"}', "reason: expected"),
        ("addCredits", '{"amount": 1, "reason": "a\\nb"}', "reason: expected"),
        ("setPlan", '{"plan": "nul\\u0000"}', "plan: expected"),
        ("createKey", '{"prefix": "sk-live"}', "prefix: "),
        ("createKey", '{"prefix": "a\\r\\nb_"}', "prefix: "),
        ("createKey", '{"mode": "root"}', "mode: "),
        ("createKey", '{"expires_at": "soon"}', "expires_at: "),
        ("rotateKey", '{"overlap_s": -1}', "overlap_s: "),
        ("rotateKey", '{"overlap_s": 1e9}', "overlap_s: "),
        ("putPlan", '{"quota": "-1"}', "quota: expected 0 or more"),
        ("putPlan", '{"period_months": 0}', "period_months: "),
        ("putPlan", '{"free_calls": 9999999999}', "free_calls: "),
        ("putPlan", '{"prices": {"a b": 1}}', "prices"),
        ("putPlan", '{"prices": {"removebg": "1e400"}}', "prices.removebg: expected"),
        ("putPlan", '{"rates": {"removebg": [{"per": "eon", "amount": 1}]}}', "rates"),
    ],
)
def test_bodies_that_mean_nothing_are_refused(here: str, name: str, body: str, words: str) -> None:
    """400 that says which member, what was expected, what came; nothing is changed."""

    async def work(client: httpx2.AsyncClient, books: Books) -> httpx2.Response:
        before = await books.accounts.create("shop"), await books.accounts.plans()
        operation = OPERATION[name]
        answer = await client.request(operation.method, spelled(operation), content=body, headers=AS_JSON)
        assert (await books.accounts.list(), await books.accounts.plans()) == ((before[0],), before[1])
        assert await books.keys.list() == ()
        return answer

    answer = administer(here, work)
    assert (answer.status_code, error_of(answer)["code"]) == (400, "invalid_option")
    assert words in error_of(answer)["message"]
    assert "x-injected" not in answer.headers


@pytest.mark.parametrize(
    "body", ["", "[]", "null", "{", '{"name": "x"} {}', "name=x", '{"name": "\\ud800"}', b'{"name": "\xff"}']
)
def test_bodies_that_are_no_object_are_refused(here: str, body: str | bytes) -> None:
    """400; nothing is guessed."""

    async def work(client: httpx2.AsyncClient, books: Books) -> httpx2.Response:
        answer = await client.post("/accounts", content=body, headers=AS_JSON)
        assert await books.accounts.list() == ()
        return answer

    answer = administer(here, work)
    assert answer.status_code == 400
    assert error_of(answer)["code"] in ("invalid_request", "invalid_option")


@pytest.mark.parametrize("operation", CHANGES, ids=lambda operation: operation.name)
@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {},
    ],
    ids=["text", "form", "multipart", "gzip", "none"],
)
def test_only_json_is_read(here: str, operation: Operation, headers: dict[str, str]) -> None:
    """415 for all that a page's form could send, the admin key notwithstanding."""

    async def work(client: httpx2.AsyncClient, _: Books) -> httpx2.Response:
        body = orjson.dumps(EXAMPLES[operation.body])  # type: ignore[index]
        return await client.request(operation.method, spelled(operation), content=body, headers=headers)

    assert administer(here, work).status_code == 415


def test_json_may_name_its_charset(here: str) -> None:
    """As many clients do."""

    async def work(client: httpx2.AsyncClient, _: Books) -> int:
        headers = {"content-type": "application/json; charset=utf-8"}
        return (await client.post("/accounts", content=b'{"name": "x"}', headers=headers)).status_code

    assert administer(here, work) == 201


@pytest.mark.parametrize("announced", [True, False])
def test_long_bodies_are_refused(here: str, announced: bool) -> None:
    """413 whether the length was said or not."""

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b" " * 16_384

    async def work(client: httpx2.AsyncClient, _: Books) -> httpx2.Response:
        content = b" " * 65_537 if announced else pieces()
        return await client.post("/accounts", content=content, headers=AS_JSON)

    answer = administer(here, work)
    assert (answer.status_code, error_of(answer)["details"]) == (413, {"limit_bytes": 65_536})


def test_slow_bodies_are_cut(here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """408 after the time for a body."""
    monkeypatch.setattr(admin, "READ_S", 0.05)
    monkeypatch.setattr(admin, "SLOW_LINGER_S", 0.05)

    async def work(_: httpx2.AsyncClient, books: Books) -> list[dict[str, Any]]:
        sent: list[dict[str, Any]] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            await asyncio.Event().wait()

        headers = [(b"x-api-key", STATIC.encode()), (b"content-type", b"application/json"), (b"content-length", b"9")]
        scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/admin/v1/accounts", "headers": headers}
        scope |= {"state": {"rooms": SimpleNamespace(books=books, running=None, admin_key=STATIC)}, "query_string": b""}
        await Router(admin.routes())(scope, receive, send)
        return sent

    assert administer(here, work)[0]["status"] == 408


def test_nobody_answers_whoever_hung_up(here: str) -> None:
    """Half a body is not acted upon."""

    async def work(client: httpx2.AsyncClient, books: Books) -> int:
        sent: list[Any] = []
        pieces: list[dict[str, Any]] = [
            {"type": "http.request", "body": b'{"name": "x"}', "more_body": True},
            {"type": "http.disconnect"},
        ]

        async def receive() -> Any:
            return pieces.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(b"x-api-key", STATIC.encode()), (b"content-type", b"application/json"), (b"content-length", b"14")]
        scope: dict[str, Any] = {"type": "http", "method": "POST", "path": "/admin/v1/accounts", "headers": headers}
        scope |= {"state": {"rooms": SimpleNamespace(books=books, running=None, admin_key=STATIC)}, "query_string": b""}
        await Router(admin.routes())(scope, receive, send)
        assert await books.accounts.list() == ()
        return len(sent)

    assert administer(here, work) == 0


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", "/accounts", "GET, POST"),
        ("PATCH", "/plans/pro", "GET, PUT"),
        ("GET", "/accounts/shop/credit", "POST"),
        ("OPTIONS", "/accounts", "GET, POST"),
    ],
)
def test_other_methods_are_refused(here: str, method: str, path: str, allowed: str) -> None:
    """405 with those that are there; browsers of other pages get no leave to ask."""

    async def work(client: httpx2.AsyncClient, _: Books) -> httpx2.Response:
        return await client.request(method, path, headers={"origin": "https://evil.example"})

    answer = administer(here, work)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert not [name for name in answer.headers if name.startswith("access-control-")]


def test_answers_are_not_kept(here: str) -> None:
    """By no cache, as what they say they are; HEAD tells the same without a body."""

    async def work(client: httpx2.AsyncClient, _: Books) -> tuple[httpx2.Response, httpx2.Response]:
        return await client.get("/accounts"), await client.head("/accounts")

    whole, head = administer(here, work)
    assert (whole.headers["cache-control"], whole.headers["x-content-type-options"]) == ("no-store", "nosniff")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(whole.content)))


def test_what_nobody_expected_is_500_without_words(here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log has the exception, the client its request's id."""

    async def work(client: httpx2.AsyncClient, books: Books) -> httpx2.Response:
        async def broken(*_: object) -> object:
            raise ValueError("private words")

        monkeypatch.setattr(type(books.accounts), "list", broken)
        return await client.get("/accounts")

    with structlog.testing.capture_logs() as lines:
        answer = administer(here, work)
    assert answer.status_code == 500
    assert "private words" not in answer.text
    assert error_of(answer)["request_id"] in [line.get("id") for line in lines if line["event"] == "failure"]


def test_a_database_that_is_away_is_503(here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Retry-After, and without the driver's words."""

    async def work(client: httpx2.AsyncClient, books: Books) -> httpx2.Response:
        async def away(*_: object) -> object:
            raise overloaded(5, "driver's words")

        monkeypatch.setattr(type(books.db), "query", away)
        return await client.get("/accounts")

    answer = administer(here, work)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "driver" not in answer.text


# --- the log --------------------------------------------------------------------------------------------------------


def test_log_tells_who_did_what_to_whom(here: str) -> None:
    """One line a request, by non-secret names; no secret in any."""

    async def work(client: httpx2.AsyncClient, books: Books) -> list[str]:
        staff = await books.accounts.create("staff")
        admins, key = await books.keys.create(staff.id, mode="admin")
        client.headers["x-api-key"] = admins
        account = (await client.post("/accounts", json={"name": "shop"})).json()
        made = (await client.post("/accounts/shop/keys", json={})).json()
        await client.get("/accounts/shop", headers={"x-api-key": "wrong-words"})
        return [admins[12:], made["key"][12:], "wrong-words", key.fingerprint, account["id"], made["id"]]

    with structlog.testing.capture_logs() as lines:
        *secrets, fingerprint, account_id, key_id = administer(here, work)
    told = [line for line in lines if line["event"] == "admin"]
    assert [(line["operation"], line.get("key"), line.get("target"), line["status"]) for line in told] == [
        ("createAccount", fingerprint, account_id, 201),
        ("createKey", fingerprint, key_id, 201),
        ("none", None, None, 401),
    ]
    assert [secret for secret in secrets if secret in str(lines)] == []


# --- the document and the page --------------------------------------------------------------------------------------


def test_document_has_every_operation() -> None:
    """And no other."""
    described = {
        (method.upper(), path, operation["operationId"])
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }

    assert described == {(operation.method, operation.path, operation.name) for operation in OPERATIONS}
    assert len(described) == len(OPERATIONS)


def test_document_is_served(here: str) -> None:
    """As it is."""

    async def work(client: httpx2.AsyncClient, _: Books) -> object:
        return (await client.get("/openapi.json")).json()

    assert administer(here, work) == orjson.loads(orjson.dumps(document()))


def test_document_is_openapi() -> None:
    """Says the validator; examples are what the schemas say."""
    openapi = pytest.importorskip("openapi_spec_validator", reason="needs openapi-spec-validator")
    jsonschema = pytest.importorskip("jsonschema")
    told = orjson.loads(orjson.dumps(document()))

    assert list(openapi.OpenAPIV31SpecValidator(told).iter_errors()) == []
    for kind, example in EXAMPLES.items():
        schema = told["components"]["schemas"][kind.__name__] | {"components": told["components"]}
        jsonschema.Draft202012Validator(schema).validate(example)


def test_references_of_the_document_resolve() -> None:
    """Each schema that is named is there, and each that is there is named."""
    whole = orjson.dumps(document()).decode()
    named = set(re.findall(r'"#/components/schemas/(\w+)"', whole))

    assert named == set(document()["components"]["schemas"])


@pytest.mark.parametrize("operation", CHANGES, ids=lambda operation: operation.name)
def test_examples_are_read(operation: Operation) -> None:
    """Each body has its example, which can be read."""
    assert operation.body is not None
    assert msgspec.json.decode(orjson.dumps(EXAMPLES[operation.body]), type=operation.body)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_addresses_lead_to_their_operation(operation: Operation) -> None:
    """Each path is found by its method, with the name in it."""
    found, name = find(operation.method, spelled(operation))

    assert found is operation
    assert name == ("shop" if "{" in operation.path else "")


def page() -> str:
    """docs/admin.md."""
    return (ROOT / "docs" / "admin.md").read_text(encoding="utf-8")


def test_page_shows_every_operation() -> None:
    """Its table of addresses is the table of operations."""
    table = page().partition("<!-- operations -->")[2].partition("<!-- /operations -->")[0]
    rows = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines() if "`/" in line]

    assert rows == [[operation.method, f"`{operation.path}`", operation.words] for operation in OPERATIONS]


def test_page_shows_every_member_of_every_body() -> None:
    """By name."""
    members = {field.name for kind in EXAMPLES for field in msgspec.structs.fields(kind)}

    assert [name for name in sorted(members) if f"`{name}`" not in page()] == []


# --- a real server --------------------------------------------------------------------------------------------------


def bgone(folder: Path, *arguments: str) -> dict[str, Any]:
    """What ``bgone ARGUMENTS --json`` tells, as a process."""
    given = {name: value for name, value in os.environ.items() if not name.startswith("BGONE_")}
    command = [sys.executable, "-m", "bgone", *arguments, "--json"]
    given["BGONE_DATA_DIR"] = str(folder)
    told: dict[str, Any] = orjson.loads(subprocess.run(command, env=given, check=True, capture_output=True).stdout)
    return told


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path]]:
    """A server with accounts, and the folder that they are in."""
    folder = tmp_path_factory.mktemp("office")
    bgone(folder / "state", "accounts", "create", "shop", "--credits", "2")
    with serve(folder, data_dir=folder / "state", admin_key="operators-own-key") as served:
        yield served, folder / "state"


def test_server_and_commands_share_their_accounts(office: tuple[Served, Path]) -> None:
    """A key made over HTTP cuts, and one revoked by command does not, two seconds later at most."""
    served, folder = office
    admin_key = {"x-api-key": "operators-own-key"}
    made = served.post("/admin/v1/accounts/shop/keys", json={"prefix": "sk_live_"}, headers=admin_key).json()
    shown = {"x-api-key": made["key"]}

    assert served.get("/v2/account", headers=shown).status_code == 200
    assert served.get("/admin/v1/accounts", headers=shown).status_code == 403
    bgone(folder, "accounts", "credit", "shop", "0.5")
    assert served.get("/admin/v1/accounts/shop", headers=admin_key).json()["balance"] == "2.5"
    bgone(folder, "keys", "revoke", made["name"])
    give_up_at = time.monotonic() + 2.5
    while served.get("/v2/account", headers=shown).status_code == 200:
        assert time.monotonic() < give_up_at
        time.sleep(0.1)
    assert made["key"][-33:] not in served.log_path.read_text()
    assert "operators-own-key" not in served.log_path.read_text()


def test_connections_outlive_refusals(office: tuple[Served, Path]) -> None:
    """What was read to its end is answered at once and on the same connection; the log has a line for each."""
    served, _ = office
    with served.client() as client:
        started = time.monotonic()
        answers = [
            client.post("/admin/v1/accounts", content=body, headers=[*AS_JSON.items(), ("x-api-key", key)])
            for body, key in (("{", "operators-own-key"), ('{"name": "a\\nb"}', "operators-own-key"))
        ]
        assert time.monotonic() - started < 5

    assert [answer.status_code for answer in answers] == [400, 400]
    assert [answer.headers.get("connection") for answer in answers] == [None, None]
    give_up_at = time.monotonic() + 5
    while len(lines := [line for line in served.log() if line["event"] == "admin" and line["status"] == 400]) < 2:
        assert time.monotonic() < give_up_at
        time.sleep(0.02)
    assert [line["error"] for line in lines] == ["malformed_body", "invalid_option"]


@pytest.mark.parametrize("path", ["/admin/v1", "/admin/v1/accounts", "/admin/v1/a%0Ab", "/admin/v1/..%2f..%2fmetrics"])
def test_server_tells_strangers_nothing(office: tuple[Served, Path], path: str) -> None:
    """401, or 404 where the address is none of the API's; no header of theirs comes back."""
    served, _ = office
    answer = served.get(path, headers={"x-api-key": "wrong", "x-forwarded-for": "1.2.3.4"})

    assert answer.status_code in (401, 404)
    assert "x-forwarded-for" not in answer.headers
    assert "shop" not in answer.text


def test_server_without_accounts_has_no_admin(server: Served) -> None:
    """404 with words."""
    answer = server.get("/admin/v1/accounts", headers={"x-api-key": "any"})

    assert answer.status_code == 404
    assert "bgone accounts create" in error_of(answer)["message"]
