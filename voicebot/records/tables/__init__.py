"""The database's tables, by subject. A change here needs a migration beside it; a test compares the two."""

from __future__ import annotations

from voicebot.records.tables.access import API_TOKENS, OIDC_ATTEMPTS, SESSIONS, SIGN_IN_FAILURES, USERS
from voicebot.records.tables.base import METADATA, UtcTime
from voicebot.records.tables.calls import CALL_NOTES, CALL_SHARES, CALLS, CONTINUATIONS, LEGAL_HOLDS, RECORDINGS, TURNS
from voicebot.records.tables.handover import (
    AGENT_STATES,
    AGENTS,
    CALLBACKS,
    CONTEXTS,
    DELIVERIES,
    DESK_PAGES,
    QUEUE_ENTRIES,
    SERVERS,
)
from voicebot.records.tables.trail import AUDIT, AUDIT_CONTENTS
from voicebot.records.tables.work import AFTER_CALLS, APPROVALS, DEEDS, FOLLOW_UPS, MESSAGES, PAUSES, TASKS

__all__ = [
    "AFTER_CALLS",
    "AGENTS",
    "AGENT_STATES",
    "API_TOKENS",
    "APPROVALS",
    "AUDIT",
    "AUDIT_CONTENTS",
    "CALLBACKS",
    "CALLS",
    "CALL_NOTES",
    "CALL_SHARES",
    "CONTEXTS",
    "CONTINUATIONS",
    "DEEDS",
    "DELIVERIES",
    "DESK_PAGES",
    "FOLLOW_UPS",
    "LEGAL_HOLDS",
    "MESSAGES",
    "METADATA",
    "OIDC_ATTEMPTS",
    "PAUSES",
    "QUEUE_ENTRIES",
    "RECORDINGS",
    "SERVERS",
    "SESSIONS",
    "SIGN_IN_FAILURES",
    "TASKS",
    "TURNS",
    "USERS",
    "UtcTime",
]
