"""A hand-written Media Streams server: says prompts one after the other, each when the caller has had their turn."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from twilio.request_validator import RequestValidator

from voicebot.simulation.loudness import is_audible
from voicebot.telephony.leg import FRAME_BYTES

AUTH_TOKEN = "b" * 32
_QUIET_FRAMES = 15


class StreamsBot:
    """`prompts` are mu-law. After the last one was played, it hangs up, unless it `stays`.

    It takes `#` or 300 ms of quiet after speech as the caller's turn, and stops talking when spoken over. `received`
    is every message as it came, `heard` the caller's audio.
    """

    def __init__(self, prompts: Sequence[bytes], *, refusal: str | None = None, stays: bool = False) -> None:
        self._prompts = list(prompts)
        self._refusal = refusal
        self._stays = stays
        self.forms: list[dict[str, str]] = []
        self.signed: list[bool] = []
        self.stream_events: list[str] = []
        self.received: list[dict[str, Any]] = []
        self.heard = bytearray()
        self.keys = ""
        #: A malformed or foreign message to send when the stream starts.
        self.nonsense: list[str] = []
        self.lead_frames = 10
        #: Whether it goes on talking when spoken over.
        self.deaf = False
        self.closed = asyncio.Event()
        self.prompt_played = asyncio.Event()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Serve on loopback and yield the base address."""
        app = web.Application()
        app.router.add_post("/twilio/voice", self._voice)
        app.router.add_post("/twilio/stream-status", self._stream_status)
        app.router.add_get("/twilio/media", self._media)
        server = TestServer(app)
        await server.start_server()
        try:
            yield f"http://127.0.0.1:{server.port}"
        finally:
            await server.close()

    def events(self, name: str) -> list[dict[str, Any]]:
        return [message for message in self.received if message["event"] == name]

    async def _voice(self, request: web.Request) -> web.Response:
        form = dict(await request.post())
        self.forms.append({name: str(value) for name, value in form.items()})
        self.signed.append(self._is_signed(request, self.forms[-1]))
        if self._refusal is not None:
            body = f"<Say>{self._refusal}</Say><Hangup/>"
        else:
            status = f"http://{request.host}/twilio/stream-status"
            stream = f'<Stream url="ws://{request.host}/twilio/media" statusCallback="{status}">'
            body = f'<Connect>{stream}<Parameter name="token" value="t1"/></Stream></Connect>'
        return web.Response(text=f"<Response>{body}</Response>", content_type="text/xml")

    async def _stream_status(self, request: web.Request) -> web.Response:
        self.stream_events.append(str((await request.post())["StreamEvent"]))
        return web.Response(status=204)

    async def _media(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        try:
            await self._converse(socket)
        finally:
            self.closed.set()
        return socket

    async def _converse(self, socket: web.WebSocketResponse) -> None:
        talking: asyncio.Task[None] | None = None
        quiet, spoke = 0, False
        async for raw in socket:
            if raw.type is not aiohttp.WSMsgType.TEXT:
                continue
            message = json.loads(raw.data)
            self.received.append(message)
            turn = False
            match message["event"]:
                case "start":
                    for text in self.nonsense:
                        await socket.send_str(text)
                    turn = True
                case "media":
                    frame = base64.b64decode(message["media"]["payload"])
                    self.heard += frame
                    if is_audible(frame) and not self.deaf:
                        quiet, spoke = 0, True
                        if talking is not None and not talking.done():
                            talking.cancel()
                            await socket.send_json({"event": "clear", "streamSid": message["streamSid"]})
                    else:
                        quiet += 1
                    turn = spoke and quiet == _QUIET_FRAMES
                case "dtmf":
                    self.keys += message["dtmf"]["digit"]
                    turn = message["dtmf"]["digit"] == "#"
                case "mark":
                    self.prompt_played.set()
                    if not self._prompts and not self._stays:
                        await socket.close()
            if turn and self._prompts:
                spoke = False
                talking = asyncio.create_task(self._talk(socket, message["streamSid"], self._prompts.pop(0)))
        if talking is not None:
            talking.cancel()

    async def _talk(self, socket: web.WebSocketResponse, sid: str, prompt: bytes) -> None:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for at in range(0, len(prompt), FRAME_BYTES):
            frame = at // FRAME_BYTES
            await asyncio.sleep(max(0.0, began_s + (frame - self.lead_frames) * 0.02 - loop.time()))
            payload = base64.b64encode(prompt[at : at + FRAME_BYTES]).decode()
            await socket.send_json({"event": "media", "streamSid": sid, "media": {"payload": payload}})
        await socket.send_json({"event": "mark", "streamSid": sid, "mark": {"name": "end"}})

    @staticmethod
    def _is_signed(request: web.Request, form: dict[str, str]) -> bool:
        signature = request.headers.get("X-Twilio-Signature", "")
        return bool(RequestValidator(AUTH_TOKEN).validate(str(request.url), form, signature))
