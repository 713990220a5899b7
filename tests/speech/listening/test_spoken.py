"""Turns and interruptions on spoken sounds: voice activity, echo guard, model and detector together."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from tests.speech.listening.sounds import activities, line, samples, voice
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.g711 import Pcm
from voicebot.simulation.sounds import Wave, at_level, cough, echo, hiss, mixed, music, silence
from voicebot.speech.listening.events import (
    BargeInConfirmed,
    BargeInRetracted,
    BargeInSuspected,
    SpeechPaused,
    SpeechStarted,
    TurnEnded,
    TurnEvent,
    VoiceHinted,
)
from voicebot.speech.listening.models import EndOfTurnModel
from voicebot.speech.listening.turn import TurnDetector
from voicebot.speech.listening.vad import FRAME_MS

OPEN = Expectation("open", (AnswerKind.OPEN,))
DIGITS = Expectation("digits", (AnswerKind.DIGITS,), lengths=(6,))
YES_NO = Expectation("sure", (AnswerKind.YES_NO,))
REQUEST = voice("I would like to know the balance of my account, please")
PROMPT = voice("Thank you for calling. I can tell you your balance, check an order, or book an appointment.", -20.0)


@dataclass
class Heard:
    """Events with the milliseconds at which they were known."""

    events: list[tuple[int, TurnEvent]] = field(default_factory=list)

    def kinds(self) -> list[type[TurnEvent]]:
        return [type(event) for _, event in self.events]

    def first_ms(self, kind: type[TurnEvent]) -> int:
        return next(at for at, event in self.events if isinstance(event, kind))


def listen(wave: Wave, expectation: Expectation, *, prompt: Pcm | None = None, noise_dbfs: float = -62.0) -> Heard:
    pcm = line(wave, noise_dbfs)
    model = EndOfTurnModel()
    turns = TurnDetector()
    turns.begin(expectation, prompt_playing=prompt is not None)
    heard = Heard()
    for number, activity in enumerate(activities(pcm, prompt=prompt), start=1):
        for event in turns.feed(activity):
            heard.events.append((number * FRAME_MS, event))
            if isinstance(event, SpeechPaused):
                probability = model.probability(pcm[event.start_sample : turns.position_samples])
                turns.turn_probability(probability, pause=event.pause)
            if isinstance(event, BargeInConfirmed):
                turns.prompt_finished()
    return heard


def after(pause_ms: float, *sounds: Wave) -> Wave:
    return np.concatenate([silence(pause_ms), *sounds, silence(2000)])


@pytest.mark.parametrize("noise_dbfs", [-62.0, -40.0])
def test_a_request_is_one_turn(noise_dbfs: float) -> None:
    heard = listen(after(1000, REQUEST), OPEN, noise_dbfs=noise_dbfs)
    assert [kind for kind in heard.kinds() if kind in {SpeechStarted, TurnEnded}] == [SpeechStarted, TurnEnded]
    spoken_ms = REQUEST.size / samples(1)
    assert heard.first_ms(SpeechStarted) <= 1000 + 250
    # A synthetic voice may sound unfinished: then the end comes after the longest wait by sound alone, 1,400 ms.
    assert 0 < heard.first_ms(TurnEnded) - (1000 + spoken_ms) < 1500


def test_a_quiet_caller_is_heard_as_one_turn() -> None:
    heard = listen(after(1000, at_level(REQUEST, -42.0)), OPEN, noise_dbfs=-70.0)
    assert heard.kinds().count(TurnEnded) == 1


def test_a_pause_inside_an_order_number_does_not_end_the_turn() -> None:
    number = after(800, voice("four seven one"), silence(900), voice("one zero eight"))
    heard = listen(number, DIGITS)
    assert heard.kinds().count(TurnEnded) == 1
    assert heard.kinds().count(SpeechPaused) >= 2


@pytest.mark.parametrize("seed", range(3))
def test_coughs_start_no_turn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    assert listen(after(800, cough(rng), silence(300), cough(rng)), OPEN).events == []


def test_music_starts_no_turn() -> None:
    assert listen(after(500, music(5000)), OPEN).events == []


def test_speech_over_a_prompt_stops_it() -> None:
    heard = listen(after(1500, REQUEST), OPEN, prompt=line(PROMPT))
    assert heard.first_ms(BargeInSuspected) - 1500 <= 220
    assert heard.first_ms(BargeInConfirmed) - 1500 <= 600


def test_speech_over_the_prompts_own_echo_stops_it() -> None:
    near = mixed(echo(PROMPT, delay_ms=120, loss_db=20), after(2500, REQUEST))
    heard = listen(near, OPEN, prompt=line(PROMPT))
    assert 2500 < heard.first_ms(BargeInConfirmed) <= 2500 + 640


@pytest.mark.parametrize("words", ["uh huh", "yeah"])
def test_a_backchannel_over_a_prompt_does_not_lose_it(words: str) -> None:
    heard = listen(after(1500, voice(words)), OPEN, prompt=line(PROMPT))
    assert heard.kinds()[:2] == [VoiceHinted, BargeInSuspected]
    assert heard.kinds()[-1] is BargeInRetracted
    assert BargeInConfirmed not in heard.kinds()


def test_a_short_answer_over_the_question_it_answers_is_taken() -> None:
    heard = listen(after(1500, voice("yes")), YES_NO, prompt=line(PROMPT))
    assert heard.first_ms(BargeInConfirmed) < heard.first_ms(TurnEnded)


@pytest.mark.parametrize("sound", [cough(np.random.default_rng(4)), hiss(150, -15.0, np.random.default_rng(4))])
def test_a_cough_or_a_bang_over_a_prompt_does_not_even_stop_it(sound: Wave) -> None:
    assert listen(after(1500, sound), OPEN, prompt=line(PROMPT)).events == []
