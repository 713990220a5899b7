"""How the database came to its present form, step by step; run at every start."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

#: PostgreSQL's lock under which servers that start at once take turns; any number that nothing else here uses.
_MIGRATION_LOCK = 7_305_808_870


def migrate(connection: Connection, revision: str = "head") -> None:
    """Bring the database behind `connection` up to `revision`; does nothing when it is there."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
    command.upgrade(_config(connection), revision)


def migrate_down(connection: Connection, revision: str) -> None:
    """Take the database back to `revision`; what later revisions added is lost."""
    command.downgrade(_config(connection), revision)


def _config(connection: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
