"""What work uses that was planned by a version of the flows, although another is current by the time it is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from voicebot.calls.seams import Operations
from voicebot.dialog.flow import Operation
from voicebot.work.plan import Plan


@dataclass(frozen=True, slots=True)
class Planned:
    """One version's plan, its systems, and what their operations promise."""

    plan: Plan
    operations: Operations
    contracts: Mapping[str, Operation]


#: Gives what the version of that name had, and keeps it open meanwhile; an unknown version gets the current one's.
PlannedFor = Callable[[str], AbstractAsyncContextManager[Planned]]
