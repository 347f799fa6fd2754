"""Servers with jobs in memory, in SQLite and in PostgreSQL, accounts as needed, and an origin that never answers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from httpx2 import Client, Response

from bgone.accounts.books import open_books
from tests import pictures
from tests.databases import on_database, own_postgres, sqlite_address
from tests.serving import Served, serve

WHERE = ("memory", "sqlite", "postgresql")
GIVEN = 5
ENOUGH_S = 60.0
PHOTO = pictures.photo(61, 40, of=pictures.ball)


@dataclass
class Owner:
    """An account.

    Attributes:
        name: Of it.
        key: Secret.
        client: Shows it in every way there is.
    """

    name: str
    key: str
    client: Client


@dataclass
class Host:
    """A server, and what lies behind it.

    Attributes:
        served: It.
        folder: Its objects.
        address: Of its database; "" where it has none.
        keys: Static ones that nobody has used.
    """

    served: Served
    folder: Path
    address: str
    keys: list[str]

    @contextlib.contextmanager
    def owner(self) -> Iterator[Owner]:
        """A new account."""
        name = secrets.token_hex(6)
        key = _new_key(self.address, name) if self.address else self.keys.pop()
        headers = {"x-api-key": key, "authorization": f"Bearer {key}", "x-picsart-api-key": key, "api-key": key}
        with Client(base_url=self.served.url, headers=headers, timeout=ENOUGH_S, trust_env=False) as client:
            yield Owner(name, key, client)

    def left(self, owner: Owner) -> tuple[Decimal, Decimal] | None:
        """(what an account can spend, what is held); None where nothing is counted."""

        async def look() -> tuple[Decimal, Decimal]:
            async with open_books(self.address) as books:
                balance = await books.credits.balance(owner.name)
                assert await books.credits.audit() == []
                return balance.credits, balance.held

        return asyncio.run(look()) if self.address else None

    def stored(self) -> list[str]:
        """Everything in the object store."""
        return sorted(path.name for path in self.folder.iterdir())


@contextlib.contextmanager
def host(where: str, folder: Path, **settings: object) -> Iterator[Host]:
    """One of ``WHERE``; only 127.0.0.1 may be fetched from."""
    objects = folder / "objects"
    common = {"objects_url": f"file://{objects}", "fetch_allow": "127.0.0.1/32", "fetch_s": 60, **settings}
    if where == "memory":
        keys = [f"sk_live_{number}" for number in range(20)]
        with serve(folder, api_keys=",".join(keys), **common) as served:
            yield Host(served, objects, "", keys)
        return
    with contextlib.ExitStack() as stack:
        address = sqlite_address(folder) if where == "sqlite" else stack.enter_context(own_postgres())
        on_database(address, lambda database: database.migrate())
        served = stack.enter_context(serve(folder, database_url=address, rate_limits="off", **common))
        yield Host(served, objects, address, [])


def _new_key(address: str, name: str) -> str:
    async def main() -> str:
        async with open_books(address) as books:
            account = await books.accounts.create(name, credits=Decimal(GIVEN))
            secret, _ = await books.keys.create(account.id, prefix="sk_live_")
            return secret

    return asyncio.run(main())


@contextlib.contextmanager
def silence() -> Iterator[str]:
    """A URL whose host takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as line:
        yield f"http://127.0.0.1:{line.getsockname()[1]}/x.jpg"


def until(look: Callable[[], Any]) -> Any:
    """What ``look`` finds, once it finds something."""
    give_up_at = time.monotonic() + ENOUGH_S
    while not (found := look()):
        assert time.monotonic() < give_up_at
        time.sleep(0.05)
    return found


def told(answer: Response) -> Any:
    """The JSON of an answer that is a success."""
    assert answer.status_code in (200, 202), answer.text
    return json.loads(answer.content)
