"""What is done after calls, and what people decide about it."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

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
    # Values with their types, as text; those that are personal are masked, and sealed.
    Column("arguments", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("personal", LargeBinary),
    Column("done_at", UtcTime, nullable=False),
    Column("state", String(16), nullable=False),
    Column("undone_at", UtcTime),
    Column("undone_by", String(128)),
    # Why it could not be undone, or not yet.
    Column("problem", String(256)),
    # How often the system would not have it undone: each further try is another write, with a key of its own.
    Column("refusals", Integer, nullable=False, server_default="0"),
    Index(None, "call_id"),
    Index(None, "done_at"),
    Index(None, "state"),
)

#: Writes that wait, or waited, for a person to allow them.
APPROVALS = Table(
    "approvals",
    METADATA,
    Column("id", String(256), primary_key=True),
    _of_call(),
    Column("operation", String(128), nullable=False),
    Column("arguments", Text, nullable=False),
    Column("personal", LargeBinary),
    Column("asked_at", UtcTime, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
    Column("state", String(16), nullable=False),
    Column("decided_at", UtcTime),
    Column("decided_by", String(128)),
    Index(None, "state", "expires_at"),
    Index(None, "call_id"),
)

#: What the plan wants done after a call: each task, whether it has happened yet, and what it left behind.
TASKS = Table(
    "tasks",
    METADATA,
    # As people and programs name the action; what was done of it goes by the same id, or by `subject`.
    Column("id", String(32), primary_key=True),
    Column("subject", String(256), nullable=False, unique=True),
    _of_call(),
    Column("kind", String(16), nullable=False),
    # The operation, or the kind of message.
    Column("name", String(128), nullable=False),
    Column("state", String(16), nullable=False),
    Column("planned_at", UtcTime, nullable=False),
    Column("changed_at", UtcTime, nullable=False),
    Column("changed_by", String(128)),
    Column("problem", String(256)),
    Index(None, "call_id"),
    Index(None, "planned_at"),
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
