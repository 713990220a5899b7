"""Mood against labels that were written before the rules, and its trend over a call."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from voicebot.dialog.events import Mood
from voicebot.language.mood import is_frustrated, is_urgent, read_mood, sentiment_label, trend
from voicebot.language.words import normalise

Turn = tuple[str, str, bool, bool]


def labelled_turns() -> list[Turn]:
    """Return (said, sentiment, frustrated, urgent); rows at odd indices were held back when the rules were made."""
    lines = (Path(__file__).parent / "mood.tsv").read_text(encoding="utf-8").splitlines()[1:]
    rows = [line.split("\t") for line in lines]
    return [(said, sentiment, angry == "yes", pressed == "yes") for said, sentiment, angry, pressed in rows]


def f1(pairs: list[tuple[bool, bool]]) -> float:
    """Return the F1 of (found, true) pairs."""
    hits = sum(found and true for found, true in pairs)
    return 2 * hits / (sum(found for found, _ in pairs) + sum(true for _, true in pairs))


def test_there_are_enough_labelled_turns() -> None:
    assert len(labelled_turns()) >= 200


@pytest.mark.parametrize(
    ("is_there", "column", "least"), [(is_frustrated, 2, 0.85), (is_urgent, 3, 0.8)], ids=["frustration", "urgency"]
)
def test_turns_held_back_are_read_as_labelled(is_there: Callable[[Mood], bool], column: int, least: float) -> None:
    held_back = labelled_turns()[1::2]
    assert f1([(is_there(read_mood(normalise(turn[0]))), bool(turn[column])) for turn in held_back]) >= least


@pytest.mark.parametrize("label", ["negative", "neutral", "positive"])
def test_sentiment_of_turns_held_back_is_as_labelled(label: str) -> None:
    pairs = [
        (sentiment_label(read_mood(normalise(turn[0]))) == label, turn[1] == label) for turn in labelled_turns()[1::2]
    ]
    assert f1(pairs) >= 0.85


@pytest.mark.parametrize(
    "said",
    [
        "how many times can i use a disposable card",
        "i entered the wrong pin too many times",
        "do i need my pin every time i log in",
        "it's not urgent",
        "never had a problem with you",
        "what does the urgent delivery option cost",
    ],
)
def test_words_of_anger_or_haste_in_a_calm_question_do_not_count(said: str) -> None:
    mood = read_mood(said)
    assert not is_frustrated(mood)
    assert not is_urgent(mood)


def test_politeness_beside_anger_is_still_anger() -> None:
    assert sentiment_label(read_mood("this is unacceptable thank you very much")) == "negative"


def test_more_signs_make_a_mood_surer() -> None:
    assert read_mood("useless").frustration < read_mood("useless i've had enough").frustration < 1


def test_the_trend_falls_when_a_caller_grows_angry() -> None:
    calm, angry = read_mood("thank you that's great"), read_mood("this is ridiculous")
    falling = trend([calm, Mood(), angry])
    assert falling.sentiment_change < 0 < falling.frustration_change
    assert trend([angry, Mood(), calm]).sentiment_change > 0
    assert trend([Mood()] * 4).sentiment_change == 0
    assert trend([]).mood == Mood()


def test_the_trend_minds_the_latest_turn_most() -> None:
    angry = read_mood("this is ridiculous")
    assert trend([Mood(), Mood(), angry]).mood.frustration > trend([angry, Mood(), Mood()]).mood.frustration
