"""Deliveries and hooks in the database: they outlive the process, and many processes share them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from bgone.jobs.deliveries import (
    HEALTHY,
    Delivery,
    Health,
    Rules,
    Try,
    again,
    postponed,
    verdict,
)
from bgone.jobs.hooks import Hook, new_secret
from bgone.jobs.job import Waiting
from bgone.storage.database import Database
from bgone.storage.tables import deliveries, hooks, receivers

_SWEPT = 5_000  # rows of one transaction, so that nobody waits for it


class TableDeliveries:
    """See ``Deliveries``.

    Args:
        db: Where they are kept.
        rules: How often and how long.
    """

    def __init__(self, db: Database, rules: Rules | None = None) -> None:
        self.rules = rules or Rules()
        self._db = db

    async def add(self, delivery: Delivery) -> bool:
        """See ``Deliveries``."""
        return await self._db.write(lambda link: _insert_new(link, deliveries, _row(delivery)))

    async def claim(self, now: datetime, most: int, busy: Mapping[str, int], per_host: int) -> Sequence[Delivery]:
        """See ``Deliveries``."""
        return await self._db.write(partial(self._claim, now, most, busy, per_host))

    async def settle(self, delivery: Delivery, tried: Try, now: datetime, spread: float) -> Delivery | None:
        """See ``Deliveries``."""
        return await self._db.write(partial(self._settle, delivery, tried, now, spread))

    async def next_due(self) -> datetime | None:
        """See ``Deliveries``."""
        asked = select(func.min(deliveries.c.due_at)).where(deliveries.c.due_at.is_not(None))
        found: datetime | None = await self._db.query(lambda link: link.execute(asked).scalar())
        return found

    async def waiting(self) -> Waiting:
        """See ``Deliveries``."""
        asked = select(func.count(), func.min(deliveries.c.due_at)).where(deliveries.c.due_at.is_not(None))
        count, since = await self._db.query(lambda link: link.execute(asked).one())
        return Waiting(count, since)

    async def of_job(self, job_id: str) -> Sequence[Delivery]:
        """See ``Deliveries``."""
        if not job_id.isprintable():  # PostgreSQL has no text with NUL in it
            return []
        asked = select(deliveries).where(deliveries.c.job_id == job_id).order_by(deliveries.c.created_at)
        return [_delivery(row) for row in await self._db.query(lambda link: link.execute(asked).all())]

    async def recent(self, most: int) -> Sequence[Delivery]:
        """See ``Deliveries``."""
        return await self.newest(most)

    async def newest(self, most: int, owner: str = "", state: str = "", skip: int = 0) -> Sequence[Delivery]:
        """The newest first, without the first ``skip``; of one owner and in one state where these are said."""
        asked = select(deliveries).order_by(deliveries.c.created_at.desc(), deliveries.c.id).limit(most).offset(skip)
        if owner:
            asked = asked.where(deliveries.c.owner == owner)
        if state:
            asked = asked.where(deliveries.c.state == state)
        return [_delivery(row) for row in await self._db.query(lambda link: link.execute(asked).all())]

    async def redeliver(self, job_id: str, now: datetime) -> int:
        """See ``Deliveries``."""
        return await self._db.write(partial(self._redeliver, job_id, now)) if job_id.isprintable() else 0

    async def sweep(self, now: datetime) -> int:
        """See ``Deliveries``."""
        before = now - timedelta(seconds=self.rules.kept_s)
        old = select(deliveries.c.id).where(deliveries.c.finished_at < before).limit(_SWEPT)
        gone = delete(deliveries).where(deliveries.c.id.in_(old))
        return await self._db.write(lambda link: link.execute(gone).rowcount)

    # --- transactions -------------------------------------------------------------------------------------------

    def _claim(
        self, now: datetime, most: int, busy: Mapping[str, int], per_host: int, link: Connection
    ) -> list[Delivery]:
        hosts, taken = dict(busy), list[Delivery]()
        while len(taken) < most:
            full = [host for host, count in hosts.items() if count >= per_host]
            asked = select(deliveries).where(deliveries.c.due_at <= now, deliveries.c.host.not_in(full))
            asked = asked.order_by(deliveries.c.due_at).limit(1).with_for_update(skip_locked=True)
            row = link.execute(asked).first()
            if row is None:
                break
            one = _delivery(row)
            parked_until = _health(link, one.endpoint).parked_until
            if parked_until is not None and parked_until > now:
                _park(link, one, parked_until, now)
                continue
            hosts[one.host] = hosts.get(one.host, 0) + 1
            lease = now + timedelta(seconds=self.rules.lease_s)
            taken.append(_put(link, replace(one, due_at=lease, claim=one.claim + 1)))
        return taken

    def _settle(
        self, delivery: Delivery, tried: Try, now: datetime, spread: float, link: Connection
    ) -> Delivery | None:
        asked = select(deliveries).where(deliveries.c.id == delivery.id, deliveries.c.claim == delivery.claim)
        row = link.execute(asked.with_for_update()).first()
        if row is None:
            return None
        settled, health = verdict(_delivery(row), tried, _health(link, delivery.endpoint), self.rules, now, spread)
        _put_health(link, delivery.endpoint, health)
        return _put(link, settled)

    def _redeliver(self, job_id: str, now: datetime, link: Connection) -> int:
        asked = select(deliveries).where(deliveries.c.job_id == job_id).with_for_update()
        found = [_delivery(row) for row in link.execute(asked).all()]
        for one in found:
            _unpark(link, one.endpoint, now)
            _put(link, again(one, self.rules, now))
        return len(found)


class StoredHooks:
    """See ``Hooks``.

    Args:
        db: Where they are kept.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    async def of(self, owner: str) -> Hook:
        """See ``Hooks``."""
        asked = select(hooks).where(hooks.c.owner == owner)
        row = await self._db.query(lambda link: link.execute(asked).first())
        if row is None:
            made = {"owner": owner, "secret": new_secret(), "url": None}
            await self._db.write(lambda link: _insert_new(link, hooks, made))
            row = await self._db.query(lambda link: link.execute(asked).one())
        return Hook(row.owner, row.secret, row.url)

    async def set_url(self, owner: str, url: str | None) -> Hook:
        """Tell the ends of all the account's jobs to ``url``, or to nobody."""
        await self.of(owner)
        change = update(hooks).where(hooks.c.owner == owner).values(url=url)
        await self._db.write(lambda link: link.execute(change))
        return await self.of(owner)


