"""The prompt's echo, told from a caller, on spoken prompts."""

from __future__ import annotations

import numpy as np
import pytest

from tests.speech.listening.sounds import activities, frame_at, frames, line, samples, voice
from voicebot import g711
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.g711 import Pcm
from voicebot.simulation.sounds import echo, mixed, silence
from voicebot.speech.listening.echo import EchoGuard
from voicebot.speech.listening.events import BargeInConfirmed, BargeInRetracted, BargeInSuspected, TurnEvent
from voicebot.speech.listening.models import SpeechModel
from voicebot.speech.listening.turn import TurnDetector
from voicebot.speech.listening.vad import Activity, VoiceActivity

PROMPT = voice("Thank you for calling. I can tell you your balance, check an order, or book an appointment.", -20.0)
LAST = PROMPT[-samples(800) :]
REQUEST = voice("no wait, I would like to talk about my last bill", -24.0)


def send(guard: EchoGuard, prompt: Pcm) -> None:
    for frame in frames(prompt):
        guard.sent(g711.encode(np.frombuffer(frame, dtype=np.int16)))


def barge_ins(verdicts: list[Activity]) -> list[type[TurnEvent]]:
    """Return the barge-in events of a call whose prompt plays until one is confirmed."""
    turns = TurnDetector()
    turns.begin(Expectation("start", (AnswerKind.OPEN,)), prompt_playing=True)
    seen: list[type[TurnEvent]] = []
    for verdict in verdicts:
        for event in turns.feed(verdict):
            if isinstance(event, BargeInSuspected | BargeInConfirmed | BargeInRetracted):
                seen.append(type(event))
            if isinstance(event, BargeInConfirmed):
                turns.prompt_finished()
    return seen


@pytest.mark.parametrize("delay_ms", [20.0, 133.0, 470.0, 900.0])
@pytest.mark.parametrize("loss_db", [12.0, 20.0, 26.0])
def test_the_prompts_own_echo_does_not_interrupt_it(delay_ms: float, loss_db: float) -> None:
    near = line(np.concatenate([echo(PROMPT, delay_ms=delay_ms, loss_db=loss_db), silence(1000)]))
    unguarded = barge_ins(activities(near))
    assert BargeInConfirmed in unguarded
    guarded = barge_ins(activities(near, prompt=line(PROMPT)))
    assert BargeInConfirmed not in guarded
    assert guarded.count(BargeInSuspected) <= 1


def test_a_caller_over_the_echo_is_heard() -> None:
    near = mixed(echo(PROMPT, delay_ms=150, loss_db=20), np.concatenate([silence(2000), REQUEST]))
    verdicts = activities(line(near), prompt=line(PROMPT))
    spoken = verdicts[frame_at(2000) : frame_at(2000 + REQUEST.size / samples(1))]
    alone = activities(line(REQUEST))
    assert sum(each.speech for each in spoken) > 0.8 * sum(each.speech for each in alone)


def test_a_caller_on_a_line_without_echo_is_hardly_ever_taken_for_one() -> None:
    near = np.concatenate([silence(1500), REQUEST, silence(500), REQUEST])
    verdicts = activities(line(near), prompt=line(np.concatenate([PROMPT, PROMPT])))
    assert sum(each.echo for each in verdicts) < 0.03 * sum(each.speech for each in verdicts)
    assert barge_ins(verdicts) == [BargeInSuspected, BargeInConfirmed]


def test_one_as_loud_as_the_prompt_is_no_echo() -> None:
    # The same words at the same loudness can only be another one speaking: every line loses more.
    near = line(echo(PROMPT, delay_ms=100, loss_db=3))
    assert not any(each.echo for each in activities(near, prompt=line(PROMPT)))


def test_what_was_cleared_is_not_expected_back() -> None:
    guard = EchoGuard()
    send(guard, line(PROMPT))
    guard.cleared()
    near = line(echo(PROMPT, delay_ms=60, loss_db=20))
    heard = Activity(speech=True, probability=0.9, level_dbfs=-40.0, noise_floor_dbfs=-60.0)
    assert all(guard.judge(frame, heard) == heard for frame in frames(near))


def test_what_was_heard_before_a_long_silence_does_not_hide_the_next_prompts_echo() -> None:
    near = frames(line(echo(PROMPT, delay_ms=20, loss_db=20)))
    voiced = Activity(speech=True, probability=0.9, level_dbfs=-40.0, noise_floor_dbfs=-60.0)
    silent = Activity(speech=False, probability=0.0, level_dbfs=-96.0, noise_floor_dbfs=-60.0)
    tone = (3000 * np.sin(np.arange(160) * 2 * np.pi / 8)).astype(np.int16).tobytes()

    def found(guard: EchoGuard) -> list[bool]:
        send(guard, line(PROMPT))
        return [guard.judge(frame, voiced).echo for frame in near]

    disturbed = EchoGuard()
    send(disturbed, line(PROMPT)[: samples(200)])
    for _ in range(frame_at(200)):
        disturbed.judge(tone, voiced)
    for _ in range(frame_at(2000)):
        disturbed.judge(bytes(320), silent)
    assert found(disturbed) == found(EchoGuard())


def test_behind_a_prompt_of_which_nothing_came_back_the_caller_speaks() -> None:
    # An echo as late as this would have returned the prompt's beginning while its end was played.
    near = np.concatenate([silence(PROMPT.size / samples(1)), echo(LAST, delay_ms=100, loss_db=20)])
    assert not any(each.echo for each in activities(line(near), prompt=line(PROMPT)))


def test_a_short_prompts_echo_that_comes_all_behind_it_is_one_each_time() -> None:
    guard = EchoGuard()
    activity = VoiceActivity(SpeechModel())
    for _ in range(5):
        send(guard, line(LAST))
        near = np.concatenate([silence(800), echo(LAST, delay_ms=100, loss_db=20), silence(1500)])
        heard = [guard.judge(frame, activity.feed(frame)) for frame in frames(line(near))]
        assert sum(each.echo for each in heard) > 10


def test_a_prompts_pause_does_not_show_that_nothing_comes_back() -> None:
    prompt = np.concatenate([LAST, silence(2500), LAST])
    near = np.concatenate(
        [silence(900), echo(LAST, delay_ms=0, loss_db=20), silence(2500), echo(LAST, delay_ms=0, loss_db=20)]
    )
    heard = activities(line(near), prompt=line(prompt))
    assert any(each.echo for each in heard[frame_at(4000) :])
