"""What happened on a call, as the dialog sees it. Events carry their own time, so a call can be replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal

from voicebot.dialog.escalation.topic import Topic

#: A slot's typed value. Digit strings and codes stay `str`, so that leading zeros survive.
SlotValue = str | int | bool | Decimal | date | time | datetime


@dataclass(frozen=True, slots=True)
class Entity:
    """A typed value found in what was said: `kind` is an `AnswerKind` value, `text` the words at `start:end`."""

    kind: str
    value: SlotValue
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class IntentScore:
    intent: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Mood:
    """One turn's mood. `sentiment` is -1 (negative) to 1; `frustration` and `urgency` are 0 to 1, there from 0.5 on.

    `cues` are the words that gave it away.
    """

    sentiment: float = 0.0
    frustration: float = 0.0
    urgency: float = 0.0
    cues: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Interpretation:
    """One reading of an utterance. `intents` are sorted, best first, and empty when it is "none of these".

    `confidence` is the recogniser's, 0 to 1; intent confidences are calibrated probabilities. `correction` is set when
    the words take something back and give a value instead ("no, the fifteenth", "make it four", "I meant Friday"): that
    value, first of its kind in `entities`, replaces what was understood before, also in a slot already filled.
    `further` are the intents of other requests in the same breath ("... and also what's my balance"), in the order they
    were said; `intents` is then about the first. `mood` is how the caller sounds by their words, `topics` are subjects
    that a person should hear of, and `refuses_person` says that the caller wants none.
    """

    text: str
    confidence: float
    intents: tuple[IntentScore, ...] = ()
    entities: tuple[Entity, ...] = ()
    affirmative: bool | None = None
    correction: bool = False
    further: tuple[IntentScore, ...] = ()
    mood: Mood = Mood()
    topics: frozenset[Topic] = frozenset()
    refuses_person: bool = False


@dataclass(frozen=True, slots=True)
class Continuation:
    """A request that an earlier conversation broke off in: its flow, its intent, and the answers given so far."""

    flow: str
    intent: str
    slots: Mapping[str, SlotValue]


@dataclass(frozen=True, slots=True)
class CallStarted:
    """`zone` is an IANA name; `seed` picks prompt variants; `caller` is what the carrier gave and may be empty.

    `call_id` is unique for ever: the idempotency keys of the call's writes begin with it. `continues` is what the same
    customer was about the last time, `tier` how the company ranks them, `earlier_calls` how often they called lately,
    by intent. `paused` are the intents that a supervisor has stopped: who asks for one goes to a person.
    """

    at: datetime
    channel: str
    caller: str
    called: str
    zone: str
    seed: int
    parameters: Mapping[str, str] = field(default_factory=dict)
    call_id: str = ""
    continues: Continuation | None = None
    tier: str = ""
    earlier_calls: Mapping[str, int] = field(default_factory=dict)
    paused: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class CallerSpoke:
    """A finished turn, likeliest reading first. `heard_prompt` is what the caller heard of ours before it.

    `rephrased` is how alike it is to an earlier turn of theirs, 0 to 1; from 0.5 on it is likely the same request.
    """

    at: datetime
    interpretations: tuple[Interpretation, ...]
    over_prompt: bool = False
    heard_prompt: str = ""
    rephrased: float = 0.0


@dataclass(frozen=True, slots=True)
class CallerPressed:
    """A finished key entry, without its terminator."""

    at: datetime
    keys: str


@dataclass(frozen=True, slots=True)
class CallerSilent:
    """The no-input timer of the current expectation ran out."""

    at: datetime


@dataclass(frozen=True, slots=True)
class CallerTalkedTooLong:
    at: datetime


@dataclass(frozen=True, slots=True)
class HearingFailed:
    """No recogniser could be reached for this turn; keys may still work."""

    at: datetime


@dataclass(frozen=True, slots=True)
class BackendAnswered:
    """`result` is what the operation declares: `outcome` is ``"ok"`` or one of its named failures."""

    at: datetime
    request_id: str
    outcome: str
    result: Mapping[str, SlotValue | None]


@dataclass(frozen=True, slots=True)
class BackendFailed:
    """The system behind the operation could not be reached or broke its contract."""

    at: datetime
    request_id: str


@dataclass(frozen=True, slots=True)
class CallerHungUp:
    at: datetime


@dataclass(frozen=True, slots=True)
class CallMustEnd:
    """The maximum duration (`why="too_long"`) or a shutdown (`why="shutting_down"`) ends the call politely."""

    at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class PausesChanged:
    """A supervisor has stopped other intents than before; what has begun already is finished."""

    at: datetime
    paused: frozenset[str]


Event = (
    CallStarted
    | CallerSpoke
    | CallerPressed
    | CallerSilent
    | CallerTalkedTooLong
    | HearingFailed
    | BackendAnswered
    | BackendFailed
    | CallerHungUp
    | CallMustEnd
    | PausesChanged
)
