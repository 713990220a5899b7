"""The demo shop: where an order is, and how late."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from datetime import date

from voicebot.backends.backends import BackendResult
from voicebot.backends.sqlite import Handler
from voicebot.dialog.events import SlotValue


def shop_operations(today: Callable[[], date]) -> dict[str, Handler]:
    """The shop's operations by name; `today` is the shop's own day."""

    def status(connection: sqlite3.Connection, arguments: Mapping[str, SlotValue]) -> BackendResult:
        row = connection.execute(
            "SELECT item, status, promised, expected, delivered, reason FROM shop_order WHERE number = ?",
            (arguments["order_number"],),
        ).fetchone()
        if row is None:
            return BackendResult("not_found")
        item, state, promised_text, expected_text, delivered, reason = row
        promised = date.fromisoformat(promised_text)
        # What was expected for a day that has passed is expected for today at the earliest.
        expected = max(date.fromisoformat(expected_text), today())
        open_still = state in {"processing", "shipped"}
        delay_days = max((expected - promised).days, 0) if open_still else 0
        return BackendResult(
            "ok",
            {
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

    return {"orders.status": status}
