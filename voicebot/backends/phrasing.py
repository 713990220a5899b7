"""An optional language model that answers a question from an article's text, and is held to that text."""

from __future__ import annotations

from collections.abc import Mapping

from voicebot.backends.articles import OPERATION
from voicebot.backends.backends import BackendResult, System
from voicebot.backends.held_model import HeldModel
from voicebot.dialog.events import SlotValue

_WORDS_MOST = 45
_TASK = (
    "You answer a caller of a company's phone line. You are given their question and a text of the company's. Answer"
    " the question in one or two short spoken sentences, only with what the text says: no other number, name, date or"
    " promise, no list, no address. If the text does not answer it, repeat the text."
)


class PhrasedAnswers:
    """Puts a model between the articles and the caller. Whatever goes wrong with it, the article is said as it is."""

    def __init__(self, articles: System, model: HeldModel) -> None:
        self._articles = articles
        self._model = model

    @property
    def operations(self) -> frozenset[str]:
        return self._articles.operations

    async def call(
        self, operation: str, arguments: Mapping[str, SlotValue], *, idempotency_key: str | None
    ) -> BackendResult:
        found = await self._articles.call(operation, arguments, idempotency_key=idempotency_key)
        answer = found.result.get("answer")
        if operation != OPERATION or not isinstance(answer, str):
            return found
        given = {"question": str(arguments["question"]), "text": answer}
        phrased = await self._model.word(_TASK, given, held_to=(answer,), most_words=_WORDS_MOST)
        return BackendResult(found.outcome, {**found.result, "answer": phrased or answer})

    async def close(self) -> None:
        await self._articles.close()
        await self._model.close()
