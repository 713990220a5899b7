"""Understanding as the dialog meets it: readings with intents, entities, yes and no, corrections."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, time
from functools import cache
from zoneinfo import ZoneInfo

import pytest

from voicebot.dialog.events import Interpretation
from voicebot.dialog.expectation import AnswerKind, Expectation
from voicebot.language.encoder import SentenceEncoder, find_encoder
from voicebot.language.understanding import Understanding

NOW = datetime(2026, 3, 4, 10, 0, tzinfo=ZoneInfo("Europe/London"))  # a Wednesday
OPEN = Expectation("open", (AnswerKind.OPEN,))
INTENTS = {
    "balance": (
        "what's my balance",
        "how much money do i have",
        "account balance please",
        "tell me how much is in my account",
        "check my balance",
        "could you read me my balance",
        "is there any money left on my account",
        "i need to know what i have in savings",
    ),
    "order_status": (
        "where is my order",
        "track my order",
        "when will my package arrive",
        "has my order shipped yet",
        "my delivery is late",
        "i am waiting for a parcel",
        "can you tell me the status of an order",
        "the thing i bought has not come",
    ),
    "book_appointment": (
        "i'd like to book an appointment",
        "can i make an appointment",
        "schedule a visit",
        "i want to come in and see someone",
        "book me in for tuesday",
        "is there a free slot next week",
        "i need to see an adviser",
        "make an appointment for me",
    ),
    "opening_hours": (
        "when are you open",
        "what are your opening hours",
        "what time do you close",
        "are you open on saturday",
        "how late are you open",
        "what time does the branch open",
        "when do you close today",
        "are you closed on holidays",
    ),
    "person": (
        "i want to talk to a person",
        "speak to an agent",
        "let me talk to a human",
        "get me a real person",
        "representative please",
        "can i speak to someone",
        "put me through to customer service",
        "i don't want to talk to a machine",
    ),
}


@cache
def with_encoder() -> Understanding:
    folder = find_encoder()
    if folder is None:
        pytest.skip("no sentence encoder is installed (scripts/sentence_encoder.py makes it)")
    return Understanding(INTENTS, SentenceEncoder(folder))


@pytest.fixture(scope="module")
def understanding() -> Understanding:
    return Understanding(INTENTS)


def read(understanding: Understanding, text: str, expectation: Expectation = OPEN) -> Interpretation:
    return understanding.interpret([(text, 0.8)], expectation, NOW)[0]


@pytest.mark.parametrize(
    ("said", "intent"),
    [
        ("Um, hi, I was wondering what my balance is.", "balance"),
        ("how much is left in my account", "balance"),
        ("where is my parcel my order i mean", "order_status"),
        ("hello my name is anna lee and i want to track my order", "order_status"),
        ("i'd like an appointment tomorrow afternoon at three", "book_appointment"),
        ("do you open on sundays", "opening_hours"),
        ("can i please speak with a real person", "person"),
    ],
)
def test_a_request_in_other_words_is_recognised(understanding: Understanding, said: str, intent: str) -> None:
    assert read(understanding, said).intents[0].intent == intent


@pytest.mark.parametrize(
    "said", ["will it rain tomorrow", "four five one two", "what is the meaning of life", "yes", "thank you", "uh"]
)
def test_what_is_no_request_of_the_companys_has_no_intent(understanding: Understanding, said: str) -> None:
    assert read(understanding, said).intents == ()


@pytest.mark.parametrize("said", ["i want a pizza with mushrooms", "tell me a joke", "i have a headache"])
def test_with_an_encoder_shared_words_are_not_enough(said: str) -> None:
    assert read(with_encoder(), said).intents == ()


@pytest.mark.parametrize(
    ("said", "intent"),
    [
        ("my parcel hasn't turned up", "order_status"),
        ("do i have enough cash in the bank", "balance"),
        ("at what hour do you shut", "opening_hours"),
        ("get me a human being", "person"),
    ],
)
def test_with_an_encoder_other_words_for_the_same_are_enough(said: str, intent: str) -> None:
    assert read(with_encoder(), said).intents[0].intent == intent


def test_confidences_are_probabilities_sorted_best_first(understanding: Understanding) -> None:
    scores = [score.confidence for score in read(understanding, "what's my account balance").intents]
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) <= 1.0 + 1e-9
    assert scores[0] > understanding.threshold.confidence


def test_every_alternative_of_the_recogniser_is_read_in_its_order(understanding: Understanding) -> None:
    heard = [("four five won two", 0.6), ("for five one two", 0.3), ("Four five won two!", 0.7)]
    readings = understanding.interpret(heard, Expectation("pin", (AnswerKind.DIGITS,), lengths=(4,)), NOW)
    assert [(each.text, each.confidence) for each in readings] == [
        ("four five won two", 0.7),
        ("for five one two", 0.3),
    ]
    assert [each.entities[0].value for each in readings] == ["4512", "4512"]


def test_nothing_heard_has_no_reading(understanding: Understanding) -> None:
    assert understanding.interpret([("", 0.9), ("<sil> ...", 0.1)], OPEN, NOW) == ()


def test_an_entity_names_the_words_it_was_read_from(understanding: Understanding) -> None:
    reading = read(understanding, "Could I come next Tuesday, at three?")
    assert [(e.kind, e.value, reading.text[e.start : e.end]) for e in reading.entities[:2]] == [
        ("date", date(2026, 3, 10), "next tuesday"),
        ("time", time(15), "three"),
    ]
    assert all(e.text == reading.text[e.start : e.end] for e in reading.entities)


def test_the_expected_kind_comes_first(understanding: Understanding) -> None:
    money = read(understanding, "twelve fifty", Expectation("amount", (AnswerKind.MONEY, AnswerKind.OPEN)))
    assert (money.entities[0].kind, str(money.entities[0].value)) == ("money", "12.50")
    digits = read(understanding, "twelve fifty", Expectation("pin", (AnswerKind.DIGITS,), lengths=(4,)))
    assert (digits.entities[0].kind, digits.entities[0].value) == ("digits", "1250")


@pytest.mark.parametrize(
    ("said", "day"),
    [
        ("no the fifteenth", 15),
        ("friday no i mean monday", 9),
        ("not friday monday", 9),
        ("actually make it tuesday", 10),
    ],
)
def test_a_correction_gives_the_new_value_first(understanding: Understanding, said: str, day: int) -> None:
    reading = read(understanding, said, Expectation("day", (AnswerKind.DATE,)))
    assert reading.entities[0].value == date(2026, 3, day)


@pytest.mark.parametrize("said", ["no the fifteenth", "i meant friday", "actually make it three", "friday no monday"])
def test_taking_a_value_back_is_marked(understanding: Understanding, said: str) -> None:
    assert read(understanding, said, Expectation("day", (AnswerKind.DATE, AnswerKind.TIME))).correction


@pytest.mark.parametrize("said", ["the fifteenth", "no", "no thank you", "sorry what did you say"])
def test_an_ordinary_answer_is_no_correction(understanding: Understanding, said: str) -> None:
    assert not read(understanding, said, Expectation("day", (AnswerKind.DATE,))).correction


@pytest.mark.parametrize(
    ("said", "intents"),
    [
        ("i want to check my balance and also track my order", ["balance", "order_status"]),
        ("where is my order and then i'd like to book an appointment", ["order_status", "book_appointment"]),
        (
            "what's my balance and when are you open and i want to talk to a person",
            ["balance", "opening_hours", "person"],
        ),
        ("my name is anna lee and i want to track my order", ["order_status"]),
        ("check my balance and then my account balance", ["balance"]),
    ],
)
def test_several_requests_in_one_breath_are_kept_in_order(
    understanding: Understanding, said: str, intents: list[str]
) -> None:
    reading = read(understanding, said)
    assert [reading.intents[0].intent, *(score.intent for score in reading.further)] == intents


def test_a_reading_carries_the_mood(understanding: Understanding) -> None:
    mood = read(understanding, "This is ridiculous, I need it sorted out immediately!").mood
    assert mood.frustration >= 0.5
    assert mood.urgency >= 0.5
    assert mood.sentiment < 0
    assert mood.cues == ("ridiculous", "immediately")


def test_no_intents_at_all_leave_entities() -> None:
    reading = read(Understanding({}), "the fifteenth at noon")
    assert reading.intents == ()
    assert {e.kind for e in reading.entities} >= {"date", "time"}


def test_a_single_intent_is_recognised() -> None:
    understanding = Understanding({"balance": INTENTS["balance"]})
    assert read(understanding, "what is my balance please").intents[0].intent == "balance"


def test_threads_share_one_understanding(understanding: Understanding) -> None:
    said = ["what's my balance", "track my order please", "i want a pizza", "speak to an agent"] * 10
    alone = [read(understanding, text) for text in said]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda text: read(understanding, text), said)) == alone


def test_only_the_first_readings_of_a_number_are_searched_for_requests() -> None:
    heard = [(f"where is my order {word}", 0.9) for word in "one two three four five six seven".split()]
    read = Understanding(INTENTS).interpret(heard, OPEN, NOW)
    assert [bool(each.intents) for each in read] == [True] * 5 + [False] * 2
    assert all(each.entities for each in read)
