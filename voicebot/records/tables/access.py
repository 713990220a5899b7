"""Who may do what."""

from __future__ import annotations

from sqlalchemy import JSON, Column, ForeignKey, Index, Integer, String, Table, Text

from voicebot.records.tables.base import METADATA, UtcTime

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
