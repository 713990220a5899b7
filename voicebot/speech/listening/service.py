"""The end-of-turn service of a worker process: an utterance in, the probability that it is finished out.

Its two events are ours alone; Wyoming has none for it. The utterance travels as mu-law, which is what the caller's
line carried: half the bytes and nothing lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import structlog
from wyoming.event import Event
from wyoming.info import Info

from voicebot import g711
from voicebot.errors import LocalProtocolError, RemoteProtocolError
from voicebot.speech.listening.models import EndOfTurnModel
from voicebot.speech.workers.capabilities import Capabilities, Feature
from voicebot.speech.workers.service import Send

_log = structlog.get_logger()

ASKED = "voicebot-end-of-turn-asked"
ANSWERED = "voicebot-end-of-turn-answered"
#: Each waits about 30 ms for each one before it; the answer to a fifth would come when its pause is over.
_MAX_SESSIONS = 4


def question(mulaw: bytes) -> Event:
    """Return the event that asks about an utterance."""
    return Event(ASKED, payload=mulaw)


def answer(event: Event) -> float:
    """Return the probability in an answer, 0 to 1; `RemoteProtocolError` if it is none."""
    probability = event.data.get("probability")
    if event.type != ANSWERED or not isinstance(probability, float) or not 0.0 <= probability <= 1.0:
        raise RemoteProtocolError("bad_end_of_turn", "An end-of-turn worker answered with something else.")
    return probability


class EndOfTurnService:
    """One model in a thread of its own, so that the loop answers pings while it works."""

    def __init__(self) -> None:
        self._model: EndOfTurnModel | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="end-of-turn")

    async def warm_up(self) -> None:
        self._model = await asyncio.get_running_loop().run_in_executor(self._thread, self._load)

    def _load(self) -> EndOfTurnModel:
        model = EndOfTurnModel()
        model.probability(np.zeros(8000, dtype=np.int16))
        return model

    async def probability(self, mulaw: bytes) -> float:
        if self._model is None:
            raise LocalProtocolError("an end-of-turn service is asked before it is warm")
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, self._model.probability, g711.decode(mulaw))

    def info(self) -> Info:
        return Info()

    def capabilities(self) -> Capabilities:
        features = frozenset({Feature.PING, Feature.CANCEL})
        return Capabilities("smart-turn", "v3", features, _MAX_SESSIONS)

    def converse(self, send: Send) -> EndOfTurnConversation:
        return EndOfTurnConversation(self, send)

    async def close(self) -> None:
        self._thread.shutdown(wait=False, cancel_futures=True)


@dataclass(slots=True)
class EndOfTurnConversation:
    """One connection: each question gets its answer, or none when the peer has gone."""

    service: EndOfTurnService
    send: Send
    _answering: asyncio.Task[None] | None = field(default=None, init=False)

    async def handle(self, event: Event) -> None:
        if event.type != ASKED:
            return  # a newer client's, which the protocol says to ignore
        if not event.payload:
            raise RemoteProtocolError("no_audio", "An end-of-turn question has no audio.")
        if self._answering is not None:
            await self._answering
        # In a task, so that a peer that stopped waiting is seen and what it asked is dropped from the queue.
        self._answering = asyncio.create_task(self._answer(event.payload))

    async def close(self) -> None:
        if self._answering is not None:
            self._answering.cancel()
            await asyncio.gather(self._answering, return_exceptions=True)

    async def _answer(self, mulaw: bytes) -> None:
        probability = await self.service.probability(mulaw)
        try:
            await self.send(Event(ANSWERED, {"probability": probability}))
        except OSError:
            _log.debug("speech peer went away")


def create(options: Mapping[str, object]) -> EndOfTurnService:
    """Build the service; it has no options."""
    if options:
        raise LocalProtocolError("an end-of-turn worker takes no options")
    return EndOfTurnService()
