"""One transfer: what breaks on the way must not leave a caller in silence, nor an agent to nobody."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from tests.calls.test_notes import late_order, packet
from tests.fakes.leg import FakeLeg
from tests.routing.examples import NOW, routing
from voicebot.calls.transfer.seams import FlowRun, NotWritten, Place, Reached, RingFailed, Said, Talk
from voicebot.calls.transfer.transfer import Outcome, Transfer
from voicebot.dialog.expectation import Expectation
from voicebot.records.context import ContextPacket
from voicebot.routing.actions import Ending
from voicebot.routing.agents import Agent, Reach
from voicebot.routing.events import Claim
from voicebot.routing.queues import Choice, Failure, Queue, Routing
from voicebot.routing.waiting import InLine, Outlook, Standing
from voicebot.routing.wording import Wording
from voicebot.telephony.leg import CallLeg

PACKET = packet(late_order())
PLACE = Place("e1", "c1", "+15550123", 0, NOW)


class Broken(Exception):
    """A part of the surroundings that does not work."""


class Caller:
    """Hears everything at once; music lasts until it is stopped."""

    def __init__(self) -> None:
        self.leg: CallLeg = FakeLeg()
        self.talk: Talk = NotWritten()
        self.heard: list[str] = []
        self.flows: list[str] = []

    async def say(self, prompt: str, text: str, *, personal: bool = False) -> None:
        del prompt, personal
        self.heard.append(text)

    async def play(self, audio: bytes) -> None:
        del audio
        await asyncio.sleep(0.01)

    async def hush(self) -> None:
        """Nothing sounds any longer than it is awaited."""

    async def listen(self, expectation: Expectation | None) -> None:
        """Whatever the caller says comes from the test."""

    async def step_aside(self) -> None:
        """There is no bot on the line."""

    async def come_back(self) -> None:
        """There is no bot on the line."""

    async def run_flow(self, flow: str) -> FlowRun:
        self.flows.append(flow)
        return FlowRun(done=True, reached=(flow,))


@dataclass
class PlayedFloor:
    """A contact centre that does what the test says."""

    routing: Routing = field(default_factory=routing)
    outlook: Outlook = field(default_factory=lambda: Outlook("service", Standing.OPEN, 0, 0.0, ()))
    breaks: frozenset[str] = frozenset()
    claims_kept: bool = True
    staff: frozenset[str] = frozenset({"ana", "ben", "eva"})
    claims_on_leaving: bool = False
    on_claimed: Callable[[Claim], None] | None = None
    freed: list[Claim] = field(default_factory=list)
    booked: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    tokens: int = 0

    def _may(self, what: str) -> None:
        if what in self.breaks:
            raise Broken(what)

    def is_open(self, queue: Queue, at: datetime) -> bool:
        del queue, at
        return True

    async def can_serve(self, queue: Queue, tried: tuple[str, ...]) -> bool:
        return any(one not in tried and self.routing.serves(one, queue) for one in self.staff)

    async def look(self, queue: Queue, priority: int) -> Outlook:
        del queue, priority
        self._may("look")
        return self.outlook

    async def enter(
        self, place: Place, queue: str, tried: tuple[str, ...], on_claimed: Callable[[Claim], None]
    ) -> None:
        del place, queue
        self.on_claimed = on_claimed
        free = sorted(self.staff - {*tried})
        if free and not self.claims_on_leaving:
            self.claim(free[0])

    def claim(self, agent_id: str) -> None:
        assert self.on_claimed is not None
        self.tokens += 1
        self.on_claimed(Claim(agent_id, self.tokens))

    async def in_line(self, place: Place, queue: Queue, tried: tuple[str, ...]) -> InLine:
        del place
        self._may("in_line")
        return InLine(0, 0.0, is_served=await self.can_serve(queue, tried))

    def opens(self, queue: Queue, at: datetime) -> datetime | None:
        del queue
        return at + timedelta(hours=18)

    async def soonest(self, queue: Queue, number: str) -> datetime | None:
        return (await self.slots(queue, number))[0]

    async def leave(self, place: Place, ending: str) -> None:
        del place
        self.left.append(ending)
        if self.claims_on_leaving and len(self.left) == 1:
            self.claim("ana")
        self._may("leave")

    async def reach_of(self, claim: Claim) -> tuple[Agent, Reach]:
        self._may("reach_of")
        agent = self.routing.agents[claim.agent_id]
        return agent, agent.reaches[0]

    async def joined(self, place: Place, claim: Claim) -> bool:
        del place, claim
        return self.claims_kept

    async def free(self, claim: Claim, failure: Failure | None, *, talked: bool, wrap_up_s: float) -> None:
        del failure, talked, wrap_up_s
        self.freed.append(claim)
        self._may("free")

    async def deliver(self, packet: ContextPacket) -> tuple[str, ...]:
        del packet
        self._may("deliver")
        return ()

    async def book(self, place: Place, queue: Queue, *, number: str, at: datetime, reason: str) -> None:
        del place, queue, at, reason
        self._may("book")
        self.booked.append(number)

    async def take_message(self, place: Place, queue: Queue) -> None:
        """Nothing is kept."""

    async def note(self, place: Place, queue: Queue) -> None:
        del queue
        self.noted.append(place.call_id)

    async def slots(self, queue: Queue, number: str) -> tuple[datetime, ...]:
        del queue, number
        return (NOW,)


class Lines:
    """Rings nobody, unless told that agents take the call in their page."""

    def __init__(self, *, accepted: bool = False) -> None:
        self.accepted = accepted
        self.rung: list[str] = []

    async def ring(
        self, agent: Agent, reach: Reach, claim: Claim, packet: ContextPacket, *, timeout_s: float
    ) -> Reached:
        del reach, claim, packet, timeout_s
        self.rung.append(agent.id)
        if not self.accepted:
            raise RingFailed(Failure.DECLINED)
        return Reached(FakeLeg(), accepted=True)

    def release(self, leg: CallLeg) -> None:
        """Nothing is kept."""


class Party:
    """An agent who stays on the line."""

    def __init__(self, leg: CallLeg) -> None:
        self.leg = leg

    async def ask(self, introduction: str, question: str, *, accept_s: float) -> Failure | None:
        raise AssertionError("this agent is never asked: something breaks before")

    async def tell(self, text: str, *, limit_s: float) -> None:
        """Nobody listens."""

    async def entertain(self, text: str, music: Callable[[], bytes]) -> None:
        del text, music
        await asyncio.Event().wait()

    async def gone(self, pressed: Callable[[str], None] = lambda _key: None) -> None:
        del pressed
        await asyncio.Event().wait()


def transfer(caller: Caller, floor: PlayedFloor, lines: Lines, *, instead: Choice | None = None) -> Transfer:
    return Transfer(
        PLACE,
        "service",
        instead=instead,
        caller=caller,
        floor=floor,
        lines=lines,
        make_party=Party,
        packet=lambda _queue: PACKET,
        introduction=lambda _packet: "A caller.",
        wording=Wording(),
        music=b"\xff" * 8000,
        clock=time.monotonic,
        now=lambda: datetime.now(UTC),
    )


async def run(one: Transfer) -> Outcome:
    async with asyncio.timeout(20):
        return await one.run()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


@pytest.mark.parametrize("broken", ["look", "deliver", "in_line", "reach_of"])
async def test_a_part_that_breaks_ends_the_transfer_rather_than_leave_the_caller_in_silence(broken: str) -> None:
    floor = PlayedFloor(breaks=frozenset({broken}), staff=frozenset() if broken == "in_line" else frozenset({"ana"}))
    with pytest.raises(Broken, match=broken):
        await run(transfer(Caller(), floor, Lines()))


async def test_a_choice_that_cannot_be_arranged_ends_the_transfer_rather_than_leave_the_caller_in_silence() -> None:
    closed = Outlook("service", Standing.CLOSED, 0, None, (Choice.CALLBACK,))
    caller, floor = Caller(), PlayedFloor(outlook=closed, breaks=frozenset({"book"}))
    one = transfer(caller, floor, Lines())
    running = asyncio.create_task(run(one))
    await until(lambda: caller.heard)
    one.caller_said(Said("1"))
    await until(lambda: caller.heard[-1].startswith("Shall we call you"))
    one.caller_said(Said("1"))
    await until(lambda: caller.heard[-1].startswith("We can call you"))
    one.caller_said(Said("1"))
    with pytest.raises(Broken, match="book"):
        await running


async def test_nothing_plays_on_after_a_transfer_that_broke() -> None:
    before = asyncio.all_tasks()
    floor = PlayedFloor(breaks=frozenset({"free"}))
    with pytest.raises(Broken, match="free"):
        await run(transfer(Caller(), floor, Lines()))
    assert asyncio.all_tasks() == before


async def test_an_agent_lost_to_another_process_is_no_reason_to_say_goodbye() -> None:
    caller, lines = Caller(), Lines(accepted=True)
    floor = PlayedFloor(claims_kept=False, staff=frozenset({"ana", "ben"}))
    one = transfer(caller, floor, lines)
    running = asyncio.create_task(run(one))
    await until(lambda: lines.rung == ["ana", "ben"])
    one.caller_left()
    assert (await running).ending is Ending.CALLER_LEFT
    assert Wording().text("thanks") not in caller.heard


async def test_an_agent_claimed_while_the_caller_leaves_is_let_go() -> None:
    floor = PlayedFloor(claims_on_leaving=True)
    caller = Caller()
    one = transfer(caller, floor, Lines())
    running = asyncio.create_task(run(one))
    await until(lambda: caller.heard)
    one.caller_left()
    await running
    assert floor.freed == [Claim("ana", 1)]


async def test_the_key_a_waiting_caller_is_told_is_the_key_that_counts() -> None:
    busy = Outlook("service", Standing.OPEN, 3, 400.0, (Choice.WAIT, Choice.CALLBACK, Choice.MESSAGE))
    caller, floor = Caller(), PlayedFloor(outlook=busy, staff=frozenset({"ana"}), claims_on_leaving=True)
    one = transfer(caller, floor, Lines())
    running = asyncio.create_task(run(one))
    await until(lambda: caller.heard)
    assert "at 10 AM or later, press 1 or say call me back" in caller.heard[0]
    assert one.caller_said(Said("1"))
    await until(lambda: any(text.startswith("Shall we call you") for text in caller.heard))
    one.caller_left()
    await running


async def test_a_caller_does_not_wait_for_nobody_once_all_who_could_take_them_declined(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("voicebot.calls.transfer.in_queue.LOOK_EVERY_S", 0.02)
    caller, floor = Caller(), PlayedFloor(staff=frozenset({"ana"}))
    one = transfer(caller, floor, Lines())
    running = asyncio.create_task(run(one))
    await until(lambda: any("nobody from customer service" in text for text in caller.heard))
    one.caller_left()
    await running
