"""A real SIP server on loopback whose calls are answered by the test, and a phone that speaks SIP line by line."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from sipmessage import Request, Response

from tests.telephony.sip.messages import raw
from voicebot.simulation.loudness import is_audible
from voicebot.telephony.leg import EndCause, FrameReceived, HangUpReason, KeyPressed, LegEnded, LegHeld
from voicebot.telephony.rtp.media import MediaPlan, PortRange, RtpMedia, SrtpMode
from voicebot.telephony.sip.access import Access
from voicebot.telephony.sip.digest import Authenticator
from voicebot.telephony.sip.endpoint import Endpoint, Identity
from voicebot.telephony.sip.leg import SipLeg
from voicebot.telephony.sip.media import Media
from voicebot.telephony.sip.message import parse
from voicebot.telephony.sip.resolve import DnsLookup, Resolver
from voicebot.telephony.sip.server import Admission, SipServer

HOST = "127.0.0.1"


@dataclass
class Carried:
    """A call that came in, and what its party did."""

    leg: SipLeg
    keys: str = ""
    frames: int = 0
    #: Frames that were not silent.
    loud: int = 0
    holds: list[bool] = field(default_factory=list)
    cause: EndCause | None = None
    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class SipBot:
    """Answers every call at once and sends back what it hears, unless `on_call` does something else first."""

    endpoint: Endpoint
    port: int
    ports: PortRange
    calls: list[Carried] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    open: bool = True
    admitted: set[str] = field(default_factory=set)
    on_call: Callable[[SipLeg], Awaitable[None]] | None = None

    def admit(self, caller: str, call_id: str) -> str | None:
        if not self.open:
            return "too_many_calls"
        self.admitted.add(call_id)
        return None

    def withdraw(self, call_id: str) -> None:
        self.admitted.discard(call_id)

    def is_open(self) -> bool:
        return self.open

    async def carry(self, leg: SipLeg) -> None:
        call = Carried(leg)
        self.calls.append(call)
        running = asyncio.create_task(leg.run())
        try:
            if self.on_call is None:
                await leg.answer()
            else:
                await self.on_call(leg)
            async for event in leg.events():
                match event:
                    case FrameReceived(payload=payload):
                        call.frames += 1
                        call.loud += is_audible(payload)
                        leg.send(payload)
                    case KeyPressed(key=key):
                        call.keys += key
                    case LegHeld(held=held):
                        call.holds.append(held)
                    case LegEnded(cause=cause):
                        call.cause = cause
                    case _:
                        pass
        finally:
            await leg.hang_up(HangUpReason.COMPLETED)
            await running
            call.over.set()

    async def call(self, number: int = 0) -> Carried:
        """Return the call that came as this one, as soon as it is there."""
        async with asyncio.timeout(20):
            while len(self.calls) <= number:
                await asyncio.sleep(0.005)
        return self.calls[number]

    @property
    def leaks(self) -> dict[str, int]:
        """What is still held: must be all zero once every call is over."""
        return {"dialogs": self.endpoint.dialogs, "ports": self.ports.lent}

    async def lets_go(self) -> None:
        """Wait until no dialog and no port is held any more; on a busy machine that takes a moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20):
                while any(self.leaks.values()):
                    await asyncio.sleep(0.01)
        assert self.leaks == {"dialogs": 0, "ports": 0}


