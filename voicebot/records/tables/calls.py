"""What is kept of calls themselves: the call, its turns, its recording, and who may see it."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text

from voicebot.records.tables.base import METADATA, UtcTime

CALLS = Table(
    "calls",
    METADATA,
    Column("id", String(128), primary_key=True),
    # Which server process carries the call; it closes what its predecessor left open.
    Column("instance", String(128), nullable=False),
    Column("channel", String(32), nullable=False),
    Column("direction", String(32), nullable=False),
    Column("caller", Text, nullable=False),
    Column("called", Text, nullable=False),
    Column("carrier_call_id", Text, nullable=False),
    Column("started_at", UtcTime, nullable=False),
    Column("ended_at", UtcTime),
    Column("outcome", String(64)),
    Column("cause", String(64)),
    Column("goal", String(128)),
    Column("goal_reached", Boolean, nullable=False),
    Column("flow_version", String(128), nullable=False),
    Column("audio_deleted_at", UtcTime),
    Column("transcript_deleted_at", UtcTime),
    Column("dictation", Text),
    Index(None, "started_at", "id"),
    Index(None, "ended_at"),
    Index(None, "caller", "started_at"),
    Index(None, "outcome", "started_at"),
    Index(None, "goal"),
    Index(None, "flow_version", "started_at"),
    Index(None, "instance", "ended_at"),
)

TURNS = Table(
    "turns",
    METADATA,
    Column("call_id", String(128), ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("speaker", String(16), nullable=False),
    Column("text", Text, nullable=False),
    Column("at_ms", Integer, nullable=False),
    Column("heard_ms", Integer, nullable=False),
    Column("heard_text", Text),
    Column("prompt", String(256)),
    Column("engine", String(128)),
    Column("secret", Boolean, nullable=False),
    Column("over_prompt", Boolean, nullable=False),
    Column("intent", String(128)),
    Column("confidence", Float),
    Column("slots", JSON, nullable=False),
    Column("decision", Text),
    Column("alternatives", JSON, nullable=False),
    Column("words", JSON, nullable=False),
    Column("timings_ms", JSON, nullable=False),
    Column("signals", JSON, nullable=False, server_default="{}"),
    Column("redactions", JSON, nullable=False, server_default="[]"),
    Column("intents", JSON, nullable=False, server_default="[]"),
    Column("backend_calls", JSON, nullable=False, server_default="[]"),
)

#: Apart from the call, since a recording may begin before its call's first entry is written.
RECORDINGS = Table(
    "recordings",
    METADATA,
    Column("call_id", String(128), primary_key=True),
    Column("path", Text, nullable=False),
    Column("rate_hz", Integer, nullable=False),
    Column("state", String(16), nullable=False, server_default="live"),
    Column("codec", String(16)),
    Column("stored_bytes", BigInteger),
    Column("sha256", String(64)),
    Column("key_id", String(16)),
    Column("duration_ms", Integer),
    Column("consent", String(16)),
    Column("consent_ms", Integer),
    Column("pauses", JSON, nullable=False, server_default="[]"),
    # Speech that was not written down and is silence.
    Column("unheard", JSON, nullable=False, server_default="[]"),
)

#: To whom a call was given, by name of the user or queue: who sees own calls only sees these.
CALL_SHARES = Table(
    "call_shares",
    METADATA,
    Column("call_id", String(128), ForeignKey("calls.id", ondelete="CASCADE"), primary_key=True),
    Column("shared_with", String(16), primary_key=True),
    Column("name", String(128), primary_key=True),
    Index(None, "shared_with", "name"),
)

#: What agents wrote down about calls that they took.
CALL_NOTES = Table(
    "call_notes",
    METADATA,
    Column("call_id", String(128), primary_key=True),
    Column("agent_id", String(128), primary_key=True),
    Column("disposition", String(32)),
    Column("text", Text, nullable=False),
    Column("saved_at", UtcTime, nullable=False),
)

#: Requests that customers broke off in, and written conversations that go on, until they expire.
CONTINUATIONS = Table(
    "continuations",
    METADATA,
    Column("kind", String(16), primary_key=True),
    Column("key", String(128), primary_key=True),
    Column("expires_at", UtcTime, nullable=False),
    Column("content", JSON, nullable=False),
    Index(None, "expires_at"),
)

#: What must be kept though its time is over: one call, or all calls of a number.
LEGAL_HOLDS = Table(
    "legal_holds",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("call_id", String(128)),
    Column("caller", Text),
    Column("placed_at", UtcTime, nullable=False),
    Column("placed_by", String(128), nullable=False),
    Column("reason", Text, nullable=False),
    Index(None, "call_id"),
    Index(None, "caller"),
)
