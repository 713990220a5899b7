"""What no turn holds may be heard when it certainly holds no number, and not when it may."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from voicebot.records.overheard import LONGEST_MS, Overheard, Voiced, cut, may_be_kept
from voicebot.records.record import HeardWord

FRAMES_PER_S = 50


def heard(text: str, *others: str, confidence: float = 0.8) -> tuple[Overheard, Voiced]:
    """Return a passage of as many words, 300 ms each, and that it is voiced from the first to the last."""
    words = tuple(HeardWord(word, 300 * at, 300 * at + 280, 0.9) for at, word in enumerate(text.split()))
    voiced = np.ones(len(words) * 15, dtype=bool)
    return Overheard("scripted", (text, *others), confidence, words), voiced


@pytest.mark.parametrize(
    "text",
    [
        "I have been waiting for so long and nobody answers.",
        "Is that one still open?",
        "Oh, I see, never mind.",
        "I want to know why my card was blocked.",
        "Could you call my mother on her birthday?",
    ],
)
def test_talk_without_a_number_may_be_kept(text: str) -> None:
    assert may_be_kept(*heard(text))


@pytest.mark.parametrize(
    "text",
    [
        "It is four one one one.",
        "My pin is 4092.",
        "The 8th, 9th, 11th and 7th.",
        "Two of them, please.",
        "eleven",
        "One more thing.",  # it may be how a number ends that began before
        "That is the one.",
        "No one and no one else.",
        "to to to for",
        "Oh one, right?",
        "It is for triple and double.",
        "forty-two of them",
        "B12",
    ],
)
def test_whatever_may_be_a_number_may_not(text: str) -> None:
    assert not may_be_kept(*heard(text))


def test_a_number_in_any_of_the_alternatives_counts() -> None:
    assert not may_be_kept(*heard("I wrote it for you.", "I wrote it, four two."))


def test_what_the_engine_is_not_sure_of_may_be_anything() -> None:
    assert not may_be_kept(*heard("I have been waiting.", confidence=0.2))
    assert may_be_kept(*heard("I have been waiting.", confidence=0.4))
    assert not may_be_kept(*heard("My security code is fine.", confidence=0.4)), "what is misheard there is a number"


def test_a_few_doubtful_words_in_sure_talk_may_be_a_number() -> None:
    overheard, voiced = heard("please tell me what my score is should we put a little while you look")
    doubtful = {"should", "we", "put", "a"}
    words = tuple(replace(word, confidence=0.3 if word.text in doubtful else 0.95) for word in overheard.words)
    assert may_be_kept(overheard, voiced)
    assert not may_be_kept(replace(overheard, words=words), voiced)


def test_without_words_nothing_is_known() -> None:
    _, voiced = heard("hello there")
    assert not may_be_kept(Overheard("scripted", ()), voiced)
    assert not may_be_kept(Overheard("scripted", ("hello there",), 0.9), voiced)


@pytest.mark.parametrize("lacking", ["before", "between", "within", "after"])
def test_speech_that_the_engine_left_out_may_be_a_number(lacking: str) -> None:
    (hello, there), length = {
        "before": (((2000, 2300), (2300, 2600)), 2600),
        "between": (((0, 300), (2300, 2600)), 2600),
        "within": (((0, 300), (300, 2600)), 2600),
        "after": (((0, 300), (300, 600)), 2600),
    }[lacking]
    words = (HeardWord("hello", *hello, 0.9), HeardWord("there", *there, 0.9))
    overheard = Overheard("scripted", ("hello there",), 0.9, words)
    assert not may_be_kept(overheard, np.ones(length // 20, dtype=bool))
    spoken = np.zeros(length // 20, dtype=bool)
    for start, end in (hello, there):
        spoken[start // 20 : min(end, start + 300) // 20] = True
    assert may_be_kept(overheard, spoken), "nobody says anything there"


def test_what_is_short_stays_whole() -> None:
    assert cut(np.ones(FRAMES_PER_S, dtype=bool), 100, 1000) == [(100, 1000)]


def test_long_talk_is_cut_at_its_longest_pause() -> None:
    voiced = np.ones(30 * FRAMES_PER_S, dtype=bool)
    voiced[5 * FRAMES_PER_S : 5 * FRAMES_PER_S + 5] = False
    voiced[6 * FRAMES_PER_S : 6 * FRAMES_PER_S + 20] = False
    passages = cut(voiced, 0, 30_000)
    assert passages[0] == (0, 6200)
    assert passages[-1][1] == 30_000
    assert all(end - start <= LONGEST_MS for start, end in passages)
    assert all(before[1] == after[0] for before, after in pairwise(passages))


def test_talk_without_a_pause_is_cut_where_it_gets_too_long() -> None:
    assert cut(np.ones(12 * FRAMES_PER_S, dtype=bool), 0, 12_000) == [(0, LONGEST_MS), (LONGEST_MS, 12_000)]
