"""What is done after calls, and what people decide about it."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, LargeBinary, String, Table, Text

from voicebot.records.tables.base import METADATA, UtcTime


def _of_call() -> Column[str]:
    return Column("call_id", String(128), ForeignKey("calls.id", ondelete="CASCADE"), nullable=False)


#: What is known of a call once it is over: `customer` is a keyed hash of who proved to be calling, `facts` are sealed.
AFTER_CALLS = Table(
    "after_calls",
    METADATA,
    Column("call_id", String(128), ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("customer", String(64)),
    Column("facts", LargeBinary),
    Column("summary", Text),
    Index(None, "customer"),
)

#: What the bot wrote to the customer's systems, each under the idempotency key of the write.
DEEDS = Table(
    "deeds",
    METADATA,
    Column("id", String(256), primary_key=True),
    _of_call(),
    Column("operation", String(128), nullable=False),
    # Values with their types, as text.
    Column("arguments", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("done_at", UtcTime, nullable=False),
    Column("state", String(16), nullable=False),
    Column("undone_at", UtcTime),
    Column("undone_by", String(128)),
    Index(None, "call_id"),
    Index(None, "done_at"),
)

#: Writes that wait, or waited, for a person to allow them.
APPROVALS = Table(
    "approvals",
    METADATA,
    Column("id", String(256), primary_key=True),
    _of_call(),
    Column("operation", String(128), nullable=False),
    Column("arguments", Text, nullable=False),
    Column("asked_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("state", String(16), nullable=False),
    Column("decided_at", UtcTime),
    Column("decided_by", String(128)),
    Index(None, "state", "expires_at"),
)

#: What a supervisor has stopped: ``"all"``, or an intent by its name.
PAUSES = Table(
    "pauses",
    METADATA,
    Column("subject", String(160), primary_key=True),
    Column("paused_at", UtcTime, nullable=False),
    Column("paused_by", String(128), nullable=False),
    Column("reason", Text, nullable=False),
)

#: What somebody still has to do for a caller.
FOLLOW_UPS = Table(
    "follow_ups",
    METADATA,
    Column("id", String(256), primary_key=True),
    _of_call(),
    Column("text", Text, nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("state", String(16), nullable=False),
    Column("done_at", UtcTime),
    Column("done_by", String(128)),
    Index(None, "state", "due_at"),
    Index(None, "call_id"),
)

#: Messages to callers: to whom is not kept, the call has it.
MESSAGES = Table(
    "messages",
    METADATA,
    Column("id", String(256), primary_key=True),
    _of_call(),
    Column("kind", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("sent_at", UtcTime, nullable=False),
    Column("reference", String(128), nullable=False),
    Index(None, "call_id"),
)
