"""The people and things of a played contact centre: lines nobody speaks on, and what goes wrong with them by chance."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from voicebot.calls.transfer.seams import FlowRun, NotWritten, Reached, RingFailed, Talk
from voicebot.dialog.expectation import Expectation
from voicebot.errors import VoicebotError
from voicebot.records.board import EntryRow, QueueBoard, Snapshot
from voicebot.records.context import ContextPacket
from voicebot.records.database import Database
from voicebot.routing.agents import Agent, Reach
from voicebot.routing.events import Claim
from voicebot.routing.queues import Failure
from voicebot.telephony.inbox import LegInbox
from voicebot.telephony.leg import (
    Channel,
    Direction,
    EndCause,
    HangUpReason,
    KeyPressed,
    LegEnded,
    LegEvent,
    LegInfo,
)

_RING_FAILURES = (Failure.BUSY, Failure.NO_ANSWER, Failure.DECLINED, Failure.UNREACHABLE)
_ASK_FAILURES = (Failure.DECLINED, Failure.VOICEMAIL, Failure.HUNG_UP)

_Answer = TypeVar("_Answer")


def wall_now() -> datetime:
    """Return the true time, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Chances:
    """How likely things go wrong, each 0 to 1, and how long they take, in seconds."""

    ring_fails: float = 0.0
    ask_fails: float = 0.0
    caller_leaves: float = 0.0
    agent_lost_at_once: float = 0.0
    receiver_late: float = 0.0
    #: Of each reading and each change of the queues' board.
    board_fails: float = 0.0
    #: And of each, that it is done and the answer is lost, as when the connection dies.
    board_answer_lost: float = 0.0
    think_s: float = 0.05
    say_s: float = 0.05
    talk_s: float = 1.7


class BoardFailed(VoicebotError):
    """The database did not do what was asked of it, as chance would have it."""


class ChancyBoard(QueueBoard):
    """A board whose database fails by chance, from `failing` on: changing nothing, or with its answer lost."""

    def __init__(self, database: Database, chances: Chances, chance: random.Random) -> None:
        super().__init__(database, instance="bench", now=wall_now)
        self._chances = chances
        self._chance = chance
        self.failing = False

    async def _by_chance(self, change: Coroutine[None, None, _Answer]) -> _Answer:
        if self._happens(self._chances.board_fails):
            change.close()
            raise BoardFailed("the board failed")
        answer = await change
        if self._happens(self._chances.board_answer_lost):
            raise BoardFailed("the board did it, and did not say so")
        return answer

    def _happens(self, how_likely: float) -> bool:
        return self.failing and self._chance.random() < how_likely

    async def enter(self, entry: EntryRow) -> None:
        await self._by_chance(super().enter(entry))

    async def leave(self, entry_id: str, ending: str) -> None:
        await self._by_chance(super().leave(entry_id, ending))

    async def joined(self, entry_id: str, agent_id: str) -> None:
        await self._by_chance(super().joined(entry_id, agent_id))

    async def claim(self, entry_id: str, agent_id: str) -> int | None:
        return await self._by_chance(super().claim(entry_id, agent_id))

    async def hold(self, agent_id: str, token: int, state: str) -> bool:
        return await self._by_chance(super().hold(agent_id, token, state))

    async def free(self, agent_id: str, token: int, state: str, *, until: datetime | None = None) -> bool:
        return await self._by_chance(super().free(agent_id, token, state, until=until))

    async def snapshot(self) -> Snapshot:
        return await self._by_chance(super().snapshot())


class PlayedLeg:
    """A line nobody speaks on."""

    def __init__(self, name: str) -> None:
        self._info = LegInfo(name, Channel.BROWSER, Direction.OUTBOUND, "", "")
        self._inbox = LegInbox()
        self.sent_samples = 0
        self.queued_samples = 0
        #: What was said to the party while they waited.
        self.told: list[str] = []

    @property
    def info(self) -> LegInfo:
        return self._info

    def events(self) -> AsyncIterator[LegEvent]:
        return self._inbox.events()

    async def answer(self) -> None:
        """Do nothing: it is answered."""

    def send(self, frame: bytes) -> None:
        self.sent_samples += len(frame)

    def clear(self) -> int:
        return self.sent_samples

    async def hang_up(self, reason: HangUpReason) -> None:
        del reason
        self.end(EndCause.WE_HUNG_UP)

    def end(self, cause: EndCause = EndCause.PEER_HUNG_UP) -> None:
        self._inbox.put(LegEnded(cause, time.monotonic()))

    def press(self, keys: str) -> None:
        """Press keys as the party on this line."""
        for key in keys:
            self._inbox.put(KeyPressed(key, time.monotonic()))

    def show_caption(self, speaker: str, text: str, *, final: bool) -> None:
        """Do nothing: nobody reads it."""


