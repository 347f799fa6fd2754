"""Accounts over real HTTP, on SQLite and on PostgreSQL: who is let in, how often, and what it costs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, TypeVar

import pytest
from httpx2 import Client, Response

from bgone.accounts.accounts import Plan
from bgone.accounts.books import Books, open_books
from tests import wire
from tests.api.test_conformance import NAMES, SMALL, SPEAKERS, code_of, with_file
from tests.databases import KINDS, own_postgres, sqlite_address
from tests.pictures import photo
from tests.serving import Served, serve

Value = TypeVar("Value")
PREFIXES = {"foner": "fnr_", "poofbg": "pk_live_", "jobid": "sk_live_", "poof": "poof_"}
# One call a minute, in every dialect, for the plan "slow".
SLOW = {"*": [{"per": "minute", "amount": 1, "scope": "key"}]}


@dataclass
class Shop:
    """A running server and the books that it reads."""

    served: Served
    client: Client
    address: str

    def books(self, work: Callable[[Books], Awaitable[Value]]) -> Value:
        """Something done in the database beside the server."""

        async def main() -> Value:
            async with open_books(self.address) as books:
                return await work(books)

        return asyncio.run(main())

    def account(self, name: str, given: str = "5", *, plan: str = "payg", dialect: str = "", mode: str = "live") -> str:
        """A new account with a key of the dialect's kind; gives the key."""

        async def make(books: Books) -> str:
            account = await books.accounts.create(name, plan=plan, credits=Decimal(given))
            prefix = PREFIXES.get(dialect, "")
            secret, _ = await books.keys.create(account.id, prefix=prefix, mode=mode)  # type: ignore[arg-type]
            return secret

        return self.books(make)

    def left(self, name: str) -> Decimal:
        """Credits that can be spent, nothing held any more."""

        async def read(books: Books) -> tuple[Decimal, Decimal]:
            balance = await books.credits.balance(name)
            return balance.credits, balance.held

        give_up_at = time.monotonic() + 10
        while self.books(read)[1]:
            assert time.monotonic() < give_up_at, "credits are held for ever"
            time.sleep(0.05)
        return self.books(read)[0]

    def ask(self, dialect: str, key: str, picture: bytes = SMALL, /, **options: str) -> Response:
        """A picture route."""
        speaker = SPEAKERS[dialect]
        return self.client.post(speaker.path, **with_file(dialect, picture, **options), headers=speaker.key(key))


@pytest.fixture(scope="module", params=KINDS)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A server on a database of each kind."""
    folder = tmp_path_factory.mktemp("shop")
    if request.param == "sqlite":
        yield from _shop(folder, sqlite_address(folder))
    else:
        with own_postgres() as address:
            yield from _shop(folder, address)


def _shop(folder: Any, address: str) -> Iterator[Shop]:
    async def prepare() -> None:
        from bgone.storage.database import Database

        database = await Database.open(address)
        await database.migrate()
        await database.aclose()
        async with open_books(address) as books:
            await books.accounts.put_plan(Plan("slow", rates=SLOW))
            await books.accounts.put_plan(Plan("monthly", quota=Decimal(10), free_calls=2))
            await books.accounts.put_plan(Plan("cheap", prices={"removebg": Decimal("0.1")}))

    asyncio.run(prepare())
    settings: dict[str, object] = {"database_url": address, "job_wait_s": 20, "fetch_allow": "127.0.0.0/8"}
    with serve(folder, **settings) as served, served.client() as client:
        yield Shop(served, client, address)


# --- who ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_a_key_of_an_account_pays_for_a_picture(shop: Shop, name: str) -> None:
    """Once, the dialect's price; a wrong key and none are refused in its form."""
    key = shop.account(f"pays {name}", dialect=name)

    answer = shop.ask(name, key, size="full" if name == "removebg" else "")

    assert answer.status_code == SPEAKERS[name].success, answer.text
    SPEAKERS[name].take(_with_key(shop, name, key), answer)
    assert shop.left(f"pays {name}") == 4
    code_of(name, shop.ask(name, key + "x"))
    code_of(name, shop.client.post(SPEAKERS[name].path, **with_file(name)))


def _with_key(shop: Shop, name: str, key: str) -> Any:
    """The client with the right key, for answers that are picked up later; links to results are followed bare."""

    class Keyed:
        def get(self, url: str, headers: object = None) -> Response:
            return shop.client.get(url, headers={} if "/results/" in url else SPEAKERS[name].key(key))

    return Keyed()


def test_a_revoked_key_is_refused_within_seconds(shop: Shop) -> None:
    """The cache's age is bounded."""
    key = shop.account("revoked")
    assert shop.ask("backgrounderase", key).status_code == 200

    shop.books(lambda books: books.keys.revoke(key[:12]))

    took = wire.wait_until(lambda: shop.ask("backgrounderase", key).status_code == 403, 10)
    assert took < 5


