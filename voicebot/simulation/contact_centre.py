"""A contact centre without telephones: callers and agents who do what chance says, for tests and benchmarks.

The queues, the claims, the packets and the transfers are the real ones, on a real database; only lines and voices are
played. Whatever goes wrong, every caller must come to an end that somebody chose for them.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

from voicebot.calls.notes import CallNotes
from voicebot.calls.transfer.delivery import Deliveries
from voicebot.calls.transfer.floor import ContactCentre
from voicebot.calls.transfer.seams import FlowRun, NotWritten, Place, Reached, RingFailed, Talk
from voicebot.calls.transfer.transfer import Transfer
from voicebot.dialog.actions import TransferTo
from voicebot.dialog.expectation import Expectation
from voicebot.errors import VoicebotError
from voicebot.records.board import EntryRow, QueueBoard, Snapshot
from voicebot.records.callbacks import CallbackBook
from voicebot.records.context import ContextPacket
from voicebot.records.contexts import Contexts
from voicebot.records.database import Database
from voicebot.records.summary import introduction
from voicebot.routing.agents import Agent, AgentState, Reach, ReachKind
from voicebot.routing.events import Claim
from voicebot.routing.queues import Failure, Queue, Routing
from voicebot.routing.wording import Wording
from voicebot.telephony.inbox import LegInbox
from voicebot.telephony.leg import (
    SILENT_FRAME,
    Channel,
    Direction,
    EndCause,
    HangUpReason,
    KeyPressed,
    LegEnded,
    LegEvent,
    LegInfo,
)

#: What the database did not take is tried again after four seconds, and what nobody has is found after two beats of
#: four, at the latest.
CATCH_UP_S = 12.0
_RING_FAILURES = (Failure.BUSY, Failure.NO_ANSWER, Failure.DECLINED, Failure.UNREACHABLE)
_ASK_FAILURES = (Failure.DECLINED, Failure.VOICEMAIL, Failure.HUNG_UP)

_Answer = TypeVar("_Answer")


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
        super().__init__(database, instance="bench", now=_now)
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


class _LateReceiver:
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


@dataclass
class Played:
    """What came of all transfers. Latencies are in milliseconds, from an agent's yes."""

    endings: Counter[str] = field(default_factory=Counter)
    #: Callers without an end that somebody chose: the transfer broke down, hung, or ended for no reason.
    lost: int = 0
    joined: int = 0
    joined_with_packet: int = 0
    late: int = 0
    to_word_ms: list[float] = field(default_factory=list)
    to_join_ms: list[float] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    agents_left_claimed: int = 0
    callers_left_on_board: int = 0


async def play(
    database: Database, *, transfers: int, at_once: int, agents: int, chances: Chances, seed: int, limit_s: float = 60.0
) -> Played:
    """Hand over so many callers, `at_once` at a time, and return what came of them."""
    chance = random.Random(seed)  # noqa: S311  # a played contact centre
    routing = _routing(agents)
    board = ChancyBoard(database, chances, chance)
    contexts = Contexts(database, now=_now)
    deliveries = Deliveries(contexts, receivers=[_LateReceiver(chances, chance)], clock=time.monotonic)
    zone = ZoneInfo("UTC")
    centre = ContactCentre(
        lambda: routing,
        board,
        CallbackBook(database, instance="bench", now=_now),
        hours=dict,
        deliver=deliveries.deliver,
        zone_of=lambda _number: zone,
        now=_now,
    )
    played = Played()
    places = asyncio.Semaphore(at_once)
    lines = PlayedLines(chances, chance)

    async def one(number: int) -> None:
        async with places:
            await _play_one(number, centre, contexts, lines, chances, chance, played, limit_s)

    async with deliveries.running(), centre.running():
        for agent_id in routing.agents:
            await centre.set_state(agent_id, AgentState.AVAILABLE, ReachKind.BROWSER)
        # Agents come back as real ones do; without, chance would send everybody home.
        returning = asyncio.create_task(_return(centre, routing.agents))
        board.failing = True
        await asyncio.gather(*(one(number) for number in range(transfers)))
        board.failing = False
        returning.cancel()
        with suppress(asyncio.CancelledError):
            await returning
        left = await _left(board, CATCH_UP_S if chances.board_fails or chances.board_answer_lost else 0.0)
    played.callers_left_on_board = len(left.entries)
    played.agents_left_claimed = sum(row.entry_id is not None for row in left.agents)
    return played


