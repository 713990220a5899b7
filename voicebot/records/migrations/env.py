"""Run by Alembic: it works on the connection it is handed, in the transaction of whoever called."""

from __future__ import annotations

from alembic import context

from voicebot.records.tables import METADATA

# SQLite cannot alter tables in place; batch mode rebuilds them.
context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()
