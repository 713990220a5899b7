"""A model may put an article into other words; whatever it adds or breaks, the caller hears the article."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.dialog.strategies import FLOWS
from tests.fakes.model import Model, model_serving
from voicebot.backends.held import objection
from voicebot.backends.knowledge import KnowledgeSystem
from voicebot.backends.phrasing import PhrasedAnswers

ARTICLE = "You can send anything back within 30 days. Shipping back costs $4.90, and Maria's team refunds in five days."


@pytest.mark.parametrize(
    "text",
    [
        "You have 30 days to send it back.",
        "Shipping back costs $4.90.",
        "Yes, within thirty days, and the refund takes 5 days.",
        "Maria's team will refund you in five days.",
        "Sorry, sending it back costs $4.90.",
    ],
)
def test_other_words_for_the_same_facts_are_held(text: str) -> None:
    assert objection(text, (ARTICLE,)) is None


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("You have 60 days to send it back.", "unknown_number"),
        ("You have sixty days to send it back.", "unknown_number"),
        ("You have thirty-one days.", "unknown_number"),
        ("Shipping back costs $4.95.", "unknown_number"),
        ("Shipping back is free.", "unknown_number"),
        ("Send it back by tomorrow.", "unknown_number"),
        ("Send it back by Friday.", "unknown_number"),
        ("Peter's team will refund you.", "unknown_name"),
        ("Ask for Peter and send it back.", "unknown_name"),
        ("Please see www.example.com for that.", "unknown_address"),
        ("You can write to refunds@example for that.", "unknown_address"),
    ],
)
def test_a_number_a_name_or_an_address_that_is_not_there_is_refused(text: str, why: str) -> None:
    assert objection(text, (ARTICLE,)) == why


@pytest.fixture
async def model() -> AsyncIterator[tuple[Model, PhrasedAnswers]]:
    async with model_serving() as (model, held):
        system = PhrasedAnswers(KnowledgeSystem(FLOWS / "knowledge"), held)
        yield model, system
        await system.close()


async def ask(system: PhrasedAnswers, question: str = "can i send something back") -> str:
    found = await system.call("knowledge.find", {"question": question}, idempotency_key=None)
    return str(found.result.get("answer", found.outcome))


async def test_an_answer_that_keeps_to_the_article_is_said(model: tuple[Model, PhrasedAnswers]) -> None:
    service, system = model
    article = KnowledgeSystem(FLOWS / "knowledge").find("can i send something back")
    assert article is not None
    service.says = "Yes.\n" + article.answer.split(". ")[0] + "."
    assert await ask(system) == "Yes. " + article.answer.split(". ")[0].rstrip(".") + "."
    assert service.keys == ["Bearer key-1"]
    assert article.answer in service.asked[0]["messages"][1]["content"]


@pytest.mark.parametrize(
    ("says", "status", "delay_s"),
    [
        ("You have 999 days to send it back.", 200, 0.0),
        ("Ask Peter Novak about it.", 200, 0.0),
        ("word " * 60, 200, 0.0),
        ("", 200, 0.0),
        (None, 200, 0.0),
        ("Yes.", 500, 0.0),
        ("Yes.", 200, 2.0),
    ],
    ids=["a wrong number", "a stranger", "too much", "nothing", "no text", "broken", "slow"],
)
async def test_whatever_else_it_does_the_article_is_said_as_it_is(
    model: tuple[Model, PhrasedAnswers], says: str | None, status: int, delay_s: float
) -> None:
    service, system = model
    service.says, service.status, service.delay_s = says, status, delay_s
    article = KnowledgeSystem(FLOWS / "knowledge").find("can i send something back")
    assert article is not None
    assert await ask(system) == article.answer
    assert len(service.asked) == 1


async def test_where_no_article_answers_the_model_is_not_asked(model: tuple[Model, PhrasedAnswers]) -> None:
    service, system = model
    service.says = "Of course."
    assert await ask(system, "what is the capital of france") == "nothing"
    assert service.asked == []
