"""Recordings at rest, and what was redacted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("state", sa.String(16), nullable=False, server_default="live"),
        sa.Column("codec", sa.String(16)),
        sa.Column("stored_bytes", sa.BigInteger),
        sa.Column("sha256", sa.String(64)),
        sa.Column("key_id", sa.String(16)),
        sa.Column("duration_ms", sa.Integer),
        sa.Column("consent", sa.String(16)),
        sa.Column("consent_ms", sa.Integer),
        sa.Column("pauses", sa.JSON, nullable=False, server_default="[]"),
    ):
        op.add_column("recordings", column)
    op.add_column("turns", sa.Column("redactions", sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("turns", "redactions")
    for name in (
        "pauses",
        "consent_ms",
        "consent",
        "duration_ms",
        "key_id",
        "sha256",
        "stored_bytes",
        "codec",
        "state",
    ):
        op.drop_column("recordings", name)
