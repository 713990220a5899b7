"""The demo bank: who a caller is, and what is in their account."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from voicebot.backends.backends import BackendResult
from voicebot.backends.sqlite import Handler
from voicebot.dialog.events import SlotValue

#: Wrong PINs in a row before an account is locked, and for how long. A caller gets three tries per call, so this
#: stops someone who keeps calling.
TRIES_MOST = 6
LOCKED_FOR = timedelta(minutes=15)

_SCRYPT_COST = 2**13


def hash_pin(pin: str, salt: bytes) -> bytes:
    """Scrypt; a four-digit PIN is weak however it is stored, so a copy of the file must at least cost time."""
    return hashlib.scrypt(pin.encode(), salt=salt, n=_SCRYPT_COST, r=8, p=1)


def bank_operations(now: Callable[[], datetime]) -> dict[str, Handler]:
    """The bank's operations by name; `now` is the wall clock, in any zone."""

    def admit(connection: sqlite3.Connection, account: str, proves: Callable[[sqlite3.Row], bool]) -> BackendResult:
        """Let in who proves it, and count who does not: an unknown account looks like a wrong answer."""
        cursor = connection.cursor()
        cursor.row_factory = sqlite3.Row
        row = cursor.execute("SELECT * FROM customer WHERE account_number = ?", (account,)).fetchone()
        if row is None:
            hash_pin("", b"nobody")  # so that an unknown account takes as long as a known one
            return BackendResult("mismatch")
        failed_at = row["last_failed_at"]
        recent = failed_at and now() - datetime.fromisoformat(failed_at) < LOCKED_FOR
        if recent and row["failed_tries"] >= TRIES_MOST:
            return BackendResult("locked")
        if proves(row):
            connection.execute("UPDATE customer SET failed_tries = 0 WHERE account_number = ?", (account,))
            return BackendResult("ok", {"customer_name": row["name"], "tier": row["tier"] or None})
        connection.execute(
            "UPDATE customer SET failed_tries = ?, last_failed_at = ? WHERE account_number = ?",
            (row["failed_tries"] + 1 if recent else 1, now().isoformat(), account),
        )
        return BackendResult("mismatch")

    def authenticate(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        pin = str(arguments["pin"])
        return admit(
            connection,
            str(arguments["account_number"]),
            lambda row: hmac.compare_digest(hash_pin(pin, row["pin_salt"]), row["pin_hash"]),
        )

    def identify(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        told = (str(arguments["birth_date"]), str(arguments["zip_code"]))
        return admit(connection, str(arguments["account_number"]), lambda row: told == (row["born"], row["zip"]))

    def balance(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        row = connection.execute(
            "SELECT balance_cents, pending_cents, closed FROM customer WHERE account_number = ?",
            (arguments["account_number"],),
        ).fetchone()
        if row is None or row[2]:
            return BackendResult("closed")
        return BackendResult("ok", {"balance": dollars(row[0]), "pending": dollars(row[1])})

    return {
        "customers.authenticate": authenticate,
        "customers.identify": identify,
        "accounts.balance": balance,
    }


def dollars(cents: int) -> Decimal:
    """Whole cents as an amount with two places."""
    return Decimal(cents).scaleb(-2)
