"""The servers that share the database, and the desks that are open at each."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "servers",
        sa.Column("instance", sa.String(128), nullable=False),
        sa.Column("url", sa.String(512)),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("instance", name="pk_servers"),
    )
    op.create_table(
        "desk_pages",
        sa.Column("agent_id", sa.String(128), nullable=False),
        sa.Column("instance", sa.String(128), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("agent_id", "instance", name="pk_desk_pages"),
    )


def downgrade() -> None:
    for table in ("desk_pages", "servers"):
        op.drop_table(table)
