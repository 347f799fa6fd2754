"""Jobs, and their queue: a table of ours on SQLite, procrastinate's own schema on PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_QUEUED = sa.text("state = 'queued'")
_UNCLOSED = sa.text("close_at IS NOT NULL")
_ENDED = sa.text("finished_at IS NOT NULL")
_NAMED = sa.text("idempotency_key IS NOT NULL")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "jobs",
        sa.Column("id", sa.String(32)),
        sa.Column("dialect", sa.String(32), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("rank", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("finished_at", sa.BigInteger),
        sa.Column("recipe", sa.Text, nullable=False),
        sa.Column("notes", sa.Text, nullable=False),
        sa.Column("price", sa.String(40), nullable=False),
        sa.Column("slip", sa.Text, nullable=False, server_default=""),
        sa.Column("sources", sa.Text, nullable=False, server_default="[]"),
        sa.Column("secret", sa.String(64), nullable=False),
        sa.Column("fence", sa.Integer, nullable=False, server_default="0"),
        sa.Column("tries", sa.Integer, nullable=False, server_default="0"),
        sa.Column("result", sa.Text),
        sa.Column("failure", sa.Text),
        sa.Column("close_at", sa.BigInteger),
        sa.Column("idempotency_key", sa.String(255)),
        sa.Column("fingerprint", sa.String(64), nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("id", name="pk_jobs"),
    )
    op.create_index("ix_jobs_owner_dialect_created_at", "jobs", ["owner", "dialect", "created_at"])
    for name, columns, where in (
        ("ix_jobs_rank", ["rank"], _QUEUED),
        ("ix_jobs_owner_rank", ["owner", "rank"], _QUEUED),
        ("ix_jobs_created_at", ["created_at"], _QUEUED),
        ("ix_jobs_close_at", ["close_at"], _UNCLOSED),
        ("ix_jobs_finished_at", ["finished_at"], _ENDED),
    ):
        op.create_index(name, "jobs", columns, sqlite_where=where, postgresql_where=where)
    op.create_index(
        "uq_jobs_idempotency_key",
        "jobs",
        ["owner", "idempotency_key"],
        unique=True,
        sqlite_where=_NAMED,
        postgresql_where=_NAMED,
    )
    op.create_table(
        "job_queue",
        sa.Column("seq", sa.Integer),
        sa.Column("job_id", sa.String(32), nullable=False),
        sa.Column("priority", sa.BigInteger, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("claim", sa.String(32), nullable=False, server_default=""),
        sa.Column("attempt", sa.Integer, nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("seq", name="pk_job_queue"),
        sa.UniqueConstraint("job_id", name="uq_job_queue_job_id"),
    )
    op.create_index("ix_job_queue_priority_seq_at", "job_queue", ["priority", "seq", "at"])
    if op.get_bind().dialect.name == "postgresql":
        _make_procrastinate()


def _make_procrastinate() -> None:
    """Its schema as the installed release has it, unless somebody made it before."""
    from procrastinate.schema import SchemaManager

    connection = op.get_bind()
    if connection.execute(sa.text("SELECT to_regclass('procrastinate_jobs')")).scalar() is None:
        # Many statements, and their percent signs are no places for values: the driver's own way.
        connection.connection.driver_connection.execute(SchemaManager.get_schema())  # type: ignore[union-attr]