# --- rows -----------------------------------------------------------------------------------------------------------


def _insert_new(link: Connection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert, unless the row's key is there already; whether it was inserted."""
    kind = sqlite if link.dialect.name == "sqlite" else postgresql
    added = kind.insert(table).values(row).on_conflict_do_nothing().returning(*table.primary_key.columns)
    return link.execute(added).first() is not None


def _put(link: Connection, delivery: Delivery) -> Delivery:
    row = _row(delivery)
    link.execute(update(deliveries).where(deliveries.c.id == delivery.id).values(row))
    return delivery


def _park(link: Connection, one: Delivery, parked_until: datetime, now: datetime) -> None:
    """Put off all that is due for a parked receiver, so that each is looked at once."""
    _put(link, postponed(one, parked_until, now))
    others = (deliveries.c.endpoint == one.endpoint, deliveries.c.due_at <= now)
    link.execute(update(deliveries).where(*others, deliveries.c.give_up_at >= parked_until).values(due_at=parked_until))


def _unpark(link: Connection, endpoint: str, now: datetime) -> None:
    """Believe that a receiver is there again: what waited for the end of its parking is due."""
    parked_until = _health(link, endpoint).parked_until
    _put_health(link, endpoint, HEALTHY)
    waiting = update(deliveries).where(deliveries.c.endpoint == endpoint, deliveries.c.due_at == parked_until)
    if parked_until is not None:
        link.execute(waiting.values(due_at=now))


def _health(link: Connection, endpoint: str) -> Health:
    row = link.execute(select(receivers).where(receivers.c.id == endpoint)).first()
    return HEALTHY if row is None else Health(row.failures, row.parked_until)


def _put_health(link: Connection, endpoint: str, health: Health) -> None:
    if health == HEALTHY:
        link.execute(delete(receivers).where(receivers.c.id == endpoint))
        return
    facts = {"failures": health.failures, "parked_until": health.parked_until}
    if not link.execute(update(receivers).where(receivers.c.id == endpoint).values(facts)).rowcount:
        _insert_new(link, receivers, {"id": endpoint, **facts})


def _row(delivery: Delivery) -> dict[str, Any]:
    tries = [[one.at.timestamp(), one.status, one.latency_ms, one.error] for one in delivery.tries]
    return {
        "id": delivery.id,
        "job_id": delivery.job_id,
        "owner": delivery.owner,
        "url": delivery.url,
        "host": delivery.host,
        "endpoint": delivery.endpoint,
        "body": delivery.body.decode(),
        "state": delivery.state,
        "created_at": delivery.created_at,
        "give_up_at": delivery.give_up_at,
        "due_at": delivery.due_at,
        "finished_at": delivery.finished_at,
        "used": delivery.used,
        "claim": delivery.claim,
        "tries": json.dumps(tries),
        "trace": delivery.trace,
    }


def _delivery(row: Row[Any]) -> Delivery:
    tries = tuple(Try(datetime.fromtimestamp(at, UTC), *others) for at, *others in json.loads(row.tries))
    return Delivery(
        id=row.id,
        job_id=row.job_id,
        owner=row.owner,
        url=row.url,
        body=row.body.encode(),
        created_at=row.created_at,
        give_up_at=row.give_up_at,
        state=row.state,
        due_at=row.due_at,
        finished_at=row.finished_at,
        used=row.used,
        claim=row.claim,
        tries=tries,
        trace=row.trace,
    )
