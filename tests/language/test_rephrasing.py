"""Saying the same again is noticed; answering the next question is not taken for it."""

from __future__ import annotations

import pytest

from voicebot.language.encoder import SentenceEncoder, find_encoder
from voicebot.language.rephrasing import ALIKE, find_rephrasing

EARLIER = ["yes", "i want to know where my order is", "four eight two one three"]


def test_the_same_words_again_are_the_same_turn() -> None:
    found = find_rephrasing("um i want to know where my order is please", EARLIER, None)
    assert found is not None
    assert found.turn == 1
    assert found.similarity > 0.9


def test_another_request_is_less_alike() -> None:
    same = find_rephrasing("where is my order", EARLIER, None)
    other = find_rephrasing("when does the branch close", EARLIER, None)
    assert same is not None
    assert other is not None
    assert other.similarity < same.similarity


@pytest.mark.parametrize("said", ["yes", "the fifteenth", "", "uh"])
def test_short_answers_repeat_nothing(said: str) -> None:
    assert find_rephrasing(said, EARLIER, None) is None


def test_the_first_turn_repeats_nothing() -> None:
    assert find_rephrasing("i want to know where my order is", [], None) is None


def test_with_an_encoder_other_words_for_the_same_are_noticed() -> None:
    folder = find_encoder()
    if folder is None:
        pytest.skip("no sentence encoder is installed (scripts/sentence_encoder.py makes it)")
    encoder = SentenceEncoder(folder)
    same = find_rephrasing("tell me where my package is", EARLIER, encoder)
    other = find_rephrasing("i would like to change my address", EARLIER, encoder)
    assert same is not None
    assert other is not None
    assert same.turn == 1
    assert same.similarity >= ALIKE > other.similarity
