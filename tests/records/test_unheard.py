"""Speech that no transcript covers is found, in either lane, and everything else is left."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fakes.buzz import buzz
from voicebot import g711
from voicebot.g711 import Pcm
from voicebot.records.record import Speaker
from voicebot.records.unheard import Passage, Searched, unheard

CALLER, AGENT, BOT = 0, 1, 1
LENGTH_MS = 20_000


def lanes(*said: tuple[int, int, int]) -> Pcm:
    """Return 20 s of faint noise in which somebody speaks: lane, from and until in milliseconds."""
    made = np.random.default_rng(1).integers(-20, 20, (LENGTH_MS * 8, 2)).astype(np.int16)
    for lane, start_ms, end_ms in said:
        speech = g711.decode(b"".join(buzz((end_ms - start_ms) / 1000)))
        made[start_ms * 8 : start_ms * 8 + len(speech), lane] = speech
    return made


def turn(speaker: Speaker, at_ms: int, heard_ms: int, *, has_text: bool = True) -> Passage:
    return Passage(speaker, at_ms, heard_ms, has_text)


def hidden(found: list[tuple[int, int]], at_ms: int) -> bool:
    return any(start <= at_ms < end for start, end in found)


def test_speech_in_a_turn_stays_and_speech_beside_it_goes_with_some_room() -> None:
    audio = lanes((CALLER, 1000, 3000), (CALLER, 8000, 10_000))
    caller, bot = unheard(audio, Searched((turn(Speaker.CALLER, 1000, 2000),)))
    ((start_ms, end_ms),) = caller
    assert 7700 <= start_ms <= 8000
    assert 10_000 <= end_ms <= 10_700
    assert bot == []


def test_a_turn_of_which_nothing_was_understood_covers_nothing() -> None:
    caller, _ = unheard(lanes((CALLER, 1000, 3000)), Searched((turn(Speaker.CALLER, 1000, 2000, has_text=False),)))
    assert hidden(caller, 2000)


def test_a_cough_stays_and_digits_one_by_one_go() -> None:
    cough, _ = unheard(lanes((CALLER, 5000, 5200)), Searched())
    assert cough == []
    digits, _ = unheard(lanes(*((CALLER, at, at + 300) for at in range(5000, 9000, 1000))), Searched())
    assert all(hidden(digits, at) for at in (5100, 6100, 7100, 8100))


def test_silence_and_noise_that_nobody_hears_stay() -> None:
    assert unheard(lanes(), Searched()) == ([], [])


def test_what_is_said_on_after_a_turn_goes_and_the_turn_stays() -> None:
    caller, _ = unheard(lanes((CALLER, 1000, 8000)), Searched((turn(Speaker.CALLER, 1000, 2000),)))
    assert not hidden(caller, 2900)
    assert hidden(caller, 5000)


def test_the_other_lane_is_looked_at_from_when_an_agent_came() -> None:
    audio = lanes((BOT, 1000, 3000), (AGENT, 8000, 10_000), (AGENT, 12_000, 14_000))
    assert unheard(audio, Searched())[1] == []
    _, other = unheard(audio, Searched((turn(Speaker.AGENT, 8000, 2000),), talk_from_ms=7000))
    assert not hidden(other, 2000)
    assert not hidden(other, 9000)
    assert hidden(other, 13_000)


def test_of_talk_in_which_phrases_were_spotted_only_the_phrases_stay() -> None:
    spotted = Passage(Speaker.CALLER, 1000, 8000, has_text=True, words=((1500, 2000), (8000, 8600)), spotted=True)
    caller, _ = unheard(lanes((CALLER, 1000, 9000)), Searched((spotted,)))
    assert not hidden(caller, 1800)
    assert hidden(caller, 5000)
    assert not hidden(caller, 8300)


@pytest.mark.parametrize("length", [0, 1, 159, 161])
def test_recordings_of_no_length_have_nothing_to_hide(length: int) -> None:
    assert unheard(np.zeros((length, 2), np.int16), Searched()) == ([], [])
