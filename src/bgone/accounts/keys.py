"""Keys: shown once, stored as digests, found by a public part, and believed for two seconds.

A secret is ``prefix`` + 12 public characters + 33 secret ones, letters and digits: ``sk_live_`` + ``Ab3…``. The last
underscore ends the prefix, so any prefix can be told from the rest. Only the public part and a SHA-256 of the whole are
stored: 196 random bits need no slow hash.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
import string
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Literal

from sqlalchemy import BigInteger, Connection, Row, and_, bindparam, insert, or_, select, update

from bgone.accounts.accounts import Account, Plan, account_of, no_account, plan_of, utc_now
from bgone.errors import ApiError, account_barred, invalid_option, key_revoked, key_wrong
from bgone.storage.database import Database
from bgone.storage.tables import accounts, keys, plans, stored

Mode = Literal["live", "test", "admin"]
MODES: tuple[Mode, ...] = ("live", "test", "admin")
PREFIXES = ("", "fnr_", "pk_live_", "sk_live_", "poof_", "sandbox_")  # of the providers; others are as good
CACHED = 10_000  # known keys that are remembered, and as many unknown ones, apart: strangers push nobody out
COARSE = timedelta(minutes=5)  # how exactly the last use is known

_LETTERS = string.ascii_letters + string.digits
_PUBLIC, _SECRET = 12, 33  # characters; 33 of 62 letters are 196 bits
_PREFIX = re.compile(r"(?:[a-z0-9]+_)*", re.ASCII)
_NO_DIGEST = "0" * 64


@dataclass(frozen=True, slots=True)
class Key:
    """What may be told of a key.

    Attributes:
        id: Public part of the secret, 12 characters.
        account_id: Whose it is.
        prefix: What stands before ``id``.
        fingerprint: Non-secret name for account routes and logs.
        mode: ``live``, ``test`` (free, counted apart) or ``admin``.
        created_at: When it was made.
        expires_at: Valid until then; None: for ever.
        revoked_at: Invalid since.
        replaced_by: ``id`` of the key that it was rotated into; empty: none.
        last_used_at: To five minutes; None: never.
    """

    id: str
    account_id: str
    prefix: str
    fingerprint: str
    mode: Mode
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    replaced_by: str
    last_used_at: datetime | None

    @property
    def shown(self) -> str:
        """How it is told from others in public: its beginning."""
        return self.prefix + self.id


@dataclass(frozen=True, slots=True)
class Holder:
    """Whoever showed a key: facts as old as the cache allows."""

    key: Key
    account: Account
    plan: Plan


@dataclass(frozen=True, slots=True)
class _Known:
    answer: Holder | ApiError
    until: float


class Keys:
    """Every key of a database.

    Args:
        db: Where they are.
        cache_s: How long an answer is believed: a revoked key is refused everywhere after that; 0: never.
        now: The clock, UTC.
    """

    def __init__(self, db: Database, cache_s: float = 2.0, now: Callable[[], datetime] = utc_now) -> None:
        self._db = db
        self._cache_s = cache_s
        self._now = now
        self._known: OrderedDict[str, _Known] = OrderedDict()  # by digest; oldest first
        self._strange: OrderedDict[str, _Known] = OrderedDict()
        self._asking: dict[str, asyncio.Task[Holder | ApiError]] = {}

    # --- making and ending --------------------------------------------------------------------------------------

    async def create(
        self, account_id: str, *, prefix: str = "", mode: Mode = "live", expires_at: datetime | None = None
    ) -> tuple[str, Key]:
        """Make a key.

        Returns:
            The secret, which cannot be read again, and what may be told of it.

        Raises:
            not_found: There is no such account.
            invalid_option: The prefix is not words of small letters and digits, each with its underscore; no such mode.
        """
        if not _PREFIX.fullmatch(prefix) or len(prefix) > 32:
            raise invalid_option("prefix", "small letters, digits and a last underscore, at most 32", prefix)
        if mode not in MODES:
            raise invalid_option("mode", " or ".join(MODES), mode)
        secret, row = _new_key(account_id, prefix, mode, self._now(), expires_at)
        await self._db.write(partial(_insert, row))
        return secret, await self.get(row["id"])

    async def rotate(self, key: str, overlap_s: float) -> tuple[str, Key]:
        """Make a key like ``key``, which stays valid for so long beside it (never longer than it would have).

        Raises:
            not_found: There is no such key.
            key_revoked: It is no longer valid.
            invalid_option: It has been rotated already.
        """
        old = await self.get(key)
        now = self._now()
        secret, row = _new_key(old.account_id, old.prefix, old.mode, now, None)
        await self._db.write(partial(_rotate, old.id, row, now, now + timedelta(seconds=overlap_s)))
        self._forget(old.id)
        return secret, await self.get(row["id"])

    async def revoke(self, key: str) -> Key:
        """End a key: at once here, within ``cache_s`` on other replicas.

        Raises:
            not_found: There is no such key.
        """
        known = await self.get(key)
        ended = update(keys).where(keys.c.id == known.id, keys.c.revoked_at.is_(None)).values(revoked_at=self._now())
        await self._db.write(lambda link: link.execute(ended))
        self._forget(known.id)
        return await self.get(known.id)

    # --- telling ------------------------------------------------------------------------------------------------

    async def get(self, key: str) -> Key:
        """A key by its beginning (``Key.shown``) or its ``id``.

        Raises:
            not_found: There is no such key.
        """
        public = _public_of(key)
        row = await self._db.query(lambda link: link.execute(select(keys).where(keys.c.id == public)).first())
        if row is None or key not in (row.id, row.prefix + row.id):
            raise ApiError("not_found", "There is no such key.")
        return _key_of(row)

    async def list(self, account_id: str = "", limit: int = 1000, offset: int = 0) -> tuple[Key, ...]:
        """An account's keys, or all, newest first; the revoked ones too."""
        page = select(keys).order_by(keys.c.created_at.desc(), keys.c.id).limit(limit).offset(offset)
        page = page.where(keys.c.account_id == account_id) if account_id else page
        return tuple(_key_of(row) for row in await self._db.query(lambda link: link.execute(page).all()))

    # --- who asks -----------------------------------------------------------------------------------------------

    async def find(self, secret: str) -> Holder:
        """Who showed ``secret``; a key that is not there costs as much time as a wrong one.

        Raises:
            key_wrong: It is none of ours.
            key_revoked: It was revoked, or its time is over.
            account_barred: Its account is not served.
            overloaded: The database is away.
        """
        digest = _digest(secret)
        known = self._known.get(digest) or self._strange.get(digest)
        if known is None or known.until <= time.monotonic():
            answer = await self._ask(digest, _public_of(secret))
        else:
            answer = known.answer
        if isinstance(answer, ApiError):
            # Each its own: a raised exception carries its traceback.
            raise ApiError(answer.kind, answer.message)
        if answer.key.expires_at is not None and answer.key.expires_at <= self._now():
            raise key_revoked()
        return answer

    async def _ask(self, digest: str, public: str) -> Holder | ApiError:
        """Ask the database, once for all who ask at the same time."""
        task = self._asking.get(digest)
        if task is None:
            task = self._asking[digest] = asyncio.create_task(self._look_up(digest, public))
            task.add_done_callback(lambda _task: self._asking.pop(digest, None))
        # Whoever hangs up does not take the answer from the others.
        return await asyncio.shield(task)

    async def _look_up(self, digest: str, public: str) -> Holder | ApiError:
        asked_at, now = time.monotonic(), self._now()
        row = await self._db.query(partial(_find, public))
        matches = hmac.compare_digest(row.digest if row else _NO_DIGEST, digest)
        answer = _judge(row, now) if row is not None and matches else key_wrong()
        cache = self._strange if isinstance(answer, ApiError) else self._known
        for each in (self._known, self._strange):
            each.pop(digest, None)
        if self._cache_s > 0:
            # Believed from the moment of asking, not of the answer.
            cache[digest] = _Known(answer, asked_at + self._cache_s)
            if len(cache) > CACHED:
                cache.popitem(last=False)
        if isinstance(answer, Holder) and _is_stale(answer.key.last_used_at, now):
            used = {"_id": answer.key.id, "_now": stored(now)}
            await self._db.single(_USED, used, durable=False)
        return answer

    def _forget(self, key_id: str) -> None:
        for digest, known in list(self._known.items()):
            if isinstance(known.answer, Holder) and known.answer.key.id == key_id:
                del self._known[digest]


