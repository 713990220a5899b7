"""When the caller starts, pauses, has finished, and whether speech over a prompt was meant as an interruption.

A pure state machine fed one `Activity` per 20 ms; it knows no time but the samples it was fed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from types import MappingProxyType

import structlog

from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.errors import LocalProtocolError
from voicebot.speech.listening.patience import ENOUGH_MS, patience_for
from voicebot.speech.listening.vad import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE_DBFS, Activity

_log = structlog.get_logger()


class TurnState(StrEnum):
    QUIET = "quiet"
    #: A voice over a prompt, not yet judged.
    SUSPECTED = "suspected"
    #: It stopped before it could be judged; words or time decide.
    DOUBTED = "doubted"
    SPEAKING = "speaking"
    PAUSED = "paused"
    #: The caller talks on after we have stopped listening; a breath ends it.
    UNHEARD = "unheard"


class Cause(StrEnum):
    VOICE = "voice"
    VOICE_OVER_PROMPT = "voice_over_prompt"
    SILENCE = "silence"
    MEANT = "meant"
    HARMLESS = "harmless"
    ENOUGH_SILENCE = "enough_silence"
    TOO_LONG = "too_long"
    KEY = "key"


_TRANSITIONS: Mapping[tuple[TurnState, Cause], TurnState] = MappingProxyType(
    {
        (TurnState.QUIET, Cause.VOICE): TurnState.SPEAKING,
        (TurnState.QUIET, Cause.VOICE_OVER_PROMPT): TurnState.SUSPECTED,
        (TurnState.SUSPECTED, Cause.SILENCE): TurnState.DOUBTED,
        (TurnState.SUSPECTED, Cause.MEANT): TurnState.SPEAKING,
        (TurnState.DOUBTED, Cause.VOICE): TurnState.SUSPECTED,
        (TurnState.DOUBTED, Cause.MEANT): TurnState.PAUSED,
        (TurnState.DOUBTED, Cause.HARMLESS): TurnState.QUIET,
        (TurnState.SPEAKING, Cause.SILENCE): TurnState.PAUSED,
        (TurnState.SPEAKING, Cause.TOO_LONG): TurnState.UNHEARD,
        (TurnState.PAUSED, Cause.VOICE): TurnState.SPEAKING,
        (TurnState.PAUSED, Cause.ENOUGH_SILENCE): TurnState.QUIET,
        (TurnState.UNHEARD, Cause.SILENCE): TurnState.QUIET,
        **{(state, Cause.KEY): TurnState.QUIET for state in TurnState},
    }
)


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
class BargeInSuspected:
    """A voice over the prompt: lower or pause it until the verdict."""

    speech_sample: int


@dataclass(frozen=True, slots=True)
class BargeInConfirmed:
    """Drop the prompt: the caller means to speak (or pressed a key)."""

    speech_sample: int


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
    | BargeInSuspected
    | BargeInConfirmed
    | BargeInRetracted
)

#: So much audio before the first voiced frame belongs to the utterance: soft beginnings and detection delay.
PRE_ROLL_MS = 300
#: A voice is believed after so many voiced frames among the latest ones: 100 ms, longer than a click or a lip smack.
_ONSET_VOICED = 5
#: Over a prompt one more, since the echo guard needs six frames to know the prompt's own voice.
_ONSET_VOICED_OVER_PROMPT = 6
_ONSET_WINDOW = 8
#: A pause ends when two of three frames are voiced again, so that no click prolongs it.
_RESUME_VOICED = 2
_RESUME_WINDOW = 3
#: Quiet frames inside one sound.
_SOUND_GAP = 2
#: Silence that counts as a pause. Stops inside words last up to 120 ms; the model's answer is best when asked early.
_PAUSE_MS = 160
#: A voice is sound for at most so long before it is known as one; the sound before that is another. Over a prompt it
#: may be echo, of which only what sounds like a voice is known.
_UNKNOWN_MS = 160
_UNKNOWN_OVER_PROMPT_MS = 80
#: A voice over a prompt that lasts so long without a pause means it; most "uh-huh" are over by then. One that has grown
#: soft may be over, too, and must last longer.
_MEANT_MS = 460
_MEANT_SOFTLY_MS = 500
#: Nobody says "uh-huh" for so long, whatever the recogniser heard so far.
_MEANT_DESPITE_WORDS_MS = 800
_MEANT_BEFORE_GAP_MS = 200
#: What is so much softer than the loudest of it is its dying away, which a detector hears as voice for a while.
_DYING_AWAY_DB = 18.0
#: So many echo frames since the suspicion say whose voice it was.
_ECHO_FRAMES = 4
#: How long a short sound over a prompt may wait for the recogniser's word after its end.
_DOUBT_MS = 600
#: Where a short answer is asked for, so much voice over the prompt is one.
_SHORT_ANSWER_MS = 160
#: An in-band key tone and its tail are deafness, not speech.
_KEY_DEAF_MS = 200

_SHORT_ANSWERS = frozenset(AnswerKind) - {AnswerKind.OPEN}


class TurnDetector:
    """One caller's turns. Feed every frame of the call in order; ask `position_samples` for where it stands.

    `begin` may come while the caller already speaks: what they say then counts for the new expectation.
    """

    def __init__(self) -> None:
        self.state = TurnState.QUIET
        self.position_samples = 0
        self._expectation = Expectation(name="", kinds=(AnswerKind.OPEN,))
        self._prompt_playing = False
        self._prompt_interruptible = True
        self._recent: deque[bool] = deque([False] * _ONSET_WINDOW, maxlen=_ONSET_WINDOW)
        self._speech_sample = 0
        self._start_sample = 0
        self._last_speech_sample = 0
        self._last_loud_sample = 0
        self._earliest_sample = 0
        self._deaf_until_sample = 0
        self._voiced_frames = 0
        self._echo_frames = 0
        self._run_sample = 0
        self._sound_sample: int | None = None
        self._quiet_frames = 0
        self._loudest_dbfs = SILENCE_DBFS
        self._pauses = 0
        self._probability: float | None = None
        self._enough = False
        self._words: bool | None = None
        self._must_interrupt = False

    # What the call tells the detector

    def begin(self, expectation: Expectation, *, prompt_playing: bool) -> None:
        """Listen for `expectation` from now on."""
        self._expectation = expectation
        self._enough = False
        self._prompt_playing = prompt_playing

    def prompt_started(self, *, interruptible: bool = True) -> None:
        """Our audio is heard by the caller from now on. Speech over an uninterruptible prompt waits for its end.

        A prompt that is paused for a suspected barge-in is still playing.
        """
        self._prompt_playing = True
        self._prompt_interruptible = interruptible
        self._must_interrupt = interruptible and self.state is TurnState.SPEAKING

    def prompt_finished(self) -> None:
        """The caller has heard the prompt to its end, or it was dropped."""
        self._prompt_playing = False
        self._must_interrupt = False

    def turn_probability(self, probability: float, *, pause: int) -> None:
        """Take the end-of-turn model's answer for a pause; one for an earlier pause is ignored."""
        if pause == self._pauses and self.state is TurnState.PAUSED:
            self._probability = probability

    def recognised_enough(self) -> None:
        """Partial results hold the whole expected answer: end the turn at the next short silence."""
        self._enough = True

    def words_heard(self, *, meant: bool) -> None:
        """Take the recogniser's word on a voice over a prompt; the latest counts.

        `meant` confirms at once, so it takes words that are surely there, as of a confident final. Otherwise what was
        heard so far is "uh-huh" or the like: it must last longer to be believed, or is over.
        """
        if self.state in {TurnState.SUSPECTED, TurnState.DOUBTED}:
            self._words = meant

    def key_pressed(self) -> list[TurnEvent]:
        """A key ends speech and prompt at once, whatever the prompt allows speech to do."""
        events: list[TurnEvent] = []
        if self._prompt_playing:
            events.append(BargeInConfirmed(self.position_samples))
        if self.state not in {TurnState.QUIET, TurnState.UNHEARD}:
            events.append(SpeechDropped(self._start_sample))
        self._deaf_until_sample = self.position_samples + _samples(_KEY_DEAF_MS)
        self._forget_speech()
        self._set_state(Cause.KEY)
        return events

    # What the line tells the detector

    def feed(self, activity: Activity) -> list[TurnEvent]:
        """Take the next 20 ms and return what became known with it, in order."""
        self.position_samples += FRAME_SAMPLES
        voiced = activity.speech and self.position_samples > self._deaf_until_sample
        self._recent.append(voiced)
        self._note_sound(activity)
        self._voiced_frames += voiced
        self._echo_frames += activity.echo
        waiting = self.state in {TurnState.PAUSED, TurnState.DOUBTED}
        resumed = sum(islice(reversed(self._recent), _RESUME_WINDOW)) >= _RESUME_VOICED
        if voiced and (resumed or not waiting):
            self._last_speech_sample = self.position_samples
            if activity.level_dbfs >= self._loudest_dbfs - _DYING_AWAY_DB:
                self._last_loud_sample = self.position_samples
        match self.state:
            case TurnState.QUIET:
                return self._quiet(echo=activity.echo)
            case TurnState.SUSPECTED:
                return self._suspected()
            case TurnState.DOUBTED:
                return self._doubted(resumed=resumed)
            case TurnState.SPEAKING:
                return self._speaking()
            case TurnState.PAUSED:
                return self._paused(resumed=resumed)
            case TurnState.UNHEARD:
                if self._silence_ms >= _PAUSE_MS:
                    self._forget_speech()
                    self._set_state(Cause.SILENCE)
                return []

    def _quiet(self, *, echo: bool) -> list[TurnEvent]:
        if echo:
            # The frames before it, not yet known as echo, are of the same voice.
            self._recent.extend([False] * _ONSET_WINDOW)
        voiced = sum(self._recent)
        needed = _ONSET_VOICED_OVER_PROMPT if self._prompt_playing else _ONSET_VOICED
        if voiced < needed or (self._prompt_playing and not self._may_interrupt):
            return []
        self._speech_sample = self._voice_began()
        self._start_sample = max(self._earliest_sample, self._speech_sample - _samples(PRE_ROLL_MS))
        self._run_sample = self._speech_sample
        self._voiced_frames = voiced
        self._echo_frames = 0
        started = SpeechStarted(self._start_sample, self._speech_sample, over_prompt=self._prompt_playing)
        if self._prompt_playing:
            self._set_state(Cause.VOICE_OVER_PROMPT)
            return [BargeInSuspected(self._speech_sample), started]
        self._set_state(Cause.VOICE)
        return [started]

    def _note_sound(self, activity: Activity) -> None:
        """Keep where the present sound began; two quiet frames are a gap inside it."""
        self._quiet_frames = 0 if activity.sound and not activity.echo else self._quiet_frames + 1
        if self._quiet_frames > _SOUND_GAP:
            self._sound_sample = None
            self._loudest_dbfs = SILENCE_DBFS
        elif self._sound_sample is None and self._quiet_frames == 0:
            self._sound_sample = self.position_samples - FRAME_SAMPLES
        self._loudest_dbfs = max(self._loudest_dbfs, activity.level_dbfs)

    def _voice_began(self) -> int:
        """Return where the sound began that is now known as a voice."""
        first = self.position_samples - (_ONSET_WINDOW - self._recent.index(True)) * FRAME_SAMPLES
        sound = first if self._sound_sample is None else self._sound_sample
        unknown_ms = _UNKNOWN_OVER_PROMPT_MS if self._prompt_playing else _UNKNOWN_MS
        return max(self._earliest_sample, min(first, max(sound, first - _samples(unknown_ms))))

    def _suspected(self) -> list[TurnEvent]:
        lasted_ms = _ms(self._last_speech_sample - self._run_sample)
        if self._words is False:
            lasting = lasted_ms >= _MEANT_DESPITE_WORDS_MS
        else:
            loud_ms = _ms(self._last_loud_sample - self._run_sample)
            lasting = loud_ms >= _MEANT_MS or lasted_ms >= _MEANT_SOFTLY_MS
        # A prompt that has ended meanwhile has nothing left to lose.
        if lasting or self._words or not self._prompt_playing:
            return self._confirm()
        if self._silence_ms >= _PAUSE_MS:
            self._set_state(Cause.SILENCE)
            self._pauses += 1
            paused = self._pause()
            if self._asks_short_answer and self._voiced_ms >= _SHORT_ANSWER_MS:
                return [*self._confirm(), paused]
            return [paused]
        return []

    def _doubted(self, *, resumed: bool) -> list[TurnEvent]:
        echo = self._echo_frames >= _ECHO_FRAMES
        if (self._words and not echo) or not self._prompt_playing:
            return self._confirm()
        if echo or self._words is False or self._silence_ms >= _DOUBT_MS:
            why = RetractReason.TOO_SHORT if self._words is None else RetractReason.NO_WORDS
            if echo:
                why = RetractReason.ECHO
            retracted = BargeInRetracted(self._speech_sample, why)
            self._forget_speech()
            self._set_state(Cause.HARMLESS)
            return [retracted]
        if resumed:
            self._words = None
            # What came before the gap counts for a part: two halves of a request, but not two times "yeah".
            self._run_sample = self.position_samples - _samples(_MEANT_BEFORE_GAP_MS)
            self._set_state(Cause.VOICE)
            return [SpeechResumed(self._pauses)]
        return []

    def _speaking(self) -> list[TurnEvent]:
        events: list[TurnEvent] = []
        if self._must_interrupt:
            self._must_interrupt = False
            events.append(BargeInConfirmed(self._speech_sample))
        if _ms(self.position_samples - self._speech_sample) > self._expectation.too_long_s * 1000:
            events.append(TalkedTooLong(self._start_sample))
            self._set_state(Cause.TOO_LONG)
        elif self._silence_ms >= _PAUSE_MS:
            self._pauses += 1
            self._probability = None
            self._set_state(Cause.SILENCE)
            events.append(self._pause())
        return events

    def _paused(self, *, resumed: bool) -> list[TurnEvent]:
        if resumed:
            self._enough = False
            self._set_state(Cause.VOICE)
            return [SpeechResumed(self._pauses)]
        needed_ms = patience_for(self._expectation).needed_ms(self._probability)
        if self._silence_ms < (ENOUGH_MS if self._enough else needed_ms):
            return []
        why = EndReason.SILENCE if self._probability is None else EndReason.MODEL
        if self._enough:
            why = EndReason.ENOUGH
        ended = TurnEnded(self._start_sample, self._last_speech_sample, self.position_samples, self._voiced_ms, why)
        # What follows is the next turn's; its pre-roll must not repeat the end of this one.
        self._earliest_sample = self._last_speech_sample
        self._forget_speech()
        self._set_state(Cause.ENOUGH_SILENCE)
        return [ended]

    def _confirm(self) -> list[TurnEvent]:
        self._words = None
        self._probability = None
        self._set_state(Cause.MEANT)
        return [BargeInConfirmed(self._speech_sample)] if self._prompt_playing else []

    def _pause(self) -> SpeechPaused:
        return SpeechPaused(self._pauses, self._start_sample, self._last_speech_sample, self._silence_ms)

    def _forget_speech(self) -> None:
        self._recent.extend([False] * _ONSET_WINDOW)
        self._voiced_frames = 0
        self._probability = None
        self._enough = False
        self._words = None
        self._must_interrupt = False

    def _set_state(self, cause: Cause) -> None:
        try:
            after = _TRANSITIONS[self.state, cause]
        except KeyError:
            raise LocalProtocolError(f"no transition from {self.state} by {cause}") from None
        _log.debug("turn state changed", before=self.state, cause=cause, after=after, at_sample=self.position_samples)
        self.state = after

    @property
    def _may_interrupt(self) -> bool:
        return self._prompt_interruptible and self._expectation.barge_in

    @property
    def _asks_short_answer(self) -> bool:
        return bool(self._expectation.kinds) and self._expectation.kinds[0] in _SHORT_ANSWERS

    @property
    def _silence_ms(self) -> int:
        return _ms(self.position_samples - self._last_speech_sample)

    @property
    def _voiced_ms(self) -> int:
        return _ms(self._voiced_frames * FRAME_SAMPLES)


def _samples(duration_ms: int) -> int:
    return duration_ms * SAMPLE_RATE_HZ // 1000


def _ms(samples: int) -> int:
    return samples * 1000 // SAMPLE_RATE_HZ
