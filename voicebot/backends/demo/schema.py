"""The tables of the demo company. Money is in whole cents, days and times in ISO 8601."""

from __future__ import annotations

from voicebot.backends.sqlite import WRITES_TABLE

TABLES = (
    """
    CREATE TABLE IF NOT EXISTS made (
        on_day TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS customer (
        account_number TEXT PRIMARY KEY,
        name TEXT NOT NULL,
        pin_salt BLOB NOT NULL,
        pin_hash BLOB NOT NULL,
        failed_tries INTEGER NOT NULL DEFAULT 0,
        last_failed_at TEXT,
        balance_cents INTEGER NOT NULL,
        pending_cents INTEGER NOT NULL DEFAULT 0,
        closed INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS shop_order (
        number TEXT PRIMARY KEY,
        account_number TEXT NOT NULL REFERENCES customer (account_number),
        item TEXT NOT NULL,
        status TEXT NOT NULL CHECK (status IN ('processing', 'shipped', 'delivered', 'cancelled')),
        promised TEXT NOT NULL,
        expected TEXT NOT NULL,
        delivered TEXT,
        reason TEXT
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS opening (
        weekday INTEGER PRIMARY KEY CHECK (weekday BETWEEN 0 AND 6),
        opens TEXT NOT NULL,
        closes TEXT NOT NULL
    )
    """,
    """
    CREATE TABLE IF NOT EXISTS holiday (
        day TEXT PRIMARY KEY,
        name TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS appointment (
        reference INTEGER PRIMARY KEY AUTOINCREMENT,
        day TEXT NOT NULL,
        time TEXT NOT NULL,
        phone TEXT NOT NULL,
        UNIQUE (day, time)
    )
    """,
    WRITES_TABLE,
)
