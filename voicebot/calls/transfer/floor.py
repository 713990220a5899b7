"""The contact centre of this process: its callers on the board, agents claimed for them, and the word passed on.

Whoever waits anywhere is considered, so that callers of two servers are served in one order; each server claims only
for its own callers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.exc import SQLAlchemyError

from voicebot.calls.transfer.enduring import enduring
from voicebot.calls.transfer.overdue import Overdue
from voicebot.calls.transfer.seams import NotKept, Place, RingFailed
from voicebot.dialog.hours import Hours
from voicebot.records.board import BUSY, LEASE, RINGING, EntryRow, QueueBoard, Snapshot
from voicebot.records.callbacks import CallbackBook
from voicebot.records.context import ContextPacket
from voicebot.routing.agents import (
    SET_BY_AGENT,
    Agent,
    AgentState,
    Presence,
    Reach,
    ReachKind,
    StateChange,
    is_on_duty,
    time_in_each,
)
from voicebot.routing.callbacks import free_slots
from voicebot.routing.events import Claim
from voicebot.routing.queues import Failure, Queue, Routing
from voicebot.routing.selection import Waiting, pairs
from voicebot.routing.waiting import InLine, Outlook, Standing, in_line, outlook

log = structlog.get_logger(__name__)

#: The board is looked at so often even when nothing of ours has changed: another process may have freed an agent.
LOOK_EVERY_S = 0.5

#: What an agent is set to who did not take a caller: who did not answer should not be rung again by the next one.
_AFTER_FAILURE: Mapping[Failure, AgentState] = {
    Failure.BUSY: AgentState.WRAP_UP,
    Failure.NO_ANSWER: AgentState.BREAK,
    Failure.DECLINED: AgentState.WRAP_UP,
    Failure.VOICEMAIL: AgentState.BREAK,
    Failure.UNREACHABLE: AgentState.OFFLINE,
    Failure.HUNG_UP: AgentState.WRAP_UP,
    Failure.CLAIM_LOST: AgentState.AVAILABLE,
}


class ContactCentre:
    """The `Floor` of transfers, and what the desk page reads and sets. `now` gives wall-clock time in the bot's zone.

    `deliver` puts a packet where agents look and sends it on; it returns who did not have it in time. `zone_of` gives
    the time zone of a telephone number. `changed` is called after everything that a desk should show.
    """

    def __init__(
        self,
        find_routing: Callable[[], Routing],
        board: QueueBoard,
        callbacks: CallbackBook,
        *,
        hours: Callable[[], Mapping[str, Hours]],
        deliver: Callable[[ContextPacket], Awaitable[tuple[str, ...]]],
        zone_of: Callable[[str], ZoneInfo],
        now: Callable[[], datetime],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._find_routing = find_routing
        self._board = board
        self._callbacks = callbacks
        self._hours = hours
        self._deliver = deliver
        self._zone_of = zone_of
        self._now = now
        self._changed = changed
        self._waiting: dict[str, Callable[[Claim], None]] = {}
        #: The places of callers whom transfers of ours have on the board, waiting or not.
        self._places: set[str] = set()
        self._overdue = Overdue()
        #: The last claim on each agent that a transfer was told of, by its token.
        self._known: dict[str, int] = {}
        #: Agents in our name without a caller of ours, as they were seen at the last beat.
        self._strays: set[Claim] = set()
        self._poked = asyncio.Event()

    @property
    def routing(self) -> Routing:
        """The queues and agents of the flows that are current now."""
        return self._find_routing()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Match callers with agents, and stand in for processes that have died, while the block lasts."""
        await self._call_back_lost(starting=True)
        matching = enduring(self._match, part="the queues' board", every_s=LOOK_EVERY_S, soon=self._poked)
        beating = enduring(self._beat, part="the lease on callers and agents", every_s=LEASE.total_seconds() / 3)
        catching_up = enduring(
            self._overdue.catch_up,
            part="changes of the queues' board",
            every_s=LOOK_EVERY_S,
            soon=self._overdue.some,
        )
        tasks = [asyncio.create_task(work) for work in (matching, beating, catching_up)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    # --- for transfers

    def is_open(self, queue: Queue, at: datetime) -> bool:
        hours = self._hours().get(queue.hours)
        return hours is None or hours.is_open(at)

    def opens(self, queue: Queue, at: datetime) -> datetime | None:
        hours = self._hours().get(queue.hours)
        return hours.opens_next(at) if hours else None

    async def look(self, queue: Queue, priority: int) -> Outlook:
        board = await self._seen()
        if board is None:
            # Whoever is there will be found once the board is: nothing says that nobody could take them.
            if self.is_open(queue, self._now()):
                return Outlook(queue.name, Standing.OPEN, 0, None, ())
            return Outlook(queue.name, Standing.CLOSED, 0, None, queue.after_hours)
        return outlook(
            self.routing,
            queue,
            priority=priority,
            waiting=_waiting(board),
            presences=_presences(board),
            recent_s=board.handled_s.get(queue.name, ()),
            is_open=self.is_open(queue, self._now()),
            now=self._now(),
        )

    async def can_serve(self, queue: Queue, tried: tuple[str, ...]) -> bool:
        board = await self._seen()
        if board is None:
            return True  # nothing says that nobody could
        return any(
            one.agent_id not in tried and is_on_duty(one) and self.routing.serves(one.agent_id, queue)
            for one in _presences(board)
        )

    async def _seen(self) -> Snapshot | None:
        """Return the board; None while it cannot be read: a word less exact is better than a caller lost."""
        try:
            return await self._board.snapshot()
        except Exception as error:  # noqa: BLE001  # what a driver may raise nobody can name, and callers wait on
            log.error("the queues' board cannot be read", error=type(error).__name__)
            return None

    async def enter(
        self, place: Place, queue: str, tried: tuple[str, ...], on_claimed: Callable[[Claim], None]
    ) -> None:
        entry = EntryRow(
            place.entry_id, place.call_id, queue, place.priority, place.number, place.entered_at, tried=tried
        )
        # Before they are on the board: whoever matches may be faster than the answer that they are.
        self._places.add(place.entry_id)
        self._waiting[place.entry_id] = on_claimed

        async def come_in() -> None:
            # Told late that it failed although it did not, they may have been claimed since.
            if place.entry_id in self._waiting:
                await self._board.enter(entry)

        await self._overdue.surely(place.entry_id, come_in)
        self._told()

    async def in_line(self, place: Place, queue: Queue, tried: tuple[str, ...]) -> InLine:
        board = await self._seen()
        if board is None:
            return InLine()
        return in_line(
            self.routing,
            queue,
            Waiting(place.entry_id, queue.name, place.priority, place.entered_at, frozenset(tried)),
            waiting=_waiting(board),
            presences=_presences(board),
            recent_s=board.handled_s.get(queue.name, ()),
            now=self._now(),
        )

    async def leave(self, place: Place, ending: str) -> None:
        self._waiting.pop(place.entry_id, None)
        self._places.discard(place.entry_id)
        await self._overdue.surely(place.entry_id, partial(self._board.leave, place.entry_id, ending))
        self._told()

    async def reach_of(self, claim: Claim) -> tuple[Agent, Reach]:
        agent = self.routing.agents.get(claim.agent_id)
        if agent is None:  # a version without them was published after they were claimed
            raise RingFailed(Failure.UNREACHABLE)
        board = await self._seen()
        wanted = next((row.reach for row in board.agents if row.id == claim.agent_id), "") if board else ""
        return agent, next((reach for reach in agent.reaches if reach.kind.value == wanted), agent.reaches[0])

    async def joined(self, place: Place, claim: Claim) -> bool:
        lost = False

        async def note() -> None:
            nonlocal lost
            lost = not await self._board.hold(claim.agent_id, claim.token, BUSY)
            if lost:
                log.warning("a claim was lost", agent=claim.agent_id)
            else:
                await self._board.joined(place.entry_id, claim.agent_id)

        # An agent who has said yes and a caller who was told so are not parted for a database that is away.
        await self._overdue.surely(claim, note)
        self._told()
        return not lost

    async def free(self, claim: Claim, failure: Failure | None, *, talked: bool, wrap_up_s: float) -> None:
        state = AgentState.AVAILABLE if failure is None else _AFTER_FAILURE[failure]
        if talked:
            state = AgentState.WRAP_UP
        until = self._now() + timedelta(seconds=wrap_up_s) if state is AgentState.WRAP_UP else None

        async def give_back() -> None:
            if not await self._board.free(claim.agent_id, claim.token, state.value, until=until):
                log.warning("a claim was lost", agent=claim.agent_id)

        await self._overdue.surely(claim, give_back)
        self._told()

    async def deliver(self, packet: ContextPacket) -> tuple[str, ...]:
        return await self._deliver(packet)

    async def book(self, place: Place, queue: Queue, *, number: str, at: datetime, reason: str) -> None:
        with _kept():
            await self._callbacks.book(
                call_id=place.call_id,
                queue=queue.name,
                number=number,
                zone=str(self._zone_of(number)),
                consent=True,
                reason=reason,
                at=at,
            )
        self._told()

    async def take_message(self, place: Place, queue: Queue) -> None:
        await self._keep(place, queue, reason="message")

    async def note(self, place: Place, queue: Queue) -> None:
        await self._keep(place, queue, reason="noted")

    async def _keep(self, place: Place, queue: Queue, *, reason: str) -> None:
        zone = str(self._zone_of(place.number))

        async def keep() -> None:
            await self._callbacks.keep(
                call_id=place.call_id, queue=queue.name, number=place.number, zone=zone, reason=reason
            )

        await self._overdue.surely(("noted", place.call_id), keep)
        self._told()

    async def slots(self, queue: Queue, number: str) -> tuple[datetime, ...]:
        with _kept():
            booked = await self._callbacks.booked(queue.name)
        found = free_slots(
            self._now(),
            rules=self.routing.callbacks,
            zone=self._zone_of(number),
            is_open=lambda at: self.is_open(queue, at),
            booked=booked,
            most=3,
        )
        return tuple(found)

    async def soonest(self, queue: Queue, number: str) -> datetime | None:
        try:
            return next(iter(await self.slots(queue, number)), None)
        except NotKept:
            return None

    # --- for the desk

    async def set_state(self, agent_id: str, state: AgentState, reach: ReachKind) -> bool:
        """Set what an agent does; False when they may not now, as while a caller is theirs."""
        allowed = frozenset(before.value for before, after in SET_BY_AGENT.items() if state in after)
        changed = await self._board.set_state(agent_id, state.value, reach=reach.value, allowed=allowed)
        self._told()
        return changed

    async def snapshot(self) -> Snapshot:
        return await self._board.snapshot()

    async def times_of(self, agent_id: str, since: datetime) -> dict[AgentState, timedelta]:
        """Return how long an agent was in each state since then."""
        changes = [StateChange(at, AgentState(state)) for at, state in await self._board.states_of(agent_id, since)]
        return time_in_each(changes, self._now())

    # --- matching

    def poke(self) -> None:
        """Look at the board soon: something has changed."""
        self._poked.set()

    def _told(self) -> None:
        self._poked.set()
        self._changed()

    async def _match(self) -> None:
        """Claim agents for callers of ours, as many as there are pairs."""
        if not self._waiting:
            return
        board = await self._board.snapshot()
        self._take_up(board)
        for pair in pairs(self.routing, _waiting(board), _presences(board), self._now()):
            if pair.entry_id not in self._waiting:
                continue  # another process holds this caller, and claims for them itself
            token = await self._board.claim(pair.entry_id, pair.agent_id)
            if token is None:
                self._poked.set()  # somebody was faster
                continue
            claim = Claim(pair.agent_id, token)
            self._known[pair.agent_id] = token
            on_claimed = self._waiting.pop(pair.entry_id, None)
            if on_claimed is None:  # they left while the claim was made
                await self.free(claim, None, talked=False, wrap_up_s=0.0)
                continue
            self._changed()
            on_claimed(claim)

    def _take_up(self, board: Snapshot) -> None:
        """Take up claims that were made although we were told that they failed: the answer was lost, not the claim."""
        for row in board.agents:
            claim = Claim(row.id, row.token)
            if row.state != RINGING or row.instance != self._board.instance or self._known.get(row.id) == row.token:
                continue
            on_claimed = self._waiting.pop(row.entry_id or "", None)
            if on_claimed is not None:
                log.warning("a claim is taken up whose answer was lost", agent=claim.agent_id)
                self._known[claim.agent_id] = claim.token
                on_claimed(claim)

    async def _beat(self) -> None:
        await self._board.heartbeat()
        await self._call_back_lost()
        await self._let_go_of_strays()

    async def _let_go_of_strays(self) -> None:
        """Take off the board what is there in our name and nobody's here: a change was made though it seemed to fail.

        Nobody else would ever find it, since we renew its lease. An agent is only let go of when twice seen so, since
        a transfer may be about to.
        """
        board = await self._board.snapshot()
        ours = self._board.instance
        for entry in board.entries:
            if entry.instance == ours and entry.id not in self._places and entry.id not in self._overdue:
                log.warning("a caller is taken off the board whom nobody has", call_id=entry.call_id)
                await self._board.leave(entry.id, "stray")
        strays = {
            Claim(row.id, row.token)
            for row in board.agents
            if row.instance == ours and row.entry_id is not None and row.entry_id not in self._places
        }
        for claim in strays & self._strays:
            if claim not in self._overdue:
                log.warning("an agent is let go of who has nobody", agent=claim.agent_id)
                await self._board.free(claim.agent_id, claim.token, AgentState.AVAILABLE.value)
        self._strays = strays

    async def _call_back_lost(self, *, starting: bool = False) -> None:
        """Call back whoever a dead process had in a queue: at once, if it is a decent time."""
        for entry in await self._board.take_lost(starting=starting):
            if not entry.number or entry.queue not in self.routing.queues:
                log.warning("a caller was lost with their server", call_id=entry.call_id, state=entry.state)
                continue
            await self._callbacks.book(
                call_id=entry.call_id,
                queue=entry.queue,
                number=entry.number,
                zone=str(self._zone_of(entry.number)),
                consent=True,
                reason="cut_off",
                at=self._now(),
            )
            log.warning("a caller whose server died is called back", call_id=entry.call_id)
        self._told()


@contextmanager
def _kept() -> Iterator[None]:
    """Say that the records of callbacks do not do what they should, where a database does not."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        log.error("the callbacks can be neither read nor booked", error=type(error).__name__)
        raise NotKept("the database did not take a callback") from error


def _waiting(board: Snapshot) -> list[Waiting]:
    return [
        Waiting(entry.id, entry.queue, entry.priority, entry.entered_at, frozenset(entry.tried))
        for entry in board.entries
        if entry.state == "waiting"
    ]


def _presences(board: Snapshot) -> list[Presence]:
    return [
        Presence(row.id, AgentState(row.state), row.since, ReachKind(row.reach), row.idle_since, row.until)
        for row in board.agents
    ]
