"""The carrier's side of a call: asks the voice webhook, follows its TwiML, and opens the media stream.

After Twilio's "Voice webhooks", "Webhooks security" and "Media Streams".
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Protocol

import aiohttp
from twilio.request_validator import RequestValidator

from voicebot.errors import VoicebotError
from voicebot.simulation.impairment import Impairment
from voicebot.simulation.line import CarrierLine, Listener
from voicebot.simulation.twiml import ConnectStream, Play, Reject, Say, Verb, parse_twiml
from voicebot.telephony.twilio.messages import Connected, Start, serialise

_WEBHOOK_TIMEOUT_S = 15.0  # Twilio waits this long for a webhook
CALLER_NUMBER = "+15550100199"
CALLED_NUMBER = "+15550100100"


class CarrierError(VoicebotError):
    """The call could not be placed: the server did not answer, or not as a webhook must."""


class CallRefused(VoicebotError):
    """The server answered with TwiML that connects no stream; `spoken` is what it has the carrier say instead."""

    def __init__(self, spoken: str, verbs: tuple[Verb, ...]) -> None:
        super().__init__("the server refused the call")
        self.spoken = spoken
        self.verbs = verbs


@dataclass(frozen=True, slots=True)
class Account:
    """A carrier's account. Without an `auth_token` requests go unsigned, which a safe server refuses."""

    account_sid: str = "AC" + "5" * 32
    auth_token: str | None = field(default=None, repr=False)

    def signature(self, url: str, form: dict[str, str]) -> dict[str, str]:
        """Return the headers that prove a request comes from the carrier."""
        if self.auth_token is None:
            return {}
        return {"X-Twilio-Signature": str(RequestValidator(self.auth_token).compute_signature(url, form))}


@dataclass(frozen=True, slots=True)
class Numbers:
    """Who calls whom."""

    caller: str = CALLER_NUMBER
    called: str = CALLED_NUMBER


class Network(Protocol):
    """Whatever places a caller's calls."""

    def dial(
        self, *, numbers: Numbers = ..., impairment: Impairment = ..., listener: Listener | None = ...
    ) -> AbstractAsyncContextManager[CarrierLine]:
        """Place a call and yield its line; raises CallRefused or CarrierError."""
        ...


class Carrier:
    """Places calls to one server. `base_url` is its plain address, such as ``http://127.0.0.1:8080``."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        base_url: str,
        account: Account,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._base_url = base_url.rstrip("/")
        self._account = account
        self._clock = clock

    @asynccontextmanager
    async def dial(
        self,
        *,
        numbers: Numbers = Numbers(),  # frozen, so sharing it is safe
        impairment: Impairment = Impairment(),  # noqa: B008 # frozen, so sharing it is safe
        listener: Listener | None = None,
    ) -> AsyncIterator[CarrierLine]:
        """Place a call and yield its line, which is hung up at the end of the block.

        Raises CallRefused when the server's TwiML connects no stream, CarrierError when it cannot be reached.
        """
        dialled_s = self._clock()
        call_sid, stream_sid = "CA" + secrets.token_hex(16), "MZ" + secrets.token_hex(16)
        form = self._form(call_sid, numbers, "ringing")
        stream = await self._ask_webhook(form)
        start = Start(
            sequence=1,
            stream_sid=stream_sid,
            account_sid=self._account.account_sid,
            call_sid=call_sid,
            parameters=stream.parameters,
        )
        async with await self._open_socket(stream.url) as socket:
            await socket.send_str(serialise(Connected()))
            await socket.send_str(serialise(start))
            line = CarrierLine(
                socket, start, impairment=impairment, listener=listener, clock=self._clock, dialled_s=dialled_s
            )
            told = asyncio.create_task(self._tell_stream_status(stream, form, line, "stream-started"))
            carrying = asyncio.create_task(line.carry())
            try:
                yield line
            finally:
                await line.hang_up()
                await carrying
                await told
                await self._tell_stream_status(stream, form, line, "stream-stopped")

    def _form(self, call_sid: str, numbers: Numbers, status: str) -> dict[str, str]:
        return {
            "CallSid": call_sid,
            "AccountSid": self._account.account_sid,
            "From": numbers.caller,
            "To": numbers.called,
            "Caller": numbers.caller,
            "Called": numbers.called,
            "CallStatus": status,
            "Direction": "inbound",
            "ApiVersion": "2010-04-01",
        }

    async def _ask_webhook(self, form: dict[str, str]) -> ConnectStream:
        status, answer = await self._post(f"{self._base_url}/twilio/voice", form)
        if status != 200:
            why = ""
            if status == HTTPStatus.FORBIDDEN and self._account.auth_token is None:
                why = (
                    " It takes no unsigned calls: start it and this command with the same TWILIO_AUTH_TOKEN,"
                    " which without Twilio may be any text, or call it over SIP."
                )
            elif status == HTTPStatus.FORBIDDEN:
                why = " The signature was not accepted: TWILIO_AUTH_TOKEN must be the same here and at the server."
            raise CarrierError(f"{self._base_url}/twilio/voice answered {status}.{why}")
        verbs = parse_twiml(answer)
        for verb in verbs:
            if isinstance(verb, ConnectStream):
                return verb
        raise CallRefused(_spoken(verbs), verbs)

    async def _post(self, url: str, form: dict[str, str]) -> tuple[int, str]:
        timeout = aiohttp.ClientTimeout(total=_WEBHOOK_TIMEOUT_S)
        headers = self._account.signature(url, form)
        try:
            async with self._http.post(url, data=form, headers=headers, timeout=timeout) as response:
                return response.status, await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise CarrierError(f"no answer from {url}: {type(error).__name__}. Is the server running there?") from error

    async def _open_socket(self, url: str) -> aiohttp.ClientWebSocketResponse:
        try:
            return await self._http.ws_connect(url, headers=self._account.signature(url, {}), compress=0)
        except (aiohttp.ClientError, TimeoutError) as error:
            raise CarrierError(f"the media stream at {url} does not open: {type(error).__name__}") from error

    async def _tell_stream_status(
        self, stream: ConnectStream, form: dict[str, str], line: CarrierLine, event: str
    ) -> None:
        if not stream.status_url:
            return
        content = {"StreamSid": line.start.stream_sid, "StreamEvent": event}
        try:
            status, _ = await self._post(stream.status_url, form | content)
        except CarrierError:
            status = 0
        # Twilio shows a failed callback in its debugger and goes on with the call.
        if status // 100 != 2:
            line.count_violation("status_callback_failed")


def _spoken(verbs: tuple[Verb, ...]) -> str:
    said: list[str] = []
    for verb in verbs:
        match verb:
            case Say(text):
                said.append(text)
            case Play(url):
                said.append(f"[{url}]")
            case Reject(reason):
                said.append(f"[{reason}]")
            case _:
                pass
    return " ".join(said)
