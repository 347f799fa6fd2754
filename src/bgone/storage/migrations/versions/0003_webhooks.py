"""Deliveries of webhooks, what is known of their receivers, secrets that sign them; batches of jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_DUE = sa.text("due_at IS NOT NULL")
_ENDED = sa.text("finished_at IS NOT NULL")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "deliveries",
        sa.Column("id", sa.String(64)),
        sa.Column("job_id", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("endpoint", sa.String(32), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("give_up_at", sa.BigInteger, nullable=False),
        sa.Column("due_at", sa.BigInteger),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("used", sa.Integer, nullable=False, server_default="0"),
        sa.Column("claim", sa.Integer, nullable=False, server_default="0"),
        sa.Column("tries", sa.Text, nullable=False, server_default="[]"),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
    )
    op.create_index("ix_deliveries_job_id", "deliveries", ["job_id"])
    op.create_index("ix_deliveries_created_at", "deliveries", ["created_at"])
    op.create_index("ix_deliveries_due_at", "deliveries", ["due_at"], sqlite_where=_DUE, postgresql_where=_DUE)
    op.create_index(
        "ix_deliveries_finished_at", "deliveries", ["finished_at"], sqlite_where=_ENDED, postgresql_where=_ENDED
    )
    op.create_table(
        "receivers",
        sa.Column("id", sa.String(32)),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("parked_until", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_receivers"),
    )
    op.create_table(
        "hooks",
        sa.Column("owner", sa.String(64)),
        sa.Column("secret", sa.String(100), nullable=False),
        sa.Column("url", sa.Text),
        sa.PrimaryKeyConstraint("owner", name="pk_hooks"),
    )
    op.create_table(
        "batches",
        sa.Column("id", sa.String(32)),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_batches"),
    )
    op.create_index("ix_batches_created_at", "batches", ["created_at"])
    op.create_table(
        "batch_items",
        sa.Column("batch_id", sa.String(32), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("job_id", sa.String(32)),
        sa.Column("failure", sa.Text),
        sa.PrimaryKeyConstraint("batch_id", "position", name="pk_batch_items"),
        sa.ForeignKeyConstraint(["batch_id"], ["batches.id"], name="fk_batch_items_batch_id", ondelete="CASCADE"),
    )
