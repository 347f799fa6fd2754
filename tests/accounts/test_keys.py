"""Keys: shown once, found again, ended within seconds."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from bgone.accounts import keys as module
from bgone.accounts.keys import PREFIXES, Keys, Mode
from bgone.errors import ApiError
from bgone.storage.tables import keys as table
from tests.accounts.shop import Shop, in_shop


async def kind(keys: Keys, secret: str) -> str:
    """Why a key is refused, or "" where it is not."""
    try:
        await keys.find(secret)
    except ApiError as error:
        return error.kind
    return ""


@pytest.mark.parametrize("prefix", [*PREFIXES, "my_own2_"])
@pytest.mark.parametrize("mode", ["live", "test", "admin"])
def test_new_keys_open(address: str, prefix: str, mode: Mode) -> None:
    """Whatever they begin with; what the holder learns is the key, its account and the plan."""

    async def main(shop: Shop) -> None:
        account = await shop.accounts.create("Ada")
        secret, key = await shop.keys.create(account.id, prefix=prefix, mode=mode)
        assert re.fullmatch(prefix + "[A-Za-z0-9]{45}", secret)
        holder = await shop.keys.find(secret)
        assert (holder.key.id, holder.key.mode, holder.account, holder.plan.name) == (key.id, mode, account, "payg")
        assert secret.startswith(key.shown)
        assert re.fullmatch("tok_fp_[0-9a-f]{12}", key.fingerprint)

    in_shop(address, main)


def test_secrets_are_not_stored(address: str) -> None:
    """Neither in a column nor in what is told of a key: only the first twelve characters after the prefix."""

    async def main(shop: Shop) -> None:
        account = await shop.accounts.create("Ada")
        secret, key = await shop.keys.create(account.id, prefix="sk_live_")
        rows = await shop.database.query(lambda link: link.execute(select(table)).all())
        told = repr([tuple(row) for row in rows]) + repr(key) + repr(await shop.keys.find(secret))
        assert secret[len("sk_live_") + 12 :] not in told
        assert secret[len("sk_live_") :][:13] not in told

    in_shop(address, main)


def test_errors_do_not_carry_what_was_stored(address: str) -> None:
    """Neither digests nor names: exceptions end in the log."""

    async def main(shop: Shop) -> None:
        account = await shop.accounts.create("Ada")
        _, key = await shop.keys.create(account.id)
        row = {"account_id": account.id, "prefix": "", "digest": "secret", "mode": "live", "created_at": shop.clock()}
        with pytest.raises(IntegrityError) as failed:
            await shop.database.write(lambda link: link.execute(insert(table), row | {"id": key.id}))
        assert "secret" not in str(failed.value)

    in_shop(address, main)


@pytest.mark.parametrize(
    "change",
    [
        lambda secret: secret[:-1] + ("a" if secret[-1] != "a" else "b"),
        lambda secret: secret + "a",
        lambda secret: secret[:-1],
        lambda secret: secret.removeprefix("sk_live_"),
        lambda secret: "sk_test_" + secret.removeprefix("sk_live_"),
        lambda secret: secret.swapcase(),
        lambda secret: secret[: len("sk_live_") + 12],
        lambda _: "",
        lambda _: "_",
        lambda _: "' OR 1=1 --",
        lambda _: "sk_live_" + "\0" * 45,
        lambda _: "\udcff" * 45,
        lambda _: "é" * 45,
        lambda _: "x" * 100_000,
    ],
)
def test_other_secrets_do_not_open(address: str, change: Any) -> None:
    """All in the same words, whether the beginning is known or not."""

    async def main(shop: Shop) -> None:
        account = await shop.accounts.create("Ada")
        secret, _ = await shop.keys.create(account.id, prefix="sk_live_")
        assert await kind(shop.keys, change(secret)) == "key_wrong"
        assert await kind(shop.keys, secret) == ""

    in_shop(address, main)


@pytest.mark.parametrize("prefix", ["sk", "SK_", "a b_", "_", "ä_", "x" * 32 + "_", "a\n_"])
def test_prefixes_that_cannot_be(address: str, prefix: str) -> None:
    """The last underscore must end them."""

    async def main(shop: Shop) -> None:
        account = await shop.accounts.create("Ada")
        with pytest.raises(ApiError, match="prefix"):
            await shop.keys.create(account.id, prefix=prefix)
        with pytest.raises(ApiError, match="mode"):
            await shop.keys.create(account.id, mode="root")  # type: ignore[arg-type]
        with pytest.raises(ApiError, match="no such account"):
            await shop.keys.create("acc_none")
        assert await shop.keys.list() == ()

    in_shop(address, main)


# --- ending ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["shown", "id"])
def test_revoked_keys_do_not_open(address: str, by: str) -> None:
    """At once where they are revoked; twice is once."""

    async def main(shop: Shop) -> None:
        account = await shop.accounts.create("Ada")
        keys = Keys(shop.database, cache_s=3600, now=shop.clock)
        secret, key = await keys.create(account.id, prefix="fnr_")
        assert await kind(keys, secret) == ""
        revoked = await keys.revoke(getattr(key, by))
        assert revoked.revoked_at == shop.clock()
        assert await kind(keys, secret) == "key_revoked"
        shop.clock.move(seconds=5)
        assert await keys.revoke(key.shown) == revoked
        for name in ("nothing", secret, "sk_" + key.id, key.id[:11], "\0" * 12):
            with pytest.raises(ApiError, match="no such key"):
                await keys.revoke(name)

    in_shop(address, main)


def test_keys_expire(address: str) -> None:
    """To the moment, cached or not."""

    async def main(shop: Shop) -> None:
        account = await shop.accounts.create("Ada")
        keys = Keys(shop.database, cache_s=3600, now=shop.clock)
        secret, _ = await keys.create(account.id, expires_at=shop.clock() + timedelta(seconds=10))
        shop.clock.move(seconds=9)
        assert await kind(keys, secret) == ""
        shop.clock.move(seconds=1)
        assert await kind(keys, secret) == "key_revoked"
        assert await kind(Keys(shop.database, now=shop.clock), secret) == "key_revoked"

    in_shop(address, main)


def test_rotated_keys_overlap(address: str) -> None:
    """Both open for a while, then the new one alone; it is like the old one."""

    async def main(shop: Shop) -> None:
        account = await shop.accounts.create("Ada")
        keys = Keys(shop.database, cache_s=3600, now=shop.clock)
        old, old_key = await keys.create(account.id, prefix="poof_", mode="test")
        assert await kind(keys, old) == ""
        new, new_key = await keys.rotate(old_key.shown, 60)
        assert (new_key.prefix, new_key.mode, new_key.account_id) == ("poof_", "test", account.id)
        assert (await keys.get(old_key.id)).replaced_by == new_key.id
        shop.clock.move(seconds=59)
        assert [await kind(keys, secret) for secret in (old, new)] == ["", ""]
        shop.clock.move(seconds=1)
        assert [await kind(keys, secret) for secret in (old, new)] == ["key_revoked", ""]
        with pytest.raises(ApiError) as refused:
            await keys.rotate(old_key.id, 60)
        assert refused.value.kind == "key_revoked"

    in_shop(address, main)


def test_keys_are_rotated_once(address: str) -> None:
    """Of two that rotate one key at the same time, one does; a rotation never makes a life longer."""

    async def main(shop: Shop) -> None:
        account = await shop.accounts.create("Ada")
        ends = shop.clock() + timedelta(seconds=10)
        _, key = await shop.keys.create(account.id, expires_at=ends)
        done = await asyncio.gather(*(shop.keys.rotate(key.id, 60) for _ in range(2)), return_exceptions=True)
        (refused,) = (each for each in done if isinstance(each, ApiError))
        assert refused.kind == "invalid_option"
        assert (await shop.keys.get(key.id)).expires_at == ends
        assert len(await shop.keys.list(account.id)) == 2

    in_shop(address, main)


def test_lists_are_an_accounts_own(address: str) -> None:
    """Newest first; all of them where no account is named."""

    async def main(shop: Shop) -> None:
        first, other = await shop.accounts.create("Ada"), await shop.accounts.create("Bob")
        made = []
        for account in (first, other, first):
            shop.clock.move(seconds=1)
            made.append((await shop.keys.create(account.id))[1])
        assert await shop.keys.list(first.id) == (made[2], made[0])
        assert await shop.keys.list() == tuple(reversed(made))
        assert await shop.keys.list(limit=1, offset=1) == (made[1],)

    in_shop(address, main)


# --- the cache ------------------------------------------------------------------------------------------------------


def test_other_replicas_hear_within_the_caches_age(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A revoked key, a barred account and a new key: after two seconds everybody knows."""
    seconds = [1000.0]
    monkeypatch.setattr("bgone.accounts.keys.time.monotonic", lambda: seconds[0])

    async def main(shop: Shop) -> None:
        here, there = Keys(shop.database, now=shop.clock), Keys(shop.database, now=shop.clock)
        accounts = [await shop.accounts.create(name) for name in ("Ada", "Bob")]
        secrets = [(await here.create(account.id))[0] for account in accounts]
        assert [await kind(there, secret) for secret in secrets] == ["", ""]
        await here.revoke(secrets[0][:12])
        await shop.accounts.bar("Bob")
        seconds[0] += 1.9
        assert [await kind(there, secret) for secret in secrets] == ["", ""]
        seconds[0] += 0.2
        assert [await kind(there, secret) for secret in secrets] == ["key_revoked", "account_barred"]
        await shop.accounts.unbar("Bob")
        assert await kind(there, secrets[1]) == "account_barred"
        seconds[0] += 2.1
        assert await kind(there, secrets[1]) == ""

    in_shop(address, main)


