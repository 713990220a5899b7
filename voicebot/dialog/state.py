"""Where a conversation stands: everything the machine needs besides the bot and the next event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum

from voicebot.dialog.actions import Say
from voicebot.dialog.escalation.decision import Standing
from voicebot.dialog.escalation.rung import EscalationRung
from voicebot.dialog.escalation.tally import Tally
from voicebot.dialog.events import Entity, SlotValue
from voicebot.dialog.recording import Consent
from voicebot.dialog.spelled import Spelled


class Phase(StrEnum):
    """`ASKING` waits for the caller, `WAITING` for a backend."""

    NEW = "new"
    ASKING = "asking"
    WAITING = "waiting"
    ENDED = "ended"


class Origin(StrEnum):
    """Why a flow runs: the bot's first, asked for, a part of the flow below, an offer, or tried when no intent fits.

    `CONSENT` asks before all else whether the call may be recorded.
    """

    START = "start"
    REQUEST = "request"
    PART = "part"
    OFFER = "offer"
    UNKNOWN = "unknown"
    CONSENT = "consent"


@dataclass(frozen=True, slots=True)
class Misses:
    """How often in a row the current question failed, by why."""

    silence: int = 0
    no_match: int = 0
    hearing: int = 0

    @property
    def total(self) -> int:
        return self.silence + self.no_match + self.hearing


@dataclass(frozen=True, slots=True)
class Frame:
    """One flow in progress. The step is the one that runs or waits.

    `mentioned` was said but is not asked for yet ("an appointment on Tuesday at three"), `words` are those that started
    the flow, until it asks something itself ("my card was stolen"). `asked` remembers which step
    filled which slot, so that it can be corrected, and `spelled` what else a number may have been. After a write is
    `committed`, corrections would be lies. An `unrecorded` flow has stopped the recording for as long as it runs.
    """

    flow: str
    step: str
    origin: Origin
    slots: Mapping[str, SlotValue] = field(default_factory=dict)
    mentioned: tuple[Entity, ...] = ()
    words: str = ""
    asked: tuple[tuple[str, str], ...] = ()
    spelled: Mapping[str, Spelled] = field(default_factory=dict)
    jumps: Mapping[str, int] = field(default_factory=dict)
    committed: bool = False
    unrecorded: bool = False
    misses: Misses = Misses()


@dataclass(frozen=True, slots=True)
class Queued:
    """An intent said along with another request, and what was said with both."""

    intent: str
    entities: tuple[Entity, ...]
    words: str


@dataclass(frozen=True, slots=True)
class Escalating:
    """How a call stands with its escalation policy.

    `earlier_calls` is how often the customer called lately, by intent. `due` is a rung to be climbed once a system has
    answered. `named` is what the turns were about besides requests: who names something new repeats nothing.
    """

    earlier_calls: Mapping[str, int] = field(default_factory=dict)
    began: datetime | None = None
    tally: Tally = field(default_factory=Tally)
    standing: Standing = field(default_factory=Standing)
    due: EscalationRung | None = None
    named: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class State:
    """A conversation between two events. Mappings in it are never changed in place.

    `queued` is to be done after the current request.
    """

    version: str
    phase: Phase = Phase.NEW
    at: datetime = datetime(1970, 1, 1, tzinfo=UTC)
    zone: str = "UTC"
    seed: int = 0
    call_id: str = ""
    caller: str = ""
    channel: str = ""
    stack: tuple[Frame, ...] = ()
    slots: Mapping[str, SlotValue] = field(default_factory=dict)
    clarifying: tuple[str, ...] = ()
    queued: tuple[Queued, ...] = ()
    waiting_for: str = ""
    requests: int = 0
    turn: int = 0
    last_said: tuple[Say, ...] = ()
    wants_person: bool = False
    goal: str = ""
    said: str = ""
    pace: float = 1.0
    paused: frozenset[str] = frozenset()
    consent: Consent | None = None
    escalating: Escalating = field(default_factory=Escalating)
