"""What a worker process hosts: a service for its kind, and one conversation for each connection to it."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from wyoming.event import Event
from wyoming.info import Info

from voicebot.speech.workers.capabilities import Capabilities

Send = Callable[[Event], Awaitable[None]]

FACTORIES: Mapping[str, str] = {
    "asr": "voicebot.speech.recognition.service",
    "tts": "voicebot.speech.synthesis.service",
    "turn": "voicebot.speech.listening.service",
}
"""The module whose ``create(options)`` builds the service of a kind; imported only inside a worker process."""


class Conversation(Protocol):
    """One connection's requests, in order."""

    async def handle(self, event: Event) -> None:
        """Act on one event; awaiting here holds back the peer. `RemoteProtocolError` is answered with an `error`."""
        ...

    async def close(self) -> None:
        """The peer is gone: drop whatever is still being made for it."""
        ...


class Service(Protocol):
    """One engine, loaded once and shared by every connection of this process."""

    async def warm_up(self) -> None:
        """Load models and run them once; `EngineUnavailable` when that cannot work."""
        ...

    def info(self) -> Info: ...

    def capabilities(self) -> Capabilities: ...

    def converse(self, send: Send) -> Conversation: ...

    async def close(self) -> None: ...


def create(kind: str, options: Mapping[str, object]) -> Service:
    """Build the service of `kind`, or of the module that `kind` names when it holds a dot.

    The import is late on purpose: a worker loads the engine of its own kind and no other.
    """
    module = importlib.import_module(kind if "." in kind else FACTORIES[kind])
    service: Service = module.create(options)
    return service
