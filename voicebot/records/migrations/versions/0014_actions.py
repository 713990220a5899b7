"""Tasks after calls with their states, so that each can be cancelled, and why an action could not be undone."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.add_column("deeds", sa.Column("problem", sa.String(256)))
    op.add_column("deeds", sa.Column("refusals", sa.Integer, nullable=False, server_default="0"))
    op.create_index("ix_deeds_state", "deeds", ["state"])
    op.create_index("ix_approvals_call_id", "approvals", ["call_id"])
    op.create_index("ix_callbacks_call_id", "callbacks", ["call_id"])
    tasks = op.create_table(
        "tasks",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(256), nullable=False),
        sa.Column("call_id", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("planned_at", _MOMENT, nullable=False),
        sa.Column("changed_at", _MOMENT, nullable=False),
        sa.Column("changed_by", sa.String(128)),
        sa.Column("problem", sa.String(256)),
        sa.PrimaryKeyConstraint("id", name="pk_tasks"),
        sa.UniqueConstraint("subject", name="uq_tasks_subject"),
        sa.ForeignKeyConstraint(["call_id"], ["calls.id"], name="fk_tasks_call_id_calls", ondelete="CASCADE"),
    )
    op.create_index("ix_tasks_call_id", "tasks", ["call_id"])
    op.create_index("ix_tasks_planned_at", "tasks", ["planned_at"])
    # What earlier versions left behind: messages that were sent, and what people have to do.
    connection = op.get_bind()
    messages = "SELECT id, call_id, 'message' AS kind, kind AS name, sent_at AS at FROM messages"
    follow_ups = """
        SELECT f.id, f.call_id, 'follow_up' AS kind, '' AS name, c.started_at AS at
        FROM follow_ups f JOIN calls c ON c.id = f.call_id
    """
    for query in (messages, follow_ups):
        typed = sa.text(query).columns(id=sa.String, call_id=sa.String, kind=sa.String, name=sa.String, at=_MOMENT)
        done = [
            {
                "id": hashlib.sha256(f"after:{row.id}".encode()).hexdigest()[:32],
                "subject": row.id,
                "call_id": row.call_id,
                "kind": row.kind,
                "name": row.name or row.id.rpartition("/")[2],
                "state": "done",
                "planned_at": row.at,
                "changed_at": row.at,
            }
            for row in connection.execute(typed)
        ]
        if done:
            op.bulk_insert(tasks, done)


def downgrade() -> None:
    op.drop_table("tasks")
    op.drop_index("ix_callbacks_call_id", "callbacks")
    op.drop_index("ix_approvals_call_id", "approvals")
    # States that older versions do not know: what is not undone is done.
    op.execute("UPDATE deeds SET state = 'done' WHERE state IN ('undo_failed', 'with_person')")
    op.drop_index("ix_deeds_state", "deeds")
    op.drop_column("deeds", "refusals")
    op.drop_column("deeds", "problem")
