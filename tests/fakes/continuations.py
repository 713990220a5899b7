"""What customers broke off in, in memory, on a clock that tests may move."""

from __future__ import annotations

from collections.abc import Callable

from voicebot.dialog.events import Continuation
from voicebot.records.continuations import CHAT_KEPT, KEPT, KeptChat


class MemoryContinuations:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._customers: dict[str, tuple[float, Continuation]] = {}
        self._chats: dict[str, tuple[float, KeptChat]] = {}

    async def keep(self, customer: str, continuation: Continuation | None) -> None:
        self._customers.pop(customer, None)
        if customer and continuation:
            self._customers[customer] = (self._clock() + KEPT.total_seconds(), continuation)

    async def take(self, customer: str) -> Continuation | None:
        until_s, continuation = self._customers.pop(customer, (0.0, None))
        return continuation if self._clock() < until_s else None

    async def keep_chat(self, conversation_id: str, chat: KeptChat | None) -> None:
        self._chats.pop(conversation_id, None)
        if chat:
            self._chats[conversation_id] = (self._clock() + CHAT_KEPT.total_seconds(), chat)

    async def take_chat(self, conversation_id: str) -> KeptChat | None:
        until_s, chat = self._chats.pop(conversation_id, (0.0, None))
        return chat if self._clock() < until_s else None
