"""What the turn detector tells. Samples are counted from the beginning of the call, at 8 kHz."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class EndReason(StrEnum):
    SILENCE = "silence"
    #: The model's word shortened the wait.
    MODEL = "model"
    #: The whole expected answer had been recognised.
    ENOUGH = "enough"


class RetractReason(StrEnum):
    #: A short sound over a prompt that asked for nothing short, with no words found in it.
    TOO_SHORT = "too_short"
    #: The recogniser found only "uh-huh" or nothing in it.
    NO_WORDS = "no_words"
    #: It was our own prompt coming back.
    ECHO = "echo"


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """The caller speaks. The utterance to recognise begins at `start_sample`, 300 ms before the voice."""

    start_sample: int
    speech_sample: int
    over_prompt: bool


@dataclass(frozen=True, slots=True)
class SpeechPaused:
    """A pause of `silence_ms`: the moment to recognise ahead of time and to ask the end-of-turn model.

    `pause` counts the pauses of the call; the model's answer bears it, so that one that comes late is known.
    """

    pause: int
    start_sample: int
    last_speech_sample: int
    silence_ms: int


@dataclass(frozen=True, slots=True)
class SpeechResumed:
    """It was only a pause: what was begun for it is void."""

    pause: int


@dataclass(frozen=True, slots=True)
class TurnEnded:
    """The caller has finished: the utterance lies in `start_sample` to `end_sample`, `voiced_ms` of it voice."""

    start_sample: int
    last_speech_sample: int
    end_sample: int
    voiced_ms: int
    why: EndReason


@dataclass(frozen=True, slots=True)
class TalkedTooLong:
    """The caller has talked for longer than expected; nothing more is heard until they take a breath."""

    start_sample: int


@dataclass(frozen=True, slots=True)
class SpeechDropped:
    """A key was pressed: what was being said no longer counts."""

    start_sample: int


@dataclass(frozen=True, slots=True)
class VoiceHinted:
    """Something over the prompt may become a voice: lower the prompt, which costs little if it does not."""

    at_sample: int


@dataclass(frozen=True, slots=True)
class HintFaded:
    """It became none: the prompt may be as loud as before."""

    at_sample: int


@dataclass(frozen=True, slots=True)
class BargeInSuspected:
    """A voice over the prompt: pause it until the verdict."""

    speech_sample: int


@dataclass(frozen=True, slots=True)
class BargeInConfirmed:
    """The caller speaks to us. Their words may still show that the prompt should go on; `by_key` leaves no doubt."""

    speech_sample: int
    by_key: bool = False


@dataclass(frozen=True, slots=True)
class BargeInRetracted:
    """Go on with the prompt where it stopped, and forget the utterance."""

    speech_sample: int
    why: RetractReason


TurnEvent = (
    SpeechStarted
    | SpeechPaused
    | SpeechResumed
    | TurnEnded
    | TalkedTooLong
    | SpeechDropped
    | VoiceHinted
    | HintFaded
    | BargeInSuspected
    | BargeInConfirmed
    | BargeInRetracted
)
