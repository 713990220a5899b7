"""Signals of a turn, and the words of whole calls kept in an index by triggers, so that no writer can forget them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# A call is one text in the index: searching it takes one look-up a call, however many turns it has.
_SQLITE_WORDS = """
    INSERT INTO call_words_index (rowid, caller, bot, agent, intents)
    SELECT w.id,
        group_concat(CASE WHEN t.speaker = 'caller' THEN coalesce(t.heard_text, t.text) END, ' '),
        group_concat(CASE WHEN t.speaker = 'bot' THEN coalesce(t.heard_text, t.text) END, ' '),
        group_concat(CASE WHEN t.speaker = 'agent' THEN coalesce(t.heard_text, t.text) END, ' '),
        group_concat(t.intent, ' ')
    FROM call_words w JOIN turns t ON t.call_id = w.call_id
"""

_SQLITE = (
    # An id of its own, since the rowid of `calls` may change when the file is packed.
    """
    CREATE TABLE call_words (
        id INTEGER PRIMARY KEY,
        call_id VARCHAR(128) NOT NULL UNIQUE REFERENCES calls (id) ON DELETE CASCADE
    )
    """,
    """
    CREATE VIRTUAL TABLE call_words_index USING fts5 (
        caller, bot, agent, intents, tokenize = "unicode61 remove_diacritics 2 tokenchars '_'"
    )
    """,
    "INSERT INTO call_words (call_id) SELECT id FROM calls ORDER BY started_at",
    f"{_SQLITE_WORDS} GROUP BY w.id",
    f"""
    CREATE TRIGGER turns_words_added AFTER INSERT ON turns BEGIN
        INSERT INTO call_words (call_id)
            SELECT NEW.call_id WHERE NOT EXISTS (SELECT 1 FROM call_words WHERE call_id = NEW.call_id);
        DELETE FROM call_words_index WHERE rowid = (SELECT id FROM call_words WHERE call_id = NEW.call_id);
        {_SQLITE_WORDS} WHERE w.call_id = NEW.call_id GROUP BY w.id;
    END
    """,
    f"""
    CREATE TRIGGER turns_words_changed AFTER UPDATE OF text, heard_text, speaker, intent ON turns BEGIN
        DELETE FROM call_words_index WHERE rowid = (SELECT id FROM call_words WHERE call_id = NEW.call_id);
        {_SQLITE_WORDS} WHERE w.call_id = NEW.call_id GROUP BY w.id;
    END
    """,
    f"""
    CREATE TRIGGER turns_words_deleted AFTER DELETE ON turns BEGIN
        DELETE FROM call_words_index WHERE rowid = (SELECT id FROM call_words WHERE call_id = OLD.call_id);
        {_SQLITE_WORDS} WHERE w.call_id = OLD.call_id GROUP BY w.id;
    END
    """,
    """
    CREATE TRIGGER call_words_deleted AFTER DELETE ON call_words BEGIN
        DELETE FROM call_words_index WHERE rowid = OLD.id;
    END
    """,
)

# Punctuation goes before PostgreSQL takes words apart by rules of its own; a tsvector holds a megabyte, which no call's
# words may exceed, or its turns could not be written.
_POSTGRESQL_WORDS = """
    SELECT t.call_id,
        setweight(to_tsvector('simple', words_of(string_agg(
            coalesce(t.heard_text, t.text), ' ' ORDER BY t.number) FILTER (WHERE t.speaker = 'caller'))), 'A')
        || setweight(to_tsvector('simple', words_of(string_agg(
            coalesce(t.heard_text, t.text), ' ' ORDER BY t.number) FILTER (WHERE t.speaker = 'bot'))), 'B')
        || setweight(to_tsvector('simple', words_of(string_agg(
            coalesce(t.heard_text, t.text), ' ' ORDER BY t.number) FILTER (WHERE t.speaker = 'agent'))), 'C')
        || array_to_tsvector(coalesce(
            array_agg(DISTINCT 'intent:' || t.intent) FILTER (WHERE t.intent <> ''), '{}'))
    FROM turns t
"""

_POSTGRESQL = (
    """
    CREATE FUNCTION words_of(said text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
        SELECT left(regexp_replace(coalesce(said, ''), '[^[:alnum:]]+', ' ', 'g'), 150000)
    $$
    """,
    """
    CREATE TABLE call_words (
        call_id VARCHAR(128) PRIMARY KEY REFERENCES calls (id) ON DELETE CASCADE,
        words tsvector NOT NULL
    )
    """,
    f"INSERT INTO call_words {_POSTGRESQL_WORDS} GROUP BY t.call_id",
    "CREATE INDEX ix_call_words_words ON call_words USING gin (words)",
    f"""
    CREATE FUNCTION refresh_call_words() RETURNS trigger LANGUAGE plpgsql AS $$
    DECLARE
        changed text := CASE WHEN TG_OP = 'DELETE' THEN OLD.call_id ELSE NEW.call_id END;
    BEGIN
        IF EXISTS (SELECT 1 FROM calls WHERE id = changed) THEN
            INSERT INTO call_words {_POSTGRESQL_WORDS} WHERE t.call_id = changed GROUP BY t.call_id
            ON CONFLICT (call_id) DO UPDATE SET words = excluded.words;
        END IF;
        RETURN NULL;
    END
    $$
    """,
    """
    CREATE TRIGGER turns_words AFTER INSERT OR UPDATE OF text, heard_text, speaker, intent OR DELETE ON turns
        FOR EACH ROW EXECUTE FUNCTION refresh_call_words()
    """,
)


def upgrade() -> None:
    op.add_column("turns", sa.Column("signals", sa.JSON, nullable=False, server_default="{}"))
    op.create_index("ix_calls_started_at_id", "calls", ["started_at", "id"])
    op.drop_index("ix_calls_started_at", "calls")
    op.create_index("ix_calls_caller_started_at", "calls", ["caller", "started_at"])
    op.create_index("ix_calls_outcome_started_at", "calls", ["outcome", "started_at"])
    op.create_index("ix_calls_goal", "calls", ["goal"])
    op.create_index("ix_calls_flow_version_started_at", "calls", ["flow_version", "started_at"])
    for statement in _POSTGRESQL if op.get_bind().dialect.name == "postgresql" else _SQLITE:
        # As it stands: a colon is no parameter here.
        op.get_bind().exec_driver_sql(statement)


def downgrade() -> None:
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP TRIGGER turns_words ON turns")
        op.execute("DROP FUNCTION refresh_call_words")
        op.execute("DROP TABLE call_words")
        op.execute("DROP FUNCTION words_of")
    else:
        for trigger in ("turns_words_added", "turns_words_changed", "turns_words_deleted", "call_words_deleted"):
            op.execute(f"DROP TRIGGER {trigger}")
        op.execute("DROP TABLE call_words_index")
        op.execute("DROP TABLE call_words")
    op.drop_index("ix_calls_flow_version_started_at", "calls")
    op.drop_index("ix_calls_goal", "calls")
    op.drop_index("ix_calls_outcome_started_at", "calls")
    op.drop_index("ix_calls_caller_started_at", "calls")
    op.create_index("ix_calls_started_at", "calls", ["started_at"])
    op.drop_index("ix_calls_started_at_id", "calls")
    op.drop_column("turns", "signals")
