"""From the caller's 20 ms frames to finished turns: voice activity, end of turn, barge-in and recognition."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Protocol, assert_never

import structlog
from pipecat.frames.frames import CancelFrame, EndFrame, Frame, InterruptionFrame
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor

from voicebot.dialog.expectation import Expectation
from voicebot.errors import EngineUnavailable
from voicebot.language.backchannel import only_backchannel
from voicebot.media.events import (
    CallerTurn,
    HearingTimings,
    KeyingBegan,
    KeysEntered,
    LineEvent,
    PartialHeard,
    PauseBegan,
    PauseEnded,
    RecognitionFailed,
    SpeechBegan,
    SpeechDismissed,
    TurnOver,
)
from voicebot.media.events import TalkedTooLong as CallerTalkedTooLong
from voicebot.media.frames import (
    KeyFrame,
    LineEventFrame,
    ListenFrame,
    LowerSpeechFrame,
    PauseSpeechFrame,
    PromptPlayingFrame,
    ResumeSpeechFrame,
)
from voicebot.speech.asr import Final, Transcriber, Utterance
from voicebot.speech.listening.dtmf import DtmfDetector
from voicebot.speech.listening.echo import EchoGuard
from voicebot.speech.listening.events import (
    BargeInConfirmed,
    BargeInRetracted,
    BargeInSuspected,
    HintFaded,
    SpeechDropped,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    TalkedTooLong,
    TurnEnded,
    TurnEvent,
    VoiceHinted,
)
from voicebot.speech.listening.keys import KeyCollector
from voicebot.speech.listening.turn import TurnDetector
from voicebot.speech.listening.vad import VoiceActivity, VoiceJudge
from voicebot.speech.listening.words import LOOK_AHEAD_FRAMES, said_so_far, tell_words
from voicebot.telephony.leg import FRAME_SAMPLES, SAMPLE_RATE_HZ

log = structlog.get_logger(__name__)

#: Audio kept so that an utterance can begin before its speech was noticed.
_HISTORY_FRAMES = 50
#: People close an entry with # out of habit, also one that was complete without it.
_LATE_TERMINATOR_S = 3.0
#: Keys farther apart do not belong to one entry.
_KEYS_APART_S = 15.0
#: How likely these words are all that the caller has to say to what was asked, 0 to 1; negative where they break off.
Completeness = Callable[[str, Expectation], float]


class TurnModel(Protocol):
    """Tells how likely the caller has finished, from the sound of the whole utterance; None when it cannot tell."""

    async def probability(self, pcm: bytes) -> float | None: ...


class _Attempt:
    """One utterance on its way to a recogniser; frames wait here until the recogniser is there."""

    def __init__(self, transcriber: Transcriber, expectation: Expectation, started_s: float) -> None:
        self.expectation = expectation
        self.started_s = started_s
        self.over_prompt = False
        self.text = ""
        #: What else it may have been, where that was told.
        self.others: tuple[str, ...] = ()
        #: The number of the pause that the caller is making, if they are.
        self.pause: int | None = None
        self._paused_frames = 0
        self.pcm = bytearray()
        self._utterance: Utterance | None = None
        self._opening = asyncio.create_task(self._open(transcriber))

    async def _open(self, transcriber: Transcriber) -> Utterance:
        utterance = await transcriber.start(self.expectation)
        utterance.feed(bytes(self.pcm))
        self._utterance = utterance
        return utterance

    def feed(self, pcm: bytes) -> None:
        self.pcm += pcm
        if self._utterance:
            self._utterance.feed(pcm)

    def begin_pause(self, pause: int) -> None:
        self.pause = pause
        self._paused_frames = 0

    def end_pause(self) -> None:
        self.pause = None
        if self._utterance:
            self._utterance.go_on()

    def spend_frame(self) -> None:
        """Have what was said heard to its end once a pause has lasted: the wait for the turn's end hides that."""
        if self.pause is None:
            return
        self._paused_frames += 1
        if self._paused_frames == LOOK_AHEAD_FRAMES and self._utterance:
            self._utterance.look_ahead()

    async def utterance(self) -> Utterance:
        """Return the open utterance; EngineUnavailable when nothing can hear."""
        return await self._opening

    def cancel(self) -> None:
        if self._utterance:
            self._utterance.cancel()
        else:
            self._opening.cancel()


