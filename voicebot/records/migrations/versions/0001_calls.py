"""Calls, their turns and their recordings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# The tables as they were when this step was written; it must not follow later changes of tables.
_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "calls",
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("instance", sa.String(128), nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("direction", sa.String(32), nullable=False),
        sa.Column("caller", sa.Text, nullable=False),
        sa.Column("called", sa.Text, nullable=False),
        sa.Column("carrier_call_id", sa.Text, nullable=False),
        sa.Column("started_at", _MOMENT, nullable=False),
        sa.Column("ended_at", _MOMENT),
        sa.Column("outcome", sa.String(64)),
        sa.Column("cause", sa.String(64)),
        sa.Column("goal", sa.String(128)),
        sa.Column("goal_reached", sa.Boolean, nullable=False),
        sa.Column("flow_version", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_calls"),
    )
    op.create_index("ix_calls_started_at", "calls", ["started_at"])
    op.create_index("ix_calls_instance_ended_at", "calls", ["instance", "ended_at"])
    op.create_table(
        "turns",
        sa.Column("call_id", sa.String(128), nullable=False),
        sa.Column("number", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("speaker", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("at_ms", sa.Integer, nullable=False),
        sa.Column("heard_ms", sa.Integer, nullable=False),
        sa.Column("heard_text", sa.Text),
        sa.Column("prompt", sa.String(256)),
        sa.Column("engine", sa.String(128)),
        sa.Column("secret", sa.Boolean, nullable=False),
        sa.Column("over_prompt", sa.Boolean, nullable=False),
        sa.Column("intent", sa.String(128)),
        sa.Column("confidence", sa.Float),
        sa.Column("slots", sa.JSON, nullable=False),
        sa.Column("decision", sa.Text),
        sa.Column("alternatives", sa.JSON, nullable=False),
        sa.Column("words", sa.JSON, nullable=False),
        sa.Column("timings_ms", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("call_id", "number", name="pk_turns"),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name="fk_turns_call_id_calls", ondelete="CASCADE"),
    )
    op.create_table(
        "recordings",
        sa.Column("call_id", sa.String(128), nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("rate_hz", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("call_id", name="pk_recordings"),
    )


def downgrade() -> None:
    op.drop_table("recordings")
    op.drop_table("turns")
    op.drop_table("calls")
