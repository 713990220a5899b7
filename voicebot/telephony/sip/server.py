"""The way in for SIP: who may call, whether there is room, and from an INVITE to a leg that is carried to its end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

import structlog
from sipmessage import Request

from voicebot.errors import LocalProtocolError
from voicebot.personal import Personal
from voicebot.telephony.leg import Capability, Channel, Direction, EndCause, LegInfo
from voicebot.telephony.rtp.media import NotAcceptable, PortsExhausted
from voicebot.telephony.sip.access import Access, Challenged, Forbidden
from voicebot.telephony.sip.body import UnsupportedBody, sdp_of
from voicebot.telephony.sip.call import Call, CallState, Party
from voicebot.telephony.sip.dialog import Dialog
from voicebot.telephony.sip.endpoint import ACCEPT, Endpoint
from voicebot.telephony.sip.hop import Hop
from voicebot.telephony.sip.identity import identity_of
from voicebot.telephony.sip.leg import OnReferral, SipLeg
from voicebot.telephony.sip.media import Media, OpenMedia
from voicebot.telephony.sip.message import respond, tokens
from voicebot.telephony.sip.reason import Q850_NORMAL
from voicebot.telephony.sip.refer import parse_replaces
from voicebot.telephony.sip.session_timer import LEAST_S, IntervalTooSmall, agree_as_server
from voicebot.telephony.sip.transaction import ServerTransaction
from voicebot.telephony.sip.uas import RETRY_AFTER_S, Invitation

_log = structlog.get_logger()

#: What an INVITE's Accept must allow, since our answer is a session description.
_READABLE = frozenset({"application/sdp", "application/*", "*/*"})
CAPABILITIES = frozenset({Capability.SEND_KEYS, Capability.HOLD, Capability.REDIRECT})


class Admission(Protocol):
    """Whether one more call can be served well."""

    def admit(self, caller: str, call_id: str) -> str | None:
        """Keep a place for a call, or return a short constant saying why it is refused; `caller` may be empty."""
        ...

    def withdraw(self, call_id: str) -> None:
        """Give up the place of a call that comes to nothing."""
        ...

    def is_open(self) -> bool:
        """Whether one more call could be served now."""
        ...


class Reach(Protocol):
    """Where requests within a dialog go."""

    async def of_dialog(self, dialog: Dialog, source: Hop) -> Hop: ...


class SipServer:
    """Gives each inbound call to `carry` as a leg; `on_refused` counts by a constant what is not taken."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        access: Access,
        admission: Admission,
        open_media: OpenMedia,
        reach: Reach,
        carry: Callable[[SipLeg], Awaitable[None]],
        on_refused: Callable[[str], None],
        on_referral: OnReferral,
        clock: Callable[[], float],
    ) -> None:
        self._endpoint = endpoint
        self._access = access
        self._admission = admission
        self._open_media = open_media
        self._reach = reach
        self._carry = carry
        self._on_refused = on_refused
        self._on_referral = on_referral
        self._clock = clock
        endpoint.doorman = self

    def retry_after_s(self) -> int | None:
        return None if self._admission.is_open() else RETRY_AFTER_S

    def invited(self, request: Request, source: Hop) -> None:
        """Refuse an INVITE, or begin to take it. Refusals keep nothing in memory."""
        match self._access.judge(request, source.host):
            case Challenged(headers):
                self._endpoint.answer(request, source, 401, headers)
                return
            case Forbidden():
                self._on_refused("stranger")
                _log.warning("call refused", why="stranger", source=source.host)
                self._endpoint.answer(request, source, 403)
                return
            case _:
                pass
        dialog = Dialog.of_server(request, self._endpoint.new_id())
        accepted = tokens(request, "Accept")
        if accepted and not any(kind.partition(";")[0].strip() in _READABLE for kind in accepted):
            self._endpoint.answer(request, source, 406, [("Accept", ACCEPT)])
            return
        try:
            sdp_of(request)
            agree_as_server(request)
        except UnsupportedBody:
            self._endpoint.answer(request, source, 415, [("Accept", ACCEPT)])
            return
        except IntervalTooSmall:
            self._endpoint.answer(request, source, 422, [("Min-SE", str(LEAST_S))])
            return
        replaced: Call | None = None
        if request.headers.get("Replaces") is not None:
            replaced = self._replaced(request)
            if replaced is None:
                self._endpoint.answer(request, source, 481)
                return
        elif self._admission.admit(identity_of(request).caller, request.call_id) is not None:
            if self._admission.is_open():
                # It is this caller who calls too much: after a 503 a trunk would take everybody's calls elsewhere.
                self._endpoint.answer(request, source, 486)
            else:
                self._endpoint.answer(request, source, 503, [("Retry-After", str(RETRY_AFTER_S))])
            return
        arrival = _Arrival()
        transaction = self._endpoint.serve_invite(request, source, arrival.cancel)
        transaction.respond(respond(request, 100))
        self._endpoint.start(self._take(request, source, transaction, arrival, dialog=dialog, replaced=replaced))

    async def _take(
        self,
        request: Request,
        source: Hop,
        transaction: ServerTransaction,
        arrival: _Arrival,
        *,
        dialog: Dialog,
        replaced: Call | None,
    ) -> None:
        media: Media | None = None
        carried = False
        try:
            media = await self._open_media(self._endpoint.transports.local_host(source), source.host)
            offer = sdp_of(request)
            sdp = media.offer() if offer is None else media.answer(offer)
            hop = await self._reach.of_dialog(dialog, source)
            if arrival.cancelled:
                self._refuse(request, transaction, 487)
                return
            terms = _Terms(dialog, hop, media, sdp, offered=offer is not None)
            if replaced is not None:
                carried = await self._replace(replaced, request, transaction, arrival, terms)
                return
            leg = self._leg(request, transaction, arrival, terms)
            carried = True
            await leg.ring()
            await self._carry(leg)
        except PortsExhausted:
            self._on_refused("no_ports")
            self._refuse(request, transaction, 503)
        except NotAcceptable:
            self._refuse(request, transaction, 488)
        finally:
            if not carried:
                self._admission.withdraw(request.call_id)
                self._refuse(request, transaction, 500)
                if media is not None:
                    await media.close()

    def _replaced(self, request: Request) -> Call | None:
        """Return the call that an INVITE takes the place of (RFC 3891)."""
        named = parse_replaces(request.headers["Replaces"])
        user = self._endpoint.dialog(named) if named else None
        return user if isinstance(user, Call) and isinstance(user.party, SipLeg) else None

    async def _replace(
        self, old: Call, request: Request, transaction: ServerTransaction, arrival: _Arrival, terms: _Terms
    ) -> bool:
        """Let the leg of `old` go on with this call; False when it has ended meanwhile."""
        leg = old.party
        if old.state is CallState.ENDED or not isinstance(leg, SipLeg):
            return False
        invitation = self._invitation(request, transaction, arrival, terms, leg)
        leg.move_to(invitation, terms.media)
        await invitation.answer()
        old.end(EndCause.REDIRECTED, Q850_NORMAL)
        return True

    def _invitation(
        self, request: Request, transaction: ServerTransaction, arrival: _Arrival, terms: _Terms, party: Party
    ) -> Invitation:
        timer, timer_headers = agree_as_server(request)
        call = Call(self._endpoint, terms.dialog, terms.hop, terms.media, party, we_called=False)
        arrival.invitation = Invitation(
            call,
            request,
            transaction,
            sdp=terms.sdp,
            offered=terms.offered,
            timer=timer,
            timer_headers=timer_headers,
        )
        return arrival.invitation

    def _leg(self, request: Request, transaction: ServerTransaction, arrival: _Arrival, terms: _Terms) -> SipLeg:
        identity = identity_of(request)

        def signal(party: Party) -> Invitation:
            return self._invitation(request, transaction, arrival, terms, party)

        info = LegInfo(
            leg_id=self._endpoint.new_id(),
            channel=Channel.SIP,
            direction=Direction.INBOUND,
            caller=identity.caller,
            called=identity.called,
            carrier_call_id=request.call_id,
            parameters=identity.parameters,
            # Where events were not agreed upon, keys come as tones in the audio, if at all.
            capabilities=CAPABILITIES | ({Capability.KEYS_APART} if b"telephone-event" in terms.sdp else frozenset()),
        )
        _log.info("call comes in", leg_id=info.leg_id, caller=Personal(info.caller), source=terms.hop.host)
        return SipLeg(info, terms.media, signal, clock=self._clock, on_referral=self._on_referral)

    def _refuse(self, request: Request, transaction: ServerTransaction, code: int) -> None:
        self._endpoint.forget_cancel(transaction)
        if transaction.is_pending:
            headers = [("Retry-After", str(RETRY_AFTER_S))] if code == 503 else []
            transaction.respond(respond(request, code, headers=headers))


@dataclass(frozen=True, slots=True)
class _Terms:
    """What a call begins with; `sdp` answers its offer or, if it `offered` nothing, is ours."""

    dialog: Dialog
    hop: Hop
    media: Media
    sdp: bytes
    offered: bool


class _Arrival:
    """An INVITE that may be cancelled at any moment."""

    def __init__(self) -> None:
        self.cancelled = False
        self.invitation: Invitation | None = None

    def cancel(self, cancel: Request) -> None:
        if cancel.method != "CANCEL":
            raise LocalProtocolError("Only a CANCEL cancels.")
        self.cancelled = True
        if self.invitation is not None:
            self.invitation.cancelled()
