"""A Wyoming voice server on a Unix socket that does what it is told: speak, stall, fail or hang up."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.event import Event, async_read_event, async_write_event
from wyoming.info import Attribution, Describe, Info, TtsProgram
from wyoming.ping import Ping, Pong
from wyoming.tts import Synthesize

from voicebot.speech.workers.capabilities import Capabilities, Feature, info_event

Step = Literal["audio", "stall", "error", "hang up", "nonsense", "stop"]
SPEAKS: tuple[Step, ...] = ("audio", "audio", "stop")


@dataclass(slots=True)
class VoiceServer:
    """Each request takes the next of `plans`, or speaks when none is left; every "audio" is 100 ms.

    `plain` servers have none of our extensions and speak at `rate_hz`.
    """

    path: Path
    plain: bool = False
    rate_hz: int = 8000
    level: int = 8000
    plans: deque[tuple[Step, ...]] = field(default_factory=deque)
    requests: list[Synthesize] = field(default_factory=list)
    cut_off: int = 0
    _server: asyncio.Server | None = None
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"unix://{self.path}"

    @property
    def texts(self) -> list[str]:
        return [request.text for request in self.requests]

    async def start(self) -> None:
        self._server = await asyncio.start_unix_server(self._connected, path=str(self.path))

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            while (event := await async_read_event(reader)) is not None:
                if Describe.is_type(event.type):
                    await async_write_event(self._info(), writer)
                elif Ping.is_type(event.type):
                    await async_write_event(Pong(text=Ping.from_event(event).text).event(), writer)
                elif Synthesize.is_type(event.type) and not await self._speak(Synthesize.from_event(event), writer):
                    return
        except OSError:
            self.cut_off += 1
        finally:
            self._connections.discard(task)
            writer.close()

    def _info(self) -> Event:
        made = Attribution(name="tests", url="")
        program = TtsProgram(name="hum", attribution=made, installed=True, description=None, version=None, voices=[])
        info = Info(tts=[program])
        if self.plain:
            return info.event()
        return info_event(info, Capabilities("hum", "one", frozenset({Feature.PING, Feature.SPEED})))

    async def _speak(self, request: Synthesize, writer: asyncio.StreamWriter) -> bool:
        self.requests.append(request)
        rate, width, channels = self.rate_hz, 2, 1
        await async_write_event(AudioStart(rate, width, channels).event(), writer)
        tone = self.level * np.sin(2 * np.pi * 500 * np.arange(rate // 10) / rate)
        for step in self.plans.popleft() if self.plans else SPEAKS:
            match step:
                case "audio":
                    chunk = AudioChunk(rate, width, channels, tone.astype("<i2").tobytes())
                    await async_write_event(chunk.event(), writer)
                case "stop":
                    await async_write_event(AudioStop().event(), writer)
                case "stall":
                    await asyncio.sleep(3600)
                case "error":
                    await async_write_event(Error(text="out of order", code="unavailable").event(), writer)
                case "nonsense":
                    await async_write_event(AudioChunk(8000, 4, 2, b"abc").event(), writer)
                case "hang up":
                    return False
        return True
