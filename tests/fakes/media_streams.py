"""A carrier of Media Streams that tests drive by hand, its webhook forms, and the parts of the TwiML it gets back."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import aiohttp

from voicebot.telephony.twilio.messages import CarrierMessage, Connected, Media, Start, Stop, Track, serialise

FRAME = b"\x7f" * 160


class HandMadeCarrier:
    """One stream's carrier; it does only what it is told, right or wrong."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, call_sid: str = "CA1") -> None:
        self.socket = socket
        self.call_sid = call_sid
        self.stream_sid = "MZ" + uuid.uuid4().hex
        self.sequence = 0
        self.chunk = 0

    async def send(self, message: CarrierMessage | str) -> None:
        await self.socket.send_str(message if isinstance(message, str) else serialise(message))

    def number(self) -> int:
        self.sequence += 1
        return self.sequence

    async def start(self, parameters: Mapping[str, str], **changes: Any) -> None:
        await self.send(Connected())
        start = Start(self.number(), self.stream_sid, "AC1", self.call_sid, parameters=parameters)
        await self.send(replace(start, **changes))

    def media(self, payload: bytes = FRAME) -> Media:
        self.chunk += 1
        return Media(self.number(), self.stream_sid, Track.INBOUND, self.chunk, 20 * self.chunk, payload)

    async def say(self, frames: int) -> None:
        for _ in range(frames):
            await self.send(self.media())

    async def stop(self) -> None:
        await self.send(Stop(self.number(), self.stream_sid, "AC1", self.call_sid))

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(20):
            message: dict[str, Any] = await self.socket.receive_json()
            return message

    async def close_code(self) -> int | None:
        """Read until the server closes and return its code."""
        async with asyncio.timeout(20):
            while True:
                message = await self.socket.receive()
                if message.type in {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING}:
                    return self.socket.close_code


def incoming(call_sid: str = "CA1", **changes: str) -> list[tuple[str, str]]:
    """Return the form of Twilio's question about a call."""
    fields = {"CallSid": call_sid, "AccountSid": "AC1", "From": "+15550100", "To": "+15550199", "CallStatus": "ringing"}
    return list((fields | changes).items())


def parameters_of(twiml: str) -> dict[str, str]:
    """Return the custom parameters of the stream in a TwiML document."""
    return {element.attrib["name"]: element.attrib["value"] for element in ET.fromstring(twiml).iter("Parameter")}


def stream_of(twiml: str) -> dict[str, str]:
    """Return the attributes of the stream in a TwiML document."""
    stream = ET.fromstring(twiml).find("Connect/Stream")
    assert stream is not None, twiml
    return dict(stream.attrib)
