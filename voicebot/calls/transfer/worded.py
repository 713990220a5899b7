"""Summaries of context packets in a language model's words, where one is configured; it is held to the record."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace

from voicebot.backends.held_model import HeldModel
from voicebot.records.context import ContextPacket, context_document

#: Packets are to be everywhere within a second.
_LIMIT_S = 0.7
_SENTENCES = 3
_WORDS_MOST = 75
_TASK = (
    "You summarise a telephone call for the agent who takes it over. You are given a summary in plain sentences and the"
    " facts of the call. Say the same in exactly three short sentences: who calls, what they want and what was done,"
    " why they come to a person. Say only what stands there: no other number, name, date, promise or reason."
)
#: What a summary may speak of. Not the conversation: what callers said is theirs, and is not sent to a model.
_FACTS = ("request", "attempts", "authentication", "customer", "data", "escalation", "next_steps", "promises")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


class WordedSummaries:
    """Words packets' summaries by a model. Whatever goes wrong with it, the summary stays as the record gives it."""

    def __init__(self, model: HeldModel) -> None:
        self._model = model

    async def worded(self, packet: ContextPacket) -> ContextPacket:
        """Return the packet with its summary worded, in no more than three sentences; as it is where that fails."""
        document = context_document(packet)
        facts = json.dumps({name: document[name] for name in _FACTS}, ensure_ascii=False)
        plain = " ".join(packet.summary)
        try:
            async with asyncio.timeout(_LIMIT_S):
                said = await self._model.word(
                    _TASK, {"summary": plain, "facts": facts}, held_to=(plain, facts), most_words=_WORDS_MOST
                )
        except TimeoutError:
            return packet
        sentences = tuple(_SENTENCE_END.split(said)) if said else ()
        return replace(packet, summary=sentences) if 0 < len(sentences) <= _SENTENCES else packet