async def _left(board: QueueBoard, within_s: float) -> Snapshot:
    """Return the board as soon as nobody is on it any more, and after `within_s` in any case."""
    until_s = time.monotonic() + within_s
    while True:
        left = await board.snapshot()
        is_clean = not left.entries and all(row.entry_id is None for row in left.agents)
        if is_clean or time.monotonic() > until_s:
            return left
        await asyncio.sleep(0.1)


async def _return(centre: ContactCentre, agents: Mapping[str, Agent]) -> None:
    while True:
        await asyncio.sleep(0.5)
        try:
            board = await centre.snapshot()
        except BoardFailed:
            continue
        for row in board.agents:
            if row.id in agents and row.state in {"offline", "break", "wrap_up"}:
                await centre.set_state(row.id, AgentState.AVAILABLE, ReachKind.BROWSER)


async def _play_one(  # noqa: PLR0917  # what one played call needs
    number: int,
    centre: ContactCentre,
    contexts: Contexts,
    lines: PlayedLines,
    chances: Chances,
    chance: random.Random,
    played: Played,
    limit_s: float,
) -> None:
    call_id = f"call-{number}"
    caller = PlayedCaller(call_id, chances)
    info = LegInfo(call_id, Channel.SIP, Direction.INBOUND, f"+1202555{number % 10_000:04}", "")
    notes = CallNotes(info, call_id, _now(), lambda _intent: "")
    accepted_s: list[float] = []
    transfer = Transfer(
        Place(f"entry-{number}", call_id, info.caller, 0, _now()),
        "service",
        caller=caller,
        floor=centre,
        lines=lines,
        make_party=lambda leg: PlayedParty(_played(leg), chances, chance, lambda: accepted_s.append(time.monotonic())),
        packet=lambda queue: notes.packet(TransferTo("asked"), queue=queue, priority=0, remembered={}, now=_now()),
        introduction=introduction,
        wording=Wording(),
        music=SILENT_FRAME,
        clock=time.monotonic,
        now=_now,
    )
    leaves = chance.random() < chances.caller_leaves
    leaving = asyncio.create_task(_leave(caller, transfer, chance.random() * chances.talk_s)) if leaves else None
    try:
        async with asyncio.timeout(limit_s):
            outcome = await transfer.run()
    except Exception as error:  # noqa: BLE001  # whatever it is, this caller was lost: that is what is counted
        played.lost += 1
        played.problems.append(f"{call_id}: {type(error).__name__} {error}")
        return
    finally:
        if leaving is not None:
            leaving.cancel()
    played.endings[outcome.ending.value] += 1
    if outcome.ending.value == "caller_left" and not leaves:
        played.lost += 1
        played.problems.append(f"{call_id}: ended as if the caller had left: {outcome.events}")
    await _note_join(transfer, accepted_s, contexts, call_id, played)


async def _note_join(  # what one played call needs
    transfer: Transfer,
    accepted_s: list[float],
    contexts: Contexts,
    call_id: str,
    played: Played,
) -> None:
    played.late += bool(transfer.late)
    told_s, joined_s = transfer.timings.told_s, transfer.timings.joined_s
    if joined_s is None or told_s is None or not accepted_s:
        return
    played.joined += 1
    packet_s = transfer.timings.packet_s
    stored = await contexts.get(call_id) is not None
    played.joined_with_packet += stored and packet_s is not None and packet_s <= joined_s
    began_s = transfer.timings.telling_s
    if began_s is not None:
        played.to_word_ms.append((began_s - accepted_s[-1]) * 1000)
        played.to_join_ms.append((began_s - accepted_s[-1] + joined_s - told_s) * 1000)


async def _leave(caller: PlayedCaller, transfer: Transfer, after_s: float) -> None:
    await asyncio.sleep(after_s)
    caller.leg.end()
    transfer.caller_left()


def _played(leg: object) -> PlayedLeg:
    if not isinstance(leg, PlayedLeg):
        raise TypeError("only played lines are rung here")
    return leg


def _routing(agents: int) -> Routing:
    queue = Queue("service", "customer service", wrap_up_s=0.0, ring_s=2.0, accept_s=2.0, max_wait_s=20.0)
    staff = {
        f"agent-{number}": Agent(f"agent-{number}", f"Agent {number}", {}, (Reach(ReachKind.BROWSER),))
        for number in range(agents)
    }
    return Routing({"service": queue}, staff, "service")


def _now() -> datetime:
    return datetime.now(UTC)
