"""Callers of a played Twilio who are handed over to agents there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from tests.calls.test_notes import late_order, packet
from tests.calls.transfer.test_breaking import PlayedFloor
from tests.fakes.twilio import OUR_NUMBER, Twilio, twilio_served, until
from tests.routing.examples import NOW
from voicebot.calls.transfer import by_twilio
from voicebot.calls.transfer.by_twilio import ByTwilio
from voicebot.calls.transfer.elsewhere import Ways
from voicebot.calls.transfer.seams import FlowRun, NotWritten, Place, Reached, RingFailed, Talk
from voicebot.calls.transfer.transfer import Outcome, Transfer
from voicebot.dialog.expectation import Expectation
from voicebot.records.context import ContextPacket
from voicebot.routing.agents import Agent, Reach
from voicebot.routing.destinations import Destination, TaskQueue
from voicebot.routing.events import Claim
from voicebot.routing.queues import Failure, Queue, Routing
from voicebot.routing.waiting import Outlook, Standing
from voicebot.routing.wording import Wording
from voicebot.simulation.line import CarrierLine
from voicebot.simulation.twilio_exchange import Phone, PlayedCall
from voicebot.telephony.dialing import DialFailed, DialFailure
from voicebot.telephony.leg import CallLeg, KeyPressed, LegEnded
from voicebot.telephony.sip.leg import SipLeg
from voicebot.telephony.twilio import outgoing, rest

PACKET = packet(late_order())
INTRODUCTION = "Warm transfer. Order four five one two is late."
TONE = b"\x10\x90" * 80
COACH = "+15550777"
TASKS = TaskQueue("WS" + "1" * 32, "WW" + "2" * 32)


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nobody wait for Twilio as long as they would."""
    monkeypatch.setattr(rest, "RETRY_AFTER_S", (0.0, 0.0))
    monkeypatch.setattr(by_twilio, "LOOK_AT_TASK_EVERY_S", 0.05)
    monkeypatch.setattr(by_twilio, "LOOK_EVERY_S", 0.3)
    monkeypatch.setattr(outgoing, "OPENING_S", 0.3)


class Caller:
    """The caller's line, read by the bot unless it has stepped aside; what is said is a tone, music is silence."""

    def __init__(self, leg: CallLeg, left: Callable[[], None]) -> None:
        self.leg = leg
        self.talk: Talk = NotWritten()
        self.moves: list[str] = []
        self._left = left
        self._reading: asyncio.Task[None] | None = None
        self._read()

    def _read(self) -> None:
        self._reading = asyncio.create_task(self._events())

    async def _events(self) -> None:
        async for event in self.leg.events():
            if isinstance(event, LegEnded):
                self._left()

    async def say(self, prompt: str, text: str, *, personal: bool = False) -> None:
        del text, personal
        self.moves.append(prompt)
        for _ in range(5):
            self.leg.send(TONE)
        await asyncio.sleep(0.25)

    async def play(self, audio: bytes) -> None:
        del audio
        self.moves.append("music")
        await asyncio.sleep(1.0)

    async def run_flow(self, flow: str) -> FlowRun:
        self.moves.append(flow)
        return FlowRun(done=False)

    async def hush(self) -> None:
        """Nothing sounds any longer than it is awaited."""

    async def listen(self, expectation: Expectation | None) -> None:
        """The caller says nothing."""

    async def step_aside(self) -> None:
        self.moves.append("aside")
        await self.stop()

    async def come_back(self) -> None:
        self.moves.append("back")
        self._read()

    async def stop(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)


class Nobody:
    """No agent of ours can be rung."""

    async def ring(
        self, agent: Agent, reach: Reach, claim: Claim, packet: ContextPacket, *, timeout_s: float
    ) -> Reached:
        raise RingFailed(Failure.UNREACHABLE)

    def release(self, leg: CallLeg) -> None:
        """Nobody was rung."""


class KeyedParty:
    """An agent on the phone who decides by key, as they do in a briefing."""

    def __init__(self, leg: CallLeg) -> None:
        self._leg = leg

    @property
    def leg(self) -> CallLeg:
        return self._leg

    async def ask(self, introduction: str, question: str, *, accept_s: float) -> Failure | None:
        assert introduction == INTRODUCTION
        assert question
        for _ in range(5):
            self._leg.send(TONE)
        try:
            async with asyncio.timeout(accept_s):
                async for event in self._leg.events():
                    match event:
                        case KeyPressed("1"):
                            return None
                        case KeyPressed():
                            return Failure.DECLINED
                        case LegEnded():
                            return Failure.HUNG_UP
                        case _:
                            pass
        except TimeoutError:
            pass
        return Failure.VOICEMAIL

    async def tell(self, text: str, *, limit_s: float) -> None:
        """Nobody is told anything here."""

    async def entertain(self, text: str, music: Callable[[], bytes]) -> None:
        del text, music
        await asyncio.Event().wait()

    async def gone(self, pressed: Callable[[str], None] = lambda _key: None) -> None:
        del pressed
        async for event in self._leg.events():
            if isinstance(event, LegEnded):
                return


