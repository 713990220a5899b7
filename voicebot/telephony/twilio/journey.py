"""Calls of Twilio's that leave us for elsewhere and come back: one leg, whatever streams it has one after the other.

While Twilio carries a call elsewhere (<Dial>, a conference, a queue) it closes our Media Stream. When that is over it
asks the `action` of the verb what to do, and the answer opens a new stream. `TravellingLeg` stays the same leg for
whoever talks with the caller: it is silent meanwhile, and ends only when the caller hangs up or we do.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import structlog

from voicebot.telephony.dialing import Suspected
from voicebot.telephony.leg import AudioPlayed, EndCause, HangUpReason, LegEnded, LegEvent, LegInfo
from voicebot.telephony.twilio.leg import TwilioLeg
from voicebot.telephony.twilio.webhook import CameBack

_log = structlog.get_logger()


class Screened(StrEnum):
    """What somebody who answered a <Dial> did when they were asked."""

    ASKED = "asked"
    ACCEPTED = "accepted"
    DECLINED = "declined"


@dataclass
class Journey:
    """One stay elsewhere. `introduction` is what whoever answers there hears; `over` ends it.

    `over` tells whether the caller came back and their line is open again; else they hung up. `report` is what Twilio
    said of it, None where it was we who brought them back.
    """

    id: str
    over: asyncio.Future[bool]
    introduction: str = ""
    question: str = ""
    accept_s: int = 15
    screened: Screened | None = None
    #: Told when whoever answered has accepted.
    accepted: Callable[[], None] = lambda: None
    report: CameBack | None = None


class ReturningLeg(TwilioLeg):
    """The stream of a call that comes back from elsewhere; its `leg_id` is that of the call's first leg."""


class TravellingLeg:
    """A caller's leg over one stream after the other; a `CallLeg`. `end_call` ends a call that has no stream."""

    def __init__(
        self,
        first: TwilioLeg,
        *,
        end_call: Callable[[str], Awaitable[None]] | None,
        on_end: Callable[[TravellingLeg], None] = lambda _leg: None,
    ) -> None:
        """`on_end` is told when the leg has been hung up, or its caller has elsewhere."""
        self._info = first.info
        self._first = first
        self._now = first
        self._end_call = end_call
        self._on_end = on_end
        #: Samples sent over the streams before the present one.
        self._before = 0
        self._journey: Journey | None = None
        self._end: LegEnded | None = None
        #: Set when there is another stream to read, or none will come any more.
        self._moved = asyncio.Event()

    @property
    def info(self) -> LegInfo:
        return self._info

    @property
    def journey(self) -> Journey | None:
        """Where the call is, when it is not here."""
        return self._journey

    @property
    def is_streaming(self) -> bool:
        """Whether its present stream is open."""
        return self._now.is_open

    @property
    def sent_samples(self) -> int:
        return self._before + self._now.sent_samples

    @property
    def queued_samples(self) -> int:
        return self._now.queued_samples

    async def events(self) -> AsyncIterator[LegEvent]:
        """Yield what the caller does; the end of a stream is no end of the leg while the call is elsewhere."""
        while True:
            reading = self._now
            async for event in reading.events():
                if isinstance(event, LegEnded):
                    if self._now is reading and self._journey is None:
                        self._end = self._end or event
                    break
                yield self._shifted(event)
            while self._now is reading and self._end is None:
                self._moved.clear()
                await self._moved.wait()
            if self._end is not None:
                yield self._end
                return

    def _shifted(self, event: LegEvent) -> LegEvent:
        if self._before and isinstance(event, AudioPlayed):
            return replace(event, position_samples=self._before + event.position_samples)
        return event

    async def answer(self) -> None:
        """Do nothing: a call that streams has been answered by the carrier."""

    def send(self, frame: bytes) -> None:
        self._now.send(frame)

    def clear(self) -> int:
        return self._before + self._now.clear()

    def show_caption(self, speaker: str, text: str, *, final: bool) -> None:
        """Do nothing: a telephone shows no captions."""

    async def hang_up(self, reason: HangUpReason) -> None:
        """End the call, wherever it is; a server that shuts down leaves callers alone who are elsewhere."""
        away = self._journey is not None
        stays = away and reason is HangUpReason.SHUTTING_DOWN
        self._finish(EndCause.REDIRECTED if stays else EndCause.WE_HUNG_UP)
        await self._now.hang_up(reason)
        if away and not stays and self._end_call is not None:
            await self._end_call(self._info.carrier_call_id)

    def confirm(self) -> None:
        """Take it that a person is there, whatever the carrier makes of whom it called."""
        if isinstance(self._first, Suspected):
            self._first.confirm()

    async def run(self) -> None:
        """Carry the first stream to its end; whatever streams follow are carried where they come in."""
        await self._first.run()

    # --- leaving and coming back

    def depart(self, journey: Journey) -> None:
        """From now on the end of the stream means that the call is elsewhere."""
        self._journey = journey

    def stay(self) -> None:
        """Take `depart` back: the carrier has not taken the call anywhere."""
        self._journey = None
        if not self._now.is_open:
            self._finish(EndCause.PEER_HUNG_UP)

    def arrived(self, leg: ReturningLeg) -> bool:
        """Go on over a new stream; False when the call is not elsewhere."""
        journey = self._journey
        if journey is None or self._end is not None:
            return False
        self._before += self._now.sent_samples
        self._now = leg
        self._journey = None
        self._moved.set()
        if not journey.over.done():
            journey.over.set_result(True)
        return True

    def lost(self) -> None:
        """The caller has hung up while the call was elsewhere."""
        if self._journey is not None:
            self._finish(EndCause.PEER_HUNG_UP)

    def _finish(self, cause: EndCause) -> None:
        if self._end is None:
            self._end = LegEnded(cause, asyncio.get_running_loop().time())
        journey, self._journey = self._journey, None
        if journey is not None and not journey.over.done():
            journey.over.set_result(False)
        self._moved.set()
        self._on_end(self)


