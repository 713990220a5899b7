"""The demo company as one system."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path

from voicebot.backends.demo.bank import bank_operations
from voicebot.backends.demo.branch import branch_operations
from voicebot.backends.demo.service import service_operations
from voicebot.backends.demo.shop import shop_operations
from voicebot.backends.sqlite import SqliteSystem


def demo_company(path: Path, now: Callable[[], datetime]) -> SqliteSystem:
    """Everything the demo company can do, on the file that `make_demo_data` wrote.

    `now` gives the company's own time, aware of its zone.
    """

    def today() -> date:
        return now().date()

    handlers = {
        **bank_operations(now),
        **service_operations(today),
        **shop_operations(today),
        **branch_operations(now),
    }
    return SqliteSystem(path, handlers, bookkeeping=frozenset({"customers.authenticate", "customers.identify"}))
