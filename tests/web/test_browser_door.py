from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.fakes.media_streams import FRAME
from tests.fakes.socket import until
from tests.fakes.web_server import Listener, RunningServer, serving
from voicebot.telephony.leg import Capability, Channel, EndCause, KeyPressed, LegEnded
from voicebot.web.address import PublicAddress
from voicebot.web.server import WebLimits


async def ticket(server: RunningServer) -> str:
    answer = await server.http.post(server.base + "/browser/ticket", headers={"Origin": server.base})
    assert answer.status == 200, await answer.text()
    token: str = (await answer.json())["ticket"]
    return token


@asynccontextmanager
async def page(server: RunningServer, token: str | None = None) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """Open a call as the page does and say hello."""
    token = await ticket(server) if token is None else token
    async with server.http.ws_connect(server.base + "/browser/media", origin=server.base) as socket:
        await socket.send_json({"type": "hello", "version": 1, "ticket": token})
        yield socket


async def test_the_page_calls_and_hears_the_answer() -> None:
    async with serving() as server, page(server) as socket:
        assert await socket.receive_json(timeout=20) == {"type": "ready"}
        await socket.send_bytes(FRAME)

        assert await socket.receive_bytes(timeout=20) == FRAME


async def test_keys_and_captions_travel() -> None:
    listener = Listener()
    async with serving(listener) as server, page(server) as socket:
        await until(lambda: listener.legs)
        leg = listener.legs[0]
        assert leg.info.channel is Channel.BROWSER
        assert Capability.CAPTIONS in leg.info.capabilities
        await socket.send_json({"type": "key", "key": "#", "ms": 90})
        leg.show_caption("bot", "Grüezi <b>", final=True)

        assert await socket.receive_json(timeout=20) == {"type": "ready"}
        assert await socket.receive_json(timeout=20) == {
            "type": "caption",
            "speaker": "bot",
            "text": "Grüezi <b>",
            "final": True,
        }
        await until(lambda: listener.events)
        assert isinstance(listener.events[0], KeyPressed)
        assert (listener.events[0].key, listener.events[0].duration_ms) == ("#", 90)


async def test_hanging_up_on_the_page_ends_the_call() -> None:
    listener = Listener()
    async with serving(listener) as server, page(server) as socket:
        await socket.send_json({"type": "bye"})
        async with asyncio.timeout(20):
            await listener.ended.wait()

    assert isinstance(listener.events[-1], LegEnded)
    assert listener.events[-1].cause is EndCause.PEER_HUNG_UP


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null", "https://127.0.0.1"])
async def test_another_sites_page_gets_neither_ticket_nor_socket(origin: str | None) -> None:
    async with serving() as server:
        headers = {} if origin is None else {"Origin": origin}
        assert (await server.http.post(server.base + "/browser/ticket", headers=headers)).status == 403
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await server.http.ws_connect(server.base + "/browser/media", headers=headers)
        assert caught.value.status == 403
        assert server.kinds() == ["wrong_origin", "wrong_origin"]


async def test_the_origin_is_the_public_address() -> None:
    async with serving(public=PublicAddress(url="https://bot.example.com")) as server:
        public = {"Origin": "https://bot.example.com"}
        assert (await server.http.post(server.base + "/browser/ticket", headers=public)).status == 200
        assert (await server.http.post(server.base + "/browser/ticket", headers={"Origin": server.base})).status == 403


@pytest.mark.parametrize(
    "first",
    [
        '{"type":"hello","version":1,"ticket":"forged"}',
        '{"type":"hello","version":2,"ticket":"x"}',
        '{"type":"hello","version":1}',
        '{"type":"key","key":"1"}',
        "nonsense",
        FRAME,
    ],
)
async def test_a_page_without_a_good_hello_is_turned_away(first: str | bytes) -> None:
    async with (
        serving() as server,
        server.http.ws_connect(server.base + "/browser/media", origin=server.base) as socket,
    ):
        await (socket.send_str(first) if isinstance(first, str) else socket.send_bytes(first))

        assert (await socket.receive_json(timeout=20))["cause"] == "not_allowed"
        assert (await socket.receive(timeout=20)).type is aiohttp.WSMsgType.CLOSE
        assert socket.close_code == 1008


async def test_a_ticket_is_for_one_call() -> None:
    async with serving() as server:
        token = await ticket(server)
        async with page(server, token) as first, page(server, token) as second:
            assert (await first.receive_json(timeout=20))["type"] == "ready"
            assert (await second.receive_json(timeout=20))["cause"] == "not_allowed"
        assert server.kinds() == ["ticket_used"]


async def test_a_full_server_tells_the_page() -> None:
    async with serving() as server:
        server.admission.refuse_with = "engines_busy"
        async with page(server) as socket:
            refused = await socket.receive_json(timeout=20)

    assert refused["cause"] == "refused_busy"
    assert "busy" in refused["message"]


async def test_one_address_may_hold_and_start_only_so_many_calls() -> None:
    limits = WebLimits(max_browser_connections_per_address=1, max_starts_per_minute=2)
    async with serving(limits=limits) as server, page(server) as first:
        assert (await first.receive_json(timeout=20))["type"] == "ready"
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            async with page(server):
                pass
        assert caught.value.status == 503
        assert (await server.http.post(server.base + "/browser/ticket", headers={"Origin": server.base})).status == 429


async def test_the_page_loads_nothing_from_elsewhere() -> None:
    async with serving() as server:
        answer = await server.http.get(server.base + "/")
        assert answer.url.path == "/call"
        html = await answer.text()

        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
        assert "microphone=(self)" in answer.headers["Permissions-Policy"]
        assert "http:" not in html
        assert "https:" not in html
        assert "style=" not in html
        for path in ("call.js", "line.js", "mulaw.js", "resampler.js", "capture-worklet.js", "playback-worklet.js"):
            script = await server.http.get(f"{server.base}/static/{path}")
            assert script.status == 200
            assert script.content_type in {"text/javascript", "application/javascript"}
