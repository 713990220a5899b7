"""Speech in recordings that was not written down, and is silence."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("recordings", sa.Column("unheard", sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("recordings", "unheard")
