"""A service for worker processes that does on command what real engines do by accident: hang, die, refuse."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from wyoming.event import Event
from wyoming.info import AsrProgram, Attribution, Info

from voicebot.errors import EngineUnavailable, RemoteProtocolError
from voicebot.speech.workers.capabilities import Capabilities, Feature
from voicebot.speech.workers.service import Send


@dataclass(slots=True)
class ObedientConversation:
    send: Send

    async def handle(self, event: Event) -> None:
        match event.type:
            case "hang":
                time.sleep(event.data["seconds"])  # noqa: ASYNC251 - a native call that never returns looks like this
            case "die":
                os._exit(3)
            case "refuse":
                raise RemoteProtocolError("refused", "Not that.")
            case "fail":
                raise EngineUnavailable("The engine is out of order.")
            case _:
                await self.send(Event("echo", {**event.data, "pid": os.getpid()}, event.payload))

    async def close(self) -> None:
        pass


@dataclass(frozen=True, slots=True)
class ObedientService:
    options: Mapping[str, object]

    async def warm_up(self) -> None:
        if self.options.get("broken"):
            raise EngineUnavailable("This engine has no model.")
        if marker := self.options.get("dies_once"):
            # Starts only when an earlier process has been here.
            try:
                with open(str(marker), "x", encoding="utf-8"):  # noqa: ASYNC230, PTH123 - exclusive creation
                    os._exit(4)
            except FileExistsError:
                pass

    def info(self) -> Info:
        made = Attribution(name="tests", url="")
        return Info(
            asr=[
                AsrProgram(name="obedient", attribution=made, installed=True, description=None, version=None, models=[])
            ]
        )

    def capabilities(self) -> Capabilities:
        return Capabilities("obedient", "none", frozenset({Feature.PING, Feature.CANCEL}), max_sessions=2)

    def converse(self, send: Send) -> ObedientConversation:
        return ObedientConversation(send)

    async def close(self) -> None:
        pass


def create(options: Mapping[str, object]) -> ObedientService:
    return ObedientService(options)