@contextlib.asynccontextmanager
async def sip_bot(
    *,
    admit: Callable[[SipBot], Admission] = lambda bot: bot,
    host: str = HOST,
    trunks: tuple[str, ...] = ("127.0.0.0/8", "::1/128"),
    users: dict[str, str] | None = None,
    rtp_ports: tuple[int, int] = (20000, 29999),
    tls: ssl.SSLContext | None = None,
    client_tls: ssl.SSLContext | None = None,
    media_timeout_s: float = 20.0,
    srtp: SrtpMode = SrtpMode.OFF,
    media_after_s: float = 0.0,
    public_address: str = "",
) -> AsyncIterator[SipBot]:
    """Run a SIP server on a free port."""
    violations: list[str] = []
    endpoint = Endpoint(
        Identity(public_host=public_address or None),
        client_tls=client_tls or ssl.create_default_context(),
        new_id=lambda: secrets.token_hex(8),
        on_violation=violations.append,
    )
    port = await endpoint.transports.listen(host, 0)
    if tls is not None:
        await endpoint.transports.listen_tls(host, 0, tls)
    ports = PortRange(*rtp_ports)

    async def open_media(local_host: str, peer_host: str) -> Media:
        await asyncio.sleep(media_after_s)
        return await RtpMedia.open(
            MediaPlan(
                local_host,
                public_address=public_address,
                signalling_address=peer_host,
                media_timeout_s=media_timeout_s,
                srtp=srtp,
            ),
            ports,
        )

    bot = SipBot(endpoint, port, ports, violations=violations)
    authenticator = Authenticator(users, realm="test", key=b"k" * 32, clock=time.monotonic) if users else None
    SipServer(
        endpoint,
        access=Access(tuple(ip_network(trunk) for trunk in trunks), authenticator),
        admission=admit(bot),
        open_media=open_media,
        reach=Resolver(DnsLookup()),
        carry=bot.carry,
        on_refused=bot.refused.append,
        on_referral=lambda _leg, _call, _referral: False,
        clock=time.monotonic,
    )
    try:
        yield bot
    finally:
        for call in bot.calls:
            await call.leg.hang_up(HangUpReason.SHUTTING_DOWN)
        await endpoint.close()


class Phone:
    """A UDP socket on which a test writes SIP itself, so that it can break every rule."""

    def __init__(self, transport: asyncio.DatagramTransport, inbox: asyncio.Queue[bytes], port: int) -> None:
        self._transport = transport
        self._inbox = inbox
        self.bot = (HOST, port)
        self.host, self.port = transport.get_extra_info("sockname")[:2]

    def raw(self, method: str = "INVITE", **parts: Any) -> bytes:
        """Return a request's bytes whose Contact is this phone."""
        return raw(method, **{"contact": f"<sip:caller@{self.host}:{self.port}>", **parts})

    def send(self, data: bytes) -> None:
        self._transport.sendto(data, self.bot)

    async def receive(self, *, within_s: float = 20.0) -> Request | Response:
        """Return the next message, whatever it is."""
        async with asyncio.timeout(within_s):
            return parse(await self._inbox.get())

    async def response(self, code: int, *, within_s: float = 20.0) -> Response:
        """Return the next response with this code, passing over provisional ones."""
        async with asyncio.timeout(within_s):
            while True:
                message = parse(await self._inbox.get())
                if isinstance(message, Response) and message.code == code:
                    return message
                assert not isinstance(message, Response) or message.code < 200, f"{message.code} instead of {code}"

    async def request(self, method: str, *, within_s: float = 20.0) -> Request:
        """Return the next request with this method, passing over everything else."""
        async with asyncio.timeout(within_s):
            while True:
                message = parse(await self._inbox.get())
                if isinstance(message, Request) and message.method == method:
                    return message

    async def silence(self, for_s: float) -> list[Request | Response]:
        """Return what comes within this time."""
        await asyncio.sleep(for_s)
        heard = []
        while not self._inbox.empty():
            heard.append(parse(self._inbox.get_nowait()))
        return heard

    def close(self) -> None:
        self._transport.close()


@contextlib.asynccontextmanager
async def phone(bot_port: int, *, host: str = HOST) -> AsyncIterator[Phone]:
    """Open a phone's socket."""
    inbox: asyncio.Queue[bytes] = asyncio.Queue()

    class Datagrams(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            inbox.put_nowait(data)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, local_addr=(host, 0))
    opened = Phone(transport, inbox, bot_port)
    try:
        yield opened
    finally:
        opened.close()


def tag(response: Response) -> str:
    """Return the tag that the bot gave its end of the dialog."""
    found = re.search(r";tag=([^;>\s]+)", response.headers["To"])
    assert found is not None
    return found[1]