class Journeys:
    """The callers of this server whose calls Twilio carries, by the SIDs of their calls."""

    def __init__(self, *, end_call: Callable[[str], Awaitable[None]] | None, new_id: Callable[[], str]) -> None:
        self._end_call = end_call
        self._new_id = new_id
        self._legs: dict[str, TravellingLeg] = {}
        self._journeys: dict[str, Journey] = {}

    def begin(self, first: TwilioLeg) -> TravellingLeg:
        """Return the leg of a call that comes to us with this stream."""
        return TravellingLeg(first, end_call=self._end_call)

    async def carry(self, leg: TravellingLeg, accept: Callable[[TravellingLeg], Awaitable[None]]) -> None:
        """Know a call for as long as `accept` takes, which carries it to its end."""
        self._legs[leg.info.carrier_call_id] = leg
        try:
            await accept(leg)
        finally:
            self._forget(leg)

    def follow(self, first: TwilioLeg) -> TravellingLeg:
        """Return the leg of a call that we placed, and know it until it is hung up."""
        leg = TravellingLeg(first, end_call=self._end_call, on_end=self._forget)
        self._legs[leg.info.carrier_call_id] = leg
        return leg

    def _forget(self, leg: TravellingLeg) -> None:
        # One that came back unexpectedly has begun anew under the same SID.
        if self._legs.get(leg.info.carrier_call_id) is leg:
            del self._legs[leg.info.carrier_call_id]

    def of(self, call_sid: str) -> TravellingLeg | None:
        return self._legs.get(call_sid)

    def depart(self, leg: TravellingLeg, *, introduction: str = "", question: str = "", accept_s: int = 15) -> Journey:
        """Let a call go elsewhere; `close` when that is over."""
        over: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        journey = Journey(self._new_id(), over, introduction, question, accept_s)
        self._journeys[journey.id] = journey
        leg.depart(journey)
        return journey

    def close(self, journey: Journey) -> None:
        """Forget a journey."""
        self._journeys.pop(journey.id, None)

    def find(self, journey_id: str) -> Journey | None:
        return self._journeys.get(journey_id)

    def came_back(self, report: CameBack) -> TravellingLeg | None:
        """Take what Twilio says when a call's stay elsewhere is over; None when nobody here waits for the call."""
        leg = self._legs.get(report.call_sid)
        if leg is None or leg.journey is None:
            return None
        leg.journey.report = report
        if report.is_over:
            leg.lost()
            return None
        return leg

    async def returned(self, leg: ReturningLeg) -> None:
        """Take the new stream of a call that comes back, and return when it is over."""
        traveller = self._legs.get(leg.info.carrier_call_id)
        if traveller is None or not traveller.arrived(leg):
            _log.info("a call came back that nobody waits for", leg_id=leg.info.leg_id)
            return
        await leg.run()

    def call_ended(self, call_sid: str) -> None:
        """Take word that a call is over, in case it is elsewhere and nothing else says so."""
        leg = self._legs.get(call_sid)
        if leg is not None:
            leg.lost()
