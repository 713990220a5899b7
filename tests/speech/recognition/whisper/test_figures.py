"""Transcripts that are a number read out, and those that are not."""

from __future__ import annotations

import pytest

from voicebot.speech.recognition.whisper.figures import count_digits, one_word, only_digits


@pytest.mark.parametrize(
    "text",
    ["4 5 1 2.", "4512", "4-5-1-2", "Four, five, one, two.", "Um, it's 4, 5.", "My order number is 451 2.", "oh"],
)
def test_digits_however_written_are_a_number(text: str) -> None:
    assert only_digits(text)


@pytest.mark.parametrize(
    "text", ["I don't have it.", "", "double seven four", "forty two", "an agent please", "my number is", "4 hundred"]
)
def test_words_that_are_more_or_other_than_digits_are_not(text: str) -> None:
    assert not only_digits(text)


@pytest.mark.parametrize(
    ("text", "digits"), [("I want 904.", 3), ("It's one nine oh four", 4), ("no, that's all", 0), ("8 1 6 4 power", 4)]
)
def test_digits_are_counted_among_other_words(text: str, digits: int) -> None:
    assert count_digits(text) == digits


@pytest.mark.parametrize(
    ("text", "alone"),
    [("Six.", True), ("2 2 7 1.", True), ("T", True), ("fine fine fine", True), ("", True), ("It's seven.", False)],
)
def test_a_digit_said_by_itself_is_one_word_or_nothing_but_digits(text: str, alone: bool) -> None:
    assert one_word(text) is alone
