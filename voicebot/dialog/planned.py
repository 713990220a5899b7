"""A step as it was written: its kind, its id and its entries, before it is linked to what follows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from voicebot.dialog.document import Fields, Source
from voicebot.dialog.prompt import Prompt
from voicebot.dialog.scope import Scope

#: Links a list of steps that goes on at a step; returns the id of its first.
LinkBlock = Callable[[Iterable[Source], str], str]

_QUESTION_KEYS = ("again", "keys", "barge_in", "gives_up")
#: What may stand in each kind of step, by the key that names the kind.
STEP_KEYS: dict[str, tuple[str, ...]] = {
    "say": ("barge_in",),
    "ask": ("prompt", "must", "options", "no", "listen_open", "wait_s", *_QUESTION_KEYS),
    "confirm": ("prompt", "no", *_QUESTION_KEYS),
    "request": ("menu", "yes", "no", "unknown", *_QUESTION_KEYS),
    "call": ("with", "save", "filler", "on", "unavailable"),
    "hours": ("day", "save"),
    "if": ("then", "else"),
    "set": (),
    "clear": (),
    "take": (),
    "run": ("on",),
    "go_to": ("at_most", "otherwise"),
    "person": ("by",),
    "reached": (),
    "recording": (),
    "done": (),
    "end": (),
}


@dataclass(frozen=True, slots=True)
class PlannedStep:
    """A step that has its id but is not linked yet. `name` is the flow's and the step's: ``balance.ask_pin``."""

    id: str
    name: str
    kind: str
    fields: Fields
    source: Source

    @property
    def line(self) -> int:
        return self.source.line

    @property
    def is_interruptible(self) -> bool:
        return self.fields.flag("barge_in", default=True)


def step_prompt(scope: Scope, plan: PlannedStep, source: Source, part: str = "") -> Prompt:
    """Read one of a step's prompts; `part` tells them apart where it has several."""
    name = f"{plan.name}.{part}" if part else plan.name
    return scope.prompt(source, name, interruptible=plan.is_interruptible)
