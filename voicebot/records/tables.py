"""The database's tables. A change here needs a migration beside it; a test compares the two."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
)

#: Constraints have names, so that a migration can drop them on every database.
METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
    }
)


class UtcTime(TypeDecorator[datetime]):
    """A moment in UTC. SQLite keeps no zone and PostgreSQL answers in its session's, so it is put right."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


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
)

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

#: People who may sign in.
USERS = Table(
    "users",
    METADATA,
    Column("id", String(32), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    # None for those who sign in elsewhere (OpenID Connect), whose subject there is `oidc_subject`.
    Column("password_hash", Text),
    Column("oidc_subject", String(512), unique=True),
    Column("queues", JSON, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("disabled_at", UtcTime),
)

#: Open sessions; the cookie's value itself is not kept, only its hash.
SESSIONS = Table(
    "sessions",
    METADATA,
    Column("hash", String(64), primary_key=True),
    Column("user_id", String(32), ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("seen_at", UtcTime, nullable=False),
    Index(None, "user_id"),
)

#: What programs show instead of a session.
API_TOKENS = Table(
    "api_tokens",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("hash", String(64), nullable=False, unique=True),
    Column("scopes", JSON, nullable=False),
    Column("created_at", UtcTime, nullable=False),
    Column("created_by", String(128), nullable=False),
    Column("expires_at", UtcTime),
    Column("revoked_at", UtcTime),
    Column("used_at", UtcTime),
)

#: Failed proofs of who somebody is, by account and by address, both hashed.
SIGN_IN_FAILURES = Table(
    "sign_in_failures",
    METADATA,
    Column("key", String(64), primary_key=True),
    Column("failures", Integer, nullable=False),
    Column("last_at", UtcTime, nullable=False),
)

#: Sign-ins begun at an OpenID provider and not yet come back.
OIDC_ATTEMPTS = Table(
    "oidc_attempts",
    METADATA,
    Column("state_hash", String(64), primary_key=True),
    Column("browser_hash", String(64), nullable=False),
    Column("nonce", String(64), nullable=False),
    Column("verifier", String(128), nullable=False),
    Column("then", Text, nullable=False),
    Column("expires_at", UtcTime, nullable=False),
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
