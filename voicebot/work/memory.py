"""What earlier calls of a customer left behind, as a system that flows ask like any other."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from voicebot.backends.backends import BackendResult
from voicebot.dialog.events import SlotValue
from voicebot.errors import LocalProtocolError
from voicebot.records.deeds import Deeds
from voicebot.work.customers import Customers

RECALL = "memory.recall"
#: Calls within so many days are counted as recent.
RECENT_DAYS = 30


class NoMemory:
    """Knows no customer: where flows are tried without a server."""

    @property
    def operations(self) -> frozenset[str]:
        return frozenset((RECALL,))

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None
    ) -> BackendResult:
        del operation, arguments, idempotency_key
        return BackendResult("nothing")

    async def close(self) -> None:
        """Nothing is held open."""


class MemorySystem:
    """Carries out `memory.recall`: how often a customer called of late, what for, and what is still open."""

    def __init__(self, deeds: Deeds, customers: Customers, *, now: Callable[[], datetime]) -> None:
        self._deeds = deeds
        self._customers = customers
        self._now = now

    @property
    def operations(self) -> frozenset[str]:
        return frozenset((RECALL,))

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None
    ) -> BackendResult:
        """Answer what is known of the customer named by the one argument; ``nothing`` where it is their first call."""
        del idempotency_key
        if operation != RECALL or len(arguments) != 1:
            raise LocalProtocolError(f"'{RECALL}' takes one argument: the customer.")
        customer = self._customers.hashes(str(next(iter(arguments.values()))))
        past = await self._deeds.past(customer)
        if not past:
            return BackendResult("nothing")
        now = self._now()
        recent = [call for call in past if (now - call.started_at).days < RECENT_DAYS]
        last = past[0]
        for_the_same = sum(call.goal == last.goal for call in recent) if last.goal else 0
        open_tasks = await self._deeds.follow_ups(customer=customer, limit=1)
        return BackendResult(
            "ok",
            {
                "calls": len(recent),
                "for_the_same": for_the_same,
                "last_goal": (last.goal or "").replace("_", " "),
                "last_reached": last.goal_reached,
                "last_outcome": (last.outcome or "").replace("_", " "),
                "last_days": (now - last.started_at).days,
                "open": open_tasks[0].text if open_tasks else None,
                "callback": await self._deeds.owes_callback(customer),
            },
        )

    async def close(self) -> None:
        """Nothing is held open."""
