"""Asterisk's side of chan_websocket, done by hand against the real door."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import aiohttp
import pytest

from tests.fakes.media_streams import FRAME
from tests.fakes.socket import until
from tests.fakes.web_server import Listener, RunningServer, serving
from voicebot.telephony.leg import SILENT_FRAME, AudioPlayed, Channel, EndCause, HangUpReason, KeyPressed, LegEnded
from voicebot.web.chan_websocket import AsteriskPeers

PEERS = AsteriskPeers((ip_network("127.0.0.0/8"),))
PLAIN_START = "MEDIA_START connection_id:c1 channel:WebSocket/c1 channel_id:pbx-1.9 format:ulaw optimal_frame_size:160"
JSON_START = json.dumps(
    {"event": "MEDIA_START", "connection_id": "c1", "channel_id": "pbx-1.9", "format": "ulaw", "ptime": 20}
)


def basic(password: str) -> dict[str, str]:
    return {"Authorization": aiohttp.encode_basic_auth("pbx", password)}


@asynccontextmanager
async def asterisk(
    server: RunningServer, start: str = PLAIN_START, query: str = "", headers: dict[str, str] | None = None
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with server.http.ws_connect(f"{server.base}/asterisk/media{query}", headers=headers) as socket:
        await socket.send_str(start)
        yield socket


@pytest.mark.parametrize("start", [PLAIN_START, JSON_START], ids=["plain", "json"])
async def test_audio_comes_back_with_a_mark_after_it(start: str) -> None:
    async with serving(asterisk=PEERS) as server, asterisk(server, start) as socket:
        await socket.send_bytes(FRAME)
        assert await socket.receive_bytes(timeout=20) == FRAME
        mark = await socket.receive_str(timeout=20)
        if start is JSON_START:
            assert json.loads(mark) == {"command": "MARK_MEDIA", "correlation_id": "160"}
        else:
            assert mark == "MARK_MEDIA 160"


async def test_the_leg_knows_the_channel_and_the_numbers_of_the_url() -> None:
    listener = Listener()
    async with (
        serving(listener, asterisk=PEERS) as server,
        asterisk(server, query="?caller=%2B15550100&called=200&queue=sales"),
    ):
        await until(lambda: listener.legs)
        info = listener.legs[0].info
        assert (info.channel, info.carrier_call_id) == (Channel.CHAN_WEBSOCKET, "pbx-1.9")
        assert (info.caller, info.called, info.parameters) == ("+15550100", "200", {"queue": "sales"})


async def test_keys_marks_and_the_hang_up_reach_the_leg() -> None:
    listener = Listener()
    async with serving(listener, asterisk=PEERS) as server, asterisk(server) as socket:
        await until(lambda: listener.legs)
        listener.legs[0].send(SILENT_FRAME)
        await socket.receive_bytes(timeout=20)
        assert await socket.receive_str(timeout=20) == "MARK_MEDIA 160"
        await socket.send_str("MEDIA_MARK_PROCESSED correlation_id:160")
        await socket.send_str("DTMF_END channel_id:pbx-1.9 digit:#")
        await socket.send_str("HANGUP")
        async with asyncio.timeout(20):
            await listener.ended.wait()
    played, key, ended = listener.events
    assert isinstance(played, AudioPlayed)
    assert played.position_samples == 160
    assert isinstance(key, KeyPressed)
    assert key.key == "#"
    assert isinstance(ended, LegEnded)
    assert ended.cause is EndCause.PEER_HUNG_UP


async def test_clearing_flushes_and_hanging_up_says_so() -> None:
    listener = Listener()
    async with serving(listener, asterisk=PEERS) as server, asterisk(server) as socket:
        await until(lambda: listener.legs)
        leg = listener.legs[0]
        for _ in range(50):
            leg.send(SILENT_FRAME)
        await socket.receive_bytes(timeout=20)
        await socket.receive_str(timeout=20)
        assert leg.clear() < 50 * 160
        assert await socket.receive_str(timeout=20) == "FLUSH_MEDIA"
        await leg.hang_up(HangUpReason.COMPLETED)
        assert await socket.receive_str(timeout=20) == "HANGUP"


async def test_asterisk_that_has_enough_gets_no_more_until_it_wants_it() -> None:
    listener = Listener()
    async with serving(listener, asterisk=PEERS) as server, asterisk(server) as socket:
        await until(lambda: listener.legs)
        await socket.send_str("MEDIA_XOFF")
        await asyncio.sleep(0.05)
        listener.legs[0].send(SILENT_FRAME)
        with pytest.raises(TimeoutError):
            await socket.receive_bytes(timeout=0.1)
        await socket.send_str("MEDIA_XON")
        assert await socket.receive_bytes(timeout=20) == SILENT_FRAME


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        ("HELLO", "no_start"),
        (PLAIN_START.replace("ulaw", "slin16"), "unknown_format"),
        ("{", "bad_json"),
        ("", "bad_field"),
    ],
)
async def test_a_beginning_that_is_none_ends_the_connection(start: str, kind: str) -> None:
    async with serving(asterisk=PEERS) as server, asterisk(server, start) as socket:
        message = await socket.receive(timeout=20)
        assert message.type is aiohttp.WSMsgType.CLOSE
        assert server.violations == [(Channel.CHAN_WEBSOCKET, kind)]


async def test_nobody_comes_in_without_being_configured() -> None:
    async with serving() as server:
        answer = await server.http.get(server.base + "/asterisk/media")
        assert answer.status == 404
    elsewhere = AsteriskPeers((ip_network("10.0.0.0/8"),))
    async with serving(asterisk=elsewhere) as server:
        answer = await server.http.get(server.base + "/asterisk/media")
        assert answer.status == 403


async def test_the_password_must_be_right_where_one_is_set() -> None:
    guarded = AsteriskPeers(PEERS.networks, "a-secret")
    async with serving(asterisk=guarded) as server:
        for headers in ({}, basic("wrong"), {"Authorization": "Basic ?"}, {"Authorization": "Bearer a-secret"}):
            answer = await server.http.get(server.base + "/asterisk/media", headers=headers)
            assert answer.status == 403
        async with asterisk(server, headers=basic("a-secret")) as socket:
            await socket.send_bytes(FRAME)
            assert await socket.receive_bytes(timeout=20) == FRAME
