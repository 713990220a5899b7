"""What is fixed about a call when it begins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voicebot.calls.seams import StandingPrompts


@dataclass(frozen=True, slots=True)
class CallPlan:
    """`recording_path` is None for a call that is not recorded."""

    call_id: str
    recording_path: str | None
    zone: str
    seed: int
    max_call_s: float
    prompts: StandingPrompts
    #: How callers hear an intent named; empty for one that is no request.
    title_of: Callable[[str], str] = lambda _intent: ""
    #: Intents that a supervisor has stopped.
    paused: frozenset[str] = frozenset()