class PlayedCaller:
    """A caller who hears everything in `say_s`; hanging up is up to whoever plays them."""

    def __init__(self, name: str, chances: Chances, talk: Talk | None = None) -> None:
        self._chances = chances
        self._talk = talk or NotWritten()
        self._line = PlayedLeg(name)
        self.said: list[str] = []

    @property
    def leg(self) -> PlayedLeg:
        return self._line

    @property
    def talk(self) -> Talk:
        return self._talk

    async def say(self, prompt: str, text: str, *, personal: bool = False) -> None:
        del text, personal
        self.said.append(prompt)
        await asyncio.sleep(self._chances.say_s)

    async def play(self, audio: bytes) -> None:
        del audio
        await asyncio.sleep(30.0)

    async def hush(self) -> None:
        """Do nothing: whoever played the sound was cancelled."""

    async def listen(self, expectation: Expectation | None) -> None:
        """Do nothing: the caller says nothing."""

    async def step_aside(self) -> None:
        """Do nothing: there is no bot on the line."""

    async def come_back(self) -> None:
        """Do nothing: there is no bot on the line."""

    async def run_flow(self, flow: str) -> FlowRun:
        self.said.append(flow)
        await asyncio.sleep(self._chances.say_s)
        return FlowRun(done=True, reached=(flow,))


class PlayedParty:
    """An agent on an open line, who decides as chance says."""

    def __init__(self, leg: PlayedLeg, chances: Chances, chance: random.Random, accepted: Callable[[], None]) -> None:
        self._leg = leg
        self._chances = chances
        self._chance = chance
        self._accepted = accepted

    @property
    def leg(self) -> PlayedLeg:
        return self._leg

    async def ask(self, introduction: str, question: str, *, accept_s: float) -> Failure | None:
        del introduction, question, accept_s
        await asyncio.sleep(self._chances.think_s * self._chance.random())
        if self._chance.random() < self._chances.ask_fails:
            return self._chance.choice(_ASK_FAILURES)
        self._accepted()
        return None

    async def tell(self, text: str, *, limit_s: float) -> None:
        del text, limit_s
        await asyncio.sleep(self._chances.say_s)

    async def entertain(self, text: str, music: Callable[[], bytes]) -> None:
        del music
        self._leg.told.append(text)
        await asyncio.Event().wait()

    async def gone(self, pressed: Callable[[str], None] = lambda _key: None) -> None:
        async for event in self._leg.events():
            if isinstance(event, KeyPressed):
                pressed(event.key)
            if isinstance(event, LegEnded):
                return


class PlayedLines:
    """Agents' lines; each answered call is hung up by its agent after `talk_s`, counted from the answer."""

    def __init__(self, chances: Chances, chance: random.Random) -> None:
        self._chances = chances
        self._chance = chance
        self._ending: set[asyncio.Task[None]] = set()
        #: Those that agents answered, in order.
        self.legs: list[PlayedLeg] = []

    async def ring(
        self, agent: Agent, reach: Reach, claim: Claim, packet: ContextPacket, *, timeout_s: float
    ) -> Reached:
        del reach, packet, timeout_s
        await asyncio.sleep(self._chances.think_s * self._chance.random())
        if self._chance.random() < self._chances.ring_fails:
            raise RingFailed(self._chance.choice(_RING_FAILURES))
        leg = PlayedLeg(f"{agent.id}-{claim.token}")
        self.legs.append(leg)
        lost = self._chance.random() < self._chances.agent_lost_at_once
        after_s = self._chance.random() * self._chances.think_s * 3 if lost else self._chances.talk_s
        task = asyncio.create_task(self._hang_up(leg, after_s))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)
        return Reached(leg)

    def release(self, leg: object) -> None:
        """Do nothing: a played line holds nothing."""

    async def _hang_up(self, leg: PlayedLeg, after_s: float) -> None:
        await asyncio.sleep(after_s)
        leg.end()


class LateReceiver:
    """Another system, that often takes longer than a transfer waits, or fails."""

    name = "webhook"

    def __init__(self, chances: Chances, chance: random.Random) -> None:
        self._chances = chances
        self._chance = chance

    async def send(self, packet: ContextPacket) -> bool:
        del packet
        if self._chance.random() < self._chances.receiver_late:
            await asyncio.sleep(1.5)
            return False
        return True
