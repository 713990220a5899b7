"""Personal values of actions apart from the others, sealed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table in ("deeds", "approvals"):
        op.add_column(table, sa.Column("personal", sa.LargeBinary))


def downgrade() -> None:
    for table in ("deeds", "approvals"):
        op.drop_column(table, "personal")
