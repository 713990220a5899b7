"""Callers, agents and what is told when a person takes over."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Index, Integer, String, Table, Text

from voicebot.records.tables.base import METADATA, UtcTime

#: Callers who wait for a person, and those who did. An entry belongs to the process that holds the caller.
QUEUE_ENTRIES = Table(
    "queue_entries",
    METADATA,
    Column("id", String(128), primary_key=True),
    Column("call_id", String(128), nullable=False),
    Column("queue", String(128), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("tried", JSON, nullable=False),
    Column("number", Text, nullable=False),
    Column("instance", String(128), nullable=False),
    # After this the process is taken for dead, and its callers are called back.
    Column("lease_until", UtcTime, nullable=False),
    Column("state", String(32), nullable=False),
    Column("agent_id", String(128)),
    Column("entered_at", UtcTime, nullable=False),
    Column("joined_at", UtcTime),
    Column("ended_at", UtcTime),
    Column("ending", String(64)),
    Index(None, "state", "queue"),
    Index(None, "ended_at"),
)

#: What each agent is doing; `token` grows with every claim, so that a process that lost one notices.
AGENTS = Table(
    "agents",
    METADATA,
    Column("id", String(128), primary_key=True),
    Column("state", String(32), nullable=False),
    Column("since", UtcTime, nullable=False),
    Column("idle_since", UtcTime, nullable=False),
    Column("until", UtcTime),
    Column("reach", String(32), nullable=False),
    Column("token", Integer, nullable=False),
    Column("entry_id", String(128)),
    Column("instance", String(128)),
    Column("lease_until", UtcTime),
)

#: Every change of an agent's state, for the time spent in each.
AGENT_STATES = Table(
    "agent_states",
    METADATA,
    Column("agent_id", String(128), primary_key=True),
    Column("at", UtcTime, primary_key=True),
    Column("state", String(32), nullable=False),
)

CALLBACKS = Table(
    "callbacks",
    METADATA,
    Column("id", String(128), primary_key=True),
    Column("call_id", String(128), nullable=False),
    Column("queue", String(128), nullable=False),
    Column("number", Text, nullable=False),
    Column("zone", String(64), nullable=False),
    Column("consent", Boolean, nullable=False),
    Column("reason", String(64), nullable=False),
    Column("state", String(32), nullable=False),
    Column("due_at", UtcTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("token", Integer, nullable=False),
    Column("instance", String(128)),
    Column("lease_until", UtcTime),
    Column("created_at", UtcTime, nullable=False),
    Column("result", String(64)),
    Index(None, "state", "due_at"),
    Index(None, "call_id"),
)

#: The servers that share the database, and where browsers reach each and no other; `until` it lives if it says no more.
SERVERS = Table(
    "servers",
    METADATA,
    Column("instance", String(128), primary_key=True),
    Column("url", String(512)),
    Column("until", UtcTime, nullable=False),
)

#: At which servers an agent has a desk page open.
DESK_PAGES = Table(
    "desk_pages",
    METADATA,
    Column("agent_id", String(128), primary_key=True),
    Column("instance", String(128), primary_key=True),
    Column("until", UtcTime, nullable=False),
)

#: The context packets of calls that were handed over.
CONTEXTS = Table(
    "contexts",
    METADATA,
    Column("call_id", String(128), primary_key=True),
    Column("document", JSON, nullable=False),
    Column("stored_at", UtcTime, nullable=False),
)

#: The delivery log: every attempt to tell another system.
DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("key", String(192), nullable=False),
    Column("receiver", String(128), nullable=False),
    Column("call_id", String(128), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("at", UtcTime, nullable=False),
    Column("status", Integer),
    Column("delivered", Boolean, nullable=False),
    Column("problem", String(256)),
    Column("took_ms", Integer, nullable=False),
    Index(None, "call_id"),
)
