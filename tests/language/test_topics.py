from __future__ import annotations

import pytest

from voicebot.dialog.escalation.topic import Topic
from voicebot.language.topics import read_topics, refuses_person
from voicebot.language.words import normalise


@pytest.mark.parametrize(
    ("said", "topic"),
    [
        ("My lawyer will be in touch.", Topic.LEGAL),
        ("then i'll see you in court", Topic.LEGAL),
        ("My husband died last week.", Topic.DISTRESS),
        ("is it safe if i'm pregnant", Topic.MEDICAL),
        ("should i put my savings into shares", Topic.FINANCIAL_ADVICE),
        ("I'd like to file a complaint", Topic.COMPLAINT),
        ("the man at the counter was so rude", Topic.COMPLAINT_ABOUT_AGENT),
        ("somebody is using my card right now", Topic.FRAUD),
        ("Somebody has stolen my card and is buying things.", Topic.FRAUD),
        ("my card was stolen and they're using it", Topic.FRAUD),
        ("there's smoke coming out of the box", Topic.DISTRESS),
        ("I smell gas in the kitchen", Topic.DISTRESS),
    ],
)
def test_a_subject_for_a_person_is_noticed(said: str, topic: Topic) -> None:
    assert topic in read_topics(normalise(said))


@pytest.mark.parametrize(
    "said",
    [
        "i'm a lawyer so i'm only free after six",
        "it's next to the police station",
        "my phone died in the middle of our call",
        "i'm dying to know when it comes",
        "i have a stomach complaint",
        "i lost my card",
        "my card was stolen and i need a new one",
        "somebody has stolen my card",
        "do you sell smoke alarms",
        "where is my order",
        "i want to pay my bill",
    ],
)
def test_the_same_words_in_an_ordinary_request_mean_nothing(said: str) -> None:
    assert not read_topics(normalise(said))


def test_who_wants_no_person_says_so() -> None:
    assert refuses_person(normalise("I don't want to talk to a person."))
    assert not refuses_person(normalise("i want a person"))
    assert not refuses_person(normalise("i don't want to talk to a machine"))
