"""What happens on a line, as the session that owns the call sees it. Times are on the monotonic clock, in seconds."""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.speech.asr import Final
from voicebot.telephony.leg import EndCause


@dataclass(frozen=True, slots=True)
class HearingTimings:
    """Stages of one caller turn: the last frame with speech, the decision that the turn is over, the transcript."""

    speech_started_s: float
    last_speech_s: float
    turn_ended_s: float
    final_s: float


@dataclass(frozen=True, slots=True)
class CallerTurn:
    """A finished turn with its transcript.

    `over_prompt` says that it interrupted us: what we were saying waits, paused, until the session goes on with it or
    drops it. `secret` says that what it answers must not be written down, whatever has been asked since.
    """

    final: Final
    timings: HearingTimings
    expectation_name: str
    over_prompt: bool
    secret: bool = False

    @property
    def spoken_ms(self) -> int:
        return round((self.timings.last_speech_s - self.timings.speech_started_s) * 1000)


@dataclass(frozen=True, slots=True)
class SpeechBegan:
    """The caller makes sounds that look like speech; the no-input timer stops."""

    at_s: float


@dataclass(frozen=True, slots=True)
class SpeechDismissed:
    """What began was not meant for us (a cough, "uh-huh", our own echo); listening goes on as if it had not been."""

    at_s: float


@dataclass(frozen=True, slots=True)
class TurnOver:
    """The caller has finished; the transcript follows as `CallerTurn` or `RecognitionFailed`."""

    at_s: float
    over_prompt: bool = False


@dataclass(frozen=True, slots=True)
class PartialHeard:
    """Words so far. Personal, and may still change."""

    text: str
    at_s: float


@dataclass(frozen=True, slots=True)
class PauseBegan:
    """The caller has paused after these words, and may go on: whatever is begun on them must be free to undo."""

    text: str
    at_s: float


@dataclass(frozen=True, slots=True)
class PauseEnded:
    """It was only a pause: what was begun on its words is void."""

    at_s: float


@dataclass(frozen=True, slots=True)
class KeysEntered:
    """A finished key entry without its terminator. Personal.

    The first key, or one before it that nobody had asked for yet, came at `began_s`, in seconds of `at_s`.
    """

    keys: str
    at_s: float
    began_s: float


@dataclass(frozen=True, slots=True)
class KeyingBegan:
    at_s: float


@dataclass(frozen=True, slots=True)
class TalkedTooLong:
    at_s: float
    over_prompt: bool = False


@dataclass(frozen=True, slots=True)
class RecognitionFailed:
    """No recogniser answered for this turn."""

    at_s: float


@dataclass(frozen=True, slots=True)
class SpeakingBegan:
    """The first frame of an utterance was handed to the leg; `queued_s` is when its audio was first available."""

    utterance_id: str
    queued_s: float
    at_s: float


@dataclass(frozen=True, slots=True)
class SpeakingPaused:
    """The caller speaks over an utterance; of it `left_ms` are still to be heard, about so much if it is being made."""

    utterance_id: str
    left_ms: int
    at_s: float


@dataclass(frozen=True, slots=True)
class SpeakingEnded:
    """The caller has heard an utterance to its end, or as far as `heard_text` says when it was `cut`."""

    utterance_id: str
    heard_ms: int
    heard_text: str
    cut: bool
    at_s: float


@dataclass(frozen=True, slots=True)
class VoiceFailed:
    """No voice could speak this utterance; it ends unheard."""

    utterance_id: str
    at_s: float


@dataclass(frozen=True, slots=True)
class LineEnded:
    """The leg is gone. Always the last event of a line, exactly once."""

    cause: EndCause
    at_s: float


LineEvent = (
    CallerTurn
    | SpeechBegan
    | SpeechDismissed
    | TurnOver
    | PartialHeard
    | PauseBegan
    | PauseEnded
    | KeysEntered
    | KeyingBegan
    | TalkedTooLong
    | RecognitionFailed
    | SpeakingBegan
    | SpeakingPaused
    | SpeakingEnded
    | VoiceFailed
    | LineEnded
)