# --- secrets --------------------------------------------------------------------------------------------------------


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).hexdigest()


def _public_of(shown: str) -> str:
    """Under which a key is found; what cannot be one of ours is looked for all the same, to cost the same time."""
    public = shown.rpartition("_")[2][:_PUBLIC]
    return public if public.isascii() and public.isalnum() else ""


def fingerprint_of(digest: str) -> str:
    """A non-secret name of a key: 48 bits of its SHA-256 (hexadecimal)."""
    return f"tok_fp_{digest[:12]}"


def _new_key(
    account_id: str, prefix: str, mode: Mode, now: datetime, expires_at: datetime | None
) -> tuple[str, dict[str, Any]]:
    body = "".join(secrets.choice(_LETTERS) for _ in range(_PUBLIC + _SECRET))
    secret = prefix + body
    return secret, {
        "id": body[:_PUBLIC],
        "account_id": account_id,
        "prefix": prefix,
        "digest": _digest(secret),
        "mode": mode,
        "created_at": now,
        "expires_at": expires_at,
    }


# --- rows -----------------------------------------------------------------------------------------------------------

_FIND = (
    select(
        *keys.c,
        *(column.label(f"account_{column.name}") for column in accounts.c if column.name != "id"),
        *(column.label(f"plan_{column.name}") for column in plans.c),
    )
    .join(accounts, accounts.c.id == keys.c.account_id)
    .join(plans, plans.c.name == accounts.c.plan)
    .where(keys.c.id == bindparam("_public"))
)


