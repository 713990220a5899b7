from __future__ import annotations

import pytest

from tests.speech.spoken import spoken
from voicebot.dialog.check_digits import CheckDigit, fits
from voicebot.dialog.expectation import AnswerKind
from voicebot.speech.recognition.sphinx.decoder import QuestionDecoder, Search, wheel_acoustics
from voicebot.speech.recognition.sphinx.digits import DigitReader, chances_of, likeliest
from voicebot.speech.recognition.sphinx.domain import Material, Shape
from voicebot.speech.recognition.sphinx.features import FeatureStream
from voicebot.speech.recognition.sphinx.lexicon import cmu_dictionary
from voicebot.speech.recognition.sphinx.spoken import DIGITS


def test_the_best_score_is_the_likeliest_digit_and_none_is_impossible() -> None:
    chances = chances_of({"six": -1010.0, "eight": -1030.0, "oh": -1090.0}, heard="six")
    assert sorted(chances, key=lambda digit: -chances[digit])[:2] == ["six", "eight"]
    assert len(chances) == 10
    assert min(chances.values()) > 0
    assert sum(chances.values()) == pytest.approx(1.0)


def test_without_scores_what_was_heard_stays_likeliest() -> None:
    chances = chances_of({}, heard="oh")
    assert max(chances, key=lambda digit: chances[digit]) == "zero"


def test_strings_come_by_the_product_of_their_digits() -> None:
    strings = likeliest([{"one": 0.7, "nine": 0.3}, {"six": 0.6, "eight": 0.4}], 3)
    assert [text for text, _ in strings] == ["one six", "one eight", "nine six"]
    assert [sure for _, sure in strings] == pytest.approx([0.42, 0.28, 0.18])


def test_each_digit_of_a_spoken_number_is_weighed_alone() -> None:
    acoustics = wheel_acoustics()
    compiled = Material((), ()).compile(Shape((AnswerKind.DIGITS,), (), (4,)))
    decoder = QuestionDecoder(acoustics, compiled, Search.GRAMMAR, cmu_dictionary())
    stream = FeatureStream(acoustics.front_end)
    features = stream.feed(spoken("four two seven one")) + stream.finish()
    decoder.begin()
    decoder.hear(features)
    decoder.end()
    result = decoder.result()
    assert result is not None
    reader = DigitReader(acoustics)
    read = reader.read(result, features, 20, None)
    assert len(read) == 20
    assert read[0][0] == "four two seven one"
    assert read[0][1] > 2 * read[1][1]
    assert all(len(text.split()) == 4 for text, _ in read)
    fitting = reader.read(result, features, 20, CheckDigit.LUHN)
    assert len(fitting) == 20
    assert all(fits("".join(str(DIGITS.index(word)) for word in text.split()), CheckDigit.LUHN) for text, _ in fitting)


def test_words_that_are_no_digits_are_left_alone() -> None:
    acoustics = wheel_acoustics()
    compiled = Material((), ()).compile(Shape((AnswerKind.YES_NO,)))
    decoder = QuestionDecoder(acoustics, compiled, Search.GRAMMAR, cmu_dictionary())
    stream = FeatureStream(acoustics.front_end)
    features = stream.feed(spoken("yes please")) + stream.finish()
    decoder.begin()
    decoder.hear(features)
    decoder.end()
    result = decoder.result()
    assert result is not None
    assert DigitReader(acoustics).read(result, features, 20, None) == []
