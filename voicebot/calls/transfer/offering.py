"""What a caller can choose instead of waiting for an agent, while they wait and when nobody can take them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from voicebot.calls.transfer.arranging import Arranger
from voicebot.calls.transfer.dial_on import DialOn
from voicebot.calls.transfer.seams import CallerSide, Floor, Place, Said
from voicebot.calls.transfer.sounds import choice_expectation
from voicebot.routing.actions import Offer
from voicebot.routing.events import Arranged, CallerChose, Event, NotArranged, NothingChosen
from voicebot.routing.queues import Choice, Queue
from voicebot.routing.telling import keyed_choice, moment_to_say, offers, refusal, spoken_choice
from voicebot.routing.waiting import Standing
from voicebot.routing.wording import Wording

#: How long a caller may think about what they want instead.
CHOOSE_S = 8.0


class Offering:
    """`tell` gets what the caller chose, and what came of it. `now` is in the bot's zone."""

    def __init__(
        self,
        place: Place,
        caller: CallerSide,
        floor: Floor,
        wording: Wording,
        *,
        dial_on: DialOn,
        now: Callable[[], datetime],
        tell: Callable[[Event], None],
    ) -> None:
        self._place = place
        self._caller = caller
        self._floor = floor
        self._wording = wording
        self._now = now
        self._tell = tell
        self._arranger = Arranger(place, caller, floor, wording, dial_on=dial_on, now=now)
        self._choices: tuple[Choice, ...] = ()

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What the caller can choose now."""
        return self._choices

    def caller_said(self, said: Said) -> bool:
        """Take what the caller said or keyed; False when it meant nothing, so that what was playing goes on."""
        if self._arranger.takes(said):
            return True
        text = said.readings[0].text if said.readings else ""
        choice = keyed_choice(said.keys, self._choices) or spoken_choice(text, self._choices)
        if choice is None:
            return False
        self._tell(CallerChose(choice))
        return True

    async def open(self, choices: tuple[Choice, ...]) -> None:
        """Let the caller choose from now on."""
        self._choices = choices
        await self._caller.listen(choice_expectation(choices))

    def withdraw(self) -> None:
        """Let them choose nothing any more."""
        self._choices = ()

    async def soonest(self, queue: Queue) -> str:
        """Return when the caller could be called back, as it is said; empty where they cannot be, or none can tell."""
        if Choice.CALLBACK not in self._choices or not self._place.number:
            return ""
        at = await self._floor.soonest(queue, self._place.number)
        return moment_to_say(at, self._now()) if at else ""

    async def offer(self, offer: Offer, queue: Queue) -> None:
        """Say why nobody comes and what there is instead, and wait for the choice."""
        await self.open(offer.choices)
        opens = self._floor.opens(queue, self._now()) if offer.standing is Standing.CLOSED else None
        said_opens = moment_to_say(opens, self._now()) if opens else ""
        why = refusal(self._wording, queue.title, offer.standing, said_opens)
        text = " ".join((why, *offers(self._wording, self._choices, await self.soonest(queue))))
        await self._caller.say("transfer.offer", text)
        await asyncio.sleep(CHOOSE_S)
        self._tell(NothingChosen())

    async def arrange(self, choice: Choice, queue: Queue) -> None:
        """Arrange what they chose."""
        self.withdraw()
        arranged = await self._arranger.arrange(choice, queue)
        self._tell(Arranged(choice) if arranged else NotArranged(choice))

    async def promise(self, queue: Queue) -> None:
        """Book a callback for a caller whom we cut off in the queue, and say so; else note them down."""
        await self._arranger.promise(queue)

    async def note_down(self, queue: Queue) -> None:
        """Put the caller on the list of those whom somebody should see to, and say so."""
        await self._arranger.note_down(queue)
