"""An optional language model that words what it is given, and is held to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp
import structlog

from voicebot.backends.answer import read_answer
from voicebot.backends.held import objection

log = structlog.get_logger(__name__)

_ANSWER_BYTES_MOST = 100_000


@dataclass(frozen=True, slots=True)
class ModelAccess:
    """An OpenAI-compatible service: its base address (``http://127.0.0.1:8000/v1``), the model's name and its key."""

    url: str
    model: str
    key: str = ""
    timeout_s: float = 2.5


class HeldModel:
    """Words something by a model, or not at all: every number, name and address must stand in what it was given."""

    def __init__(self, access: ModelAccess) -> None:
        self._access = access
        self._session: aiohttp.ClientSession | None = None

    async def word(
        self, task: str, given: Mapping[str, str], *, held_to: tuple[str, ...], most_words: int
    ) -> str | None:
        """Return on one line what the model makes of `given`; None where it fails, is late, or says more than that."""
        try:
            said = await self._ask(task, given)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.warning("the model did not answer", kind=type(error).__name__)
            return None
        why = "too_long" if len(said.split()) > most_words else objection(said, held_to) if said else "nothing"
        if why is not None:
            log.warning("the model's answer was refused", why=why)
            return None
        return said

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    async def _ask(self, task: str, given: Mapping[str, str]) -> str:
        """Return what the model says, on one line; ValueError when its answer is none."""
        access = self._access
        body = {
            "model": access.model,
            "temperature": 0,
            "max_tokens": 120,
            "messages": [
                {"role": "system", "content": task},
                {"role": "user", "content": json.dumps(given)},
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
                answer = json.loads(await read_answer(response, _ANSWER_BYTES_MOST))
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
