"""Callers of Twilio's whose agents are with Twilio too: dialled there, met in a conference, or queued in TaskRouter.

Their live call is given other TwiML by REST, which closes our stream; whatever comes of it, the call asks us what to do
next (`TwilioCallsDoor.away`), and comes back. So nobody falls out, and a caller hears music until Twilio has them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, assert_never

import structlog

from voicebot.calls.transfer.carriers import NumberDialer, failure_of
from voicebot.calls.transfer.elsewhere import Sending, Sent
from voicebot.calls.transfer.seams import Party, RingFailed
from voicebot.records.context import ContextPacket
from voicebot.routing.destinations import Conference, Destination, Dial, Refer, TaskQueue
from voicebot.routing.queues import Failure
from voicebot.telephony.dialing import DialFailed
from voicebot.telephony.leg import CallLeg, Channel, HangUpReason
from voicebot.telephony.numbers import DialLimits
from voicebot.telephony.twilio.journey import Journey, Journeys, Screened, TravellingLeg
from voicebot.telephony.twilio.outgoing import OutgoingLeg
from voicebot.telephony.twilio.rest import TwilioError
from voicebot.telephony.twilio.twiml import conference_twiml, dial_twiml, enqueue_twiml
from voicebot.telephony.twilio.webhook import CarrierCallStatus

log = structlog.get_logger(__name__)

#: How often Twilio is asked whether a caller who is elsewhere is still there, in case its own word was lost.
LOOK_EVERY_S = 10.0
#: How often TaskRouter is asked whether an agent has taken the task.
LOOK_AT_TASK_EVERY_S = 3.0
#: What <Dial> reports of a call that nobody accepted; one that "completed" was answered and hung up.
_DIAL_FAILURES: Mapping[str, Failure] = {
    "busy": Failure.BUSY,
    "no-answer": Failure.NO_ANSWER,
    "failed": Failure.UNREACHABLE,
    "canceled": Failure.NO_ANSWER,
    "completed": Failure.HUNG_UP,
    "answered": Failure.HUNG_UP,
}
#: How long a coach's telephone rings.
COACH_RING_S = 20
#: A task in one of these states has an agent.
_TAKEN = frozenset({"assigned", "wrapping", "completed"})


class Rest(Protocol):
    """`voicebot.telephony.twilio.rest.TwilioRest` in production."""

    async def direct(self, call_sid: str, twiml: str) -> None: ...
    async def end_call(self, call_sid: str) -> None: ...
    async def status_of(self, call_sid: str) -> CarrierCallStatus: ...
    async def task_status(self, workspace: str, call_sid: str) -> str | None: ...
    async def add_coach(self, conference: str, *, to: str, caller: str, agent_call_sid: str, ring_s: int) -> str: ...


@dataclass(frozen=True, slots=True)
class AwayAddresses:
    """Where Twilio reaches us about a caller who is elsewhere, by their journey's id, and how a call comes back."""

    action: Callable[[str], str]
    screen: Callable[[str], str]
    #: TwiML that brings a call back, by its SID.
    return_twiml: Callable[[str], str]
    #: Where the packet can be read.
    context: Callable[[ContextPacket], str]