class NoTrunk:
    """Nothing is called over SIP."""

    async def dial(
        self, reach: str, *, timeout_s: float, caller: str = "", headers: tuple[tuple[str, str], ...] = ()
    ) -> SipLeg:
        raise DialFailed(DialFailure.UNREACHABLE)


def way_of(twilio: Twilio) -> ByTwilio:
    return ByTwilio(
        twilio.rest,
        twilio.journeys,
        twilio.addresses,
        dialer=twilio.dialer,
        caller=OUR_NUMBER,
        allowed=lambda to: to.startswith(("+1555", "sip:")),
        limits=twilio.limits,
        make_party=KeyedParty,
        question="Press 1 to take the call.",
        clock=time.monotonic,
    )


@dataclass
class Floor(PlayedFloor):
    """Where nobody of ours is there; notes when the packet went out."""

    twilio: Twilio | None = None
    delivered_after: list[int] = field(default_factory=list)

    async def deliver(self, packet: ContextPacket) -> tuple[str, ...]:
        if self.twilio is not None:
            self.delivered_after.append(len(self.twilio.account.requests))
        return ()


@dataclass
class Stay:
    """One caller who is handed over, and what became of it."""

    twilio: Twilio
    floor: Floor
    call: PlayedCall
    callers: list[Caller]
    outcomes: list[Outcome]
    transfers: list[Transfer]

    @property
    def caller(self) -> Caller:
        return self.callers[0]

    async def outcome(self) -> Outcome:
        await until(lambda: self.outcomes, limit_s=60)
        return self.outcomes[0]


@asynccontextmanager
async def handed_over(
    *destinations: Destination,
    phones: dict[str, Phone] | None = None,
    max_wait_s: float = 60.0,
    ring_s: float = 20.0,
    accept_s: float = 20.0,
) -> AsyncIterator[Stay]:
    """Have a caller ring in and be sent to these destinations; at the end nothing rings, and no call is open.

    Whoever is to be waited for in vain says how long: `ring_s` until somebody answers, `accept_s` until they decide.
    """
    queue = Queue(
        "service",
        "customer service",
        offers=(),
        ring_s=ring_s,
        accept_s=accept_s,
        max_wait_s=max_wait_s,
        elsewhere=destinations,
    )
    floor = Floor(Routing({"service": queue}, {}, "service"), Outlook("service", Standing.UNSTAFFED, 0, None, ()))
    parts: list[Twilio] = []
    callers: list[Caller] = []
    outcomes: list[Outcome] = []
    transfers: list[Transfer] = []

    async def accept(leg: CallLeg) -> None:
        twilio = parts[0]

        def left() -> None:
            transfer.caller_left()

        caller = Caller(leg, left)
        transfer = Transfer(
            Place("e1", "c1", "+15550123", 0, NOW),
            "service",
            caller=caller,
            floor=floor,
            lines=Nobody(),
            make_party=KeyedParty,
            packet=lambda _queue: PACKET,
            introduction=lambda _packet: INTRODUCTION,
            wording=Wording(),
            music=TONE,
            clock=time.monotonic,
            now=lambda: datetime.now(UTC),
            elsewhere=Ways((way_of(twilio),)),
        )
        callers.append(caller)
        transfers.append(transfer)
        try:
            outcomes.append(await transfer.run())
        finally:
            await caller.stop()

    async with twilio_served(accept, phones=phones) as twilio:
        parts.append(twilio)
        floor.twilio = twilio
        call = twilio.account.exchange.ring_in(twilio.server.base)
        await until(lambda: transfers)
        yield Stay(twilio, floor, call, callers, outcomes, transfers)
        await until(lambda: outcomes, limit_s=60)
        await until(lambda: all(one.is_over for one in twilio.account.exchange.calls.values()))
        assert twilio.limits._open == 0


async def stays(line: CarrierLine) -> None:
    await line.ended.wait()


async def presses(line: CarrierLine, key: str = "1") -> None:
    await asyncio.sleep(0.15)
    line.press(key)
    await line.ended.wait()