_USED = (
    update(keys)
    .where(keys.c.id == bindparam("_id"))
    .values(last_used_at=bindparam("_now", type_=BigInteger))
    .returning(keys.c.id)
)


def _find(public: str, connection: Connection) -> Row[Any] | None:
    return connection.execute(_FIND, {"_public": public}).first()


def _key_of(row: Row[Any]) -> Key:
    return Key(
        id=row.id,
        account_id=row.account_id,
        prefix=row.prefix,
        fingerprint=fingerprint_of(row.digest),
        mode=row.mode,
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        replaced_by=row.replaced_by or "",
        last_used_at=row.last_used_at,
    )


def _judge(row: Row[Any], now: datetime) -> Holder | ApiError:
    if row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        return key_revoked()
    if row.account_status != "active":
        return account_barred()
    return Holder(_key_of(row), account_of(row, "account_"), plan_of(row, "plan_"))


def _is_stale(used_at: datetime | None, now: datetime) -> bool:
    return used_at is None or now - used_at >= COARSE


def _insert(row: dict[str, Any], connection: Connection) -> None:
    if connection.execute(select(accounts.c.id).where(accounts.c.id == row["account_id"])).first() is None:
        raise no_account(row["account_id"])
    connection.execute(insert(keys), row)


def _rotate(old_id: str, row: dict[str, Any], now: datetime, until: datetime, connection: Connection) -> None:
    connection.execute(insert(keys), row)
    # The end of the overlap, unless the key ends before: one statement decides who rotates it.
    valid = and_(keys.c.revoked_at.is_(None), or_(keys.c.expires_at.is_(None), keys.c.expires_at > now))
    free = and_(keys.c.id == old_id, valid, keys.c.replaced_by.is_(None))
    earlier = and_(free, keys.c.expires_at <= until)
    kept = connection.execute(update(keys).where(earlier).values(replaced_by=row["id"]))
    if kept.rowcount:
        return
    ended = connection.execute(update(keys).where(free).values(replaced_by=row["id"], expires_at=until))
    if ended.rowcount:
        return
    if connection.execute(select(keys.c.id).where(keys.c.id == old_id, valid)).first() is None:
        raise key_revoked()
    raise invalid_option("key", "one that has not been rotated yet", old_id)
