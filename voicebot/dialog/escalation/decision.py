"""What was decided about a person at a turn, with every figure behind it, and how far a call has come."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from voicebot.dialog.escalation.rung import EscalationRung

#: The rule's name when the caller asked, and when the score decided.
ASKED = "asked"
SCORE = "score"


class NotYet(StrEnum):
    """Why nothing was done."""

    LOW_SCORE = "the score is below every rung that is left"
    NO_WORSE = "the score does not rise"
    ONE_BAD_TURN = "one bad turn does not fire"
    NO_PERSON_WANTED = "the caller wants no person"


@dataclass(frozen=True, slots=True)
class Part:
    """What one signal adds to the score."""

    signal: str
    value: float
    weight: float
    part: float


@dataclass(frozen=True, slots=True)
class Decision:
    """One decision on a turn that is `about` a request.

    `rung` is None for "not yet", with `held` saying why; then `threshold` is that of the next rung. `rule` is "score",
    "asked" or the name of a hard rule. `parts` are the signals that count, the most weighty first.
    """

    policy: str
    about: str
    type: str
    score: float
    parts: tuple[Part, ...]
    threshold: float | None
    rung: EscalationRung | None = None
    rule: str = ""
    held: NotYet | None = None

    def document(self) -> dict[str, Any]:
        """Return the decision as JSON-ready values."""
        return {
            "policy": self.policy,
            "about": self.about,
            "type": self.type,
            "score": self.score,
            "parts": [[part.signal, part.value, part.weight, part.part] for part in self.parts],
            "threshold": self.threshold,
            "rung": self.rung.value if self.rung else None,
            "rule": self.rule,
            "held": self.held.value if self.held else None,
        }


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a call has come with its policy; `rule` is that of the latest decision to do something."""

    armed: bool = False
    score: float = 0.0
    climbed: EscalationRung | None = None
    offered: bool = False
    fired: frozenset[str] = frozenset()
    rule: str = ""
    topic: str = ""
    urgency: float = 0.0
