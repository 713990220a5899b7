"""Requests that customers broke off in, and written conversations that go on."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "continuations",
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("key", sa.String(128), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("content", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("kind", "key", name="pk_continuations"),
    )
    op.create_index("ix_continuations_expires_at", "continuations", ["expires_at"])


def downgrade() -> None:
    op.drop_table("continuations")
