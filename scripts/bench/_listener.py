"""One caller's line and the server's ears on it, joined without network or clock: 20 ms at a time.

The prompt stops when the detector suspects a barge-in and goes on when it takes that back, as in a call, so that what
comes back as echo is what was really played.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from _streamed import Reader, StreamedTurn

from voicebot import g711
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.simulation.sounds import Wave, on_the_line
from voicebot.speech.listening.echo import EchoGuard
from voicebot.speech.listening.events import (
    BargeInConfirmed,
    BargeInRetracted,
    BargeInSuspected,
    SpeechPaused,
    SpeechResumed,
    SpeechStarted,
    TurnEnded,
    TurnEvent,
)
from voicebot.speech.listening.models import EndOfTurnModel, SpeechModel
from voicebot.speech.listening.turn import TurnDetector
from voicebot.speech.listening.vad import FRAME_MS, FRAME_SAMPLES, Activity, VoiceActivity

#: What an end-of-turn answer takes through the worker on an idle machine (see the costs below), in whole frames.
MODEL_DELAY_FRAMES = 2
#: Audio already at the carrier plays on for so long after the prompt was stopped.
_QUEUED_FRAMES = 5
NOISE_DBFS = -66.0
Samples = npt.NDArray[np.int16]
OPEN = Expectation("open", (AnswerKind.OPEN,))


@dataclass(frozen=True, slots=True)
class Echo:
    delay_ms: float
    loss_db: float


@dataclass(slots=True)
class Heard:
    """What happened: each event with the milliseconds from the start of the audio at which it was known."""

    events: list[tuple[int, TurnEvent]] = field(default_factory=list)
    #: What was to come of the prompt when it was stopped last.
    left_ms: int = 0

    def first(self, kind: type[TurnEvent]) -> int | None:
        """Return when the first event of `kind` was known, in ms."""
        return next((at for at, event in self.events if isinstance(event, kind)), None)

    def count(self, kind: type[TurnEvent]) -> int:
        return sum(isinstance(event, kind) for _, event in self.events)


@dataclass(frozen=True, slots=True)
class Sounds:
    """A caller's audio and what the voice detector made of it, for as many judges of turns as there are."""

    pcm: Samples
    activities: tuple[Activity, ...]
    #: The end-of-turn model's answers, by where the audio begins and ends that it was asked about.
    probabilities: dict[tuple[int, int], float] = field(default_factory=dict)

    def frame(self, number: int) -> bytes:
        return self.pcm[number * FRAME_SAMPLES : (number + 1) * FRAME_SAMPLES].tobytes()

    def probability(self, model: EndOfTurnModel, start: int, end: int) -> float:
        if (start, end) not in self.probabilities:
            self.probabilities[start, end] = model.probability(self.pcm[start:end])
        return self.probabilities[start, end]


def sounds(wave: Wave, rng: np.random.Generator, *, noise: bool = False) -> Sounds:
    """Return a caller's `wave` as the line and the voice detector give it."""
    pcm = on_the_line(wave, rng, noise_dbfs=NOISE_DBFS if noise else -90.0)
    ears = VoiceActivity(SpeechModel())
    frames = range(0, pcm.size - FRAME_SAMPLES + 1, FRAME_SAMPLES)
    return Sounds(pcm, tuple(ears.feed(pcm[at : at + FRAME_SAMPLES].tobytes()) for at in frames))


def listen(
    heard_sounds: Sounds,
    expectation: Expectation,
    model: EndOfTurnModel | None,
    *,
    enough_at_ms: float = math.inf,
    reader: Reader | None = None,
) -> Heard:
    """Return what a caller's audio gives with no prompt playing, up to the end of the first turn.

    `enough_at_ms` is when recognition has all that is expected; with a `reader` what it hears decides, too.
    """
    turns = TurnDetector()
    turns.begin(expectation, prompt_playing=False)
    heard = Heard()
    words: StreamedTurn | None = None
    answers: dict[int, tuple[int, float]] = {}
    for frame, activity in enumerate(heard_sounds.activities):
        if frame * FRAME_MS >= enough_at_ms > (frame - 1) * FRAME_MS:
            turns.recognised_enough()
        if frame in answers:
            pause, probability = answers.pop(frame)
            turns.turn_probability(probability, pause=pause)
        if words:
            words.frame(heard_sounds.frame(frame))
        for event in turns.feed(activity):
            heard.events.append(((frame + 1) * FRAME_MS, event))
            match event:
                case SpeechStarted(start_sample=start) if reader:
                    words = StreamedTurn(reader, turns, expectation)
                    for earlier in range(start // FRAME_SAMPLES, frame + 1):
                        words.frame(heard_sounds.frame(earlier))
                case SpeechPaused(pause=pause, start_sample=start):
                    if model is not None:
                        probability = heard_sounds.probability(model, start, (frame + 1) * FRAME_SAMPLES)
                        answers[frame + 1 + MODEL_DELAY_FRAMES] = (pause, probability)
                    if words:
                        words.pause()
                case SpeechResumed() if words:
                    words.go_on()
                case _:
                    pass
        if heard.count(TurnEnded):
            break
        if words:
            words.spend_frame()
    if words:
        words.close()
    return heard


def over_prompt(
    near: Wave, prompt: Wave, echo: Echo | None, rng: np.random.Generator, guard: EchoGuard, *, to_the_end: bool = False
) -> Heard:
    """Return what a caller's audio gives over `prompt`, an open question, until it is confirmed as meant or ends.

    With `to_the_end` on to the end of the turn that was confirmed.

    `guard` is the call's: handed from prompt to prompt, it remembers the line's echo.
    """
    ears = VoiceActivity(SpeechModel())
    turns = TurnDetector()
    turns.begin(OPEN, prompt_playing=True)
    heard = Heard()
    noise = on_the_line(np.zeros(near.size), rng, noise_dbfs=NOISE_DBFS)
    played = np.zeros(near.size + prompt.size + 2 * 8000)
    position, stopping = 0, -1
    playing = True
    for frame in range(near.size // FRAME_SAMPLES):
        begin, end = frame * FRAME_SAMPLES, (frame + 1) * FRAME_SAMPLES
        if (playing or stopping > 0) and position < prompt.size:
            piece = prompt[position : position + FRAME_SAMPLES]
            played[begin : begin + piece.size] = piece
            guard.sent(g711.encode(played[begin:end].astype(np.int16)))
            position += piece.size
            stopping -= 1
        pcm = np.clip(near[begin:end] + noise[begin:end] + _echo(played, echo, begin, end), -32768, 32767)
        samples = g711.decode(g711.encode(pcm.astype(np.int16))).tobytes()
        for event in turns.feed(guard.judge(samples, ears.feed(samples))):
            heard.events.append(((frame + 1) * FRAME_MS, event))
            match event:
                case BargeInSuspected():
                    playing, stopping = False, _QUEUED_FRAMES
                    heard.left_ms = (prompt.size - position) // 8
                case BargeInRetracted():
                    playing = True
                case BargeInConfirmed() if not to_the_end:
                    return heard
                case TurnEnded():
                    return heard
                case _:
                    pass
    return heard


def _echo(played: Wave, echo: Echo | None, begin: int, end: int) -> Wave:
    if echo is None:
        return np.zeros(end - begin)
    delay = round(echo.delay_ms * 8)
    source = np.zeros(end - begin)
    first = max(0, delay - begin)
    if first < source.size:
        source[first:] = played[begin + first - delay : end - delay]
    return source * 10 ** (-echo.loss_db / 20)
