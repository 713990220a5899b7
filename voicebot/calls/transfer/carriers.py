"""Calls out by the carrier that takes them, and what their failures mean for whoever was to be reached."""

from __future__ import annotations

from typing import Protocol

from voicebot.routing.queues import Failure
from voicebot.telephony.dialing import DialFailure, DialledLeg
from voicebot.telephony.sip.leg import SipLeg
from voicebot.telephony.twilio.journey import Journeys
from voicebot.telephony.twilio.outgoing import OutgoingLeg

_FAILURES = {
    DialFailure.BUSY: Failure.BUSY,
    DialFailure.NO_ANSWER: Failure.NO_ANSWER,
    DialFailure.TIMED_OUT: Failure.NO_ANSWER,
    DialFailure.DECLINED: Failure.DECLINED,
    DialFailure.VOICEMAIL: Failure.VOICEMAIL,
}


def failure_of(reason: DialFailure) -> Failure:
    """Return what a call that was not answered means for a transfer."""
    return _FAILURES.get(reason, Failure.UNREACHABLE)


class Dialer(Protocol):
    """Places calls; `Carriers` in production. Raises `DialFailed`; whoever dials awaits the leg's `run`."""

    async def dial(self, reach: str, *, timeout_s: float, headers: tuple[tuple[str, str], ...] = ()) -> DialledLeg: ...


class SipDialer(Protocol):
    """`voicebot.telephony.sip.dialer.Dialer` in production."""

    async def dial(
        self, reach: str, *, timeout_s: float, caller: str = "", headers: tuple[tuple[str, str], ...] = ()
    ) -> SipLeg: ...


class NumberDialer(Protocol):
    """`voicebot.telephony.twilio.outgoing.TwilioDialer` in production."""

    async def dial(self, reach: str, *, timeout_s: float) -> OutgoingLeg: ...


class Following:
    """A `Dialer` whose calls by Twilio can be sent elsewhere and come back: for customers who are called back."""

    def __init__(self, dialer: Dialer, journeys: Journeys) -> None:
        self._dialer = dialer
        self._journeys = journeys

    async def dial(self, reach: str, *, timeout_s: float, headers: tuple[tuple[str, str], ...] = ()) -> DialledLeg:
        """Call a number or a SIP address and return its leg once it is answered; raises `DialFailed`."""
        leg = await self._dialer.dial(reach, timeout_s=timeout_s, headers=headers)
        return self._journeys.follow(leg) if isinstance(leg, OutgoingLeg) else leg


class Carriers:
    """A `Dialer`: SIP addresses are called over SIP, numbers by Twilio where `twilio` is given, else by the trunk.

    `headers` are for telephones that are called over SIP.
    """

    def __init__(self, sip: SipDialer, twilio: NumberDialer | None) -> None:
        self._sip = sip
        self._twilio = twilio

    async def dial(self, reach: str, *, timeout_s: float, headers: tuple[tuple[str, str], ...] = ()) -> DialledLeg:
        """Call a number or a SIP address and return its leg once it is answered; raises `DialFailed`."""
        if self._twilio is not None and ":" not in reach:
            return await self._twilio.dial(reach, timeout_s=timeout_s)
        return await self._sip.dial(reach, timeout_s=timeout_s, headers=headers)
