"""A person on a SIP telephone, for tests and benchmarks: a real SIP and RTP endpoint that does what it is told."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_network

import numpy as np

from voicebot import g711
from voicebot.telephony.leg import FRAME_MS, SILENT_FRAME, EndCause, FrameReceived, HangUpReason, LegEnded
from voicebot.telephony.rtp.media import MediaPlan, PortRange, RtpMedia
from voicebot.telephony.sip.access import Access
from voicebot.telephony.sip.endpoint import Endpoint, Identity
from voicebot.telephony.sip.leg import SipLeg
from voicebot.telephony.sip.media import Media
from voicebot.telephony.sip.resolve import DnsLookup, Resolver
from voicebot.telephony.sip.server import SipServer

_HOST = "127.0.0.1"
_PORTS = (30000, 39999)


class AgentCall:
    """One call to the agent. `heard` is mu-law, everything since it was answered, and `frames` when each came."""

    def __init__(self, leg: SipLeg, clock: Callable[[], float]) -> None:
        self._leg = leg
        self._clock = clock
        self._saying: list[bytes] = []
        self.heard = bytearray()
        #: How much of `heard` there was when the agent spoke their decision.
        self.decided_after = 0
        self.answered_s: float | None = None
        self.cause: EndCause | None = None
        self.over = asyncio.Event()
        self._heard_more = asyncio.Event()

    @property
    def parameters(self) -> dict[str, str]:
        """The headers that came with the call, as far as a leg keeps them."""
        return dict(self._leg.info.parameters)

    async def answer(self) -> None:
        await self._leg.answer()
        self.answered_s = self._clock()

    def press(self, key: str) -> None:
        """Press a key, sent as a telephone event."""
        self._leg.send_keys(key)

    def say(self, mulaw: bytes) -> None:
        """Speak after what is being said, in real time."""
        frames = [mulaw[at : at + len(SILENT_FRAME)] for at in range(0, len(mulaw), len(SILENT_FRAME))]
        self._saying += [frame + SILENT_FRAME[len(frame) :] for frame in frames]

    async def hang_up(self, reason: HangUpReason = HangUpReason.COMPLETED) -> None:
        """Hang up, or refuse a call that still rings."""
        await self._leg.hang_up(reason)

    async def listen_for(self, seconds: float) -> None:
        """Return once so much has been heard since the answer, or the call is over."""
        while len(self.heard) < seconds * 8000 and not self.over.is_set():
            self._heard_more.clear()
            await self._heard_more.wait()

    async def carry(self) -> None:
        """Hear and speak until the call ends."""
        running = asyncio.create_task(self._leg.run())
        speaking = asyncio.create_task(self._speak())
        try:
            async for event in self._leg.events():
                match event:
                    case FrameReceived(payload=payload):
                        self.heard += payload
                        self._heard_more.set()
                    case LegEnded(cause=cause):
                        self.cause = cause
                    case _:
                        pass
        finally:
            self.over.set()
            self._heard_more.set()
            speaking.cancel()
            await self._leg.hang_up(HangUpReason.COMPLETED)
            await running

    async def _speak(self) -> None:
        due_s = self._clock()
        while True:
            if self.answered_s is not None:
                self._leg.send(self._saying.pop(0) if self._saying else SILENT_FRAME)
            due_s += FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due_s - self._clock()))


#: What the agent does with a call, from its first ring on; the call is carried meanwhile.
Behave = Callable[[AgentCall], Awaitable[None]]


class SipAgent:
    """An agent's telephone; `calls` are those that came, in order."""

    def __init__(self, behave: Behave, clock: Callable[[], float]) -> None:
        self._behave = behave
        self._clock = clock
        self.calls: list[AgentCall] = []
        self.port = 0
        self._rang = asyncio.Condition()

    @property
    def address(self) -> str:
        return f"sip:agent@{_HOST}:{self.port}"

    async def call(self, number: int = 0, *, within_s: float = 30.0) -> AgentCall:
        """Return the call that came as this one, as soon as it rings."""
        async with asyncio.timeout(within_s), self._rang:
            await self._rang.wait_for(lambda: len(self.calls) > number)
        return self.calls[number]

    async def carry(self, leg: SipLeg) -> None:
        """Take one call, from its ring to its end."""
        call = AgentCall(leg, self._clock)
        self.calls.append(call)
        async with self._rang:
            self._rang.notify_all()
        behaving = asyncio.ensure_future(self._behave(call))
        try:
            await call.carry()
        finally:
            behaving.cancel()
            await asyncio.gather(behaving, return_exceptions=True)

    # As the server's admission: there is always room for one more call.

    def admit(self, caller: str, call_id: str) -> str | None:
        del caller, call_id
        return None

    def withdraw(self, call_id: str) -> None:
        """Do nothing: no place was kept."""

    def is_open(self) -> bool:
        return True


@asynccontextmanager
async def sip_agent(behave: Behave, *, clock: Callable[[], float] = time.monotonic) -> AsyncIterator[SipAgent]:
    """Have a telephone on loopback while the block lasts."""
    agent = SipAgent(behave, clock)
    endpoint = Endpoint(
        Identity(user="agent", user_agent="voicebot agent"),
        client_tls=ssl.create_default_context(),
        new_id=lambda: f"agent-{len(agent.calls)}-{time.monotonic_ns()}",
        on_violation=lambda _kind: None,
    )
    ports = PortRange(*_PORTS)

    async def open_media(local_host: str, peer_host: str) -> Media:
        return await RtpMedia.open(MediaPlan(local_host, signalling_address=peer_host), ports)

    SipServer(
        endpoint,
        access=Access((ip_network("127.0.0.0/8"),), None),
        admission=agent,
        open_media=open_media,
        reach=Resolver(DnsLookup()),
        carry=agent.carry,
        on_refused=lambda _why: None,
        on_referral=lambda _leg, _call, _referral: False,
        clock=clock,
    )
    try:
        agent.port = await endpoint.transports.listen(_HOST, 0)
        yield agent
    finally:
        for call in agent.calls:
            await call.hang_up()
        await endpoint.close()


async def accepts(call: AgentCall) -> None:
    """Answer, hear who it is, and take the call by key."""
    await call.answer()
    await call.listen_for(3.0)
    call.press("1")


async def declines(call: AgentCall) -> None:
    """Answer, hear who it is, and decline by key."""
    await call.answer()
    await call.listen_for(2.0)
    call.press("2")


async def never_answers(call: AgentCall) -> None:
    """Let it ring."""
    await call.over.wait()


#: A telephone line on which nobody speaks is under this loudness, as mean magnitude of 16-bit samples.
_SILENT = 60
_PAUSE_S = 1.0


def says(decision: bytes) -> Behave:
    """Return who answers, hears who it is to the end of the question, and speaks `decision` (mu-law) on it."""

    async def behave(call: AgentCall) -> None:
        await call.answer()
        await call.listen_for(3.0)
        while not call.over.is_set():
            heard = g711.decode(bytes(call.heard[-round(_PAUSE_S * 8000) :])).astype(np.int32)
            if np.abs(heard).mean() < _SILENT:
                break
            await call.listen_for(len(call.heard) / 8000 + 0.1)
        call.decided_after = len(call.heard)
        call.say(decision)

    return behave
