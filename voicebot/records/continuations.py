"""Requests that customers broke off in and written conversations that go on, for as long as people come back to them.

Nothing secret and nothing that a system said is in them: only the answers a customer gave, and for which request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import delete, insert, select

from voicebot.dialog.events import Continuation, SlotValue
from voicebot.records.database import Database
from voicebot.records.tables import CONTINUATIONS

KEPT = timedelta(hours=24)
CHAT_KEPT = timedelta(hours=12)
_CUSTOMER = "customer"
_CHAT = "chat"


@dataclass(frozen=True, slots=True)
class KeptChat:
    """A written conversation as it stood after its last message; `begun` counts the records it has had."""

    channel: str
    identity: str
    called: str
    begun: int
    continuation: Continuation | None


class ContinuationStore:
    """Keeps them in the database for `KEPT` and `CHAT_KEPT`; `now` is the wall clock, with its zone."""

    def __init__(self, database: Database, *, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    async def keep(self, customer: str, continuation: Continuation | None) -> None:
        """Note where a conversation with `customer` ended; without a continuation nothing is left to go on with."""
        if customer:
            await self._put(_CUSTOMER, customer, _dumped(continuation) if continuation else None, KEPT)

    async def take(self, customer: str) -> Continuation | None:
        """Return it once; None when there is none or it is too old."""
        kept = await self._pop(_CUSTOMER, customer) if customer else None
        return _loaded(kept) if kept else None

    async def keep_chat(self, conversation_id: str, chat: KeptChat | None) -> None:
        """Note how a written conversation stands; None when it is over."""
        kept = None
        if chat:
            kept = {
                "channel": chat.channel,
                "identity": chat.identity,
                "called": chat.called,
                "begun": chat.begun,
                "continuation": _dumped(chat.continuation) if chat.continuation else None,
            }
        await self._put(_CHAT, conversation_id, kept, CHAT_KEPT)

    async def take_chat(self, conversation_id: str) -> KeptChat | None:
        """Return once how it stood; None when it is over or too old."""
        kept = await self._pop(_CHAT, conversation_id)
        if kept is None:
            return None
        continuation = _loaded(kept["continuation"]) if kept["continuation"] else None
        return KeptChat(kept["channel"], kept["identity"], kept["called"], kept["begun"], continuation)

    async def _put(self, kind: str, key: str, content: Mapping[str, Any] | None, lasts: timedelta) -> None:
        """Replace what is kept under a key, and forget whatever is too old."""
        now = self._now()
        same = (CONTINUATIONS.c.kind == kind) & (CONTINUATIONS.c.key == key)
        async with self._database.begin() as connection:
            await connection.execute(delete(CONTINUATIONS).where(same | (CONTINUATIONS.c.expires_at <= now)))
            if content is not None:
                row = {"kind": kind, "key": key, "expires_at": now + lasts, "content": dict(content)}
                await connection.execute(insert(CONTINUATIONS).values(row))

    async def _pop(self, kind: str, key: str) -> dict[str, Any] | None:
        same = (CONTINUATIONS.c.kind == kind) & (CONTINUATIONS.c.key == key)
        async with self._database.begin() as connection:
            found = await connection.scalar(
                select(CONTINUATIONS.c.content).where(same, CONTINUATIONS.c.expires_at > self._now())
            )
            await connection.execute(delete(CONTINUATIONS).where(same))
        return found if isinstance(found, dict) else None


def _dumped(continuation: Continuation) -> dict[str, Any]:
    slots = {name: [type(value).__name__, str(value)] for name, value in continuation.slots.items()}
    return {"flow": continuation.flow, "intent": continuation.intent, "slots": slots}


def _loaded(kept: Mapping[str, Any]) -> Continuation:
    slots = {name: _READERS[kind](text) for name, (kind, text) in kept["slots"].items()}
    return Continuation(kept["flow"], kept["intent"], slots)


_READERS: Mapping[str, Callable[[str], SlotValue]] = {
    "str": str,
    "int": int,
    "bool": lambda text: text == "True",
    "Decimal": Decimal,
    "date": date.fromisoformat,
    "time": time.fromisoformat,
    "datetime": datetime.fromisoformat,
}
