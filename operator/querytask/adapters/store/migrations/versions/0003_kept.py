"""What the history keeps for its own sake alone, by age; and who has a text."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KEPT = sa.text("completed_at IS NOT NULL AND object_deleted_at IS NOT NULL")


def upgrade() -> None:
    """Add both indexes."""
    op.create_index(
        "ix_tasks_kept", "tasks", ["updated_at", "uid"], sqlite_where=_KEPT, postgresql_where=_KEPT
    )
    op.create_index("ix_tasks_sql_hash", "tasks", ["sql_hash"])
