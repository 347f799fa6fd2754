"""Slips: what a job carries, so that whoever ends it, perhaps another process days later, can settle with the account.

A hold for a job is written in one transaction with the job, and its charge or return in one with the job's end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
from sqlalchemy import Connection

from bgone.accounts.accounts import utc_now
from bgone.accounts.credits import Hold
from bgone.accounts.keys import Holder
from bgone.accounts.ledger import new_entry_id
from bgone.accounts.money import credits_of, micros
from bgone.accounts.settling import Close, Settled, Spend, settle
from bgone.errors import ApiError
from bgone.storage.database import Database
from bgone.storage.tables import usage

HOLD_S = 7 * 86_400.0  # longer than any job waits; a hold that has run out is charged anew
_KEYS = ("account_id", "day", "key_id", "dialect")
_COUNTS = ("calls", "failures", "credits", "pixels")


@dataclass(frozen=True, slots=True)
class _Slip:
    """Who pays for a job, and what was set aside for it; None: no balance is touched."""

    account_id: str
    key_id: str
    mode: str
    dialect: str
    spend: Spend | None
    price: int


class Slips:
    """Holds that are written, and settled, within somebody's transaction.

    Args:
        db: Where accounts are.
        now: The clock, UTC.
    """

    def __init__(self, db: Database, now: Callable[[], datetime] = utc_now) -> None:
        self._db = db
        self._now = now

    async def hold(
        self,
        holder: Holder,
        price: Decimal,
        job_id: str,
        dialect: str,
        also: Callable[[Connection, str], None],
        *,
        preview: bool = False,
    ) -> Hold:
        """Set the price aside and do ``also``, both or neither.

        Args:
            holder: Who asks.
            price: Credits, 0 or more.
            job_id: A job is charged once.
            dialect: For the ledger.
            also: (connection, slip for ``settle``): what is written with it.
            preview: A free call pays for it where one is left.

        Raises:
            no_credits: The balance does not suffice.
            account_barred: The account is not served.
            overloaded: The database is away.
        """
        account, key = holder.account, holder.key
        until = self._now() + timedelta(seconds=HOLD_S)
        spend = Spend(new_entry_id(), account.id, key.id, job_id, dialect, micros(price), preview, until)
        paid = key.mode == "live" and price > 0 and account.billing != "metered"
        slip = _Slip(account.id, key.id, key.mode, dialect, None, micros(price) if key.mode == "live" else 0)

        def work(connection: Connection) -> Hold:
            if not paid:
                also(connection, _text(slip))
                return Hold(credits_of(slip.price))
            settled = _settle_one(connection, spend, self._now())
            held = replace(spend, id=settled.id, price=settled.amount, preview=settled.free_call)
            also(connection, _text(replace(slip, spend=held, price=settled.amount)))
            balance = None if settled.balance is None else credits_of(settled.balance)
            return Hold(credits_of(settled.amount), settled.free_call, balance, held)

        return await self._db.write(work)

    def settle(self, connection: Connection, slip: str, *, charge: bool, reason: str, pixels: int = 0) -> Decimal:
        """Charge what is held, or give it back, and count the call; in the caller's transaction, which ends the job.

        Args:
            connection: A transaction.
            slip: As ``hold`` gave it.
            charge: Else it is given back.
            reason: Why it is given back.
            pixels: Of the picture that was made.

        Returns:
            Credits charged.

        Raises:
            no_credits: The hold had run out, and the balance does not suffice any more.
        """
        of = msgspec.json.decode(slip, type=_Slip)
        charged = of.price if charge else 0
        if of.spend is not None:
            close = Close(of.spend, "charge" if charge else "release", charged, reason)
            settled = _settle_one(connection, close, self._now())
            charged = settled.amount if charge else 0
        self._count(connection, of, charged, pixels, failed=not charge)
        return credits_of(charged)

    def _count(self, connection: Connection, slip: _Slip, charged: int, pixels: int, *, failed: bool) -> None:
        day = self._now().date().isoformat()
        row: dict[str, Any] = {"account_id": slip.account_id, "day": day, "key_id": slip.key_id}
        row |= {"dialect": slip.dialect, "mode": slip.mode}
        row |= {"calls": 1, "failures": int(failed), "credits": charged, "pixels": pixels}
        connection.execute(self._db.upsert(usage, _KEYS, _COUNTS), row)


def _settle_one(connection: Connection, question: Spend | Close, now: datetime) -> Settled:
    (answer,) = settle([question], now, connection)
    if isinstance(answer, ApiError):
        raise answer
    return answer


def _text(slip: _Slip) -> str:
    return msgspec.json.encode(slip).decode()
