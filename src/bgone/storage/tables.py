"""Tables of accounts: money in millionths of a credit, moments in microseconds since 1970, both BIGINT, never float.

The ledger is the money: a balance is the sum of its rows. A row's amounts never change; its reason changes once, from
``hold`` to ``charge`` or ``released``. So a hold needs no table of its own, and charging it writes one row.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    TypeDecorator,
    text,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


class Moment(TypeDecorator[datetime]):
    """An aware datetime, stored as whole microseconds since 1970: the same on every database, and it sorts."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """To the database."""
        return None if value is None else stored(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """From the database, UTC."""
        return None if value is None else EPOCH + timedelta(microseconds=value)


def stored(moment: datetime) -> int:
    """How ``Moment`` is stored."""
    return (moment - EPOCH) // MICROSECOND


# Named, so that later migrations can find them on every database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _money(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


plans = Table(
    "plans",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("billing", String(16), nullable=False, server_default="credits"),  # credits | metered
    _money("quota"),  # credits of a period
    Column("period_months", Integer, nullable=False, server_default="1"),
    Column("rollover", BigInteger),  # most that is carried into the next period; NULL: all of it
    Column("free_calls", Integer, nullable=False, server_default="0"),  # free previews of a new account
    Column("prices", JSON, nullable=False, server_default="{}"),
    Column("rates", JSON, nullable=False, server_default="{}"),
    CheckConstraint("quota >= 0 AND period_months >= 1", name="quota"),
)

accounts = Table(
    "accounts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(200), nullable=False, unique=True),
    Column("email", String(320), nullable=False, server_default=""),
    Column("plan", ForeignKey("plans.name"), nullable=False),
    Column("billing", String(16), nullable=False),
    Column("status", String(16), nullable=False, server_default="active"),  # active | barred
    _money("subscription"),  # left of this period's credits
    _money("payg"),  # left of those bought one by one
    Column("free_calls", Integer, nullable=False, server_default="0"),
    # How much of the latest spend was the subscription's: read back by RETURNING in the statement that wrote it.
    _money("taken"),
    _money("quota"),
    Column("period_anchor", Moment),  # first period's start; a period ends whole months after it
    Column("period_start", Moment),
    Column("period_end", Moment),  # NULL: no quota, no periods
    Column("created_at", Moment, nullable=False),
    CheckConstraint("subscription >= 0 AND payg >= 0 AND free_calls >= 0", name="balance"),
    postgresql_with={"fillfactor": "50"},  # room for the next version of the row in its own page
)

keys = Table(
    "keys",
    metadata,
    Column("id", String(16), primary_key=True),  # the public part of the secret
    Column("account_id", ForeignKey("accounts.id"), nullable=False, index=True),
    Column("prefix", String(32), nullable=False),  # what stands before it: fnr_, sk_live_, nothing
    Column("digest", String(64), nullable=False),  # SHA-256 of the whole secret, hexadecimal
    Column("mode", String(8), nullable=False),  # live | test | admin
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("revoked_at", Moment),
    Column("replaced_by", String(16)),
    Column("last_used_at", Moment),
)

_OPEN = text("reason = 'hold'")
_SPENT = text("reason IN ('hold', 'charge')")
ledger = Table(
    "ledger",
    metadata,
    Column("id", String(32), primary_key=True),  # sorts by time
    Column("account_id", ForeignKey("accounts.id"), nullable=False),
    Column("key_id", String(16), nullable=False, server_default=""),
    Column("reason", String(200), nullable=False),
    Column("request_id", String(64), nullable=False, server_default=""),
    Column("dialect", String(32), nullable=False, server_default=""),
    _money("subscription"),  # what is added to each pot; less than 0: taken
    _money("payg"),
    Column("free_calls", Integer, nullable=False, server_default="0"),
    _money("balance_after"),  # of both pots
    Column("at", Moment, nullable=False),
    Column("open_until", Moment),  # of a hold: given back after that
    Index("ix_ledger_account_id_at", "account_id", "at"),
    Index("ix_ledger_open_until", "open_until", sqlite_where=_OPEN, postgresql_where=_OPEN),
    # No request is charged twice.
    Index("uq_ledger_spent", "account_id", "request_id", unique=True, sqlite_where=_SPENT, postgresql_where=_SPENT),
)

usage = Table(
    "usage",
    metadata,
    Column("day", String(10), nullable=False),  # 2026-01-31, UTC
    Column("account_id", String(32), nullable=False),
    Column("key_id", String(16), nullable=False),
    Column("dialect", String(32), nullable=False),
    Column("mode", String(8), nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("failures", BigInteger, nullable=False),
    Column("credits", BigInteger, nullable=False),
    Column("pixels", BigInteger, nullable=False),
    PrimaryKeyConstraint("account_id", "day", "key_id", "dialect", name="pk_usage"),
)

# --- jobs -----------------------------------------------------------------------------------------------------------

_QUEUED = text("state = 'queued'")
_UNCLOSED = text("close_at IS NOT NULL")
_ENDED = text("finished_at IS NOT NULL")
_NAMED = text("idempotency_key IS NOT NULL")
jobs = Table(
    "jobs",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("dialect", String(32), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("state", String(16), nullable=False),  # queued | running | done | failed | cancelled | expired
    Column("rank", BigInteger, nullable=False),  # its place: an account's next job stands one behind its last
    Column("created_at", Moment, nullable=False),
    Column("finished_at", Moment),
    Column("recipe", Text, nullable=False),  # the order as JSON; emptied when the job is over
    Column("notes", Text, nullable=False),  # JSON
    Column("price", String(40), nullable=False),
    Column("slip", Text, nullable=False, server_default=""),  # what its end is settled by; the accounts' affair
    Column("sources", Text, nullable=False, server_default="[]"),  # keys in the object store, gone when it is over
    Column("secret", String(64), nullable=False),  # the key of a result is made of it and the fence
    Column("fence", Integer, nullable=False, server_default="0"),  # how often its work was begun
    Column("tries", Integer, nullable=False, server_default="0"),  # of these, those that count against it
    Column("result", Text),  # JSON
    Column("failure", Text),  # JSON
    Column("close_at", Moment),  # over, and not yet told and tidied: by then somebody else does it
    Column("idempotency_key", String(255)),
    Column("fingerprint", String(64), nullable=False, server_default=""),  # of the order that came with that key
    Index("ix_jobs_owner_dialect_created_at", "owner", "dialect", "created_at"),
    Index("ix_jobs_rank", "rank", sqlite_where=_QUEUED, postgresql_where=_QUEUED),
    Index("ix_jobs_owner_rank", "owner", "rank", sqlite_where=_QUEUED, postgresql_where=_QUEUED),
    Index("ix_jobs_created_at", "created_at", sqlite_where=_QUEUED, postgresql_where=_QUEUED),
    Index("ix_jobs_close_at", "close_at", sqlite_where=_UNCLOSED, postgresql_where=_UNCLOSED),
    Index("ix_jobs_finished_at", "finished_at", sqlite_where=_ENDED, postgresql_where=_ENDED),
    Index(
        "uq_jobs_idempotency_key",
        "owner",
        "idempotency_key",
        unique=True,
        sqlite_where=_NAMED,
        postgresql_where=_NAMED,
    ),
)

# SQLite's queue; PostgreSQL's is procrastinate's own.
job_queue = Table(
    "job_queue",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("job_id", String(32), nullable=False, unique=True),
    Column("priority", BigInteger, nullable=False),  # lowest first
    Column("at", Moment, nullable=False),  # not before; of a claimed one: when its lease runs out
    Column("claim", String(32), nullable=False, server_default=""),  # whose lease it is
    Column("attempt", Integer, nullable=False, server_default="0"),
    Index("ix_job_queue_priority_seq_at", "priority", "seq", "at"),
)

# --- webhooks -------------------------------------------------------------------------------------------------------

_DUE = text("due_at IS NOT NULL")
deliveries = Table(
    "deliveries",
    metadata,
    Column("id", String(64), primary_key=True),  # what receivers tell repetitions by
    Column("job_id", String(64), nullable=False, index=True),
    Column("owner", String(64), nullable=False),
    Column("url", Text, nullable=False),
    Column("host", String(255), nullable=False),
    Column("endpoint", String(32), nullable=False),  # its row in receivers, where there is one
    Column("body", Text, nullable=False),  # JSON as it is sent
    Column("state", String(16), nullable=False),  # waiting | delivered | failed
    Column("created_at", Moment, nullable=False, index=True),
    Column("give_up_at", Moment, nullable=False),
    Column("due_at", Moment),  # of a claimed one: when its lease runs out; NULL: it is over
    Column("finished_at", Moment),
    Column("used", Integer, nullable=False, server_default="0"),  # tries of the schedule
    Column("claim", Integer, nullable=False, server_default="0"),  # how often it was taken
    Column("tries", Text, nullable=False, server_default="[]"),  # JSON
    Column("trace", Text, nullable=False, server_default=""),  # W3C: what its tries belong to; empty for none
    Index("ix_deliveries_due_at", "due_at", sqlite_where=_DUE, postgresql_where=_DUE),
    Index("ix_deliveries_finished_at", "finished_at", sqlite_where=_ENDED, postgresql_where=_ENDED),
)

# Those that failed lately; the others have no row.
receivers = Table(
    "receivers",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("failures", Integer, nullable=False),  # deliveries given up in a row
    Column("parked_until", Moment),
)

hooks = Table(
    "hooks",
    metadata,
    Column("owner", String(64), primary_key=True),
    Column("secret", String(100), nullable=False),  # whsec_..., signs whatever this account's webhooks are told
    Column("url", Text),  # where the ends of all its jobs are told; NULL: nowhere
)

# --- batches --------------------------------------------------------------------------------------------------------

batches = Table(
    "batches",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("created_at", Moment, nullable=False, index=True),
)

batch_items = Table(
    "batch_items",
    metadata,
    Column("batch_id", ForeignKey("batches.id", ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("label", String(200), nullable=False),
    Column("job_id", String(32)),  # NULL: it was refused
    Column("failure", Text),  # of a refused one: JSON
    PrimaryKeyConstraint("batch_id", "position", name="pk_batch_items"),
)
