"""What an agent who has a caller may do with them: put them on hold, send them on, let them go."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests.calls.test_notes import late_order, packet
from voicebot.calls.transfer.desk import TransferDesk
from voicebot.calls.transfer.floor import ContactCentre
from voicebot.calls.transfer.seams import FlowRun, RingFailed, TalkNews
from voicebot.calls.transfer.transfer import Outcome, Transfer
from voicebot.records.board import QueueBoard
from voicebot.records.callbacks import CallbackBook
from voicebot.records.context import ContextPacket
from voicebot.records.database import Database, locate
from voicebot.routing.agents import Agent, AgentState, Reach, ReachKind
from voicebot.routing.events import Claim
from voicebot.routing.queues import Queue, Routing
from voicebot.simulation.played_parties import Chances, PlayedCaller, PlayedLeg, PlayedLines, PlayedParty
from voicebot.telephony.leg import SILENT_FRAME, CallLeg

CHANCES = Chances(think_s=0.01, say_s=0.01, talk_s=60.0)
PACKET = packet(late_order())


class Caller(PlayedCaller):
    """Notes when the bot leaves and takes the line."""

    def __init__(self) -> None:
        super().__init__("caller", CHANCES)
        self.moves: list[str] = []
        self.flow_s = 0.0

    async def play(self, audio: bytes) -> None:
        self.moves.append("music")
        await super().play(audio)

    async def step_aside(self) -> None:
        self.moves.append("bridged")

    async def run_flow(self, flow: str) -> FlowRun:
        run = await super().run_flow(flow)
        await asyncio.sleep(self.flow_s)
        return run

    async def come_back(self) -> None:
        self.moves.append("bot")


@dataclass
class Talk:
    """A caller and Ana, joined."""

    caller: Caller
    desk: TransferDesk
    transfer: Transfer
    running: asyncio.Task[Outcome]
    centre: ContactCentre
    #: Packets that agents were given, in order.
    delivered: list[ContextPacket]
    lines: PlayedLines
    #: What desks were shown of their calls, in order.
    shown: list[tuple[Claim, TalkNews | None]]
    #: Publishes other queues and agents.
    use: Callable[[Routing], None]
    callbacks: CallbackBook

    async def away(self, agent_id: str) -> None:
        await self.centre.set_state(agent_id, AgentState.OFFLINE, ReachKind.BROWSER)

    @property
    def token(self) -> int:
        return self.transfer.claim.token if self.transfer.claim else 0

    async def state_of(self, agent_id: str) -> str:
        return next(row.state for row in (await self.centre.snapshot()).agents if row.id == agent_id)

    async def becomes(self, agent_id: str, *states: str) -> None:
        """Wait until the board has an agent in one of these states: it is told a moment after the desks are."""
        async with asyncio.timeout(10):
            while await self.state_of(agent_id) not in states:
                await asyncio.sleep(0.01)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


@asynccontextmanager
async def talking(tmp_path: Path, *, survey: str = "", step: str = "") -> AsyncIterator[Talk]:
    def now() -> datetime:
        return datetime.now(UTC)

    delivered: list[ContextPacket] = []

    async def deliver(packet: ContextPacket) -> tuple[str, ...]:
        delivered.append(packet)
        return ()

    def party(leg: CallLeg) -> PlayedParty:
        assert isinstance(leg, PlayedLeg)
        return PlayedParty(leg, CHANCES, random.Random(1), lambda: None)

    browser = (Reach(ReachKind.BROWSER),)
    routing = Routing(
        {
            "service": Queue("service", "service", {"service": 1}, survey=survey, step=step),
            "second": Queue("second", "second", {"second": 1}),
        },
        {"ana": Agent("ana", "Ana", {"service": 1}, browser), "ben": Agent("ben", "Ben", {"second": 1}, browser)},
        "service",
    )
    current = [routing]
    async with Database.served(locate(tmp_path), instance="test") as database:
        callbacks = CallbackBook(database, instance="test", now=now)
        centre = ContactCentre(
            lambda: current[-1],
            QueueBoard(database, instance="test", now=now),
            callbacks,
            hours=dict,
            deliver=deliver,
            zone_of=lambda _number: ZoneInfo("UTC"),
            now=now,
        )
        clock = asyncio.get_running_loop().time
        shown: list[tuple[Claim, TalkNews | None]] = []
        lines = PlayedLines(CHANCES, random.Random(1))
        desk = TransferDesk(
            centre,
            lines,
            make_party=party,
            music=SILENT_FRAME,
            clock=clock,
            now=now,
            show=lambda claim, news: shown.append((claim, news)),
        )
        async with centre.running():
            for agent in ("ana", "ben"):
                await centre.set_state(agent, AgentState.AVAILABLE, ReachKind.BROWSER)
            caller = Caller()
            transfer = desk.make_again(routing.queues["service"], caller, PACKET, call_id="call-1")
            running = asyncio.create_task(transfer.run())
            await until(lambda: "bridged" in caller.moves)
            yield Talk(caller, desk, transfer, running, centre, delivered, lines, shown, current.append, callbacks)
            if not running.done():
                caller.leg.end()
                transfer.caller_left()
            await running


async def test_a_caller_on_hold_hears_music_and_is_joined_again(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.caller.moves.clear()
        assert talk.desk.hold("ana", talk.token, held=True)
        await until(lambda: talk.caller.moves == ["bot", "music"])
        assert await talk.state_of("ana") == "busy"
        assert talk.desk.hold("ana", talk.token, held=False)
        await until(lambda: talk.caller.moves == ["bot", "music", "bridged"])


async def test_a_caller_who_is_sent_on_comes_to_the_other_queue_and_the_agent_is_free(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.caller.moves.clear()
        assert talk.desk.send_on("ana", talk.token, "second")
        await until(lambda: "bridged" in talk.caller.moves)
        assert talk.transfer.claim is not None
        assert talk.transfer.claim.agent_id == "ben"
        assert await talk.state_of("ana") == "wrap_up"


async def test_a_queue_that_does_not_exist_takes_nobody(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        assert not talk.desk.send_on("ana", talk.token, "third")
        assert not talk.running.done()


async def test_another_agent_can_do_nothing_with_the_caller(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        assert not talk.desk.hold("ben", talk.token, held=True)
        assert not talk.desk.finish("ana", talk.token + 1)


async def test_an_agent_who_finishes_lets_the_caller_go_with_thanks(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        assert talk.desk.finish("ana", talk.token)
        outcome = await talk.running
        assert outcome.ending == "served"
        assert talk.caller.said[-1] == "transfer.thanks"
        assert await talk.state_of("ana") == "wrap_up"


async def test_what_was_known_of_somebody_who_is_called_back_is_found_by_the_new_call(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        assert [packet.call_id for packet in talk.delivered] == ["call-1"]
        assert talk.delivered[0].summary == PACKET.summary


async def test_queues_of_a_new_version_are_used_at_once_and_old_names_still_lead_somewhere(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        old = talk.centre.routing
        browser = (Reach(ReachKind.BROWSER),)
        agents = {"ben": Agent("ben", "Ben", {"new": 1}, browser)}
        talk.use(Routing({"new": Queue("new", "new", {"new": 1})}, agents, "new"))
        assert "second" in old.queues
        assert talk.desk.send_on("ana", talk.token, "new")
        await until(lambda: talk.transfer.claim is not None and talk.transfer.claim.agent_id == "ben")
        assert talk.centre.routing.queue_named("second").name == "new"


async def test_an_agent_whom_a_new_version_does_not_know_is_rung_no_more(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        talk.use(Routing({"service": Queue("service", "service")}, {}, "service"))
        with pytest.raises(RingFailed):
            await talk.centre.reach_of(Claim("ana", talk.token))


async def test_who_writes_and_wants_a_person_is_on_the_desks_list_and_is_not_dialled(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        await talk.desk.note_written("chat-1", "")
        (row,) = await talk.callbacks.list()
        assert (row.call_id, row.reason, row.state, row.consent) == ("chat-1", "noted", "message", False)
        assert await talk.callbacks.claim_due() is None
