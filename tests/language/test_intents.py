"""The intent classifier: its threshold, the examples that collide, and bots of odd sizes."""

from __future__ import annotations

import pytest

from tests.language.test_understanding import INTENTS
from voicebot.language.intents import IntentClassifier
from voicebot.language.wording import bare_request


def test_the_threshold_comes_with_the_figures_behind_it() -> None:
    threshold = IntentClassifier(INTENTS).threshold
    assert threshold.examples == sum(len(examples) for examples in INTENTS.values())
    assert 0.25 <= threshold.confidence <= 0.6
    assert 0.7 < threshold.in_scope_right <= 1
    assert 0.7 < threshold.in_scope_kept <= 1
    assert 0.5 < threshold.strangers_refused <= 1


def test_training_twice_gives_the_same_scores() -> None:
    first, second = IntentClassifier(INTENTS), IntentClassifier(INTENTS)
    assert first.scores("has my parcel left yet") == second.scores("has my parcel left yet")


def test_examples_of_one_intent_filed_under_another_are_named() -> None:
    mixed_up = INTENTS | {"balance": (*INTENTS["balance"], "track my order today", "where is my order now")}
    named = {collision.example for collision in IntentClassifier(mixed_up).collisions}
    assert {"track my order today", "where is my order now"} <= named


def test_an_intents_name_counts_as_an_example() -> None:
    classifier = IntentClassifier({"card_replacement": ("mine was stolen", "i lost it"), "balance": INTENTS["balance"]})
    assert classifier.classify("card replacement")[0].intent == "card_replacement"


# scikit-learn wonders about as many classes as rows; that is the case tried here.
@pytest.mark.filterwarnings("ignore:The number of unique classes:UserWarning")
@pytest.mark.parametrize(
    "examples",
    [
        {},
        {"balance": ()},
        {"balance": ("", "...")},
        {"balance": ("my balance",)},
        {"balance": ("my balance",), "hours": ("when are you open",)},
        {"balance": ("my balance",) * 9, "hours": ("my balance",)},
        {f"intent_{number}": (f"request number {number}",) for number in range(40)},
    ],
)
def test_a_bot_of_any_size_trains_and_answers(examples: dict[str, tuple[str, ...]]) -> None:
    classifier = IntentClassifier(examples)
    for said in ("my balance", "when are you open", "", "zzz qqq"):
        assert all(0 <= score.confidence <= 1 for score in classifier.scores(said))


@pytest.mark.parametrize(
    ("said", "request_"),
    [
        ("um hello good morning i want my balance please", "i want my balance"),
        ("hi my name is anna lee and where is my order", "where is my order"),
        ("hello", "hello"),
        ("this is john smith calling i'd like an appointment", "i'd like an appointment"),
        ("", ""),
    ],
)
def test_a_request_is_freed_of_what_surrounds_it(said: str, request_: str) -> None:
    assert bare_request(said) == request_
