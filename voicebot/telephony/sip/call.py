"""One call's dialog from its first answer to its BYE, whichever side began it (RFC 3261 sections 12 to 15)."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol

import structlog
from sipmessage import Request, Response

from voicebot.telephony.leg import EndCause
from voicebot.telephony.rtp.media import NotAcceptable
from voicebot.telephony.sip.answering import Answering
from voicebot.telephony.sip.body import UnsupportedBody, sdp_of
from voicebot.telephony.sip.dialog import Dialog
from voicebot.telephony.sip.digest import Credentials
from voicebot.telephony.sip.dtmf_info import parse_key
from voicebot.telephony.sip.endpoint import ACCEPT, ALLOW, SUPPORTED, Endpoint, capabilities
from voicebot.telephony.sip.exchange import NoAnswer, RequestRefused, responses
from voicebot.telephony.sip.hop import Hop
from voicebot.telephony.sip.media import Media
from voicebot.telephony.sip.message import BadMessage, respond, tokens
from voicebot.telephony.sip.reason import Q850_TIMER, cause_of
from voicebot.telephony.sip.refer import Referral, parse_referral
from voicebot.telephony.sip.referring import Referring
from voicebot.telephony.sip.session_keeper import SessionKeeper
from voicebot.telephony.sip.session_timer import (
    LEAST_S,
    IntervalTooSmall,
    SessionTimer,
    agree_as_server,
    agreed_as_client,
    ask_as_client,
)
from voicebot.telephony.sip.transaction import ServerTransaction

_log = structlog.get_logger()

#: How long a peer may take for the ACK of our 2xx before we hang up on it ourselves.
ACK_BEFORE_BYE_S = 4.0
MAX_GLARES = 4


class CallState(StrEnum):
    EARLY = "early"
    CONFIRMED = "confirmed"
    ENDED = "ended"


_MOVES = {
    CallState.EARLY: frozenset({CallState.CONFIRMED, CallState.ENDED}),
    CallState.CONFIRMED: frozenset({CallState.ENDED}),
    CallState.ENDED: frozenset[CallState](),
}


class Party(Protocol):
    """Who hears of what happens in a call: its leg."""

    def keyed(self, key: str, duration_ms: int | None) -> None: ...
    def ended(self, call: Call, cause: EndCause) -> None: ...
    def referred(self, call: Call, referral: Referral) -> bool:
        """Take on a REFER, telling its progress by `Referring.tell`; False refuses it."""
        ...


class Call:
    """`hop` is where requests of ours go. `we_called` says whose Call-ID it is."""

    def __init__(
        self,
        endpoint: Endpoint,
        dialog: Dialog,
        hop: Hop,
        media: Media,
        party: Party,
        *,
        we_called: bool,
        credentials: Credentials | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.dialog = dialog
        self.hop = hop
        self.media = media
        self.party = party
        self.state = CallState.EARLY
        #: Whether offer and answer have been exchanged once.
        self.negotiated = False
        self.peer_allows: frozenset[str] = frozenset()
        self._we_called = we_called
        self._credentials = credentials
        #: Our 2xx to the peer's INVITEs.
        self.answering = Answering(self)
        #: Our own offer is under way; the peer's then meets 491 (section 14.2).
        self._offering = asyncio.Lock()
        self.session = SessionKeeper(self)
        self.referring = Referring(self)
        #: Takes PRACKs while the call is early.
        self.on_prack: Callable[[Request, ServerTransaction], None] | None = None
        #: Told first when the call ends, so that an INVITE without answer gets one.
        self.on_end: Callable[[], None] | None = None
        self._log = _log.bind(sip_call_id=dialog.id.call_id)
        endpoint.add_dialog(dialog.id, self)

    @property
    def contact(self) -> str:
        return self.endpoint.contact(self.hop)

    @property
    def is_confirmed(self) -> bool:
        return self.state is CallState.CONFIRMED

    # What the peer asks for

    def receive(self, request: Request, source: Hop) -> None:
        """Take a request of this dialog."""
        if request.method == "ACK":
            self.answering.acknowledge(request)
            return
        transaction = self.endpoint.transactions.serve(request, source)
        if self.state is CallState.ENDED:
            # Our BYE is on its way; theirs may have crossed it.
            transaction.respond(respond(request, 200 if request.method == "BYE" else 481))
            return
        try:
            if not self.dialog.accept(request):
                transaction.respond(respond(request, 500, headers=[("Retry-After", "1")]))
                return
            self._dispatch(request, transaction)
        except BadMessage as error:
            self.endpoint.violated(error.kind)
            transaction.respond(error.answer or respond(request, 400))
        except UnsupportedBody:
            transaction.respond(respond(request, 415, headers=[("Accept", ACCEPT)]))
        except NotAcceptable:
            transaction.respond(respond(request, 488))
        except IntervalTooSmall:
            transaction.respond(respond(request, 422, headers=[("Min-SE", str(LEAST_S))]))

    def _dispatch(self, request: Request, transaction: ServerTransaction) -> None:
        match request.method:
            case "BYE":
                transaction.respond(respond(request, 200))
                self._log.info("peer hung up", reason=cause_of(request))
                self.end(EndCause.PEER_HUNG_UP)
            case "INVITE":
                self._reinvited(request, transaction)
            case "UPDATE":
                self._updated(request, transaction)
            case "PRACK":
                if self.on_prack is None:
                    transaction.respond(respond(request, 481))
                else:
                    self.on_prack(request, transaction)
            case "INFO":
                self._informed(request, transaction)
            case "OPTIONS":
                transaction.respond(respond(request, 200, headers=capabilities()))
            case "REFER":
                self._referred(request, transaction)
            case "NOTIFY":
                self.referring.notified(request, transaction)
            case _:
                transaction.respond(respond(request, 405, headers=[("Allow", ALLOW)]))

    def _refused_as_glare(self, request: Request, transaction: ServerTransaction) -> bool:
        if self._offering.locked():
            transaction.respond(respond(request, 491))
        elif not self.answering.is_acknowledged or not self.negotiated:
            # An earlier offer waits for its answer (section 14.2, RFC 3311 section 5.2).
            transaction.respond(respond(request, 500, headers=[("Retry-After", str(random.randrange(1, 10)))]))  # noqa: S311  # no secret
        else:
            return False
        return True

    def _reinvited(self, request: Request, transaction: ServerTransaction) -> None:
        if self._refused_as_glare(request, transaction):
            return
        timer, headers = agree_as_server(request)
        offer = sdp_of(request)
        sdp = self.media.offer() if offer is None else self.media.answer(offer)
        self.dialog.refresh_target(request)
        self.session.keep(timer)
        self.answering.accept(request, transaction, sdp, headers, answer_in_ack=offer is None)

    def _updated(self, request: Request, transaction: ServerTransaction) -> None:
        offer = sdp_of(request)
        if offer is not None and self._refused_as_glare(request, transaction):
            return
        timer, headers = agree_as_server(request)
        sdp = b"" if offer is None else self.media.answer(offer)
        self.dialog.refresh_target(request)
        if self.state is CallState.CONFIRMED:
            self.session.keep(timer)
        headers += [("Contact", self.contact), ("Allow", ALLOW)]
        transaction.respond(respond(request, 200, headers=headers, body=sdp))

    def _informed(self, request: Request, transaction: ServerTransaction) -> None:
        key = parse_key(request.headers.get("Content-Type") or "", request.body)
        if key is not None:
            self.party.keyed(*key)
        elif request.body and "dtmf" in (request.headers.get("Content-Type") or "").lower():
            transaction.respond(respond(request, 400))
            return
        elif request.body:
            transaction.respond(respond(request, 415, headers=[("Accept", ACCEPT)]))
            return
        transaction.respond(respond(request, 200))

    def _referred(self, request: Request, transaction: ServerTransaction) -> None:
        referral = parse_referral(request)
        if self.state is CallState.CONFIRMED and self.party.referred(self, referral):
            transaction.respond(respond(request, 202, headers=[("Contact", self.contact)]))
        else:
            transaction.respond(respond(request, 603))

    # What we ask for

    def confirm(self, *, timer: SessionTimer | None) -> None:
        """The call is answered."""
        self._set_state(CallState.CONFIRMED)
        self.on_prack = None
        self.media.expect_media()
        self.session.keep(timer)

    async def hold(self, *, held: bool) -> None:
        """Put the peer on hold or take it back; raises `RequestRefused` or `NoAnswer`, and then nothing has changed."""
        try:
            await self.reoffer(lambda: self.media.hold(held))
        except (RequestRefused, NoAnswer):
            self.media.withdraw()
            raise

    async def acknowledge_provisional(self, rack: str) -> None:
        """Send the PRACK of a reliable provisional response."""
        await self.tell("PRACK", [("RAck", rack)], b"")

    async def tell(self, method: str, headers: list[tuple[str, str]], body: bytes) -> None:
        """Send a request whose failure changes nothing."""
        try:
            await self.ask(method, headers=headers, body=body, content_type="message/sipfrag;version=2.0")
        except (RequestRefused, NoAnswer) as error:
            self._log.info("a request failed", method=method, problem=str(error))

    async def ask(
        self,
        method: str,
        *,
        headers: list[tuple[str, str]] | None = None,
        body: bytes = b"",
        content_type: str = "application/sdp",
    ) -> Response:
        """Send a request within the dialog, with credentials if they are asked for; return its 2xx."""
        authorization: list[tuple[str, str]] = []
        for _ in range(2):
            request = self.dialog.request(method, body=body, content_type=content_type)
            for name, value in [*(headers or []), *authorization]:
                request.headers.add(name, value)
            cseq = request.cseq.sequence
            ack: list[Request] = []

            def again(response: Response, ack: list[Request] = ack) -> None:
                # A 2xx that came again lacks its ACK.
                if response.code < 300 and ack:
                    self.endpoint.send_ack(ack[0], self.hop)

            async for response in responses(self.endpoint, request, self.hop, on_more=again):
                if response.code < 200:
                    continue
                if response.code < 300:
                    if method == "INVITE":
                        self.dialog.refresh_target(response)
                        ack.append(self.dialog.ack(cseq))
                        self.endpoint.send_ack(ack[0], self.hop)
                    return response
                authorization = self._credentials.answer(response, request) if self._credentials else []
                if not authorization:
                    raise RequestRefused(response)
        raise RequestRefused(response)

    async def reoffer(self, make_offer: Callable[[], bytes]) -> None:
        """Change the session by a re-INVITE, backing off when the peer is at it too (section 14.1)."""
        for _ in range(MAX_GLARES):
            try:
                async with self._offering:
                    if self.state is not CallState.CONFIRMED:
                        return
                    offer = make_offer()
                    response = await self.ask("INVITE", headers=self.refresh_headers(), body=offer)
                    answer = sdp_of(response)
                    if answer is not None:
                        self.media.accept(answer)
                    self.session.keep(agreed_as_client(response))
                    return
            except RequestRefused as refused:
                if refused.response.code in {408, 481}:
                    self.gone()
                if refused.response.code != 491:
                    raise
            # Whose Call-ID it is waits longer, so that the two do not meet again.
            await asyncio.sleep(random.uniform(2.1, 4.0) if self._we_called else random.uniform(0.0, 2.0))  # noqa: S311  # no secret
        self._log.warning("the peer was changing the session at every try")

    def refresh_headers(self) -> list[tuple[str, str]]:
        return [
            ("Contact", self.contact),
            ("Allow", ALLOW),
            ("Supported", ", ".join(SUPPORTED)),
            *ask_as_client(self.session.timer),
        ]

    def gone(self) -> None:
        """The peer does not know the call any more (section 12.2.1.2)."""
        self.end(EndCause.CONNECTION_LOST, Q850_TIMER)

    # The end

    def end(self, cause: EndCause, reason: str = "") -> None:
        """End the call and tell the party; with a `reason` (RFC 3326) also the peer, by BYE. Later ends are none."""
        if self.state is CallState.ENDED:
            return
        self._set_state(CallState.ENDED)
        self.session.stop()
        self.referring.stop()
        if self.on_end is not None:
            self.on_end()
        if reason:
            self.endpoint.start(self._say_bye(reason))
        else:
            self._leave()
        self.party.ended(self, cause)

    async def _say_bye(self, reason: str) -> None:
        """Send a BYE, once the ACK that must come first has come or failed to (section 15)."""
        try:
            async with asyncio.timeout(ACK_BEFORE_BYE_S):
                await self.answering.acknowledged()
        except TimeoutError:
            self._log.info("BYE without ACK")
        self._leave()
        await self.tell("BYE", [("Reason", reason)], b"")

    def _leave(self) -> None:
        self.answering.stop()
        self.endpoint.remove_dialog(self.dialog.id)

    def learn_peer(self, message: Request | Response) -> None:
        """Note what the peer says it can do."""
        self.peer_allows = tokens(message, "Allow") or self.peer_allows

    def _set_state(self, state: CallState) -> None:
        if state in _MOVES[self.state]:
            self._log.debug("call changed", was=self.state, now=state)
            self.state = state
