"""Many at once, in several processes, some of which die: to the last millionth nothing is lost or taken twice."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import func, select

from bgone.accounts.accounts import utc_now
from bgone.accounts.credits import Credits
from bgone.storage.tables import ledger
from tests.accounts.shop import Shop, in_shop
from tests.accounts.spender import CLIENTS, HOLD_S, Spender
from tests.conftest import ROOT

GIVEN = Decimal("250.123456")


@contextmanager
def spending(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.accounts.spender", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


async def told(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    return json.loads(await asyncio.to_thread(process.stdout.readline))


async def new_secret(shop: Shop, given: Decimal) -> str:
    account = await shop.accounts.create("crowd", credits=given)
    return (await shop.keys.create(account.id))[0]


async def charged_twice(shop: Shop) -> int:
    kept = select(ledger.c.request_id).where(ledger.c.reason.in_(("hold", "charge")))
    twice = kept.group_by(ledger.c.account_id, ledger.c.request_id).having(func.count() > 1)
    return len(await shop.database.query(lambda link: link.execute(twice).all()))


def check(outcomes: Mapping[str, int], calls: int) -> None:
    """Every kind of end was met, and nobody was without one."""
    assert sorted(outcomes) == ["charged", "expired", "free", "no_credits"]
    assert min(outcomes.values()) > 0
    assert sum(outcomes.values()) - outcomes["expired"] == calls


def test_fifty_clients_of_one_process(address: str) -> None:
    """Until the money is gone: what clients were told is what was taken."""

    async def main(shop: Shop) -> None:
        secret = await new_secret(shop, GIVEN)
        till = Credits(shop.database, hold_s=HOLD_S)
        spender = Spender(till, shop.accounts, await shop.keys.find(secret), 7)
        await spender.spend(12)
        check(spender.outcomes, CLIENTS * 12)
        assert await shop.left(spender.holder) == GIVEN - spender.charged
        assert await charged_twice(shop) == 0

    in_shop(address, main)


def test_three_processes_of_fifty_clients(address: str) -> None:
    """On one account: the sum of what all were told is what was taken, and no more than there was."""

    async def main(shop: Shop) -> None:
        secret = await new_secret(shop, GIVEN * 3)
        with ExitStack() as stack:
            processes = [stack.enter_context(spending(address, secret, seed, "12")) for seed in "123"]
            reports = await asyncio.gather(*map(told, processes))
        charged = [Decimal(report.pop("credits")) for report in reports]
        check(sum(map(Counter, reports), Counter()), 3 * CLIENTS * 12)
        assert await shop.left(await shop.keys.find(secret)) == GIVEN * 3 - sum(charged)
        assert await charged_twice(shop) == 0

    in_shop(address, main)


def test_killed_processes_give_back(address: str) -> None:
    """What a process held when it was killed is the account's again after its time."""

    async def main(shop: Shop) -> None:
        secret = await new_secret(shop, Decimal(30))
        with spending(address, secret, "leave", "20") as process:
            assert await told(process) == "held"
            process.kill()
        holder = await shop.keys.find(secret)
        assert await shop.left(holder) == Decimal(10)
        assert await Credits(shop.database, now=lambda: utc_now() - timedelta(hours=1)).expire() == 0
        later = Credits(shop.database, now=lambda: utc_now() + timedelta(seconds=2))
        assert await later.expire() == 20
        assert await shop.left(holder) == Decimal(30)

    in_shop(address, main)