def test_database_is_asked_once_for_many(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty callers with one key at one time are one question, and one of them hanging up harms nobody."""

    async def main(shop: Shop) -> None:
        account = await shop.accounts.create("Ada")
        keys = Keys(shop.database, cache_s=60, now=shop.clock)
        secret, _ = await keys.create(account.id)
        asked, query = [], shop.database.query

        async def counting(work: Any) -> Any:
            asked.append(work)
            return await query(work)

        monkeypatch.setattr(shop.database, "query", counting)
        callers = [asyncio.create_task(keys.find(secret)) for _ in range(50)]
        await asyncio.sleep(0)
        callers[0].cancel()
        done = await asyncio.gather(*callers, return_exceptions=True)
        assert sum(isinstance(each, BaseException) for each in done) == 1
        await keys.find(secret)
        assert len(asked) == 1

    in_shop(address, main)


def test_cache_is_bounded(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers who try keys push each other out, and no key that opens."""
    monkeypatch.setattr(module, "CACHED", 5)

    async def main(shop: Shop) -> None:
        account = await shop.accounts.create("Ada")
        keys = Keys(shop.database, cache_s=60, now=shop.clock)
        secret, _ = await keys.create(account.id)
        await keys.find(secret)
        for number in range(20):
            assert await kind(keys, f"wrong{number}") == "key_wrong"
        assert (len(keys._known), len(keys._strange)) == (1, 5)

    in_shop(address, main)


def test_last_use_is_known_to_five_minutes(address: str) -> None:
    """One write in that time, not one for each call."""

    async def main(shop: Shop) -> None:
        account = await shop.accounts.create("Ada")
        secret, key = await shop.keys.create(account.id)
        assert key.last_used_at is None
        begun = shop.clock()
        for seconds, expected in ((0, 0), (299, 0), (1, 300)):
            shop.clock.move(seconds=seconds)
            await shop.keys.find(secret)
            assert (await shop.keys.get(key.id)).last_used_at == begun + timedelta(seconds=expected)

    in_shop(address, main)
