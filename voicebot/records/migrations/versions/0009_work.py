"""What was made of calls afterwards, what the bot wrote, and what people allowed, paused or have still to do."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def _of_call(table: str) -> tuple[sa.Column[str], sa.ForeignKeyConstraint]:
    name = f"fk_{table}_call_id_calls"
    foreign = sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name=name, ondelete="CASCADE")
    return sa.Column("call_id", sa.String(128), nullable=False), foreign


def upgrade() -> None:
    call_id, foreign = _of_call("after_calls")
    op.create_table(
        "after_calls",
        call_id,
        sa.Column("customer", sa.String(64)),
        sa.Column("facts", sa.LargeBinary),
        sa.Column("summary", sa.Text),
        sa.PrimaryKeyConstraint("call_id", name="pk_after_calls"),
        foreign,
    )
    op.create_index("ix_after_calls_customer", "after_calls", ["customer"])
    # What was over before there was such work is no work: nobody wants a message about last week's call now.
    op.execute("INSERT INTO after_calls (call_id, summary) SELECT id, '' FROM calls WHERE ended_at IS NOT NULL")
    call_id, foreign = _of_call("deeds")
    op.create_table(
        "deeds",
        sa.Column("id", sa.String(256), nullable=False),
        call_id,
        sa.Column("operation", sa.String(128), nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("result", sa.Text, nullable=False),
        sa.Column("done_at", _MOMENT, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("undone_at", _MOMENT),
        sa.Column("undone_by", sa.String(128)),
        sa.PrimaryKeyConstraint("id", name="pk_deeds"),
        foreign,
    )
    op.create_index("ix_deeds_call_id", "deeds", ["call_id"])
    op.create_index("ix_deeds_done_at", "deeds", ["done_at"])
    call_id, foreign = _of_call("approvals")
    op.create_table(
        "approvals",
        sa.Column("id", sa.String(256), nullable=False),
        call_id,
        sa.Column("operation", sa.String(128), nullable=False),
        sa.Column("arguments", sa.Text, nullable=False),
        sa.Column("asked_at", _MOMENT, nullable=False),
        sa.Column("expires_at", _MOMENT, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("decided_at", _MOMENT),
        sa.Column("decided_by", sa.String(128)),
        sa.PrimaryKeyConstraint("id", name="pk_approvals"),
        foreign,
    )
    op.create_index("ix_approvals_state_expires_at", "approvals", ["state", "expires_at"])
    op.create_table(
        "pauses",
        sa.Column("subject", sa.String(160), nullable=False),
        sa.Column("paused_at", _MOMENT, nullable=False),
        sa.Column("paused_by", sa.String(128), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_pauses"),
    )
    call_id, foreign = _of_call("follow_ups")
    op.create_table(
        "follow_ups",
        sa.Column("id", sa.String(256), nullable=False),
        call_id,
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("due_at", _MOMENT, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("done_at", _MOMENT),
        sa.Column("done_by", sa.String(128)),
        sa.PrimaryKeyConstraint("id", name="pk_follow_ups"),
        foreign,
    )
    op.create_index("ix_follow_ups_state_due_at", "follow_ups", ["state", "due_at"])
    op.create_index("ix_follow_ups_call_id", "follow_ups", ["call_id"])
    call_id, foreign = _of_call("messages")
    op.create_table(
        "messages",
        sa.Column("id", sa.String(256), nullable=False),
        call_id,
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("sent_at", _MOMENT, nullable=False),
        sa.Column("reference", sa.String(128), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_messages"),
        foreign,
    )
    op.create_index("ix_messages_call_id", "messages", ["call_id"])


def downgrade() -> None:
    for table in ("messages", "follow_ups", "pauses", "approvals", "deeds", "after_calls"):
        op.drop_table(table)