class HearingProcessor(FrameProcessor):
    """Hears the caller's audio and keys; emits line events, and interrupts our speech when the caller means to."""

    def __init__(
        self,
        *,
        transcriber: Transcriber,
        turn_model: TurnModel,
        completeness: Completeness,
        voice_judge: VoiceJudge | None,
        echo: EchoGuard,
        tones: DtmfDetector | None,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(enable_direct_mode=True)
        self._transcriber = transcriber
        self._turn_model = turn_model
        self._completeness = completeness
        self._clock = clock
        self._activity = VoiceActivity(voice_judge)
        self._echo = echo
        #: Finds keys in the audio, on lines that do not send them apart.
        self._tones = tones
        self._detector = TurnDetector()
        self._keys: KeyCollector | None = None
        self._key_timer: asyncio.TimerHandle | None = None
        self._entered_s = float("-inf")
        #: When the first and the last came of the keys that belong together, awaited or not.
        self._first_key_s = self._last_key_s = float("-inf")
        self._expectation: Expectation | None = None
        self._history: deque[bytes] = deque(maxlen=_HISTORY_FRAMES)
        self._attempt: _Attempt | None = None
        self._prompt_playing = False
        #: The prompt is paused until the session has judged a turn over it.
        self._held = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        match frame:
            case KeyFrame(key=key, at_s=at_s):
                await self._key(key, at_s)
            case ListenFrame(expectation=expectation):
                await self._listen(expectation)
            case PromptPlayingFrame(playing=playing, interruptible=interruptible, wordless=wordless):
                self._prompt_playing = playing
                if playing:
                    self._detector.prompt_started(interruptible=interruptible, wordless=wordless)
                else:
                    self._detector.prompt_finished()
            case ResumeSpeechFrame():
                self._held = False
                self._detector.prompt_went_on()
            case _:
                if isinstance(frame, InterruptionFrame):
                    self._held = False
                if isinstance(frame, EndFrame | CancelFrame):
                    await self._stop()
                await self.push_frame(frame, direction)

    async def _listen(self, expectation: Expectation | None) -> None:
        self._expectation = expectation
        self._forget_keys()
        if expectation is None:
            self._drop_attempt()
            await self._let_go()
            return
        self._detector.begin(expectation, prompt_playing=self._prompt_playing)
        if expectation.keys:
            self._keys = KeyCollector(expectation.keys)

    async def hear(self, pcm: bytes, arrived_s: float) -> None:
        self._history.append(pcm)
        for tone in self._tones.feed(pcm) if self._tones else ():
            await self._key(tone.key, arrived_s)
        activity = self._echo.judge(pcm, self._activity.feed(pcm))
        if self._attempt:
            self._attempt.feed(pcm)
        for event in self._detector.feed(activity):
            await self._turn_event(event, arrived_s)
        if self._attempt:
            self._attempt.spend_frame()

    async def _turn_event(self, event: TurnEvent, arrived_s: float) -> None:
        match event:
            case SpeechStarted(start_sample=start):
                self._start_attempt(start, arrived_s)
                await self._tell(SpeechBegan(arrived_s))
            case VoiceHinted():
                # Nobody's words would be heard while nothing is expected: then there is nothing to interrupt for.
                if self._expectation:
                    await self.push_frame(LowerSpeechFrame())
            case BargeInSuspected():
                if self._expectation:
                    await self.push_frame(PauseSpeechFrame())
            case BargeInConfirmed(by_key=True):
                await self.broadcast_frame(InterruptionFrame)
            case BargeInConfirmed():
                if self._attempt:
                    self._attempt.over_prompt = self._held = True
                    await self.push_frame(PauseSpeechFrame())
            case HintFaded():
                await self._let_go(unless_held=True)
            case BargeInRetracted():
                self._drop_attempt()
                await self._let_go(unless_held=True)
                await self._tell(SpeechDismissed(arrived_s))
            case SpeechPaused(pause=pause):
                if self._attempt:
                    self._attempt.begin_pause(pause)
                    self._judge_words(self._attempt)
                    self._run(self._judge_voice(self._attempt, pause))
                    if self._attempt.text:
                        await self._tell(PauseBegan(self._attempt.text, arrived_s))
            case SpeechResumed():
                if self._attempt:
                    self._attempt.end_pause()
                    await self._tell(PauseEnded(arrived_s))
            case TurnEnded():
                if self._attempt:
                    await self._tell(TurnOver(arrived_s, self._attempt.over_prompt))
                    self._finish_attempt(event, arrived_s)
            case SpeechDropped():
                # A prompt that has ended while it was paused is not interrupted by the key; what comes next must play.
                self._drop_attempt()
                await self._let_go()
            case TalkedTooLong():
                self._drop_attempt()
                await self._tell(CallerTalkedTooLong(arrived_s, over_prompt=self._held))
            case _:
                assert_never(event)

    async def _let_go(self, *, unless_held: bool = False) -> None:
        """Have a prompt go on that was lowered or paused; a turn still to be judged may keep it."""
        if self._held and unless_held:
            return
        self._held = False
        await self.push_frame(ResumeSpeechFrame())

    def _start_attempt(self, start_sample: int, arrived_s: float) -> None:
        self._drop_attempt()
        expectation = self._expectation
        if expectation is None:
            return
        behind_samples = self._detector.position_samples - start_sample
        attempt = _Attempt(self._transcriber, expectation, arrived_s - behind_samples / SAMPLE_RATE_HZ)
        frames = min(len(self._history), behind_samples // FRAME_SAMPLES)
        for pcm in list(self._history)[len(self._history) - frames :]:
            attempt.feed(pcm)
        self._attempt = attempt
        self._run(self._follow_partials(attempt))

    def _finish_attempt(self, ended: TurnEnded, arrived_s: float) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is None:
            return
        silent_s = (ended.end_sample - ended.last_speech_sample) / SAMPLE_RATE_HZ
        self._run(self._transcribe(attempt, arrived_s - silent_s, self._clock()))

    def _drop_attempt(self) -> None:
        if self._attempt:
            self._attempt.cancel()
            self._attempt = None

    async def _transcribe(self, attempt: _Attempt, last_speech_s: float, ended_s: float) -> None:
        try:
            utterance = await attempt.utterance()
            final: Final = await utterance.finish()
        except EngineUnavailable as error:
            log.warning("recognition failed", problem=str(error))
            await self._tell(RecognitionFailed(self._clock()))
            return
        except Exception:  # whatever it is, nobody else would tell the dialog that a turn is over
            log.exception("recognition broke down")
            await self._tell(RecognitionFailed(self._clock()))
            return
        timings = HearingTimings(attempt.started_s, last_speech_s, ended_s, self._clock())
        asked = attempt.expectation
        await self._tell(CallerTurn(final, timings, asked.name, attempt.over_prompt, asked.secret))

    async def _judge_voice(self, attempt: _Attempt, pause: int) -> None:
        """Ask the model how finished the voice sounds; words that say it all may end the turn sooner."""
        probability = await self._turn_model.probability(bytes(attempt.pcm))
        if probability is not None and attempt is self._attempt:
            self._detector.turn_probability(probability, pause=pause)

    def _judge_words(self, attempt: _Attempt) -> None:
        if attempt.pause is None:
            return
        if attempt.over_prompt and only_backchannel(attempt.text):
            # A prompt waits for the verdict: the sooner it goes on the better.
            self._detector.recognised_enough()
        else:
            asked = attempt.expectation
            said = said_so_far(attempt.text, attempt.others, lambda text: self._completeness(text, asked))
            tell_words(self._detector, said)

    async def _follow_partials(self, attempt: _Attempt) -> None:
        try:
            utterance = await attempt.utterance()
        except (EngineUnavailable, asyncio.CancelledError):
            return  # told when the turn ends, or dropped with the attempt
        async for partial in utterance.partials():
            if attempt is not self._attempt:
                continue
            is_news = partial.text != attempt.text
            attempt.text, attempt.others = partial.text, partial.others
            self._judge_words(attempt)
            if not is_news:
                continue
            # Never the other way round: a recogniser hears requests in a mumble, and that would lose the prompt.
            if only_backchannel(partial.text):
                self._detector.words_heard(meant=False)
            await self._tell(PartialHeard(partial.text, self._clock()))
            if attempt.pause is not None and partial.text:
                await self._tell(PauseBegan(partial.text, self._clock()))

    async def _key(self, key: str, at_s: float) -> None:
        if at_s - self._last_key_s > _KEYS_APART_S:
            self._first_key_s = at_s
        self._last_key_s = at_s
        if self._keys is None:
            return
        if key == "#" and not self._keys.collecting and at_s - self._entered_s < _LATE_TERMINATOR_S:
            return  # it closes the entry before, which was complete already
        # A key is never an accident: it stops the prompt and whatever was being said.
        for event in self._detector.key_pressed():
            await self._turn_event(event, at_s)
        await self._tell(KeyingBegan(at_s))
        entered = self._keys.press(key, at_s)
        if entered is not None:
            self._forget_keys()
            self._entered_s = at_s
            await self._tell(KeysEntered(entered.keys, at_s, self._entry_over()))
            return
        self._await_next_key()

    def _await_next_key(self) -> None:
        if self._key_timer:
            self._key_timer.cancel()
        if self._keys and (deadline_s := self._keys.deadline_s) is not None:
            loop = asyncio.get_running_loop()
            self._key_timer = loop.call_later(max(0.0, deadline_s - self._clock()), self._keys_timed_out)

    def _keys_timed_out(self) -> None:
        if self._keys is None:
            return
        entered = self._keys.expire(self._clock())
        if entered is None:
            # A loop's timer may run a little before its time by the clock; nobody else would end the entry.
            self._await_next_key()
            return
        self._forget_keys()
        # Too few keys are an answer all the same: the dialog says what was wrong with it.
        self._run(self._tell(KeysEntered(entered.keys, self._clock(), self._entry_over())))

    def _entry_over(self) -> float:
        """Return when the first of its keys came; the next key begins another."""
        self._last_key_s = float("-inf")
        return self._first_key_s

    def _forget_keys(self) -> None:
        self._keys = None
        if self._key_timer:
            self._key_timer.cancel()
            self._key_timer = None

    async def _tell(self, event: LineEvent) -> None:
        await self.push_frame(LineEventFrame(event=event))

    def _run(self, work: Coroutine[None, None, None]) -> None:
        """Own a task until it ends, so that nothing is lost to the garbage collector."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stop(self) -> None:
        self._forget_keys()
        self._drop_attempt()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
