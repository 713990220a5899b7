"""A contact centre without telephones: callers and agents who do what chance says, for tests and benchmarks.

The queues, the claims, the packets and the transfers are the real ones, on a real database; only lines and voices are
played. Whatever goes wrong, every caller must come to an end that somebody chose for them.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo

from voicebot.calls.notes import CallNotes
from voicebot.calls.transfer.delivery import Deliveries
from voicebot.calls.transfer.floor import ContactCentre
from voicebot.calls.transfer.seams import Place
from voicebot.calls.transfer.transfer import Transfer
from voicebot.dialog.actions import TransferTo
from voicebot.records.board import QueueBoard, Snapshot
from voicebot.records.callbacks import CallbackBook
from voicebot.records.contexts import Contexts
from voicebot.records.database import Database
from voicebot.records.summary import introduction
from voicebot.routing.agents import Agent, AgentState, Reach, ReachKind
from voicebot.routing.queues import Queue, Routing
from voicebot.routing.wording import Wording
from voicebot.simulation.played_parties import (
    BoardFailed,
    Chances,
    ChancyBoard,
    LateReceiver,
    PlayedCaller,
    PlayedLeg,
    PlayedLines,
    PlayedParty,
    wall_now,
)
from voicebot.telephony.leg import (
    SILENT_FRAME,
    Channel,
    Direction,
    LegInfo,
)

#: What the database did not take is tried again after four seconds, and what nobody has is found after two beats of
#: four, at the latest.
CATCH_UP_S = 12.0


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
    contexts = Contexts(database, now=wall_now)
    deliveries = Deliveries(contexts, receivers=[LateReceiver(chances, chance)], clock=time.monotonic)
    zone = ZoneInfo("UTC")
    centre = ContactCentre(
        lambda: routing,
        board,
        CallbackBook(database, instance="bench", now=wall_now),
        hours=dict,
        deliver=deliveries.deliver,
        zone_of=lambda _number: zone,
        now=wall_now,
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
    notes = CallNotes(info, call_id, wall_now(), lambda _intent: "")
    accepted_s: list[float] = []
    transfer = Transfer(
        Place(f"entry-{number}", call_id, info.caller, 0, wall_now()),
        "service",
        caller=caller,
        floor=centre,
        lines=lines,
        make_party=lambda leg: PlayedParty(_played(leg), chances, chance, lambda: accepted_s.append(time.monotonic())),
        packet=lambda queue: notes.packet(TransferTo("asked"), queue=queue, priority=0, remembered={}, now=wall_now()),
        introduction=introduction,
        wording=Wording(),
        music=SILENT_FRAME,
        clock=time.monotonic,
        now=wall_now,
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
