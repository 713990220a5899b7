"""A call that goes out, from its INVITE to its answer or its typed failure (RFC 3261 sections 13.2 and 9.1)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog
from sipmessage import URI, Address, Request, Response

from voicebot.telephony.dialing import DialFailed, DialFailure
from voicebot.telephony.leg import EndCause
from voicebot.telephony.rtp.media import NotAcceptable
from voicebot.telephony.sip.body import UnsupportedBody, sdp_of
from voicebot.telephony.sip.call import Call
from voicebot.telephony.sip.dialog import MAX_FORWARDS, Dialog
from voicebot.telephony.sip.digest import Credentials
from voicebot.telephony.sip.endpoint import ALLOW, SUPPORTED, Endpoint
from voicebot.telephony.sip.hop import Hop
from voicebot.telephony.sip.media import Media
from voicebot.telephony.sip.message import BadMessage, set_body, tag_of, tokens, whole_number
from voicebot.telephony.sip.reason import Q850_NORMAL
from voicebot.telephony.sip.refer import Referral
from voicebot.telephony.sip.session_timer import WANTED_S, agreed_as_client, ask_as_client
from voicebot.telephony.sip.transaction import Failure
from voicebot.telephony.sip.transaction_machine import T1_S

_log = structlog.get_logger()

#: How often a call may be sent on by 3xx, be asked for credentials or be told another session interval.
MAX_TURNS = 6
#: A server that says nothing at all for so long is passed over where there is another: Timer B would take 32 s, longer
#: than anybody rings.
NEXT_SERVER_AFTER_S = 4.0
#: After a CANCEL, how long the INVITE's final response is awaited (section 9.1).
AFTERMATH_S = 64 * T1_S


_REASONS = {
    401: DialFailure.UNAUTHORISED,
    403: DialFailure.DECLINED,
    404: DialFailure.NOT_FOUND,
    407: DialFailure.UNAUTHORISED,
    408: DialFailure.NO_ANSWER,
    410: DialFailure.NOT_FOUND,
    415: DialFailure.NOT_ACCEPTABLE,
    416: DialFailure.NOT_FOUND,
    480: DialFailure.NO_ANSWER,
    484: DialFailure.NOT_FOUND,
    485: DialFailure.NOT_FOUND,
    486: DialFailure.BUSY,
    488: DialFailure.NOT_ACCEPTABLE,
    600: DialFailure.BUSY,
    603: DialFailure.DECLINED,
    604: DialFailure.NOT_FOUND,
    606: DialFailure.NOT_ACCEPTABLE,
    607: DialFailure.DECLINED,
    608: DialFailure.DECLINED,
}


def reason_of(status: int) -> DialFailure:
    """Return what a final response to an INVITE means to whoever dialled."""
    return _REASONS.get(status, DialFailure.DECLINED if 400 <= status < 500 else DialFailure.UNREACHABLE)


@dataclass(frozen=True, slots=True)
class CallPlan:
    """Whom to call as whom. `headers` are added to the INVITE; `route` is the outbound proxy, if there is one."""

    target: URI
    caller: Address
    headers: tuple[tuple[str, str], ...] = ()
    route: URI | None = None
    credentials: Credentials | None = None


class Silent:
    """The party of a call that nobody has yet."""

    def keyed(self, key: str, duration_ms: int | None) -> None:
        """Do nothing: a key before the answer means nothing."""

    def ended(self, call: Call, cause: EndCause) -> None:
        """Do nothing: the INVITE's own final response tells."""

    def referred(self, call: Call, referral: Referral) -> bool:
        """Refuse."""
        del call, referral
        return False


#: Finds where requests to a URI go; raises `Unresolvable`.
Find = Callable[[URI], Awaitable[Sequence[Hop]]]
#: Tells how far a call has come: each status of a provisional response.
OnProgress = Callable[[int], None]


