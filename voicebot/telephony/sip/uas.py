"""A call that comes in: ringing, early media, answering, refusing, and the caller's CANCEL (RFC 3261 section 13.3).

Provisional responses are sent reliably where the caller demands it (RFC 3262).
"""

from __future__ import annotations

import asyncio
import random

from sipmessage import Request

from voicebot.telephony.leg import EndCause, HangUpReason
from voicebot.telephony.sip.call import Call, CallState
from voicebot.telephony.sip.endpoint import ALLOW, SUPPORTED, Endpoint
from voicebot.telephony.sip.exchange import Repeater
from voicebot.telephony.sip.message import respond, tokens
from voicebot.telephony.sip.session_timer import SessionTimer
from voicebot.telephony.sip.transaction import ServerTransaction
from voicebot.telephony.sip.transaction_machine import T1_S

#: Seconds after which a caller who met a full house may try again.
RETRY_AFTER_S = 10

_REFUSALS = {
    HangUpReason.COMPLETED: 603,
    HangUpReason.REFUSED_BUSY: 486,
    HangUpReason.SHUTTING_DOWN: 503,
    HangUpReason.TOO_LONG: 480,
    HangUpReason.FAILED: 500,
}


class Invitation:
    """An INVITE until its final response. `sdp` is our answer to its offer, or our offer when it has none."""

    def __init__(
        self,
        call: Call,
        request: Request,
        transaction: ServerTransaction,
        *,
        sdp: bytes,
        offered: bool,
        timer: SessionTimer,
        timer_headers: list[tuple[str, str]],
    ) -> None:
        self.call = call
        self._request = request
        self._transaction = transaction
        self._sdp = sdp
        self._offered = offered
        self._timer = timer
        self._timer_headers = timer_headers
        self._reliable = "100rel" in tokens(request, "Require")
        self._rseq = random.randrange(1, 2**16)  # noqa: S311  # no secret
        self._repeater: Repeater | None = None
        self._pracked = asyncio.Event()
        self._pracked.set()
        call.learn_peer(request)
        call.negotiated = offered
        call.on_prack = self._prack
        call.on_end = lambda: self.refuse(487)

    async def ring(self) -> None:
        """Tell the caller that we have it (180)."""
        await self._provisional(180, b"")

    async def progress(self) -> None:
        """Open the way for audio before the answer (183); only where the caller's INVITE had an offer."""
        if self._offered:
            await self._provisional(183, self._sdp)

    async def answer(self) -> None:
        """Take the call (200). Nothing happens when the caller is gone."""
        await self._pracked.wait()
        if not self._transaction.is_pending or self.call.state is CallState.ENDED:
            return
        self._endpoint.forget_cancel(self._transaction)
        self.call.confirm(timer=self._timer)
        self.call.answering.accept(
            self._request, self._transaction, self._sdp, self._timer_headers, answer_in_ack=not self._offered
        )

    def refuse(self, code: int) -> None:
        """Give a final response that is no 2xx."""
        self._stop_repeating()
        if self._transaction.is_pending:
            self._endpoint.forget_cancel(self._transaction)
            headers = [("Retry-After", str(RETRY_AFTER_S))] if code == 503 else []
            self._transaction.respond(
                respond(self._request, code, to_tag=self.call.dialog.id.local_tag, headers=headers)
            )

    def refuse_for(self, reason: HangUpReason) -> None:
        """Refuse the call with the code that says why."""
        self.refuse(_REFUSALS[reason])
        self.call.end(EndCause.REFUSED)

    def cancelled(self) -> None:
        """The caller has given up."""
        self.refuse(487)
        self.call.end(EndCause.PEER_HUNG_UP)

    @property
    def _endpoint(self) -> Endpoint:
        return self.call.endpoint

    async def _provisional(self, code: int, sdp: bytes) -> None:
        await self._pracked.wait()
        if not self._transaction.is_pending or self.call.state is CallState.ENDED:
            return
        headers = [("Contact", self.call.contact), ("Allow", ALLOW), ("Supported", ", ".join(SUPPORTED))]
        if self._reliable:
            self._rseq += 1
            headers += [("Require", "100rel"), ("RSeq", str(self._rseq))]
        response = respond(self._request, code, to_tag=self.call.dialog.id.local_tag, headers=headers, body=sdp)
        if not self._reliable:
            self._transaction.respond(response)
            return
        self._pracked.clear()

        def say() -> None:
            if self._transaction.is_pending:
                self._transaction.respond(response)

        self._repeater = Repeater(say, on_given_up=self._no_prack, first_s=T1_S, most_s=64 * T1_S, limit_s=64 * T1_S)

    def _prack(self, request: Request, transaction: ServerTransaction) -> None:
        """Take the PRACK of the response that waits for it (RFC 3262 section 3)."""
        wanted = [str(self._rseq), str(self._request.cseq.sequence), "INVITE"]
        if self._pracked.is_set() or (request.headers.get("RAck") or "").split() != wanted:
            transaction.respond(respond(request, 481))
            return
        self._stop_repeating()
        transaction.respond(respond(request, 200))
        self._pracked.set()

    def _no_prack(self) -> None:
        self.refuse(504)
        self.call.end(EndCause.CONNECTION_LOST)

    def _stop_repeating(self) -> None:
        if self._repeater is not None:
            self._repeater.stop()
            self._repeater = None
        self._pracked.set()
