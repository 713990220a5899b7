"""The demo company as one system."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

from voicebot.backends.demo.bank import bank_operations
from voicebot.backends.demo.branch import branch_operations
from voicebot.backends.demo.service import service_operations
from voicebot.backends.demo.shop import shop_operations
from voicebot.backends.sqlite import Handler, SqliteSystem


def demo_company(path: Path, now: Callable[[], datetime]) -> SqliteSystem:
    """Everything the demo company can do, on the file that `make_demo_data` wrote.

    `now` gives the company's own time, aware of its zone.
    """
    return SqliteSystem(path, _handlers(now), bookkeeping=frozenset({"customers.authenticate", "customers.identify"}))


def demo_operations() -> frozenset[str]:
    """Return what the demo company can do, by name, without opening it."""
    return frozenset(_handlers(lambda: datetime.now(UTC)))


def _handlers(now: Callable[[], datetime]) -> dict[str, Handler]:
    def today() -> date:
        return now().date()

    return {
        **bank_operations(now),
        **service_operations(today),
        **shop_operations(today),
        **branch_operations(now),
    }
