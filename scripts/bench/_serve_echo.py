"""The least that a server of Media Streams can do: a bare aiohttp WebSocket that sends every message back."""

from __future__ import annotations

import argparse
import asyncio
import signal
from pathlib import Path

import uvloop
from aiohttp import WSMsgType, web

from voicebot.telephony.twilio.webhook import stream_twiml


async def voice(request: web.Request) -> web.Response:
    twiml = stream_twiml(url=f"ws://{request.host}/media", status_url="", parameters={})
    return web.Response(text=twiml, content_type="text/xml")


async def media(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse(compress=False)
    await socket.prepare(request)
    async for message in socket:
        # Messages of other kinds mean nothing in the other direction.
        if message.type is WSMsgType.TEXT and message.data.startswith('{"event":"media"'):
            await socket.send_str(message.data)
    return socket


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--flows", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--sip-port", type=int)
    given = parser.parse_args()
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    app = web.Application()
    app.add_routes([web.post("/twilio/voice", voice), web.get("/media", media)])
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", given.port).start()
    print(f"ready http://127.0.0.1:{given.port} - - engines=none", flush=True)
    await stop.wait()
    await runner.cleanup()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop_runner:
        loop_runner.run(main())
