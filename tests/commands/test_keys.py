"""``bgone keys``: made once, told apart by their beginning, ended."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pytest

from bgone.accounts.books import open_books
from bgone.accounts.keys import Holder
from bgone.commands.keys import duration_s, expiry
from bgone.errors import ApiError
from tests.commands.conftest import Run

Told = Callable[..., dict[str, Any]]

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.fixture
def shop(told: Told) -> str:
    """The id of an account named shop."""
    return str(told("accounts", "create", "shop")["id"])


def who(tmp_path: Path, secret: str) -> Holder | str:
    """Whom a server takes a secret for, or why it takes it for nobody."""

    async def ask() -> Holder | str:
        async with open_books(f"sqlite+aiosqlite:///{tmp_path}/state/bgone.db") as books:
            try:
                return await books.keys.find(secret)
            except ApiError as error:
                return error.kind

    return asyncio.run(ask())


@pytest.mark.parametrize("prefix", ["", "fnr_", "pk_live_", "sk_live_", "poof_", "sandbox_"])
def test_new_key_is_found(told: Told, shop: str, tmp_path: Path, prefix: str) -> None:
    """Every provider's prefix; what is told of it is what a server finds."""
    made = told("keys", "create", "--account", "shop", "--prefix", prefix, "--mode", "test")

    found = who(tmp_path, made["key"])
    assert isinstance(found, Holder)
    assert found.account.id == shop == made["account_id"]
    assert (found.key.shown, found.key.mode) == (made["name"], "test")
    assert made["key"].startswith(made["name"])


def test_list_tells_no_secret(bgone: Run, told: Told, shop: str) -> None:
    """Nor any part of it beyond the beginning."""
    made = told("keys", "create", "--account", "shop")
    secret_part = made["key"].removeprefix(made["name"])

    for asked in (["keys", "list"], ["keys", "list", "--json"], ["keys", "list", "--account", "shop"]):
        printed = bgone(*asked).stdout
        assert made["name"] in printed
        assert secret_part not in printed


