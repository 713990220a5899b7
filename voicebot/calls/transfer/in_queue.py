"""A caller in a queue: what they are told first, music and a word every so often, and when the waiting is over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from voicebot.calls.transfer.errands import Errands
from voicebot.calls.transfer.offering import Offering
from voicebot.calls.transfer.seams import Floor, Place
from voicebot.calls.transfer.sounds import Sounds
from voicebot.routing.actions import EnterQueue
from voicebot.routing.events import AgentClaimed, Claim, Event, QueueClosed, QueueFound, Rules, WaitedTooLong
from voicebot.routing.handover_state import Handover, Phase
from voicebot.routing.queues import Choice, Queue
from voicebot.routing.telling import announcement, comfort, going_on
from voicebot.routing.wording import Wording

#: How often a waiting caller's queue is looked at: its hours may end, its last agent leave.
LOOK_EVERY_S = 5.0


class InQueue:
    """One caller's waiting, in one queue after the other. `tell` gets what happens, `state` gives how it stands."""

    def __init__(
        self,
        place: Place,
        *,
        floor: Floor,
        sounds: Sounds,
        offering: Offering,
        wording: Wording,
        errands: Errands,
        clock: Callable[[], float],
        now: Callable[[], datetime],
        tell: Callable[[Event], None],
        state: Callable[[], Handover],
    ) -> None:
        self._place = place
        self._floor = floor
        self._sounds = sounds
        self._offering = offering
        self._wording = wording
        self._errands = errands
        self._clock = clock
        self._now = now
        self._tell = tell
        self._state = state
        self._watching: asyncio.Task[None] | None = None

    async def find(self, queue: Queue) -> None:
        """Look how it stands in a queue."""
        outlook = await self._floor.look(queue, self._place.priority)
        rules = Rules(queue.then, queue.overflow, queue.offers, queue.max_tries, queue.survey_always, queue.elsewhere)
        self._tell(QueueFound(outlook, rules))

    async def enter(self, action: EnterQueue, queue: Queue) -> None:
        """Have the caller, whose line the bot has, wait."""
        # Whoever says nothing waits, so that waiting has no key.
        await self._offering.open(tuple(choice for choice in action.choices if choice is not Choice.WAIT))
        first = await self._first_word(action, queue)
        await self._sounds.play(self._sounds.wait_with_music(first, lambda: self._comfort(queue)))
        await self._floor.enter(self._place, queue.name, self._passed_over(), self._claimed)
        if self._watching is None:
            self._watching = self._errands.start(self._watch(queue))

    async def leave(self) -> None:
        """Have them wait no more; who was accepted stays on the board."""
        self._offering.withdraw()
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
        if self._state().phase not in {Phase.ACCEPTED, Phase.DONE}:
            await self._floor.leave(self._place, "left_queue")

    async def _first_word(self, action: EnterQueue, queue: Queue) -> tuple[str, str] | None:
        """Return what a caller who waits is told first; None where what follows at once tells them."""
        if not action.again:
            before = self._floor.routing.queue_named(self._state().queues[-2]).title if action.because else ""
            return "transfer.announce", announcement(
                self._wording,
                queue.title,
                action.outlook,
                offered=self._offering.choices,
                soonest=await self._offering.soonest(queue),
                because=action.because,
                instead_of=before,
            )
        line = await self._floor.in_line(self._place, queue, self._passed_over())
        if not line.is_served:
            self._tell(WaitedTooLong())
            return None
        return "transfer.going_on", going_on(self._wording, queue.title, line, action.because)

    def _claimed(self, claim: Claim) -> None:
        self._tell(AgentClaimed(claim))

    async def _comfort(self, queue: Queue) -> str:
        line = await self._floor.in_line(self._place, queue, self._passed_over())
        return comfort(self._wording, line, rings=self._state().phase in {Phase.DIALLING, Phase.BRIEFING})

    async def _watch(self, queue: Queue) -> None:
        """Tell when the caller has waited too long, and when nobody can come any more."""
        deadline_s = self._clock() + queue.max_wait_s
        while (left_s := deadline_s - self._clock()) > 0:
            await asyncio.sleep(min(left_s, LOOK_EVERY_S))
            if not self._floor.is_open(queue, self._now()):
                self._tell(QueueClosed())
            elif not await self._floor.can_serve(queue, self._passed_over()):
                self._tell(WaitedTooLong())
        # Told again and again, since an agent may be ringing now who will not take the caller.
        while True:
            self._tell(WaitedTooLong())
            await asyncio.sleep(LOOK_EVERY_S)

    def _passed_over(self) -> tuple[str, ...]:
        """Return the agents who are not asked for this caller now."""
        state = self._state()
        only = state.only
        return (*state.tried, *(agent for agent in self._floor.routing.agents if only and agent != only))
