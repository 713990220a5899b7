"""What a call needs from other rooms, as narrow as it needs it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from voicebot.dialog.actions import Action, RecordingAction
from voicebot.dialog.events import Event, Interpretation, SlotValue
from voicebot.dialog.expectation import Expectation
from voicebot.dialog.recording import Consent
from voicebot.media.frames import Utterance
from voicebot.media.transport import Tap
from voicebot.records.record import Outcome, TurnRecord
from voicebot.telephony.leg import LegInfo


class Dialog(Protocol):
    """A dialog of one call. It keeps its own state; `step` is pure apart from that and never raises."""

    @property
    def flow_version(self) -> str: ...

    @property
    def drops_all(self) -> frozenset[str]:
        """The intents that give up whatever the caller has under way."""
        ...

    @property
    def remembered(self) -> Mapping[str, SlotValue]:
        """What holds for the whole call: who the caller is, and whether that is proven."""
        ...

    def step(self, event: Event) -> tuple[Action, ...]: ...

    def fork(self) -> Dialog:
        """Return a copy to try an event on; the original is not touched."""
        ...

    def aside(self, flow: str) -> Dialog:
        """Begin a dialog of one flow in the middle of the call; KeyError when there is no such flow."""
        ...

    def rejoin(self, aside: Any) -> tuple[Action, ...]:
        """Take over what a dialog begun by `aside` has learnt, and return what is left to do."""
        ...


class SpokenLine(Protocol):
    """What a session steers; `voicebot.media.line.Line` in production."""

    async def run(self) -> None: ...
    async def say(self, utterance: Utterance) -> None: ...
    async def prepare(self, pieces: tuple[tuple[str, bool], ...]) -> None: ...
    async def listen(self, expectation: Expectation | None) -> None: ...
    async def resume_speaking(self) -> None: ...
    async def stop_speaking(self) -> None: ...
    async def close(self) -> None: ...


class Likeness(Protocol):
    @property
    def similarity(self) -> float: ...


class Understanding(Protocol):
    def interpret(
        self, heard: Sequence[tuple[str, float]], expectation: Expectation, now: datetime
    ) -> tuple[Interpretation, ...]: ...

    def rephrasing(self, text: str, earlier: Sequence[str]) -> Likeness | None: ...


class OperationResult(Protocol):
    @property
    def outcome(self) -> str: ...

    @property
    def result(self) -> Mapping[str, SlotValue | None]: ...


class Operations(Protocol):
    """The customer's systems; raises BackendUnavailable when one does not answer as agreed."""

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None = None
    ) -> OperationResult: ...


class Journal(Protocol):
    """Where a call's record goes. Never blocks and never fails a call: trouble with the disk is the journal's own."""

    def begin_call(self, call_id: str, info: LegInfo, started_at: datetime, flow_version: str) -> None: ...
    def note_recording(self, call_id: str, path: str) -> None: ...
    def note_consent(self, call_id: str, consent: Consent, at_ms: int) -> None: ...
    def add_turn(self, call_id: str, turn: TurnRecord) -> None: ...
    def set_goal(self, call_id: str, goal: str, *, reached: bool) -> None: ...
    def note_dictation(self, call_id: str, note: str) -> None: ...
    def end_call(self, call_id: str, ended_at: datetime, outcome: Outcome, cause: str) -> None: ...


#: Tells how often a caller's number called lately, by what it was about; quick, and never raises.
History = Callable[[str], Awaitable[Mapping[str, int]]]


async def no_history(caller: str) -> Mapping[str, int]:
    """Know nothing of any caller."""
    del caller
    return {}


class Meter(Protocol):
    """What is counted for the operator."""

    def call_began(self) -> None: ...
    def call_ended(self, outcome: Outcome, duration_s: float) -> None: ...
    def turn_timed(self, timings_ms: Mapping[str, float]) -> None: ...
    def barge_in(self) -> None: ...


class Recording(Tap, Protocol):
    """The recorder of one call; a `Tap` that can be told to keep a secret."""

    def secret(self, on: bool, at_s: float, *, bot: bool = False) -> None: ...  # noqa: FBT001  # a switch
    def close(self) -> None: ...


#: Stops and resumes the recording of a call by its id, and notes what its caller says of it.
SteerRecording = Callable[[str, RecordingAction], None]


def unsteered(call_id: str, action: RecordingAction) -> None:
    """Leave the recording as it is."""
    del call_id, action


@dataclass(frozen=True, slots=True)
class StandingPrompts:
    """Texts that a call must be able to say when something fails, all static and rendered before the first call."""

    one_moment: str
    voice_trouble: str
    internal_trouble: str
