"""What the API keeps for itself: its keys, and who has written through it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_DIGEST = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")


def upgrade() -> None:
    """Add both tables."""
    op.create_table(
        "api_keys",
        sa.Column("id", _DIGEST, nullable=False),
        sa.Column("request", _DIGEST, nullable=False),
        sa.Column("name", _TEXT, nullable=False),
        sa.Column("uid", _TEXT),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("expires_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_api_keys"),
    )
    op.create_index("ix_api_keys_expires_at", "api_keys", ["expires_at"])
    op.create_table(
        "api_audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        *[
            sa.Column(name, _TEXT, nullable=False)
            for name in ("principal", "verb", "namespace", "name", "uid", "request_id", "detail")
        ],
        sa.PrimaryKeyConstraint("id", name="pk_api_audit"),
    )
    op.create_index("ix_api_audit_at", "api_audit", ["at"])
    op.create_index("ix_api_audit_uid", "api_audit", ["uid"])
