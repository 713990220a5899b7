"""What customers broke off in, kept so that they go on there: on another channel, later, or after a restart."""

from __future__ import annotations

from typing import Protocol

from voicebot.dialog.events import Continuation
from voicebot.records.continuations import KeptChat


class Continuations(Protocol):
    """See `voicebot.records.continuations`."""

    async def keep(self, customer: str, continuation: Continuation | None) -> None:
        """Note where a conversation with `customer` ended; without a continuation nothing is left to go on with."""
        ...

    async def take(self, customer: str) -> Continuation | None:
        """Return it once; None when there is none or it is too old."""
        ...

    async def keep_chat(self, conversation_id: str, chat: KeptChat | None) -> None:
        """Note how a written conversation stands; None when it is over."""
        ...

    async def take_chat(self, conversation_id: str) -> KeptChat | None:
        """Return once how it stood; None when it is over or too old."""
        ...
