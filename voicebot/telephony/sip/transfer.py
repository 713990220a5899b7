"""Transfers over SIP, ours and the peer's: REFER, alone or with Replaces (RFC 5589)."""

from __future__ import annotations

from collections.abc import Callable

import structlog
from sipmessage import URI

from voicebot.telephony.dialing import DialFailed
from voicebot.telephony.leg import EndCause
from voicebot.telephony.sip.call import Call
from voicebot.telephony.sip.dialer import Dialer
from voicebot.telephony.sip.endpoint import Endpoint
from voicebot.telephony.sip.leg import Answered, SipLeg
from voicebot.telephony.sip.reason import Q850_NORMAL
from voicebot.telephony.sip.refer import Referral, refer_to
from voicebot.telephony.sip.referring import ReferOutcome

_log = structlog.get_logger()

#: How long the peer may take to reach whom we sent it to.
REFER_TIMEOUT_S = 40.0


async def send_elsewhere(leg: SipLeg, target: URI, *, referred_by: str = "") -> ReferOutcome:
    """Have the leg's party call `target` (blind transfer); the leg ends "redirected" when it got through.

    The leg goes on as it was when the peer refuses, which trunks often do. Raises `NoAnswer`.
    """
    outcome = await ask_to_call(leg, target, referred_by=referred_by)
    return _left(outcome, leg)


async def ask_to_call(
    leg: SipLeg, target: URI, *, referred_by: str = "", headers: tuple[tuple[str, str], ...] = ()
) -> ReferOutcome:
    """As `send_elsewhere`, and stay on the leg whatever comes of it. `headers` go into the call that is asked for."""
    return await _refer(leg, refer_to(target, None, headers), referred_by)


async def ask_to_join(leg: SipLeg, other: SipLeg, *, referred_by: str = "") -> ReferOutcome:
    """As `join`, and stay on both legs whatever comes of it."""
    dialog = other.call.dialog
    return await _refer(leg, refer_to(dialog.remote_target, dialog.id), referred_by)


async def join(leg: SipLeg, other: SipLeg, *, referred_by: str = "") -> ReferOutcome:
    """Join the parties of two legs to each other (attended transfer) and leave; raises `NoAnswer`."""
    return _left(await ask_to_join(leg, other, referred_by=referred_by), leg, other)


async def _refer(leg: SipLeg, target: str, referred_by: str) -> ReferOutcome:
    return await leg.call.referring.refer(target, referred_by=referred_by, timeout_s=REFER_TIMEOUT_S)


def _left(outcome: ReferOutcome, *legs: SipLeg) -> ReferOutcome:
    if outcome.accepted and 200 <= outcome.status < 300:
        for leg in legs:
            leg.leave()
    return outcome


class Referrals:
    """Carries out what a peer's REFER asks for: the leg's call goes on with whom the peer named.

    `trusted` decides by a call's peer whether its REFERs are heeded; where it may send us is the dialer's to say.
    """

    def __init__(self, endpoint: Endpoint, *, trusted: Callable[[Call], bool]) -> None:
        self._endpoint = endpoint
        self._trusted = trusted
        self._dialer: Dialer | None = None

    def dial_with(self, dialer: Dialer) -> None:
        """Name the dialer, whose own legs are referred by this too; until then every REFER is refused."""
        self._dialer = dialer

    def __call__(self, leg: SipLeg, call: Call, referral: Referral) -> bool:
        """Begin the transfer, or return False to refuse it."""
        dialer = self._dialer
        if dialer is None or call is not leg.call or not self._trusted(call) or not dialer.may_follow(referral.target):
            return False
        self._endpoint.start(self._follow(leg, call, referral, dialer))
        return True

    async def _follow(self, leg: SipLeg, call: Call, referral: Referral, dialer: Dialer) -> None:
        headers: tuple[tuple[str, str], ...] = ()
        if referral.replaces is not None:
            # The peer wrote it for the one who receives it, so it is passed on as it came.
            replaced = referral.replaces
            value = f"{replaced.call_id};to-tag={replaced.local_tag};from-tag={replaced.remote_tag}"
            headers += (("Replaces", value), ("Require", "replaces"))
        if referral.referred_by:
            headers += (("Referred-By", referral.referred_by),)
        call.referring.tell(100, "Trying")
        try:
            placed, media = await dialer.place(
                dialer.target_of(str(referral.target)), timeout_s=REFER_TIMEOUT_S, headers=headers
            )
        except DialFailed as failed:
            call.referring.tell(failed.status or 503, "Not reached")
            return
        if leg.is_over:
            # The peer hung up while whom it named was called: nobody is left to talk to them.
            placed.end(EndCause.WE_HUNG_UP, Q850_NORMAL)
            await media.close()
            return
        call.referring.tell(200, "OK")
        leg.move_to(Answered(placed), media)
        call.end(EndCause.REDIRECTED, Q850_NORMAL)
