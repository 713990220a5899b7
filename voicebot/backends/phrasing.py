"""An optional language model that answers a question from an article's text, and is held to that text."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
import structlog

from voicebot.backends.backends import BackendResult, System
from voicebot.backends.held import objection
from voicebot.backends.knowledge import OPERATION
from voicebot.dialog.events import SlotValue

log = structlog.get_logger(__name__)

_WORDS_MOST = 45
_ANSWER_BYTES_MOST = 100_000
_TASK = (
    "You answer a caller of a company's phone line. You are given their question and a text of the company's. Answer"
    " the question in one or two short spoken sentences, only with what the text says: no other number, name, date or"
    " promise, no list, no address. If the text does not answer it, repeat the text."
)


@dataclass(frozen=True, slots=True)
class ModelAccess:
    """An OpenAI-compatible service: its base address (``http://127.0.0.1:8000/v1``), the model's name and its key."""

    url: str
    model: str
    key: str = ""
    timeout_s: float = 2.5


class PhrasedAnswers:
    """Puts a model between the articles and the caller. Whatever goes wrong with it, the article is said as it is."""

    def __init__(self, articles: System, access: ModelAccess) -> None:
        self._articles = articles
        self._access = access
        self._session: aiohttp.ClientSession | None = None

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
        phrased = await self._phrased(str(arguments["question"]), answer)
        return BackendResult(found.outcome, {**found.result, "answer": phrased or answer})

    async def close(self) -> None:
        await self._articles.close()
        if self._session:
            await self._session.close()

    async def _phrased(self, question: str, text: str) -> str | None:
        try:
            said = await self._ask(question, text)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.warning("the model did not answer", kind=type(error).__name__)
            return None
        why = "too_long" if len(said.split()) > _WORDS_MOST else objection(said, (text,)) if said else "nothing"
        if why is not None:
            log.warning("the model's answer was refused", why=why)
            return None
        return said

    async def _ask(self, question: str, text: str) -> str:
        """Return what the model says, on one line; ValueError when its answer is none."""
        access = self._access
        body = {
            "model": access.model,
            "temperature": 0,
            "max_tokens": 120,
            "messages": [
                {"role": "system", "content": _TASK},
                {"role": "user", "content": json.dumps({"question": question, "text": text})},
            ],
        }
        async with asyncio.timeout(access.timeout_s):
            async with self._open().post(
                f"{access.url.rstrip('/')}/chat/completions",
                json=body,
                headers={"Authorization": f"Bearer {access.key}"} if access.key else {},
                allow_redirects=False,
            ) as response:
                if response.status != HTTPStatus.OK:
                    raise ValueError("not ok")
                answer = json.loads(await response.content.read(_ANSWER_BYTES_MOST))
        try:
            content = answer["choices"][0]["message"]["content"]
            return " ".join(content.split())
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise ValueError("no answer") from error

    def _open(self) -> aiohttp.ClientSession:
        """Make the session on the loop that uses it."""
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return self._session
