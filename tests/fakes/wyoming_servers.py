"""Wyoming servers as others write them, in processes of their own: with the protocol's package alone, over TCP.

Run as ``python -m tests.fakes.wyoming_servers hears|speaks PORT TEXT``.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import numpy as np
from wyoming.asr import Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.event import Event
from wyoming.info import AsrProgram, Attribution, Describe, Info, TtsProgram
from wyoming.server import AsyncEventHandler, AsyncTcpServer
from wyoming.tts import Synthesize

SPOKEN_RATE_HZ = 16_000
_BY = Attribution("somebody", "")


class Hears(AsyncEventHandler):
    """Answers the end of any audio with the text that it was told."""

    def __init__(self, text: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)
        self._text = text

    async def handle_event(self, event: Event) -> bool:
        if Describe.is_type(event.type):
            await self.write_event(Info(asr=[AsrProgram("hears", _BY, True, None, None, [])]).event())
        elif AudioStop.is_type(event.type):
            await self.write_event(Transcript(self._text).event())
        return True


class Speaks(AsyncEventHandler):
    """Speaks each text as a tone of half a second, a tenth at a time, at the pace of a slow engine."""

    def __init__(self, _text: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(reader, writer)

    async def handle_event(self, event: Event) -> bool:
        if Describe.is_type(event.type):
            await self.write_event(Info(tts=[TtsProgram("speaks", _BY, True, None, None, [])]).event())
        elif Synthesize.is_type(event.type):
            await self.write_event(AudioStart(SPOKEN_RATE_HZ, 2, 1).event())
            tone = 6000 * np.sin(2 * np.pi * 400 * np.arange(SPOKEN_RATE_HZ // 10) / SPOKEN_RATE_HZ)
            for _ in range(5):
                await asyncio.sleep(0.02)
                await self.write_event(AudioChunk(SPOKEN_RATE_HZ, 2, 1, tone.astype("<i2").tobytes()).event())
            await self.write_event(AudioStop().event())
        return True


class ServerProcess:
    """One of the servers, running."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self._process = process
        self.address = address

    def freeze(self) -> None:
        """Have it do nothing any more, its connections left open."""
        self._process.send_signal(signal.SIGSTOP)

    async def kill(self) -> None:
        """End it as a crash would: nothing is said to anybody."""
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()


@asynccontextmanager
async def wyoming_server(does: str, port: int, text: str = "-") -> AsyncIterator[ServerProcess]:
    """Run a server that ``hears`` or ``speaks`` until it answers, and stop it at the end."""
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", __name__, does, str(port), text)
    try:
        async with asyncio.timeout(30):
            while not await _answers(port):
                await asyncio.sleep(0.05)
        yield ServerProcess(process, f"tcp://127.0.0.1:{port}")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _answers(port: int) -> bool:
    try:
        async with AsyncTcpClient("127.0.0.1", port) as client:
            await client.write_event(Describe().event())
            return await client.read_event() is not None
    except OSError:
        return False


def main(arguments: Sequence[str]) -> None:
    does, port, text = arguments
    server = AsyncTcpServer("127.0.0.1", int(port))
    asyncio.run(server.run(partial(Hears if does == "hears" else Speaks, text)))


if __name__ == "__main__":
    main(sys.argv[1:])