class ByTwilio:
    """An `Elsewhere`. `caller` is the number that calls come from; `allowed` tells whether one may be called.

    `question` is what an agent is asked after the introduction; `make_party` gives an agent's leg ears and a voice.
    `clock` is monotonic.
    """

    def __init__(
        self,
        rest: Rest,
        journeys: Journeys,
        addresses: AwayAddresses,
        *,
        dialer: NumberDialer,
        caller: str,
        allowed: Callable[[str], bool],
        limits: DialLimits,
        make_party: Callable[[CallLeg], Party],
        question: str,
        clock: Callable[[], float],
    ) -> None:
        self._rest = rest
        self._journeys = journeys
        self._addresses = addresses
        self._dialer = dialer
        self._caller = caller
        self._allowed = allowed
        self._limits = limits
        self._make_party = make_party
        self._question = question
        self._clock = clock

    def takes(self, leg: CallLeg, destination: Destination) -> bool:
        """Tell whether Twilio carries this call, and the destination is one of its."""
        known = leg.info.channel is Channel.TWILIO and self._journeys.of(leg.info.carrier_call_id) is not None
        return known and not isinstance(destination, Refer)

    async def send(self, sending: Sending) -> Sent:
        """Send a caller there; raises `RingFailed` when nobody took them."""
        leg = self._journeys.of(sending.leg.info.carrier_call_id)
        if leg is None:
            raise RingFailed(Failure.UNREACHABLE)
        match sending.destination:
            case Dial(to):
                with self._allowed_call(to):
                    return await self._dial(leg, sending, to)
            case Conference() as conference:
                return await self._confer(leg, sending, conference)
            case TaskQueue() as queue:
                return await self._enqueue(leg, sending, queue)
            case Refer():
                raise RingFailed(Failure.UNREACHABLE)
            case _:
                assert_never(sending.destination)

    # --- <Dial>

    async def _dial(self, leg: TravellingLeg, sending: Sending, to: str) -> Sent:
        journey = self._journeys.depart(
            leg, introduction=sending.introduction, question=self._question, accept_s=round(sending.accept_s)
        )
        journey.accepted = sending.answered
        twiml = dial_twiml(
            to=to,
            caller_id=self._caller,
            ring_s=round(sending.ring_s),
            screen_url=self._addresses.screen(journey.id),
            action_url=self._addresses.action(journey.id),
        )
        with self._on(journey):
            await self._direct(leg, twiml)
            await sending.let_go()
            if not await self._return(leg, journey):
                return Sent.LEFT
        match journey.screened:
            case Screened.ACCEPTED:
                return Sent.BACK
            case Screened.DECLINED:
                raise RingFailed(Failure.DECLINED)
            case Screened.ASKED:
                # Answered, and no key pressed: a machine, or somebody who does not want to.
                raise RingFailed(Failure.VOICEMAIL)
            case None:
                dialled = journey.report.dial if journey.report else ""
                raise RingFailed(_DIAL_FAILURES.get(dialled, Failure.UNREACHABLE))
            case _:
                assert_never(journey.screened)

    # --- a conference

    async def _confer(self, leg: TravellingLeg, sending: Sending, conference: Conference) -> Sent:
        """Call the agent ourselves and introduce the caller, who hears music; then both meet without us."""
        try:
            agent = await self._dialer.dial(conference.agent, timeout_s=sending.ring_s)
        except DialFailed as failed:
            raise RingFailed(failure_of(failed.reason)) from failed
        leaves_us = False
        back = False
        try:
            failure = await self._make_party(agent).ask(sending.introduction, self._question, accept_s=sending.accept_s)
            if failure is not None:
                raise RingFailed(failure)
            agent.confirm()
            journey = self._journeys.depart(leg)
            with self._on(journey):
                leaves_us = True
                await self._meet(leg, agent, journey)
                await sending.let_go()
                sending.answered()
                await self._add_coach(conference, agent, journey)
                back = await self._return(leg, journey)
                return Sent.BACK if back else Sent.LEFT
        finally:
            if not back:
                await agent.hang_up(HangUpReason.COMPLETED)
                if leaves_us:
                    # Moved or about to be, and the caller may never have come: nobody would let them out again.
                    await self._end(agent.info.carrier_call_id)

    async def _meet(self, leg: TravellingLeg, agent: OutgoingLeg, journey: Journey) -> None:
        """Move both into one conference, the agent first: whoever waits there alone is not the caller."""
        room = _room(journey)
        try:
            await self._rest.direct(agent.info.carrier_call_id, conference_twiml(room=room))
        except TwilioError as error:
            leg.stay()
            log.warning("an agent could not be moved to a conference", why=str(error))
            raise RingFailed(Failure.UNREACHABLE) from error
        await self._direct(leg, conference_twiml(room=room, action_url=self._addresses.action(journey.id)))

    async def _add_coach(self, conference: Conference, agent: OutgoingLeg, journey: Journey) -> None:
        if not conference.coach:
            return
        try:
            with self._allowed_call(conference.coach):
                await self._rest.add_coach(
                    _room(journey),
                    to=conference.coach,
                    caller=self._caller,
                    agent_call_sid=agent.info.carrier_call_id,
                    ring_s=COACH_RING_S,
                )
        except (TwilioError, RingFailed) as error:
            # The two talk all the same.
            log.warning("a coach could not be added", why=str(error))

    # --- TaskRouter

    async def _enqueue(self, leg: TravellingLeg, sending: Sending, queue: TaskQueue) -> Sent:
        journey = self._journeys.depart(leg)
        twiml = enqueue_twiml(
            workflow=queue.workflow,
            action_url=self._addresses.action(journey.id),
            attributes=task_attributes(sending.packet, self._addresses.context(sending.packet)),
        )
        with self._on(journey):
            await self._direct(leg, twiml)
            await sending.let_go()
            looking = asyncio.create_task(self._look_at_task(leg, sending, queue))
            try:
                back = await self._return(leg, journey)
            finally:
                looking.cancel()
                found = (await asyncio.gather(looking, return_exceptions=True))[0]
        if not back:
            return Sent.LEFT
        result = journey.report.queue if journey.report else ""
        if result == "bridged":
            return Sent.BACK
        if isinstance(found, Failure):
            raise RingFailed(found)
        raise RingFailed(Failure.BUSY if result == "queue-full" else Failure.UNREACHABLE)

    async def _look_at_task(self, leg: TravellingLeg, sending: Sending, queue: TaskQueue) -> Failure | None:
        """Tell when an agent takes the task; when nobody does in time, bring the caller back and return why."""
        call_sid = leg.info.carrier_call_id
        deadline_s = self._clock() + sending.max_wait_s
        missing = 0
        while True:
            await asyncio.sleep(LOOK_AT_TASK_EVERY_S)
            try:
                status = await self._rest.task_status(queue.workspace, call_sid)
            except TwilioError as error:
                log.warning("a task cannot be looked at", why=str(error))
                continue
            if status in _TAKEN:
                sending.answered()
                return None
            # A workflow that gives up drops the task; one that has only just begun may not show it yet.
            missing = missing + 1 if status in {None, "canceled"} else 0
            if missing < 2 and self._clock() < deadline_s:
                continue
            try:
                await self._rest.direct(call_sid, self._addresses.return_twiml(call_sid))
            except TwilioError as error:
                log.warning("a caller could not be brought back from a queue", why=str(error))
                continue
            return Failure.NO_ANSWER

    # --- what they share

    @contextmanager
    def _allowed_call(self, to: str) -> Iterator[None]:
        """Count a call that Twilio makes for us in the limits of every carrier."""
        if not self._allowed(to) or not self._limits.take():
            log.warning("a call out was refused", why="dial_number" if not self._allowed(to) else "dial_limit")
            raise RingFailed(Failure.UNREACHABLE)
        try:
            yield
        finally:
            self._limits.give_back()

    @contextmanager
    def _on(self, journey: Journey) -> Iterator[None]:
        try:
            yield
        finally:
            self._journeys.close(journey)

    async def _direct(self, leg: TravellingLeg, twiml: str) -> None:
        """Give the caller's call other TwiML; raises `RingFailed` when they have not left us."""
        try:
            await self._rest.direct(leg.info.carrier_call_id, twiml)
        except TwilioError as error:
            log.warning("a caller could not be sent elsewhere", why=str(error))
            if leg.is_streaming:
                leg.stay()
                raise RingFailed(Failure.UNREACHABLE) from error
            if await self._is_over(leg):
                leg.lost()
            # Else the answer was lost, and Twilio has done it all the same: the stream is closed.

    async def _return(self, leg: TravellingLeg, journey: Journey) -> bool:
        """Return when a caller's stay elsewhere is over: whether they are back; else they have hung up."""
        while not journey.over.done():
            await asyncio.wait({journey.over}, timeout=LOOK_EVERY_S)
            if not journey.over.done() and await self._is_over(leg):
                leg.lost()
        return journey.over.result()

    async def _is_over(self, leg: TravellingLeg) -> bool:
        try:
            return (await self._rest.status_of(leg.info.carrier_call_id)).is_final
        except TwilioError as error:
            log.warning("a call cannot be looked at", why=str(error))
            return False

    async def _end(self, call_sid: str) -> None:
        try:
            await self._rest.end_call(call_sid)
        except TwilioError as error:
            log.warning("an agent's call could not be ended", why=str(error))


def _room(journey: Journey) -> str:
    return f"voicebot-{journey.id}"


def task_attributes(packet: ContextPacket, context_url: str) -> dict[str, str | int | bool]:
    """Return what TaskRouter may route by and an agent's page can find the packet with; nothing that was said."""
    request = packet.request
    return {
        "voicebot_call": packet.call_id,
        "voicebot_context": packet.id,
        "voicebot_context_url": context_url,
        "queue": packet.escalation.queue,
        "reason": packet.escalation.reason,
        "request": request.intent if request else "",
        "tier": packet.customer.tier,
        "authenticated": packet.authentication.authenticated,
        "urgency_percent": round(100 * packet.mood.urgency),
        "priority": packet.escalation.priority,
    }
