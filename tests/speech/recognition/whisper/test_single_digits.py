"""Single digits, weighed against what the model would write for any sound."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from voicebot.speech.recognition.whisper.single_digits import (
    Samples,
    SingleDigits,
    Weights,
    at_speed,
    prepared,
    without_leaning,
)

#: The tokens of a model that knows each digit as a word and as a figure, and one other word.
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TOKENS = {f" {form}": index for index, form in enumerate([*WORDS, *"0123456789", "maybe"])}


def encode(text: str) -> list[int]:
    return [TOKENS[text]] if text in TOKENS else [90, 91]


def model(**readily: float) -> Weights:
    """Return what a model would write next; every token that is not named one as readily as the others."""
    weights = np.zeros(len(TOKENS))
    for word, weight in readily.items():
        weights[TOKENS[f" {word}"]] = weight
    return weights


def weigh(speech: Weights, noise: Weights, *again: Weights) -> tuple[list[str], float]:
    """Weigh digits by what a model makes of noise, of the speech, and of the same at other speeds if it is asked.

    Without `again` those sound as the speech does.
    """
    told = iter([noise, speech, *(again or (speech, speech))])

    def listen(_: Samples, prompts: Sequence[str]) -> list[Weights]:
        return [next(told)] * len(prompts)

    digits = SingleDigits(listen, encode)
    numbers, spelled = digits.weigh(np.ones(1600, np.float32))
    assert sum(share for _, share in numbers) == pytest.approx(1.0)
    return [digit for digit, _ in numbers], spelled


def test_a_digit_that_noise_sounds_like_has_to_be_likelier_than_another() -> None:
    speech = model(two=3.0, four=2.5)
    assert weigh(speech, model())[0][:2] == ["2", "4"]
    assert weigh(speech, model(two=4.0))[0][:2] == ["4", "2"]


def test_how_likely_a_digit_was_said_counts_all_other_words() -> None:
    alone, beside = (weigh(model(seven=6.0, maybe=other), model())[1] for other in (0.0, 12.0))
    assert alone > 0.9
    assert beside < 0.05
    assert weigh(model(seven=6.0, maybe=12.0), model())[0][0] == "7", "which one it would be is told all the same"


def test_a_digit_that_noise_sounds_like_was_less_likely_said_than_another() -> None:
    noise = model(two=4.0)
    two, four = (weigh(model(**{digit: 8.0, "maybe": 9.0}), noise) for digit in ("two", "four"))
    assert (two[0][0], four[0][0]) == ("2", "4")
    assert two[1] < four[1] / 2


def test_a_doubtful_digit_is_heard_again_at_two_speeds_and_all_three_count() -> None:
    doubtful = model(two=3.0, four=2.5)
    assert weigh(doubtful, model(), model(two=2.0, four=3.0), model(four=2.5))[0][0] == "4"
    assert weigh(doubtful, model(), model(two=2.5, four=2.8), model(two=2.5, four=2.6))[0][0] == "2"


def test_a_sure_digit_is_heard_once() -> None:
    four = model(four=30.0)
    assert weigh(model(two=9.0), model(), four, four)[0][0] == "2"


@pytest.mark.parametrize("speed", [0.9, 1.1])
def test_faster_speech_is_shorter_and_higher(speed: float) -> None:
    seconds = np.arange(16000) / 16000
    stretched = at_speed(np.sin(2 * np.pi * 500 * seconds).astype(np.float32), speed)
    assert len(stretched) / 16000 == pytest.approx(1 / speed, abs=0.001)
    strongest_hz = float(np.argmax(np.abs(np.fft.rfft(stretched[:14000], 16000))))
    assert strongest_hz == pytest.approx(500 * speed, abs=2)
    assert stretched.dtype == np.float32


def test_what_sounds_like_several_digits_was_less_likely_one() -> None:
    one = weigh(model(seven=6.0, maybe=9.0), model())[1]
    several = weigh(model(seven=5.3, nine=5.3, maybe=9.0), model())[1]
    assert several < one / 2


def test_a_digit_counts_in_both_its_spellings() -> None:
    spelled = model(three=2.0, five=2.3)
    spelled[TOKENS[" 3"]] = 2.0
    assert weigh(spelled, model())[0][0] == "3"


def test_a_model_without_such_tokens_is_not_asked() -> None:
    def never(_: Samples, _prompts: Sequence[str]) -> list[Weights]:
        raise AssertionError

    assert not SingleDigits(never, lambda _: [1, 2]).known


def test_shares_are_those_of_the_probabilities_where_nothing_leans() -> None:
    heard = np.log(np.array([0.5, 0.25, *[0.25 / 8] * 8]))
    shares = without_leaning(heard, np.zeros(10))
    assert list(shares)[:2] == ["0", "1"]
    assert list(shares.values())[:2] == pytest.approx([0.5, 0.25])


@pytest.mark.parametrize(("peak", "raised"), [(0.1, 0.5), (0.01, 0.08), (0.9, 0.5), (0.0, 0.0)])
def test_speech_begins_after_silence_and_at_a_common_loudness(peak: float, raised: float) -> None:
    made = prepared(np.array([0.0, -peak, peak / 2], np.float32))
    assert not made[:4000].any()
    assert math.isclose(float(np.abs(made).max()), raised, rel_tol=1e-5)
    assert made.dtype == np.float32