def test_a_rotated_key_works_beside_its_successor(shop: Shop) -> None:
    """Until the overlap is over."""
    key = shop.account("rotated")
    fresh, _ = shop.books(lambda books: books.keys.rotate(key[:12], 60))

    assert [shop.ask("backgrounderase", one).status_code for one in (key, fresh)] == [200, 200]


def test_a_barred_account_is_refused(shop: Shop) -> None:
    """403, and nothing is taken."""
    key = shop.account("barred")
    shop.books(lambda books: books.accounts.bar("barred"))

    answer = shop.ask("backgrounderase", key)

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    assert shop.left("barred") == 5


def test_test_keys_are_free(shop: Shop) -> None:
    """And their calls are counted apart."""
    key = shop.account("tests", "0", mode="test")

    assert shop.ask("backgrounderase", key).status_code == 200
    assert shop.left("tests") == 0


# --- what it costs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_account_gets_402_in_the_dialects_form(shop: Shop, name: str) -> None:
    """Before any work."""
    key = shop.account(f"empty {name}", "0", dialect=name)

    answer = shop.ask(name, key)

    assert answer.status_code == 402, answer.text
    code_of(name, answer)


@pytest.mark.parametrize("name", NAMES)
def test_a_failed_picture_costs_nothing(shop: Shop, name: str) -> None:
    """Whatever is wrong with it."""
    key = shop.account(f"fails {name}", dialect=name)
    damaged = SMALL[: len(SMALL) // 2]

    for picture in (b"no picture at all", damaged):
        shop.ask(name, key, picture)

    assert shop.left(f"fails {name}") == 5


def test_previews_cost_a_quarter_and_say_so(shop: Shop) -> None:
    """remove.bg's default size; ``auto`` of a small picture is held as a whole credit and charged as a preview."""
    key = shop.account("previews", "2")

    answers = [shop.ask("removebg", key, size=size) for size in ("", "preview", "auto", "full")]

    assert [answer.headers["x-credits-charged"] for answer in answers] == ["0.25", "0.25", "0.25", "1"]
    assert shop.left("previews") == Decimal("0.25")


def test_auto_is_what_the_balance_allows(shop: Shop) -> None:
    """remove.bg's ``auto`` answers a preview where a whole credit is not left; any other size is 402."""
    key = shop.account("scraps", "0.75")
    large = photo(1000, 750)

    refused = shop.ask("removebg", key, large, size="full")
    answers = [shop.ask("removebg", key, large, size="auto") for _ in range(3)]

    assert refused.status_code == 402
    assert [answer.headers["x-credits-charged"] for answer in answers] == ["0.25"] * 3
    assert all(int(answer.headers["x-width"]) * int(answer.headers["x-height"]) <= 250_000 for answer in answers)
    assert shop.left("scraps") == 0
    assert shop.ask("removebg", key, large, size="auto").status_code == 402


def test_free_calls_pay_for_previews_first(shop: Shop) -> None:
    """A plan's free previews."""
    key = shop.account("free calls", "0", plan="monthly")

    for _ in range(3):
        assert shop.ask("removebg", key).status_code == 200

    assert shop.left("free calls") == Decimal("9.75")


def test_a_plans_price_replaces_the_usual_one(shop: Shop) -> None:
    """Per dialect."""
    key = shop.account("cheap", "1", plan="cheap")

    assert shop.ask("removebg", key, size="full").status_code == 200
    assert shop.left("cheap") == Decimal("0.9")


def test_who_hangs_up_before_the_answer_pays_nothing(shop: Shop) -> None:
    """While the picture is being made, or at once."""
    key = shop.account("hangs up")
    request = shop.client.build_request("POST", "/v2", **with_file("backgrounderase"), headers={"x-api-key": key})
    body = request.read()
    head = [f"x-api-key: {key}", f"Content-Type: {request.headers['content-type']}"]

    for _ in range(5):
        with wire.connect(shop.served.port) as line:
            line.sendall(wire.request(body, *head))

    assert shop.left("hangs up") == 5


def test_many_at_once_spend_what_is_there_and_no_more(shop: Shop) -> None:
    """20 calls race for 7 credits."""
    key = shop.account("race", "7")
    request = shop.client.build_request(
        "POST", "/v2", **with_file("backgrounderase", SMALL), headers={"x-api-key": key}
    )
    raw = wire.request(request.read(), f"x-api-key: {key}", f"Content-Type: {request.headers['content-type']}")

    async def all_together() -> list[int]:
        return [answer.status for answer in await asyncio.gather(*(wire.ask(shop.served.port, raw) for _ in range(20)))]

    statuses = asyncio.run(all_together())

    assert sorted(statuses) == [200] * 7 + [402] * 13
    assert shop.left("race") == 0
    assert shop.books(lambda books: books.credits.audit()) == []


# --- what is told ---------------------------------------------------------------------------------------------------


ACCOUNTS: dict[str, Callable[[Any], object]] = {
    "GET /removebg/v1.0/account": lambda body: body["data"]["attributes"]["credits"]["total"],
    "GET /photoroom/v1/account": lambda body: body["credits"]["available"],
    "GET /photoroom/v2/account": lambda body: body["images"]["available"],
    "GET /picsart/tools/1.0/balance": lambda body: body["credits"],
    "GET /poof/v1/me": lambda body: body["maxCredits"] - body["usedCredits"],
    "GET /poofbg/v1/account": lambda body: body["credits_remaining"],
    "POST /slazzer/v2.0/account_balance": lambda body: body["total_credits"],
}


@pytest.mark.parametrize("route", ACCOUNTS)
def test_account_routes_tell_true_numbers(shop: Shop, route: str) -> None:
    """Before and after a picture, at once."""
    method, path = route.split()
    dialect = path.split("/")[1]
    key = shop.account(f"told {path}", "5")
    speaker = SPEAKERS[dialect]
    body: dict[str, Any] = {"data": {"api_key": key}} if dialect == "slazzer" else {"headers": speaker.key(key)}

    told = [ACCOUNTS[route](shop.client.request(method, path, **body).json())]
    assert shop.ask("backgrounderase", key).status_code == 200
    told.append(ACCOUNTS[route](shop.client.request(method, path, **body).json()))

    assert told == [5, 4]


def test_clipdrop_tells_what_is_left_with_every_picture(shop: Shop) -> None:
    """After the charge."""
    key = shop.account("clipdrop's", "2")

    left = [shop.ask("clipdrop", key).headers["x-remaining-credits"] for _ in range(2)]

    assert left == ["1", "0"]


def test_jobs_of_others_are_not_there(shop: Shop) -> None:
    """404, or PoofBG's 403."""
    mine, other = (shop.account(name, dialect="poofbg") for name in ("mine", "other"))
    job = shop.ask("poofbg", mine).json()["id"]

    answers = [shop.client.get(f"/v1/jobs/{job}", headers=SPEAKERS["poofbg"].key(key)) for key in (mine, other)]

    assert [answer.status_code for answer in answers] == [200, 403]
    assert shop.client.get("/v1/jobs", headers=SPEAKERS["poofbg"].key(other)).json()["data"] == []


# --- how often ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_too_many_calls_get_429_in_the_dialects_form(shop: Shop, name: str) -> None:
    """With whole seconds to wait; nothing is taken."""
    key = shop.account(f"slow {name}", plan="slow", dialect=name)
    shop.ask(name, key)

    answer = shop.ask(name, key)

    assert answer.status_code == 429, answer.text
    code_of(name, answer)
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    if name in ("removebg", "poofbg"):
        assert answer.headers["x-ratelimit-limit"] == "1"
        assert answer.headers["x-ratelimit-remaining"] == "0"


def test_removebg_counts_megapixels(shop: Shop) -> None:
    """500 a minute, at least 1 a call."""
    key = shop.account("weighed")

    heads = [shop.ask("removebg", key).headers for _ in range(2)]

    assert [head["x-ratelimit-limit"] for head in heads] == ["500", "500"]
    assert [head["x-ratelimit-remaining"] for head in heads] == ["499", "498"]
    assert abs(int(heads[0]["x-ratelimit-reset"]) - time.time()) < 120


# --- what is never told ---------------------------------------------------------------------------------------------


def test_keys_stand_in_no_log_metric_or_error(shop: Shop) -> None:
    """Right ones, wrong ones, in the header and in the query."""
    key = shop.account("secret")
    shop.ask("backgrounderase", key)
    wrong = "wr0ng" + key[5:]
    told = [shop.ask(name, wrong).text for name in NAMES]
    told.append(shop.client.get(f"/v2/account?api_key={wrong}").text)
    told.append(shop.client.get("/v2/account", headers={"x-api-key": key}).text)

    told.append(shop.served.get("/metrics").text)
    told.append(shop.served.log_path.read_text())

    for text in told:
        assert key not in text
        assert wrong not in text
        assert key[14:] not in text


def test_hostile_keys_are_just_wrong(shop: Shop) -> None:
    """SQL, quotes, controls, length."""
    for hostile in (
        "' OR 1=1 --",
        '"; DROP TABLE keys; --',
        "%00%0d%0a",
        "a" * 5000,
        "ключ".encode().decode("latin-1"),
    ):
        answer = shop.client.get("/v2/account", headers={b"x-api-key": hostile.encode("latin-1", "replace")})
        assert answer.status_code == 401, answer.text
    key = shop.account("after the attack")
    assert shop.ask("backgrounderase", key).status_code == 200


def test_the_ledger_balances_after_all_of_this(shop: Shop) -> None:
    """Every balance is the sum of its rows."""
    assert shop.books(lambda books: books.credits.audit()) == []
