"""Legal holds, and when parts of a call were deleted."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("audio_deleted_at", sa.DateTime(timezone=True)))
    op.add_column("calls", sa.Column("transcript_deleted_at", sa.DateTime(timezone=True)))
    op.create_index("ix_calls_ended_at", "calls", ["ended_at"])
    op.create_table(
        "legal_holds",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("call_id", sa.String(128)),
        sa.Column("caller", sa.Text),
        sa.Column("placed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("placed_by", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_legal_holds"),
    )
    op.create_index("ix_legal_holds_call_id", "legal_holds", ["call_id"])
    op.create_index("ix_legal_holds_caller", "legal_holds", ["caller"])


def downgrade() -> None:
    op.drop_table("legal_holds")
    op.drop_index("ix_calls_ended_at", "calls")
    op.drop_column("calls", "transcript_deleted_at")
    op.drop_column("calls", "audio_deleted_at")
