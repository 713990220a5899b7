"""How the talk after a transfer was written down."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("calls", sa.Column("dictation", sa.Text))


def downgrade() -> None:
    op.drop_column("calls", "dictation")
