"""A phone system without SIP calls the whole server: keys in, the bot's voice out, and the call's record after."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import aiohttp
import pytest
import pytest_asyncio

from tests.end_to_end.server import Server, has_prompt, is_over, running
from voicebot.telephony.audiosocket import messages
from voicebot.telephony.leg import SILENT_FRAME

pytestmark = [
    pytest.mark.spoken,
    pytest.mark.timeout(300),
    # One server takes both calls.
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.xdist_group("asterisk"),
]

PASSWORD = "between-pbx-and-bot"
#: Frames of audio that are not silence, by which the bot is known to have spoken.
SPOKEN_FRAMES = 100


def free_port() -> int:
    with contextlib.closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def beside_a_pbx(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Server, int]]:
    port = free_port()
    async with running(
        tmp_path_factory.mktemp("asterisk"),
        VOICEBOT_RECOGNIZER="off",
        VOICEBOT_DRAIN_S="1",
        VOICEBOT_ASTERISK_PEERS='["127.0.0.0/8"]',
        VOICEBOT_ASTERISK_PASSWORD=PASSWORD,
        VOICEBOT_AUDIOSOCKET_PORT=str(port),
    ) as server:
        yield server, port


async def ask_for_a_balance(server: Server, call: str, press: Callable[[str], Awaitable[None]]) -> None:
    for prompt, keys in (
        ("welcome.first", "1"),
        ("authenticate.ask_account_number", "402938"),
        ("authenticate.ask_pin", "1593"),
        ("welcome.more", "9"),
    ):
        await server.until(call, has_prompt(prompt))
        for key in keys:
            await press(key)
            await asyncio.sleep(0.15)
    record = await server.until(call, is_over)
    assert (record["outcome"], record["goal"], record["goal_reached"]) == ("completed", "balance", True)


async def test_a_call_by_audiosocket_is_served_to_its_end(beside_a_pbx: tuple[Server, int]) -> None:
    server, port = beside_a_pbx
    call = uuid.uuid4()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(messages.identify(call))
    parser = messages.Parser()
    heard: list[object] = []

    async def speak() -> None:
        while not writer.is_closing():
            writer.write(messages.audio(SILENT_FRAME))
            await asyncio.sleep(0.02)

    async def listen() -> None:
        while data := await reader.read(4096):
            heard.extend(parser.feed(data))
        # As Asterisk does: the server's end of the connection is the end of ours.
        writer.close()

    async def press(key: str) -> None:
        writer.write(messages.key(key))

    speaking, listening = asyncio.create_task(speak()), asyncio.create_task(listen())
    await ask_for_a_balance(server, str(call), press)
    async with asyncio.timeout(20):
        await listening
    speaking.cancel()
    writer.close()
    assert heard[-1] == messages.HungUp()
    spoken = [item for item in heard if isinstance(item, messages.AudioCame) and item.mulaw != SILENT_FRAME]
    assert len(spoken) > SPOKEN_FRAMES


async def test_a_call_by_chan_websocket_is_served_to_its_end(beside_a_pbx: tuple[Server, int]) -> None:
    server, _ = beside_a_pbx
    spoken = 0
    texts: list[str] = []
    headers = {"Authorization": aiohttp.encode_basic_auth("pbx", PASSWORD)}
    async with server.http.ws_connect(server.url + "/asterisk/media?caller=1001", headers=headers) as line:
        await line.send_str("MEDIA_START connection_id:c channel:WebSocket/c channel_id:pbx-7.1 format:ulaw ptime:20")

        async def speak() -> None:
            while True:
                await line.send_bytes(SILENT_FRAME)
                await asyncio.sleep(0.02)

        async def listen() -> None:
            nonlocal spoken
            playing_until_s = asyncio.get_running_loop().time()
            async for message in line:
                now_s = asyncio.get_running_loop().time()
                if message.type is aiohttp.WSMsgType.BINARY:
                    playing_until_s = max(now_s, playing_until_s) + len(message.data) / 8000
                    spoken += message.data.count(SILENT_FRAME) == 0
                    continue
                texts.append(message.data)
                if message.data.startswith("MARK_MEDIA "):
                    # Asterisk answers when the mark's turn to be played has come.
                    name = message.data.split()[1]
                    answers.append(asyncio.create_task(answer(name, playing_until_s - now_s)))

        async def answer(name: str, wait_s: float) -> None:
            await asyncio.sleep(wait_s)
            await line.send_str(f"MEDIA_MARK_PROCESSED correlation_id:{name}")

        async def press(key: str) -> None:
            await line.send_str(f"DTMF_END channel_id:pbx-7.1 digit:{key}")

        answers: list[asyncio.Task[None]] = []
        speaking, listening = asyncio.create_task(speak()), asyncio.create_task(listen())
        await ask_for_a_balance(server, "pbx-7.1", press)
        async with asyncio.timeout(20):
            await listening
        speaking.cancel()
        await asyncio.gather(speaking, *answers, return_exceptions=True)
    assert texts[-1] == "HANGUP"
    assert spoken > SPOKEN_FRAMES // 5