class Dialling:
    """One call being placed."""

    def __init__(self, endpoint: Endpoint, plan: CallPlan, media: Media, *, on_progress: OnProgress) -> None:
        self._endpoint = endpoint
        self._plan = plan
        self._media = media
        self._on_progress = on_progress
        self._call_id = endpoint.new_id()
        self._from_tag = endpoint.new_id()
        self._cseq = 0
        self._offer = media.offer()
        self._least_interval_s = 0
        self._attempt: _Attempt | None = None

    async def place(self, hops: Sequence[Hop], follow: Callable[[URI], bool], find: Find) -> Call:
        """Return the answered call; raises `DialFailed`. `follow` decides about targets that a 3xx names.

        The next of `hops` is tried when one is overloaded, unreachable or silent (RFC 3263 section 4.3), and those that
        `find` gives for a new target. Cancelling this sends CANCEL when the callee has said something, and hangs up on
        an answer that crosses it.
        """
        targets = [self._plan.target]
        tried: set[str] = set()
        headers: list[tuple[str, str]] = []
        servers = list(hops)
        last = DialFailed(DialFailure.UNREACHABLE)
        for _ in range(MAX_TURNS):
            if not servers:
                break
            target = targets[0]
            tried.add(str(target))
            outcome = await self._try(target, servers[0], headers, has_next=len(servers) > 1)
            if isinstance(outcome, Call):
                return outcome
            if isinstance(outcome, Failure):
                timed_out = outcome is Failure.TIMED_OUT
                last = DialFailed(DialFailure.TIMED_OUT if timed_out else DialFailure.UNREACHABLE)
                del servers[0]
                continue
            last = DialFailed(reason_of(outcome.code), outcome.code)
            if outcome.code == 503:
                del servers[0]
                continue
            headers = self._another_try(outcome, targets, tried, follow)
            if not headers:
                break
            if targets[0] != target and targets[0].scheme != "tel":  # numbers stay with the proxy
                servers = list(await find(targets[0]))
        raise last

    def _another_try(
        self, response: Response, targets: list[URI], tried: set[str], follow: Callable[[URI], bool]
    ) -> list[tuple[str, str]]:
        """Return the headers of a new try that a refusal asks for, nothing when it is final."""
        if response.code in {401, 407} and self._attempt is not None and self._plan.credentials is not None:
            return self._plan.credentials.answer(response, self._attempt.request)
        if response.code == 422:
            lowest = whole_number((response.headers.get("Min-SE") or "").partition(";")[0])
            if lowest is not None and lowest > self._least_interval_s:
                self._least_interval_s = lowest
                return [("Min-SE", str(lowest))]
        if 300 <= response.code < 400:
            try:
                contacts = [address.uri for address in response.contact]
            except (ValueError, TypeError):
                return []
            for uri in contacts:
                if str(uri) not in tried and follow(uri):
                    targets[:] = [uri]
                    return [("History-Info", f"<{self._plan.target}>;index=1")]
        return []

    async def _try(
        self, target: URI, hop: Hop, headers: list[tuple[str, str]], *, has_next: bool
    ) -> Call | Response | Failure:
        self._attempt = attempt = _Attempt(
            self._endpoint,
            self._request(target, hop, headers),
            hop,
            media=self._media,
            credentials=self._plan.credentials,
            on_progress=self._on_progress,
        )
        try:
            if has_next:
                await asyncio.wait({attempt.outcome}, timeout=NEXT_SERVER_AFTER_S)
                if not attempt.heard_of and not attempt.outcome.done():
                    return Failure.TIMED_OUT
            return await attempt.outcome
        finally:
            attempt.abandon_unless_over()

    def _request(self, target: URI, hop: Hop, headers: list[tuple[str, str]]) -> Request:
        self._cseq += 1
        request = Request("INVITE", target)
        request.headers.set("Max-Forwards", str(MAX_FORWARDS))
        request.headers.set("From", f"{self._plan.caller};tag={self._from_tag}")
        request.headers.set("To", f"<{self._plan.target}>")
        request.headers.set("Call-ID", self._call_id)
        request.headers.set("CSeq", f"{self._cseq} INVITE")
        request.headers.set("Contact", self._endpoint.contact(hop))
        request.headers.set("Allow", ALLOW)
        request.headers.set("Supported", ", ".join(SUPPORTED))
        wanted_s = max(WANTED_S, self._least_interval_s)
        asked = ask_as_client(None, wanted_s=wanted_s, least_s=self._least_interval_s or 90)
        for name, value in [*asked, *self._plan.headers, *headers]:
            request.headers.set(name, value)
        if self._plan.route is not None:
            request.headers.set("Route", f"<{self._plan.route}>")
        set_body(request, self._offer, "application/sdp")
        return request


