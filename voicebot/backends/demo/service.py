"""The demo bank's counter: cards, bills, addresses, and notes for the technicians."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal

from voicebot.backends.backends import BackendResult
from voicebot.backends.demo.bank import dollars
from voicebot.backends.sqlite import Handler
from voicebot.dialog.events import SlotValue

#: What may be paid by phone without a person, in cents.
PAYMENT_LIMIT_CENTS = 500_00
CARD_DAYS = 5


def service_operations(today: Callable[[], date]) -> dict[str, Handler]:
    """The counter's operations by name; `today` is the bank's own day."""

    def find_card(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        row = connection.execute(
            "SELECT last_digits, blocked, replacement_arrives, house_number, street, city FROM card"
            " JOIN customer USING (account_number) JOIN place USING (zip) WHERE account_number = ?",
            (arguments["account_number"],),
        ).fetchone()
        if row is None:
            return BackendResult("no_card")
        digits, blocked, arrives, house_number, street, city = row
        result: dict[str, SlotValue | None] = {
            "last_digits": digits,
            "blocked": bool(blocked),
            "arrives": date.fromisoformat(arrives) if arrives else None,
            "address": f"{house_number} {street}, {city}",
        }
        return BackendResult("already_ordered" if arrives else "ok", result)

    def replace_card(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        arrives = today() + timedelta(days=CARD_DAYS)
        # A damaged card may be used until the new one comes; a lost or stolen one is blocked at once.
        blocked = arguments["reason"] in {"lost", "stolen"}
        changed = connection.execute(
            "UPDATE card SET blocked = max(blocked, ?), replacement_arrives = ?"
            " WHERE account_number = ? AND replacement_arrives IS NULL",
            (blocked, arrives.isoformat(), arguments["account_number"]),
        )
        if not changed.rowcount:
            return BackendResult("already_ordered")
        return BackendResult("ok", {"arrives": arrives, "blocked": blocked})

    def bill_due(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        row = connection.execute(
            "SELECT payee, amount_cents - paid_cents, due FROM bill"
            " WHERE account_number = ? AND paid_cents < amount_cents ORDER BY due LIMIT 1",
            (arguments["account_number"],),
        ).fetchone()
        if row is None:
            return BackendResult("nothing_due")
        return BackendResult(
            "ok",
            {
                "payee": row[0],
                "due_amount": dollars(row[1]),
                "due": date.fromisoformat(row[2]),
                "limit": dollars(PAYMENT_LIMIT_CENTS),
            },
        )

    def pay_bill(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        cents = int(Decimal(str(arguments["amount"])) * 100)
        if cents > PAYMENT_LIMIT_CENTS:
            return BackendResult("over_limit", {"limit": dollars(PAYMENT_LIMIT_CENTS)})
        account, payee = arguments["account_number"], arguments["payee"]
        bill = connection.execute(
            "SELECT amount_cents - paid_cents FROM bill WHERE account_number = ? AND payee = ?", (account, payee)
        ).fetchone()
        if bill is None or not 0 < cents <= bill[0]:
            return BackendResult("not_due")
        paid = connection.execute(
            "UPDATE customer SET balance_cents = balance_cents - ? WHERE account_number = ? AND balance_cents >= ?"
            " RETURNING balance_cents",
            (cents, account, cents),
        ).fetchone()
        if paid is None:
            return BackendResult("not_enough_money")
        connection.execute(
            "UPDATE bill SET paid_cents = paid_cents + ? WHERE account_number = ? AND payee = ?",
            (cents, account, payee),
        )
        return BackendResult("ok", {"balance": dollars(paid[0])})

    def find_place(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        row = connection.execute("SELECT city FROM place WHERE zip = ?", (arguments["zip_code"],)).fetchone()
        return BackendResult("ok", {"city": row[0]}) if row else BackendResult("unknown")

    def change_address(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        connection.execute(
            "UPDATE customer SET street = ?, house_number = ?, zip = ? WHERE account_number = ?",
            (arguments["street"], arguments["house_number"], arguments["zip_code"], arguments["account_number"]),
        )
        return BackendResult("ok")

    def create_ticket(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        row = connection.execute(
            "INSERT INTO ticket (topic, phone) VALUES (?, ?) RETURNING reference",
            (arguments["topic"], arguments["phone"]),
        ).fetchone()
        return BackendResult("ok", {"ticket": str(row[0])})

    def note(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        connection.execute(
            "INSERT INTO note (account_number, text, day) VALUES (?, ?, ?)",
            (arguments["account_number"], arguments["text"], today().isoformat()),
        )
        return BackendResult("ok")

    return {
        "customers.note": note,
        "cards.find": find_card,
        "cards.replace": replace_card,
        "bills.due": bill_due,
        "bills.pay": pay_bill,
        "places.find": find_place,
        "customers.change_address": change_address,
        "tickets.create": create_ticket,
    }
