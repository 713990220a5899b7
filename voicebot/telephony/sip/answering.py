"""Our 2xx to an INVITE, repeated until its ACK comes (RFC 3261 section 13.3.1.4)."""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog
from sipmessage import Request

from voicebot.telephony.leg import EndCause
from voicebot.telephony.rtp.media import NotAcceptable
from voicebot.telephony.sip.body import UnsupportedBody, sdp_of
from voicebot.telephony.sip.dialog import Dialog
from voicebot.telephony.sip.endpoint import ALLOW, SUPPORTED, Endpoint
from voicebot.telephony.sip.exchange import Repeater
from voicebot.telephony.sip.media import Media
from voicebot.telephony.sip.message import respond
from voicebot.telephony.sip.reason import Q850_TIMER
from voicebot.telephony.sip.transaction import ServerTransaction
from voicebot.telephony.sip.transaction_machine import T1_S, T2_S, State

_log = structlog.get_logger()


class AnsweredCall(Protocol):
    """The call whose INVITEs are answered; `negotiated` says whether offer and answer have been exchanged once."""

    endpoint: Endpoint
    dialog: Dialog
    media: Media
    negotiated: bool

    @property
    def contact(self) -> str: ...
    def end(self, cause: EndCause, reason: str = "") -> None: ...


class Answering:
    """The answers of one call to the INVITEs of its peer, the first and those within the dialog, one at a time."""

    def __init__(self, call: AnsweredCall) -> None:
        self._call = call
        self._repeater: Repeater | None = None
        self._acknowledged = asyncio.Event()
        self._acknowledged.set()
        self._answer_in_ack = False
        self._acked_cseq: int | None = None
        self._log = _log.bind(sip_call_id=call.dialog.id.call_id)

    @property
    def is_acknowledged(self) -> bool:
        """Whether no 2xx of ours waits for its ACK."""
        return self._acknowledged.is_set()

    async def acknowledged(self) -> None:
        """Wait until no 2xx of ours waits for its ACK, because it came or failed to."""
        await self._acknowledged.wait()

    def accept(
        self,
        request: Request,
        transaction: ServerTransaction,
        sdp: bytes,
        headers: list[tuple[str, str]],
        *,
        answer_in_ack: bool,
    ) -> None:
        """Give an INVITE its 2xx and repeat it until the ACK comes."""
        call = self._call
        response = respond(
            request,
            200,
            to_tag=call.dialog.id.local_tag,
            headers=[("Contact", call.contact), ("Allow", ALLOW), ("Supported", ", ".join(SUPPORTED)), *headers],
            body=sdp,
        )
        self._acknowledged.clear()
        self._answer_in_ack = answer_in_ack
        self._acked_cseq = request.cseq.sequence

        def say() -> None:
            if transaction.is_pending or transaction.state is State.ACCEPTED:
                transaction.respond(response)

        self._repeater = Repeater(say, on_given_up=self._no_ack, first_s=T1_S, most_s=T2_S, limit_s=64 * T1_S)

    def acknowledge(self, ack: Request) -> None:
        """Take an ACK; one that is not for our 2xx, or comes again, changes nothing."""
        if self._repeater is None or ack.cseq.sequence != self._acked_cseq:
            return
        self.stop()
        self._acknowledged.set()
        if not self._answer_in_ack:
            return
        self._answer_in_ack = False
        call = self._call
        try:
            answer = sdp_of(ack)
            if answer is not None:
                call.media.accept(answer)
                call.negotiated = True
        except (UnsupportedBody, NotAcceptable):
            self._log.info("the answer in an ACK cannot be used")
        if not call.negotiated:
            call.endpoint.violated("no_answer_in_ack")
            call.end(EndCause.PROTOCOL_ERROR, 'SIP;cause=488;text="no answer to the offer"')

    def stop(self) -> None:
        """Repeat nothing more."""
        if self._repeater is not None:
            self._repeater.stop()
            self._repeater = None

    def _no_ack(self) -> None:
        self._log.warning("no ACK came")
        self._acknowledged.set()
        self._call.end(EndCause.CONNECTION_LOST, Q850_TIMER)