class _Attempt:
    """One INVITE on its way. `outcome` is the answered call, a refusal, or that nothing came back."""

    def __init__(
        self,
        endpoint: Endpoint,
        request: Request,
        hop: Hop,
        *,
        media: Media,
        credentials: Credentials | None,
        on_progress: OnProgress,
    ) -> None:
        self.request = request
        self.outcome: asyncio.Future[Call | Response | Failure] = endpoint.loop.create_future()
        #: Whether the callee's server has said anything.
        self.heard_of = False
        self._endpoint = endpoint
        self._hop = hop
        self._media = media
        self._credentials = credentials
        self._on_progress = on_progress
        self._early: dict[str, Call] = {}
        self._abandoned = False
        self._cancelled = False
        self._acks: dict[str, tuple[Request, Hop]] = {}
        self._rseq: dict[str, int] = {}
        self._transaction = endpoint.send_request(
            request, hop, on_response=self._on_response, on_failure=self._on_failure
        )

    def abandon_unless_over(self) -> None:
        """Give up a call that has no outcome yet."""
        if self.outcome.done() and not self.outcome.cancelled():
            return
        self._abandoned = True
        if self.heard_of:
            self._cancel()

    def _on_failure(self, failure: Failure) -> None:
        self._forget_early(None)
        if not self.outcome.done():
            self.outcome.set_result(failure)

    def _on_response(self, response: Response) -> None:
        self.heard_of = True
        if response.code < 200:
            if self._abandoned:
                self._cancel()
            else:
                self._on_provisional(response)
        elif response.code < 300:
            self._on_answer(response)
        else:
            self._forget_early(None)
            if not self.outcome.done():
                self.outcome.set_result(response)

    def _on_provisional(self, response: Response) -> None:
        """Take early media, and acknowledge what is reliable (RFC 3262 section 4)."""
        self._on_progress(response.code)
        tag = tag_of(response.headers["To"])
        if response.code == 100 or tag is None or not response.headers.get("Contact"):
            return
        call = self._call(tag, response)
        if call is None:
            return
        if "100rel" in tokens(response, "Require"):
            rseq = whole_number(response.headers.get("RSeq") or "")
            if rseq is None or rseq <= self._rseq.get(tag, 0):
                return
            self._rseq[tag] = rseq
            rack = f"{rseq} {self.request.cseq.sequence} INVITE"
            self._endpoint.start(call.acknowledge_provisional(rack))
        self._listen(response, call)

    def _listen(self, response: Response, call: Call) -> bool:
        try:
            answer = sdp_of(response)
            if answer is None:
                return call.negotiated
            self._media.accept(answer)
        except (UnsupportedBody, NotAcceptable):
            return False
        call.negotiated = True
        return True

    def _on_answer(self, response: Response) -> None:
        tag = tag_of(response.headers["To"]) or ""
        if tag in self._acks:
            # Our ACK was lost.
            self._endpoint.send_ack(*self._acks[tag])
            return
        call = self._call(tag, response)
        if call is None:
            # Without a Contact there is nowhere to send even a BYE.
            self._on_failure(Failure.TRANSPORT)
            return
        call.learn_peer(response)
        call.dialog.refresh_target(response)
        ack = call.dialog.ack(self.request.cseq.sequence)
        self._acks[tag] = (ack, self._hop)
        self._endpoint.send_ack(ack, self._hop)
        call.confirm(timer=agreed_as_client(response))
        if self._abandoned or self.outcome.done():
            # Another branch of a fork was quicker, or we had given up (section 13.2.2.4).
            call.end(EndCause.WE_HUNG_UP, Q850_NORMAL)
        elif not self._listen(response, call):
            call.end(EndCause.PROTOCOL_ERROR, 'SIP;cause=488;text="no usable answer"')
            refused = Response(488, "Not Acceptable Here")
            self.outcome.set_result(refused)
        else:
            self._forget_early(tag)
            self.outcome.set_result(call)

    def _call(self, tag: str, response: Response) -> Call | None:
        """Return the call of one branch, made when it is first heard of."""
        if tag not in self._early:
            try:
                dialog = Dialog.of_client(self.request, response)
            except BadMessage as error:
                self._endpoint.violated(error.kind)
                return None
            self._early[tag] = Call(
                self._endpoint,
                dialog,
                self._hop,
                self._media,
                Silent(),
                we_called=True,
                credentials=self._credentials,
            )
        return self._early[tag]

    def _forget_early(self, winner: str | None) -> None:
        for tag, call in self._early.items():
            if tag != winner and tag not in self._acks:
                call.end(EndCause.REFUSED)

    def _cancel(self) -> None:
        """Send CANCEL, which has the INVITE's own Via (section 9.1)."""
        if self._cancelled:
            return
        self._cancelled = True
        cancel = Request("CANCEL", self.request.uri)
        for name in ("Via", "Max-Forwards", "From", "To", "Call-ID"):
            cancel.headers.set(name, self.request.headers[name])
        cancel.headers.set("CSeq", f"{self.request.cseq.sequence} CANCEL")
        if self.request.headers.getlist("Route"):
            cancel.headers.setlist("Route", list(self.request.headers.getlist("Route")))
        cancel.headers.set("Content-Length", "0")
        self._endpoint.transactions.request(
            cancel, self._hop, on_response=lambda _response: None, on_failure=lambda _failure: None
        )
        self._endpoint.loop.call_later(AFTERMATH_S, self._transaction.transport_failed)
