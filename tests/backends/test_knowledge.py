from __future__ import annotations

from pathlib import Path

import pytest

from tests.dialog.strategies import FLOWS
from voicebot.backends.articles import read_articles
from voicebot.backends.knowledge import KnowledgeSystem
from voicebot.errors import ConfigurationError, LocalProtocolError

#: Wordings that stand in no article.
ANSWERED = {
    "how long do i have to return things": "How long can I return something?",
    "when does my refund arrive": "When do I get my money back after a return?",
    "what's the price for shipping": "What does delivery cost?",
    "is shipping free for me": "What does delivery cost?",
    "can i still change the order i made": "Can I change an order?",
    "i would like to open a bank account": "How do I open an account?",
    "do you charge a monthly fee": "What does the account cost?",
    "how much money can i withdraw a day": "What is the daily limit at a cash machine?",
    "how can i change the pin of my card": "How do I change my PIN?",
    "what is the address of the branch": "Where is the branch?",
}
UNANSWERED = (
    "what's the weather tomorrow",
    "do you sell bicycles",
    "can you recommend a restaurant",
    "how old are you",
    "how much is a stamp",
    "i need a doctor",
    "is there a toilet",
    "the dog ate my homework",
    "book me a flight to paris",
    "do you have vegan food",
    "my neighbour is too loud",
    "who won the game last night",
    "florble",
    "",
)


@pytest.fixture(scope="module")
def knowledge() -> KnowledgeSystem:
    return KnowledgeSystem(FLOWS / "knowledge")


@pytest.mark.parametrize(("question", "heading"), ANSWERED.items())
async def test_a_question_in_other_words_gets_its_articles_answer(
    knowledge: KnowledgeSystem, question: str, heading: str
) -> None:
    answer = await knowledge.call("knowledge.find", {"question": question}, idempotency_key=None)
    assert answer.outcome == "ok"
    assert str(answer.result["article"]).endswith(f": {heading}")
    passages = {passage.article: passage.answer for passage in read_articles(FLOWS / "knowledge")}
    assert answer.result["answer"] == passages[str(answer.result["article"])]


@pytest.mark.parametrize("question", UNANSWERED)
async def test_what_no_article_speaks_of_is_not_answered(knowledge: KnowledgeSystem, question: str) -> None:
    answer = await knowledge.call("knowledge.find", {"question": question}, idempotency_key=None)
    assert answer.outcome == "nothing"


def test_every_wording_in_the_articles_finds_its_own_answer(knowledge: KnowledgeSystem) -> None:
    for passage in read_articles(FLOWS / "knowledge"):
        for wording in passage.wordings:
            assert knowledge.find(wording) == passage


def test_a_question_without_an_answer_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("# A\n\n## Why?\n- how come\n\n## How?\n\nLike this.\n", encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_articles(tmp_path)
    assert str(caught.value).startswith("knowledge/a.md:3: 'Why?' has no answer.")


def test_no_articles_answer_nothing(tmp_path: Path) -> None:
    assert KnowledgeSystem(tmp_path / "nowhere").find("do you deliver") is None


async def test_another_operation_is_our_own_mistake(knowledge: KnowledgeSystem) -> None:
    with pytest.raises(LocalProtocolError):
        await knowledge.call("knowledge.write", {"question": "x"}, idempotency_key=None)
