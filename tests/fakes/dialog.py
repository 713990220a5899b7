"""A dialog that answers as the test has written down, and keeps every event."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from voicebot.dialog.actions import Action
from voicebot.dialog.events import Event, Interpretation, SlotValue
from voicebot.dialog.expectation import Expectation
from voicebot.language.rephrasing import Rephrasing

Answer = Callable[[Event], Sequence[Action]]


class ScriptedDialog:
    flow_version = "scripted"
    drops_all = frozenset({"start_over"})
    remembered: Mapping[str, SlotValue] = {}  # never changed

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.events: list[Event] = []
        self.forks: list[ScriptedDialog] = []
        self.asides: list[str] = []

    def fork(self) -> ScriptedDialog:
        """A copy that answers alike; its events are noted apart."""
        self.forks.append(ScriptedDialog(self._answer))
        return self.forks[-1]

    def aside(self, flow: str) -> ScriptedDialog:
        """A dialog of one flow, which answers alike; there is none named "missing"."""
        if flow == "missing":
            raise KeyError(flow)
        self.asides.append(flow)
        return ScriptedDialog(self._answer)

    def rejoin(self, aside: ScriptedDialog) -> tuple[Action, ...]:
        """Nothing is learnt."""
        self.events += aside.events
        return ()

    def step(self, event: Event) -> tuple[Action, ...]:
        self.events.append(event)
        return tuple(self._answer(event))


class Parrot:
    """An understanding that takes every word as it is."""

    def interpret(
        self, heard: Sequence[tuple[str, float]], expectation: Expectation, now: datetime
    ) -> tuple[Interpretation, ...]:
        return tuple(Interpretation(text, confidence) for text, confidence in heard)

    def rephrasing(self, text: str, earlier: Sequence[str]) -> Rephrasing | None:
        """Alike is only what is the same."""
        return Rephrasing(1.0, earlier.index(text)) if text in earlier else None
