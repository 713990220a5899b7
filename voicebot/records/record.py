"""What is kept of a call: the record itself and its turns. The same types make the JSON Schema (see `schema.py`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field, JsonValue

from voicebot.dialog.outcome import Outcome
from voicebot.dialog.recording import Consent

__all__ = [
    "HEARD_LATE",
    "SPOTTED",
    "BackendCall",
    "CallRecord",
    "Consent",
    "HeardWord",
    "IntentReading",
    "Outcome",
    "RecordingPause",
    "RecordingRecord",
    "RecordingState",
    "Redaction",
    "Speaker",
    "TurnRecord",
    "UnheardSpeech",
]

Share = Annotated[float, Field(ge=0, le=1)]
Milliseconds = Annotated[int, Field(ge=0)]


#: The decision of a turn begins so of which single phrases were made out, and not what lies between them.
SPOTTED = "only spotted phrases"

#: The decision of a turn begins so that was heard from the recording, after a server had died in mid-call.
HEARD_LATE = "heard after the server had died"

#: What is left of a secret turn's content.
_NO_WORDS: Mapping[str, object] = {
    "text": "",
    "heard_text": None,
    "slots": {},
    "alternatives": (),
    "words": (),
    "signals": {},
    "intents": (),
}


class Speaker(StrEnum):
    CALLER = "caller"
    BOT = "bot"
    AGENT = "agent"


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A recognised word; its times are offsets in the recording."""

    text: str
    start_ms: Milliseconds
    end_ms: Milliseconds
    confidence: Share


@dataclass(frozen=True, slots=True)
class IntentReading:
    """A request that the words may have been about, and how likely that is."""

    intent: str
    confidence: Share


@dataclass(frozen=True, slots=True)
class BackendCall:
    """What a customer's system was asked, how it answered, and how long that took; never with what, nor the answer.

    `outcome` is the operation's own word, or ``"unavailable"``.
    """

    operation: str
    outcome: str
    ms: Annotated[float, Field(ge=0)]


@dataclass(frozen=True, slots=True)
class Redaction:
    """Something personal that was taken out of a turn: what it was, and where in the recording it was said."""

    kind: str
    start_ms: Milliseconds
    end_ms: Milliseconds


@dataclass(frozen=True, slots=True)
class TurnRecord:
    """One party's turn.

    `at_ms` is where it begins, counted from the start of the call, which is also the start of the recording. For a
    caller, `heard_ms` is how long they spoke and `text` the likeliest transcript; for the bot, `heard_ms` is how much
    of it the caller really heard, `text` what it set out to say and `heard_text`, where it was cut, the words that
    arrived. `prompt` names the flow's template and `engine` who recognised ("keys" for keyed input). `timings_ms` are
    the stages of the reply, counted from the caller's last speech (see `timings.py`). `signals` is what was measured
    for the escalation policy and, under "decision", what it decided; numbers and names, never words.

    What a caller and an agent say to each other after a transfer has neither intent nor prompt, and as `confidence` the
    engine's. Where it only spots phrases, `text` is those and a mark for what is between them.

    `redactions` are numbers of cards and the like that were taken out of the words and are silence in the recording.
    `intents` are what the words may have been about, the likeliest first, of which the dialog took `intent`.
    `backend_calls` are those to customers' systems that were answered at this turn: a caller's that led to them, or the
    bot's next where the caller had been told to wait. A `secret` turn holds no words and no digits, whatever it is
    given.
    """

    speaker: Speaker
    text: str
    at_ms: Milliseconds = 0
    heard_ms: Milliseconds = 0
    heard_text: str | None = None
    prompt: str | None = None
    engine: str | None = None
    secret: bool = False
    over_prompt: bool = False
    intent: str | None = None
    confidence: Share | None = None
    slots: Mapping[str, str] = field(default_factory=dict)
    decision: str | None = None
    alternatives: tuple[str, ...] = ()
    words: tuple[HeardWord, ...] = ()
    timings_ms: Mapping[str, float] = field(default_factory=dict)
    signals: Mapping[str, JsonValue] = field(default_factory=dict)
    redactions: tuple[Redaction, ...] = ()
    intents: tuple[IntentReading, ...] = ()
    backend_calls: tuple[BackendCall, ...] = ()

    def __post_init__(self) -> None:
        if self.secret:
            # Blanked rather than refused: a mistake elsewhere must neither keep a PIN nor end a call.
            for name, nothing in _NO_WORDS.items():
                object.__setattr__(self, name, nothing)


class RecordingState(StrEnum):
    """Only a `READY` recording can be played; a `LIVE` one waits for the call's end, then for its redaction.

    Of a `DELETED` one, which was kept for long enough, nothing else is known.
    """

    LIVE = "live"
    READY = "ready"
    LOST = "lost"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class RecordingPause:
    """A stretch in which both lanes are silence because recording was stopped; `end_ms` is null while it is.

    `by` says who stopped it: ``"flow"``, ``"policy"``, ``"consent"`` (the caller has not agreed, or not yet) or,
    through the API, a person's name.
    """

    start_ms: Milliseconds
    end_ms: Milliseconds | None
    by: str


@dataclass(frozen=True, slots=True)
class UnheardSpeech:
    """A stretch in which a lane (`"caller"` or `"bot"`) is silence because what was said there was not written down.

    It was not listened to after the call, or may hold a number that must not be kept.
    """

    start_ms: Milliseconds
    end_ms: Milliseconds
    lane: str


@dataclass(frozen=True, slots=True)
class RecordingRecord:
    """The call's recording, two lanes: left the caller and right the bot.

    `path` names it in the store of recordings. What follows `state` is known once it is `READY`: the encoding
    (``"flac"`` or ``"opus"``), the size and SHA-256 of the file as it is stored, sealed, and the key it is sealed with.
    """

    path: str
    rate_hz: int = 8000
    channels: tuple[str, ...] = ("caller", "bot")
    state: RecordingState = RecordingState.LIVE
    codec: str | None = None
    stored_bytes: Annotated[int, Field(ge=0)] | None = None
    sha256: str | None = None
    key_id: str | None = None
    duration_ms: Milliseconds | None = None
    consent: Consent | None = None
    consent_ms: Milliseconds | None = None
    pauses: tuple[RecordingPause, ...] = ()
    unheard: tuple[UnheardSpeech, ...] = ()


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One call from begin to end. Times are UTC; `outcome`, `cause` and `ended_at` are null while it goes on.

    `goal` is the intent that the caller came with and `goal_reached` whether it was done. `caller` and `called` are
    what the carrier gave, `cause` is why the line ended, and `flow_version` names the flows that led the call.
    `dictation` says how the talk with an agent was written down, or why it was not; null where there was none.
    """

    id: str
    channel: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    cause: str | None = None
    goal: str | None = None
    goal_reached: bool = False
    flow_version: str = ""
    direction: str = "inbound"
    caller: str = ""
    called: str = ""
    carrier_call_id: str = ""
    dictation: str | None = None
    recording: RecordingRecord | None = None
    turns: tuple[TurnRecord, ...] = ()
