"""Plans, accounts, keys, ledger, usage.

Written out, not taken from ``tables.py``: what has been released stays as it was.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_OPEN = sa.text("reason = 'hold'")
_SPENT = sa.text("reason IN ('hold', 'charge')")


def _money(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger, nullable=False, server_default="0")


def upgrade() -> None:
    """Make the tables, and the two plans that need no setting up."""
    plans = op.create_table(
        "plans",
        sa.Column("name", sa.String(64)),
        sa.Column("billing", sa.String(16), nullable=False, server_default="credits"),
        _money("quota"),
        sa.Column("period_months", sa.Integer, nullable=False, server_default="1"),
        sa.Column("rollover", sa.BigInteger),
        sa.Column("free_calls", sa.Integer, nullable=False, server_default="0"),
        sa.Column("prices", sa.JSON, nullable=False, server_default="{}"),
        sa.Column("rates", sa.JSON, nullable=False, server_default="{}"),
        sa.PrimaryKeyConstraint("name", name="pk_plans"),
        sa.CheckConstraint("quota >= 0 AND period_months >= 1", name=op.f("ck_plans_quota")),
    )
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(32)),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("email", sa.String(320), nullable=False, server_default=""),
        sa.Column("plan", sa.String(64), nullable=False),
        sa.Column("billing", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False, server_default="active"),
        _money("subscription"),
        _money("payg"),
        sa.Column("free_calls", sa.Integer, nullable=False, server_default="0"),
        _money("taken"),
        _money("quota"),
        sa.Column("period_anchor", sa.BigInteger),
        sa.Column("period_start", sa.BigInteger),
        sa.Column("period_end", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_accounts"),
        sa.UniqueConstraint("name", name="uq_accounts_name"),
        sa.ForeignKeyConstraint(["plan"], ["plans.name"], name="fk_accounts_plan"),
        sa.CheckConstraint("subscription >= 0 AND payg >= 0 AND free_calls >= 0", name=op.f("ck_accounts_balance")),
        postgresql_with={"fillfactor": "50"},
    )
    op.create_table(
        "keys",
        sa.Column("id", sa.String(16)),
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("prefix", sa.String(32), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("mode", sa.String(8), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger),
        sa.Column("revoked_at", sa.BigInteger),
        sa.Column("replaced_by", sa.String(16)),
        sa.Column("last_used_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_keys_account_id"),
    )
    op.create_index("ix_keys_account_id", "keys", ["account_id"])
    op.create_table(
        "ledger",
        sa.Column("id", sa.String(32)),
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False, server_default=""),
        sa.Column("reason", sa.String(200), nullable=False),
        sa.Column("request_id", sa.String(64), nullable=False, server_default=""),
        sa.Column("dialect", sa.String(32), nullable=False, server_default=""),
        _money("subscription"),
        _money("payg"),
        sa.Column("free_calls", sa.Integer, nullable=False, server_default="0"),
        _money("balance_after"),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("open_until", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_ledger"),
        sa.ForeignKeyConstraint(["account_id"], ["accounts.id"], name="fk_ledger_account_id"),
    )
    op.create_index("ix_ledger_account_id_at", "ledger", ["account_id", "at"])
    op.create_index("ix_ledger_open_until", "ledger", ["open_until"], sqlite_where=_OPEN, postgresql_where=_OPEN)
    op.create_index(
        "uq_ledger_spent",
        "ledger",
        ["account_id", "request_id"],
        unique=True,
        sqlite_where=_SPENT,
        postgresql_where=_SPENT,
    )
    op.create_table(
        "usage",
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("account_id", sa.String(32), nullable=False),
        sa.Column("key_id", sa.String(16), nullable=False),
        sa.Column("dialect", sa.String(32), nullable=False),
        sa.Column("mode", sa.String(8), nullable=False),
        sa.Column("calls", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.BigInteger, nullable=False),
        sa.Column("credits", sa.BigInteger, nullable=False),
        sa.Column("pixels", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("account_id", "day", "key_id", "dialect", name="pk_usage"),
    )
    op.bulk_insert(plans, [{"name": "payg", "billing": "credits"}, {"name": "metered_monthly", "billing": "metered"}])
