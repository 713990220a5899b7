"""What else a turn may have been about, and what the customer's systems were asked at it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_COLUMNS = ("intents", "backend_calls")


def upgrade() -> None:
    for name in _COLUMNS:
        op.add_column("turns", sa.Column(name, sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:
    for name in reversed(_COLUMNS):
        op.drop_column("turns", name)