def test_list_is_of_one_account_where_asked(told: Told, shop: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one page of them."""
    monkeypatch.setattr("bgone.commands.keys.PAGE", 2)
    told("accounts", "create", "other")
    mine = {told("keys", "create", "--account", "shop")["id"] for _ in range(3)}
    others = {told("keys", "create", "--account", "other")["id"]}

    assert {key["id"] for key in told("keys", "list", "--account", "shop")["keys"]} == mine
    assert {key["id"] for key in told("keys", "list")["keys"]} == mine | others


def test_rotated_key_stays_valid_for_the_overlap(told: Told, shop: str, tmp_path: Path) -> None:
    """Both are found; the old one has an end."""
    old = told("keys", "create", "--account", "shop", "--prefix", "sk_live_")
    new = told("keys", "rotate", old["name"], "--overlap", "1h")

    assert isinstance(who(tmp_path, old["key"]), Holder)
    assert isinstance(who(tmp_path, new["key"]), Holder)
    listed = {key["id"]: key for key in told("keys", "list")["keys"]}
    ended = listed[old["id"]]
    assert ended["replaced_by"] == new["id"]
    left = datetime.fromisoformat(ended["expires_at"]) - datetime.now(UTC)
    assert timedelta(minutes=55) < left <= timedelta(hours=1)


def test_rotation_without_overlap_ends_the_old_key(told: Told, shop: str, tmp_path: Path) -> None:
    """0s: now."""
    old = told("keys", "create", "--account", "shop")
    told("keys", "rotate", old["id"], "--overlap", "0s")

    assert who(tmp_path, old["key"]) == "key_revoked"


def test_revoked_key_is_refused(told: Told, shop: str, tmp_path: Path) -> None:
    """By its beginning or by its public part."""
    made = told("keys", "create", "--account", "shop", "--prefix", "poof_")

    assert told("keys", "revoke", made["name"])["revoked_at"] is not None
    assert who(tmp_path, made["key"]) == "key_revoked"


def test_expiry_is_kept(told: Told, shop: str) -> None:
    """A moment as it was typed."""
    made = told("keys", "create", "--account", "shop", "--expires", "2999-01-31T12:00:00+02:00")

    assert datetime.fromisoformat(made["expires_at"]) == datetime(2999, 1, 31, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("mode", "words"), [("admin", "to /admin/v1"), ("live", "as your client does"), ("test", "as your client does")]
)
def test_create_says_how_to_use_it(bgone: Run, shop: str, mode: str, words: str) -> None:
    """In one line on standard error; the secret alone is on the other."""
    done = bgone("keys", "create", "--account", "shop", "--mode", mode)

    assert re.fullmatch(r"[A-Za-z0-9]{45}\n", done.stdout)
    assert len(done.stderr.splitlines()) == 1
    assert words in done.stderr
    assert done.stdout.strip() not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["create"], 2, "--account"),
        (["create", "--account", "ghost"], 1, "There is no such account (account 'ghost')."),
        (["create", "--account", "shop", "--prefix", "sk-live"], 1, "prefix: expected"),
        (["create", "--account", "shop", "--prefix", "a\r\nb_"], 1, "prefix: expected"),
        (["create", "--account", "shop", "--mode", "root"], 2, "--mode"),
        (["create", "--account", "shop", "--expires", "soon"], 2, "--expires: expected 30d"),
        (["create", "--account", "shop", "--expires", "2001-01-01"], 2, "in the future"),
        (["list", "--account", "ghost"], 1, "There is no such account"),
        (["rotate", "sk_live_none"], 1, "There is no such key."),
        (["rotate", "x", "--overlap", "forever"], 2, "--overlap: expected a time"),
        (["revoke", "' OR 1=1 --"], 1, "There is no such key."),
        (["revoke", "%"], 1, "There is no such key."),
        (["revoke", ""], 1, "There is no such key."),
    ],
)
def test_what_cannot_be_done_is_one_line(bgone: Run, shop: str, arguments: list[str], status: int, words: str) -> None:
    """Exit status 1, or 2 where the words were wrong."""
    done = bgone("keys", *arguments)

    assert (done.exit_code, done.stdout) == (status, "")
    assert words in done.stderr.splitlines()[-1]


def test_rotating_twice_or_after_the_end_is_refused(bgone: Run, told: Told, shop: str) -> None:
    """Each key has one successor, and a dead one none."""
    key = told("keys", "create", "--account", "shop")["name"]
    new = told("keys", "rotate", key)["name"]
    told("keys", "revoke", new)

    assert "has not been rotated yet" in bgone("keys", "rotate", key).stderr
    assert "no longer valid" in bgone("keys", "rotate", new).stderr


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("30d", NOW + timedelta(days=30)),
        ("12h", NOW + timedelta(hours=12)),
        ("2w", NOW + timedelta(days=14)),
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T12:00:00Z", datetime(2027, 1, 31, 12, tzinfo=UTC)),
    ],
)
def test_expiry_reads(text: str, moment: datetime) -> None:
    """Times from now, days and moments; UTC where it does not say."""
    assert expiry(text, NOW) == moment


@pytest.mark.parametrize("text", ["30", "-1d", "1y", "999999999w", "0001-01-01T00:00:00+14:00", "٣d", "31.1.2027", ""])
def test_expiry_refuses(text: str) -> None:
    """What is no time, too long or in the past."""
    with pytest.raises(click.BadParameter):
        expiry(text, NOW)


@pytest.mark.parametrize(("text", "seconds"), [("0s", 0), ("90s", 90), ("15m", 900), ("24h", 86_400), ("1w", 604_800)])
def test_duration_reads(text: str, seconds: int) -> None:
    """A number and its unit."""
    assert duration_s("--overlap", text) == seconds
