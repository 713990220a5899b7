"""The tables of the demo company. Money is in whole cents, days and times in ISO 8601."""

from __future__ import annotations

from voicebot.backends.sqlite import WRITES_TABLE

#: Raised with every change below; a file of another version is laid out anew.
VERSION = 4

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
        closed INTEGER NOT NULL DEFAULT 0,
        street TEXT NOT NULL,
        house_number TEXT NOT NULL,
        zip TEXT NOT NULL,
        born TEXT NOT NULL,
        tier TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS card (
        account_number TEXT PRIMARY KEY REFERENCES customer (account_number),
        last_digits TEXT NOT NULL,
        blocked INTEGER NOT NULL DEFAULT 0,
        replacement_arrives TEXT
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS bill (
        account_number TEXT NOT NULL REFERENCES customer (account_number),
        payee TEXT NOT NULL,
        amount_cents INTEGER NOT NULL CHECK (amount_cents > 0),
        due TEXT NOT NULL,
        paid_cents INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (account_number, payee)
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS place (
        zip TEXT PRIMARY KEY,
        city TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE IF NOT EXISTS ticket (
        reference INTEGER PRIMARY KEY AUTOINCREMENT,
        topic TEXT NOT NULL,
        phone TEXT NOT NULL
    )
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
        reason TEXT,
        remedy TEXT NOT NULL DEFAULT 'none' CHECK (remedy IN ('none', 'express', 'credit', 'done')),
        credit_cents INTEGER NOT NULL DEFAULT 0
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
    """
    CREATE TABLE IF NOT EXISTS note (
        account_number TEXT NOT NULL REFERENCES customer (account_number),
        text TEXT NOT NULL,
        day TEXT NOT NULL
    )
    """,
    WRITES_TABLE,
)
