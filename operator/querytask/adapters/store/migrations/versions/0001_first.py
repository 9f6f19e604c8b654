"""The first schema: tasks, their SQL texts, results, attempts, exports and transitions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_DIGEST = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")

_OPEN = sa.text("completed_at IS NULL AND object_deleted_at IS NULL")
_PRESENT = sa.text("object_deleted_at IS NULL")
_TTL = sa.text("ttl_due_at IS NOT NULL AND object_deleted_at IS NULL")
_FILES = sa.text("removed_at IS NULL AND expires_at IS NOT NULL")


def upgrade() -> None:
    """Make every table of an empty database."""
    _tasks()
    _parts_of_a_task()
    _transitions()
    op.create_table(
        "heartbeat",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_heartbeat"),
    )


def _text(name: str, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, _TEXT, nullable=nullable)


def _times(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger) for name in names]


def _partial(name: str, table: str, condition: sa.TextClause, *columns: str) -> None:
    op.create_index(name, table, list(columns), sqlite_where=condition, postgresql_where=condition)


def _tasks() -> None:
    op.create_table(
        "queries",
        sa.Column("hash", _DIGEST, nullable=False),
        _text("sql"),
        sa.PrimaryKeyConstraint("hash", name="pk_queries"),
    )
    op.create_table(
        "tasks",
        *[_text(name) for name in ("uid", "namespace", "name", "owner", "task_type")],
        *[_text(name, nullable=True) for name in ("template", "retry_of")],
        _text("phase"),
        sa.Column("phase_since", sa.BigInteger, nullable=False),
        _text("reason", nullable=True),
        _text("message"),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        *_times("queued_at", "started_at", "completed_at"),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.Column("execution_seconds", sa.Double),
        *_times("ttl_due_at", "object_deleted_at", "cancel_requested_at"),
        *[_text(name, nullable=True) for name in ("cancel_reason", "cancel_step")],
        *_times("cancel_finished_at"),
        _text("cancel_actor", nullable=True),
        *[_text("error_" + name, nullable=True) for name in ("category", "code", "message", "position")],
        sa.Column("error_retryable", sa.Boolean),
        _text("error_traceback", nullable=True),
        sa.Column("sql_hash", _DIGEST, nullable=False),
        *[_text(name) for name in ("parameters", "sources", "resources", "spec", "metadata", "statistics")],
        sa.PrimaryKeyConstraint("uid", name="pk_tasks"),
        sa.ForeignKeyConstraint(["sql_hash"], ["queries.hash"], name="fk_tasks_sql_hash_queries"),
    )
    _partial("ix_tasks_open", "tasks", _OPEN, "namespace", "name")
    _partial("ix_tasks_present", "tasks", _PRESENT, "namespace", "uid")
    _partial("ix_tasks_phase", "tasks", _PRESENT, "phase", "phase_since", "object_deleted_at")
    _partial("ix_tasks_ttl", "tasks", _TTL, "ttl_due_at")


def _of_task(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(["uid"], ["tasks.uid"], name=f"fk_{table}_uid_tasks", ondelete="CASCADE")


def _parts_of_a_task() -> None:
    op.create_table(
        "results",
        _text("uid"),
        sa.Column("rows", sa.BigInteger, nullable=False),
        _text("columns"),
        _text("preview"),
        sa.Column("truncated", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("uid", name="pk_results"),
        _of_task("results"),
    )
    op.create_table(
        "attempts",
        _text("uid"),
        sa.Column("attempt", sa.Integer, autoincrement=False, nullable=False),
        _text("pod_name"),
        *_times("granted_at", "started_at", "finished_at"),
        _text("reason", nullable=True),
        _text("message"),
        sa.Column("exit_code", sa.Integer),
        _text("node", nullable=True),
        _text("statistics"),
        sa.PrimaryKeyConstraint("uid", "attempt", name="pk_attempts"),
        _of_task("attempts"),
    )
    op.create_table(
        "exports",
        _text("uid"),
        sa.Column("attempt", sa.Integer, nullable=False),
        _text("state"),
        *[_text(name, nullable=True) for name in ("path", "format", "compression")],
        sa.Column("bytes", sa.BigInteger),
        sa.Column("rows", sa.BigInteger),
        sa.Column("sha256", _DIGEST),
        _text("files"),
        *_times("expires_at", "removed_at"),
        sa.PrimaryKeyConstraint("uid", name="pk_exports"),
        _of_task("exports"),
    )
    _partial("ix_exports_due", "exports", _FILES, "expires_at")


def _transitions() -> None:
    op.create_table(
        "transitions",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), autoincrement=True, nullable=False
        ),
        _text("uid"),
        sa.Column("attempt", sa.Integer, nullable=False),
        *[_text(name) for name in ("phase", "reason", "message")],
        sa.Column("at", sa.BigInteger, nullable=False),
        _text("source"),
        _text("actor", nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_transitions"),
        sa.UniqueConstraint("uid", "attempt", "phase", "reason", name="uq_transitions_step"),
        _of_task("transitions"),
        sqlite_autoincrement=True,
    )
