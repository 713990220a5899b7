"""When the caller starts, pauses, has finished, and whether speech over a prompt was meant as an interruption.

A pure state machine fed one `Activity` per 20 ms; it knows no time but the samples it was fed.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

import structlog

from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.errors import LocalProtocolError
from voicebot.speech.listening.events import (
    BargeInConfirmed,
    BargeInRetracted,
    BargeInSuspected,
    EndReason,
    HintFaded,
    RetractReason,
    SpeechDropped,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    TalkedTooLong,
    TurnEnded,
    TurnEvent,
    VoiceHinted,
)
from voicebot.speech.listening.patience import BROKEN_OFF_MS, ENOUGH_MS, patience_for
from voicebot.speech.listening.trace import VoiceTrace, milliseconds, samples
from voicebot.speech.listening.vad import FRAME_MS, Activity

_log = structlog.get_logger()


class TurnState(StrEnum):
    QUIET = "quiet"
    #: Something over a prompt that may become a voice.
    HINTED = "hinted"
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
    HINT = "hint"
    FADED = "faded"
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
        (TurnState.QUIET, Cause.HINT): TurnState.HINTED,
        (TurnState.HINTED, Cause.FADED): TurnState.QUIET,
        (TurnState.HINTED, Cause.VOICE): TurnState.SPEAKING,
        (TurnState.HINTED, Cause.VOICE_OVER_PROMPT): TurnState.SUSPECTED,
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


#: So much audio before the first voiced frame belongs to the utterance: soft beginnings and detection delay.
PRE_ROLL_MS = 300
#: A voice is believed after so many voiced frames among the latest: 100 ms, longer than a click or a lip smack.
_ONSET_VOICED = 5
#: Over a prompt one more, since the echo guard needs six frames to know the prompt's own voice.
_ONSET_VOICED_OVER_PROMPT = 6
#: So many frames that may be a voice's lower the prompt meanwhile. With six voiced ones alone, one prompt in twelve is
#: still loud 200 ms after the caller's first sound, since voices begin softly.
_HINTS = 3
#: Of the hints before a voice over a prompt at most so much counts when that voice must last to be believed.
_HINTED_MS = 200
#: A voice is sound for at most so long before it is known as one. Over a prompt that may be echo, of which only what
#: sounds like a voice is known.
_UNKNOWN_MS = 160
_UNKNOWN_OVER_PROMPT_MS = 80
#: Silence that counts as a pause. Stops inside words last up to 120 ms; the model's answer is best when asked early.
_PAUSE_MS = 160
#: A voice over a prompt that lasts so long without a pause means it; most "uh-huh" are over by then. One that has grown
#: soft may be over, too, and must last longer.
_MEANT_MS = 460
_MEANT_SOFTLY_MS = 500
#: Nobody says "uh-huh" for so long, whatever the recogniser heard so far.
_MEANT_DESPITE_WORDS_MS = 800
#: A voice that comes and goes over a prompt and is still not judged after so long is a turn, of which the words are
#: asked: sounds in a steady beat (200 ms of them every 400 ms) would otherwise keep the prompt paused for ever.
_UNDECIDED_MS = 2000
#: A prompt that was stopped so often for nothing, and came no further than this each time, is played to its end,
#: whatever sounds: nobody can be told from so much noise, and going back to its last gap it would be stuck there.
_STOPS_FOR_NOTHING = 4
_LITTLE_HEARD_MS = 3000
#: What came before a gap counts for a part: two halves of a request are one, two times "yeah" are not.
_MEANT_BEFORE_GAP_MS = 200
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
        self._trace = VoiceTrace()
        self._expectation = Expectation(name="", kinds=(AnswerKind.OPEN,))
        self._prompt_playing = False
        self._prompt_interruptible = True
        self._prompt_wordless = False
        #: How often running the prompt was stopped by what was meant for nobody, and where it went on last.
        self._stops_for_nothing = 0
        self._went_on_sample = 0
        self._speech_sample = 0
        self._start_sample = 0
        self._earliest_sample = 0
        self._hint_sample = 0
        #: Where the voice over a prompt began that must last to be believed.
        self._run_sample = 0
        self._pauses = 0
        self._probability: float | None = None
        self._enough_ms: int | None = None
        self._broken_off = False
        self._words: bool | None = None
        self._must_interrupt = False

    @property
    def position_samples(self) -> int:
        """Samples fed since the call began."""
        return self._trace.position_samples

    # What the call tells the detector

    def begin(self, expectation: Expectation, *, prompt_playing: bool) -> None:
        """Listen for `expectation` from now on."""
        self._expectation = expectation
        self._enough_ms = None
        self._broken_off = False
        self._prompt_playing = prompt_playing

    def prompt_started(self, *, interruptible: bool = True, wordless: bool = False) -> None:
        """Our audio is heard by the caller from now on. Speech over an uninterruptible prompt waits for its end.

        Nobody needs to hear a `wordless` one, such as music, to its end.
        A prompt that is lowered, or paused for a barge-in that may yet turn out to be none, is still playing.
        """
        self._prompt_playing = True
        self._prompt_interruptible = interruptible
        self._prompt_wordless = wordless
        self._must_interrupt = interruptible and self.state in {TurnState.SPEAKING, TurnState.PAUSED}

    def prompt_finished(self) -> None:
        """The caller has heard the prompt to its end, or it was dropped."""
        self._prompt_playing = False
        self._must_interrupt = False
        self._stops_for_nothing = 0

    def prompt_went_on(self) -> None:
        """What was said over the prompt, a turn with its words, asked for nothing."""
        if self._prompt_playing:
            self._stopped_for_nothing()

    def turn_probability(self, probability: float, *, pause: int) -> None:
        """Take a judge's answer for a pause: the end-of-turn model's, or one made of the words.

        The surest answer for the pause counts; one for an earlier pause is ignored.
        """
        if pause == self._pauses and self.state in {TurnState.PAUSED, TurnState.DOUBTED}:
            self._probability = max(probability, self._probability or 0.0)

    def recognised_enough(self, *, after_ms: int = ENOUGH_MS) -> None:
        """Partial results hold all that was asked for: end the turn after so much silence, if nothing more is said."""
        self._enough_ms = after_ms
        self._broken_off = False

    def recognised_part(self, *, broken_off: bool) -> None:
        """Partial results so far do not hold all, or no longer do; the latest count.

        `broken_off` where more must follow ("with a"): however finished the voice sounds, the turn then waits as long
        as for one that sounds cut short.
        """
        self._enough_ms = None
        self._broken_off = broken_off

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
            events.append(BargeInConfirmed(self.position_samples, by_key=True))
        if self.state is TurnState.HINTED:
            events.append(HintFaded(self.position_samples))
        elif self.state not in {TurnState.QUIET, TurnState.UNHEARD}:
            events.append(SpeechDropped(self._start_sample))
        self._trace.be_deaf(_KEY_DEAF_MS)
        self._forget_speech()
        self._set_state(Cause.KEY)
        return events

    # What the line tells the detector

    def feed(self, activity: Activity) -> list[TurnEvent]:
        """Take the next 20 ms and return what became known with it, in order."""
        self._trace.feed(activity, in_pause=self.state in {TurnState.PAUSED, TurnState.DOUBTED})
        match self.state:
            case TurnState.QUIET | TurnState.HINTED:
                return self._quiet(echo=activity.echo)
            case TurnState.SUSPECTED:
                return self._suspected()
            case TurnState.DOUBTED:
                return self._doubted()
            case TurnState.SPEAKING:
                return self._speaking()
            case TurnState.PAUSED:
                return self._paused()
            case TurnState.UNHEARD:
                if self._trace.silence_ms >= _PAUSE_MS:
                    self._forget_speech()
                    self._set_state(Cause.SILENCE)
                return []

    def _quiet(self, *, echo: bool) -> list[TurnEvent]:
        if echo:
            # The frames before it, not yet known as echo, are of the same voice.
            self._trace.forget_voice()
        needed = _ONSET_VOICED_OVER_PROMPT if self._prompt_playing else _ONSET_VOICED
        may_start = not self._prompt_playing or self._may_interrupt()
        if self._trace.recent_voiced < needed or not may_start:
            return self._hinted(over_prompt=self._prompt_playing and may_start)
        onset = self._trace.onset(_UNKNOWN_OVER_PROMPT_MS if self._prompt_playing else _UNKNOWN_MS)
        self._speech_sample = self._run_sample = max(self._earliest_sample, onset)
        if self.state is TurnState.HINTED:
            # A soft first word is but a hint of a voice; the voice that follows shows that it was one.
            self._run_sample = min(onset, max(self._hint_sample, onset - samples(_HINTED_MS)))
        self._start_sample = max(self._earliest_sample, self._speech_sample - samples(PRE_ROLL_MS))
        started = SpeechStarted(self._start_sample, self._speech_sample, over_prompt=self._prompt_playing)
        if self._prompt_playing:
            self._set_state(Cause.VOICE_OVER_PROMPT)
            return [BargeInSuspected(self._speech_sample), started]
        hinted = self.state is TurnState.HINTED
        self._set_state(Cause.VOICE)
        # The prompt that was lowered for it has ended meanwhile; what comes next must not be softer.
        return [HintFaded(self.position_samples), started] if hinted else [started]

    def _may_interrupt(self) -> bool:
        allowed = self._prompt_interruptible and self._expectation.barge_in
        if self._stops_for_nothing < _STOPS_FOR_NOTHING:
            return allowed
        # Music goes on for a while only: a caller who waits would be unheard until the next announcement.
        came_on_ms = milliseconds(self.position_samples - self._went_on_sample)
        return allowed and self._prompt_wordless and came_on_ms > _LITTLE_HEARD_MS

    def _hinted(self, *, over_prompt: bool) -> list[TurnEvent]:
        """Look for the first signs of a voice over a prompt that may be interrupted, or for their end."""
        if self.state is TurnState.QUIET and over_prompt and self._trace.recent_hints >= _HINTS:
            self._hint_sample = self.position_samples - samples(_HINTS * FRAME_MS)
            self._set_state(Cause.HINT)
            return [VoiceHinted(self.position_samples)]
        if self.state is TurnState.HINTED and not (over_prompt and self._trace.recent_hints):
            self._set_state(Cause.FADED)
            return [HintFaded(self.position_samples)]
        return []

    def _suspected(self) -> list[TurnEvent]:
        # A prompt that has ended meanwhile has nothing left to lose; what waits behind it waits for the words.
        if self._lasting() or self._words or not self._prompt_playing:
            return self._confirm()
        if self._trace.silence_ms < _PAUSE_MS:
            return []
        paused = self._pause()
        kinds = self._expectation.kinds
        if kinds and kinds[0] in _SHORT_ANSWERS and self._trace.voiced_ms >= _SHORT_ANSWER_MS:
            return [*self._confirm(), paused]
        return [paused]

    def _lasting(self) -> bool:
        lasted_ms = milliseconds(self._trace.last_voice_sample - self._run_sample)
        if self._words is False:
            return lasted_ms >= _MEANT_DESPITE_WORDS_MS
        if milliseconds(self.position_samples - self._speech_sample) >= _UNDECIDED_MS:
            return True
        loud_ms = milliseconds(self._trace.last_loud_sample - self._run_sample)
        return loud_ms >= _MEANT_MS or lasted_ms >= _MEANT_SOFTLY_MS

    def _doubted(self) -> list[TurnEvent]:
        echo = self._trace.echo_frames >= _ECHO_FRAMES
        if (self._words and not echo) or not self._prompt_playing:
            return self._confirm()
        if echo:
            return self._retract(RetractReason.ECHO)
        if self._words is False:
            return self._retract(RetractReason.NO_WORDS)
        if self._trace.silence_ms >= _DOUBT_MS:
            return self._retract(RetractReason.TOO_SHORT)
        if not self._trace.resumed:
            return []
        self._run_sample = self.position_samples - samples(_MEANT_BEFORE_GAP_MS)
        self._set_state(Cause.VOICE)
        return [SpeechResumed(self._pauses)]

    def _speaking(self) -> list[TurnEvent]:
        events = self._interrupt()
        if milliseconds(self.position_samples - self._speech_sample) > self._expectation.too_long_s * 1000:
            events.append(TalkedTooLong(self._start_sample))
            self._set_state(Cause.TOO_LONG)
        elif self._trace.silence_ms >= _PAUSE_MS:
            events.append(self._pause())
        return events

    def _paused(self) -> list[TurnEvent]:
        if self._trace.resumed:
            self._enough_ms = None
            self._broken_off = False
            self._set_state(Cause.VOICE)
            return [SpeechResumed(self._pauses)]
        patience = patience_for(self._expectation)
        patience_ms = patience.needed_ms(self._probability)
        if self._broken_off:
            patience_ms = max(patience.unfinished_ms, BROKEN_OFF_MS)
        needed_ms = patience_ms
        if self._enough_ms is not None:
            needed_ms = patience.with_words_ms(self._enough_ms, self._probability)
        if self._trace.silence_ms < needed_ms:
            return []
        why = EndReason.SILENCE if self._probability is None else EndReason.MODEL
        if needed_ms < patience_ms:
            why = EndReason.ENOUGH
        last, end, voiced_ms = self._trace.last_voice_sample, self.position_samples, self._trace.voiced_ms
        # What follows is the next turn's; its pre-roll must not repeat the end of this one.
        self._earliest_sample = last
        interrupting = self._interrupt()
        self._forget_speech()
        self._set_state(Cause.ENOUGH_SILENCE)
        return [*interrupting, TurnEnded(self._start_sample, last, end, voiced_ms, why)]

    def _interrupt(self) -> list[TurnEvent]:
        """Have a prompt that began while the caller was speaking wait for their words."""
        wanted, self._must_interrupt = self._must_interrupt, False
        return [BargeInConfirmed(self._speech_sample)] if wanted else []

    def _pause(self) -> SpeechPaused:
        self._pauses += 1
        self._probability = None
        self._set_state(Cause.SILENCE)
        return SpeechPaused(self._pauses, self._start_sample, self._trace.last_voice_sample, self._trace.silence_ms)

    def _confirm(self) -> list[TurnEvent]:
        """Believe the voice that paused the prompt: always told, since somebody must let what is paused go on."""
        self._words = None
        self._set_state(Cause.MEANT)
        return [BargeInConfirmed(self._speech_sample)]

    def _retract(self, why: RetractReason) -> list[TurnEvent]:
        self._stopped_for_nothing()
        self._forget_speech()
        self._set_state(Cause.HARMLESS)
        return [BargeInRetracted(self._speech_sample, why)]

    def _stopped_for_nothing(self) -> None:
        if milliseconds(self._speech_sample - self._went_on_sample) > _LITTLE_HEARD_MS:
            self._stops_for_nothing = 0
        self._went_on_sample = self.position_samples
        self._stops_for_nothing += 1
        if self._stops_for_nothing == _STOPS_FOR_NOTHING:
            _log.info("prompt is played to its end, in noise", at_sample=self.position_samples)

    def _forget_speech(self) -> None:
        self._trace.forget_voice()
        self._probability = None
        self._enough_ms = None
        self._broken_off = False
        self._words = None
        self._must_interrupt = False

    def _set_state(self, cause: Cause) -> None:
        try:
            after = _TRANSITIONS[self.state, cause]
        except KeyError:
            raise LocalProtocolError(f"no transition from {self.state} by {cause}") from None
        _log.debug("turn state changed", before=self.state, cause=cause, after=after, at_sample=self.position_samples)
        self.state = after
