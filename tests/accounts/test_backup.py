"""Backup and restore: what docs/accounts.md says, done while the server spends."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from bgone.accounts.keys import Holder
from tests.accounts.shop import Shop, in_shop
from tests.databases import own_postgres, sqlite_address


async def spend(shop: Shop, holder: Holder, calls: int) -> None:
    for _ in range(calls):
        await shop.credits.charge(await shop.hold(holder))


def restored(address: str, secret: str) -> Decimal:
    """What is left on the copy: its key opens, its books balance, it goes on spending."""

    async def main(shop: Shop) -> Decimal:
        await shop.database.require_current()
        holder = await shop.keys.find(secret)
        assert await shop.credits.audit() == []
        left = await shop.left(holder)
        await shop.credits.charge(await shop.credits.hold(holder, Decimal(1), "req_after", "removebg"))
        return left

    return in_shop(address, main)


def test_sqlite_copies_are_whole(tmp_path: Path) -> None:
    """Made while calls are charged: a moment in between, that balances."""

    async def main(shop: Shop) -> str:
        account = await shop.accounts.create("Ada", credits=Decimal(100))
        secret, _ = await shop.keys.create(account.id)
        spending = asyncio.create_task(spend(shop, await shop.keys.find(secret), 60))
        await asyncio.sleep(0.01)
        await shop.database.backup(tmp_path / "backup" / "bgone.db")
        await spending
        return secret

    secret = in_shop(sqlite_address(tmp_path), main)
    left = restored(f"sqlite+aiosqlite:///{tmp_path}/backup/bgone.db", secret)
    assert Decimal(40) <= left <= Decimal(100)


def test_postgresql_dumps_are_whole() -> None:
    """``pg_dump`` and ``pg_restore`` into an empty database, while calls are charged."""
    if shutil.which("pg_dump") is None:
        pytest.skip("needs pg_dump and pg_restore")

    async def main(shop: Shop) -> str:
        await shop.database.migrate()
        account = await shop.accounts.create("Ada", credits=Decimal(1000))
        secret, _ = await shop.keys.create(account.id)
        spending = asyncio.create_task(spend(shop, await shop.keys.find(secret), 100))
        await asyncio.to_thread(copy)
        await spending
        return secret

    def copy() -> None:
        dump = subprocess.run(["pg_dump", "--format=custom", plain(source)], check=True, capture_output=True).stdout
        restore = ["pg_restore", "--exit-on-error", "--no-owner", "--dbname", plain(target)]
        subprocess.run(restore, input=dump, check=True)

    def plain(address: str) -> str:
        return make_url(address).set(drivername="postgresql").render_as_string(hide_password=False)

    with own_postgres() as source, own_postgres() as target:
        secret = in_shop(source, main)
        assert Decimal(900) <= restored(target, secret) <= Decimal(1000)
