"""What the dialog wants done. It never does anything itself; `calls` carries these out in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from voicebot.dialog.escalation.decision import Decision
from voicebot.dialog.escalation.signals import Signals
from voicebot.dialog.events import SlotValue
from voicebot.dialog.expectation import Expectation
from voicebot.dialog.recording import Consent, RecordingHold


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A piece of a prompt, in written form. A `static` part never changes and is rendered once, before any call."""

    text: str
    static: bool = True


@dataclass(frozen=True, slots=True)
class Say:
    """Speak the parts as one utterance. `prompt` names the template in the flow (``"balance.result"``).

    `interruptible` prompts stop when the caller speaks. `personal` prompts contain data that logs must not show.
    `pace` below 1.0 is slower than usual.
    """

    prompt: str
    parts: tuple[PromptPart, ...]
    interruptible: bool = True
    personal: bool = False
    pace: float = 1.0

    @property
    def text(self) -> str:
        return " ".join(part.text for part in self.parts if part.text)


@dataclass(frozen=True, slots=True)
class Listen:
    """Listen from now on; the no-input timer starts once everything said before has been heard."""

    expectation: Expectation


@dataclass(frozen=True, slots=True)
class CallBackend:
    """Run an operation and answer with `BackendAnswered` or `BackendFailed` bearing the same `request_id`.

    A write carries `idempotency_key`, stable over retries of the same step of the same call. `filler` is said if the
    answer takes longer than a caller should wait in silence. Arguments named in `secret` are never written anywhere.
    """

    request_id: str
    operation: str
    arguments: Mapping[str, SlotValue]
    idempotency_key: str | None = None
    filler: Say | None = None
    secret: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class RecordDecision:
    """Why the dialog did what it did on this event: the rule that fired and the figures it saw."""

    rule: str
    flow: str
    step: str
    intent: str | None = None
    confidence: float | None = None
    slots: Mapping[str, SlotValue | None] = field(default_factory=dict)
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SetGoal:
    """The caller's goal became known (an intent's name) or was `reached`."""

    goal: str
    reached: bool = False


class Takeover(StrEnum):
    """How a person takes over: they call back, are told everything before they are joined, or are joined at once."""

    CALLBACK = "callback"
    WARM_TRANSFER = "warm_transfer"
    DIRECT_LINE = "direct_line"


@dataclass(frozen=True, slots=True)
class TransferTo:
    """The caller is to speak with a person.

    `reason` is the flow's word for why ("asked", "not_understood", "approval"), `rule` the escalation policy's rule
    that fired, empty when no policy was asked. `topic` picks the queue and the skill: what the call is about (an
    intent), or a class that matters more ("legal", "complaint"), empty while unknown. `urgency` is 0 to 1.

    Recorded by the session; the flow goes on with what it says afterwards.
    """

    reason: str
    by: Takeover = Takeover.WARM_TRANSFER
    topic: str = ""
    urgency: float = 0.0
    rule: str = ""


@dataclass(frozen=True, slots=True)
class EndCall:
    """Hang up once everything said before has been heard. `outcome` is a `dialog.outcome.Outcome` for the record."""

    outcome: str


@dataclass(frozen=True, slots=True)
class RecordEscalation:
    """What spoke for a person at this point and what the policy made of it, also when it was "not yet"."""

    signals: Signals
    decision: Decision


@dataclass(frozen=True, slots=True)
class StopRecording:
    """Record silence from now on, and say in the record what `hold` wants it so."""

    hold: RecordingHold


@dataclass(frozen=True, slots=True)
class ResumeRecording:
    """Record again from now on."""


@dataclass(frozen=True, slots=True)
class NoteConsent:
    """The caller was told that they are recorded, or was asked and has answered."""

    consent: Consent


#: What concerns the recording of the call.
RecordingAction = StopRecording | ResumeRecording | NoteConsent

Action = (
    Say | Listen | CallBackend | RecordDecision | RecordEscalation | SetGoal | TransferTo | EndCall | RecordingAction
)
