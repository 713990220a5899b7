"""The audit trail."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, String, Table, Text

from voicebot.records.tables.base import METADATA, UtcTime

#: The chain of audit entries; never changed, never deleted from.
AUDIT = Table(
    "audit",
    METADATA,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("id", String(32), nullable=False, unique=True),
    Column("at", UtcTime, nullable=False),
    Column("actor", String(128), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("content_digest", String(64), nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index(None, "subject"),
)

#: What audit entries say, apart from the chain so that it can be deleted.
AUDIT_CONTENTS = Table(
    "audit_contents",
    METADATA,
    Column("number", Integer, ForeignKey("audit.number"), primary_key=True, autoincrement=False),
    Column("salt", String(32), nullable=False),
    Column("content", Text, nullable=False),
)
