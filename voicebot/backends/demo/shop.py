"""The demo shop: where an order is, how late, and what policy offers for that."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from datetime import date, timedelta

from voicebot.backends.backends import BackendResult
from voicebot.backends.demo.bank import dollars
from voicebot.backends.sqlite import Handler
from voicebot.dialog.events import SlotValue

#: How soon an order arrives that is sent again by express.
EXPRESS_DAYS = 1


def shop_operations(today: Callable[[], date]) -> dict[str, Handler]:
    """The shop's operations by name; `today` is the shop's own day."""

    def status(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        row = connection.execute(
            "SELECT item, status, promised, expected, delivered, reason, remedy, credit_cents"
            " FROM shop_order WHERE number = ?",
            (arguments["order_number"],),
        ).fetchone()
        if row is None:
            return BackendResult("not_found")
        item, state, promised_text, expected_text, delivered, reason, remedy, credit_cents = row
        promised = date.fromisoformat(promised_text)
        # What was expected for a day that has passed is expected for today at the earliest.
        expected = max(date.fromisoformat(expected_text), today())
        open_still = state in {"processing", "shipped"}
        delay_days = max((expected - promised).days, 0) if open_still else 0
        express_day = today() + timedelta(days=EXPRESS_DAYS)
        offered = remedy if delay_days and (remedy != "express" or express_day < expected) else "none"
        return BackendResult(
            "ok",
            {
                "remedy": offered,
                "express_day": express_day if offered == "express" else None,
                "credit": dollars(credit_cents) if offered == "credit" else None,
                "item": item,
                "status": state,
                "late": delay_days > 0,
                "delay_days": delay_days,
                "reason": reason or "for a reason our system doesn't give",
                "promised": promised,
                "expected": expected,
                "delivered": date.fromisoformat(delivered) if delivered else None,
            },
        )

    def expedite(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        expected = today() + timedelta(days=EXPRESS_DAYS)
        changed = connection.execute(
            "UPDATE shop_order SET expected = ?, remedy = 'done' WHERE number = ? AND remedy = 'express'",
            (expected.isoformat(), arguments["order_number"]),
        )
        return BackendResult("ok", {"expected": expected}) if changed.rowcount else BackendResult("not_possible")

    def credit(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        row = connection.execute(
            "SELECT account_number, remedy, credit_cents FROM shop_order WHERE number = ?",
            (arguments["order_number"],),
        ).fetchone()
        if row is None or row[0] != arguments["account_number"]:
            return BackendResult("not_yours")
        if row[1] != "credit" or arguments["amount"] != dollars(row[2]):
            return BackendResult("not_possible")
        connection.execute("UPDATE shop_order SET remedy = 'done' WHERE number = ?", (arguments["order_number"],))
        connection.execute(
            "UPDATE customer SET balance_cents = balance_cents + ? WHERE account_number = ?", (row[2], row[0])
        )
        return BackendResult("ok", {"credit": dollars(row[2])})

    return {"orders.status": status, "orders.expedite": expedite, "orders.credit": credit}
