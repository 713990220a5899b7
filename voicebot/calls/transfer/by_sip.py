"""Callers over SIP whose agents are with their own switch: it is asked to call them (REFER), alone or introduced first.

Trunks often refuse REFER: the caller is then on our line as before, and the queue's next destination or agents follow.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from voicebot.calls.transfer.carriers import Dialer, failure_of
from voicebot.calls.transfer.elsewhere import Sending, Sent
from voicebot.calls.transfer.seams import Party, RingFailed
from voicebot.media.tapped import TappedLeg
from voicebot.records.context import ContextPacket
from voicebot.routing.destinations import Destination, Refer
from voicebot.routing.queues import Failure
from voicebot.telephony.dialing import DialFailed
from voicebot.telephony.leg import CallLeg, HangUpReason
from voicebot.telephony.sip.exchange import NoAnswer
from voicebot.telephony.sip.leg import SipLeg
from voicebot.telephony.sip.message import parse_uri
from voicebot.telephony.sip.referring import ReferOutcome
from voicebot.telephony.sip.transfer import ask_to_call, ask_to_join

log = structlog.get_logger(__name__)

#: What the last status that the caller's switch told of a REFER means; any other is unreachable.
_FAILURES: Mapping[int, Failure] = {
    408: Failure.NO_ANSWER,
    480: Failure.NO_ANSWER,
    486: Failure.BUSY,
    487: Failure.NO_ANSWER,
    600: Failure.BUSY,
    603: Failure.DECLINED,
}
_OK = range(200, 300)


class BySip:
    """An `Elsewhere`. `reference` gives the headers by which whoever is called finds the packet.

    `question` is what an agent is asked after the introduction; `make_party` gives an agent's leg ears and a voice.
    `find_dialer` gives None where nothing can be dialled: then nobody can be introduced.
    """

    def __init__(
        self,
        *,
        find_dialer: Callable[[], Dialer | None],
        make_party: Callable[[CallLeg], Party],
        question: str,
        reference: Callable[[ContextPacket], tuple[tuple[str, str], ...]],
    ) -> None:
        self._find_dialer = find_dialer
        self._make_party = make_party
        self._question = question
        self._reference = reference

    def takes(self, leg: CallLeg, destination: Destination) -> bool:
        return isinstance(destination, Refer) and _sip_leg(leg) is not None

    async def send(self, sending: Sending) -> Sent:
        leg, destination = _sip_leg(sending.leg), sending.destination
        if leg is None or not isinstance(destination, Refer):
            raise RingFailed(Failure.UNREACHABLE)
        if destination.introduced:
            return await self._introduce(leg, destination, sending)
        # The caller hears our music until their switch has somebody for them.
        headers = self._reference(sending.packet)
        outcome = await _told(ask_to_call(leg, parse_uri(destination.uri), headers=headers))
        if not outcome.accepted or outcome.status not in _OK:
            raise RingFailed(_meaning(outcome))
        sending.answered()
        await sending.let_go()
        leg.leave()
        return Sent.GONE

    async def _introduce(self, leg: SipLeg, destination: Refer, sending: Sending) -> Sent:
        """Call the agent ourselves, say who calls, and have the caller's switch take our place (Replaces)."""
        dialer = self._find_dialer()
        if dialer is None:
            raise RingFailed(Failure.UNREACHABLE)
        try:
            agent = await dialer.dial(
                destination.uri, timeout_s=sending.ring_s, headers=self._reference(sending.packet)
            )
        except DialFailed as failed:
            raise RingFailed(failure_of(failed.reason)) from failed
        carrying = asyncio.create_task(agent.run())
        try:
            if not isinstance(agent, SipLeg):
                raise RingFailed(Failure.UNREACHABLE)
            party = self._make_party(agent)
            failure = await party.ask(sending.introduction, self._question, accept_s=sending.accept_s)
            if failure is not None:
                raise RingFailed(failure)
            outcome = await _told(ask_to_join(leg, agent))
            if not outcome.accepted or outcome.status not in _OK:
                raise RingFailed(_meaning(outcome))
            sending.answered()
            await sending.let_go()
            leg.leave()
            agent.leave()
            return Sent.GONE
        finally:
            await agent.hang_up(HangUpReason.COMPLETED)
            await asyncio.gather(carrying, return_exceptions=True)


async def _told(asking: Awaitable[ReferOutcome]) -> ReferOutcome:
    try:
        return await asking
    except NoAnswer as silent:
        raise RingFailed(Failure.UNREACHABLE) from silent


def _meaning(outcome: ReferOutcome) -> Failure:
    """Return why nobody took the caller; a switch that refuses REFER itself leaves them unreachable this way."""
    log.info("a caller's switch did not transfer them", accepted=outcome.accepted, status=outcome.status)
    return _FAILURES.get(outcome.status, Failure.UNREACHABLE) if outcome.accepted else Failure.UNREACHABLE


def _sip_leg(leg: CallLeg) -> SipLeg | None:
    inner = leg.inner if isinstance(leg, TappedLeg) else leg
    return inner if isinstance(inner, SipLeg) else None
