"""Calls out: to numbers through the outbound proxy, to extensions by their SIP address, within limits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog
from sipmessage import URI, Address

from voicebot.personal import Personal
from voicebot.telephony.dialing import DialFailed, DialFailure
from voicebot.telephony.leg import Channel, Direction, EndCause, LegInfo
from voicebot.telephony.numbers import DialLimits, NumberPlan
from voicebot.telephony.rtp.media import PortsExhausted
from voicebot.telephony.sip.call import Call, Party
from voicebot.telephony.sip.dialog import Dialog
from voicebot.telephony.sip.digest import Credentials
from voicebot.telephony.sip.endpoint import Endpoint
from voicebot.telephony.sip.hop import Hop, Transport
from voicebot.telephony.sip.leg import Answered, OnReferral, SipLeg
from voicebot.telephony.sip.media import Media, OpenMedia
from voicebot.telephony.sip.message import parse_uri
from voicebot.telephony.sip.reason import Q850_NORMAL
from voicebot.telephony.sip.resolve import Unresolvable
from voicebot.telephony.sip.server import CAPABILITIES
from voicebot.telephony.sip.uac import CallPlan, Dialling, OnProgress

_log = structlog.get_logger()

#: What fits a datagram on any path (RFC 3261 section 18.1.1), and what an INVITE of ours takes without more headers.
MAX_DATAGRAM_BYTES = 1300
INVITE_BYTES = 1150


class Reach(Protocol):
    async def resolve(self, uri: URI) -> Sequence[Hop]: ...
    async def of_dialog(self, dialog: Dialog, source: Hop) -> Hop: ...


@dataclass(frozen=True, slots=True)
class OutboundPolicy:
    """`proxy` takes calls to numbers. `hosts` are the SIP hosts whose extensions may be called by address.

    `caller` is the number or name calls come from unless told otherwise.
    """

    proxy: URI | None
    hosts: frozenset[str]
    caller: str
    credentials: Credentials | None


class Dialer:
    """Places calls. `on_refused` counts by a constant what the limits forbid; `clock` is monotonic."""

    def __init__(
        self,
        endpoint: Endpoint,
        policy: OutboundPolicy,
        *,
        numbers: NumberPlan,
        limits: DialLimits,
        reach: Reach,
        open_media: OpenMedia,
        on_refused: Callable[[str], None],
        on_referral: OnReferral,
        clock: Callable[[], float],
    ) -> None:
        self._endpoint = endpoint
        self._policy = policy
        self._numbers = numbers
        self._limits = limits
        self._reach = reach
        self._open_media = open_media
        self._on_refused = on_refused
        self._on_referral = on_referral
        self._clock = clock

    async def dial(
        self,
        reach: str,
        *,
        timeout_s: float,
        caller: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        on_progress: OnProgress = lambda _status: None,
    ) -> SipLeg:
        """Call a number or a SIP address and return its leg once it is answered; raises `DialFailed`.

        Whoever dials awaits the leg's `run()`; the call's end gives its place among the calls at once back.
        """
        call, media = await self.place(
            self.target_of(reach), timeout_s=timeout_s, caller=caller, headers=headers, on_progress=on_progress
        )
        return self._leg(call, media, caller, reach)

    def target_of(self, reach: str) -> URI:
        """Return the URI behind what a person or a peer wrote; raises `DialFailed` when it must not be called."""
        if ":" in reach:
            try:
                uri = parse_uri(reach)
            except ValueError:
                raise DialFailed(DialFailure.NOT_FOUND) from None
            if uri.scheme != "tel":
                if uri.host.lower() not in self._policy.hosts:
                    raise self._refused("dial_host")
                return uri
            reach = uri.user or ""
        number = self._numbers.normalise(reach)
        if number is None:
            raise DialFailed(DialFailure.NOT_FOUND)
        proxy = self._policy.proxy
        if proxy is None or not self._numbers.allows(number):
            raise self._refused("dial_number")
        return URI("sip", proxy.host, user=number, port=proxy.port, parameters=proxy.parameters.replace())

    def may_follow(self, uri: URI) -> bool:
        """Tell whether a target that a peer names may be called."""
        try:
            self.target_of(str(uri))
        except DialFailed:
            return False
        return True

    async def place(
        self,
        target: URI,
        *,
        timeout_s: float,
        caller: str = "",
        headers: tuple[tuple[str, str], ...] = (),
        on_progress: OnProgress = lambda _status: None,
    ) -> tuple[Call, Media]:
        """Call a URI that was judged by `target_of`; raises `DialFailed`. It counts in both limits."""
        if not self._limits.take():
            raise self._refused("dial_limit")
        kept = False
        try:
            call, media = await self._reached(target, timeout_s, caller, headers, on_progress)
            call.on_end = self._limits.give_back
            kept = True
        finally:
            if not kept:
                self._limits.give_back()
        return call, media

    async def _reached(
        self,
        target: URI,
        timeout_s: float,
        caller: str,
        headers: tuple[tuple[str, str], ...],
        on_progress: OnProgress,
    ) -> tuple[Call, Media]:
        try:
            hops = await self._reach.resolve(target)
        except Unresolvable as error:
            raise DialFailed(DialFailure.UNREACHABLE) from error
        try:
            media = await self._open_media(self._endpoint.transports.local_host(hops[0]), hops[0].host)
        except PortsExhausted as error:
            raise DialFailed(DialFailure.UNREACHABLE) from error
        call: Call | None = None
        answered = False
        try:
            dialling = Dialling(
                self._endpoint, self._plan(target, hops[0], caller, headers), media, on_progress=on_progress
            )
            async with asyncio.timeout(timeout_s):
                wide = await self._wide_enough(hops, headers)
                call = await dialling.place(wide, self.may_follow, self._reach.resolve)
            call.hop = await self._reach.of_dialog(call.dialog, call.hop)
            if not call.is_confirmed:
                raise DialFailed(DialFailure.UNREACHABLE)
            answered = True
        except Unresolvable as error:
            raise DialFailed(DialFailure.UNREACHABLE) from error
        except TimeoutError as error:
            raise DialFailed(DialFailure.NO_ANSWER) from error
        finally:
            if not answered:
                if call is not None:
                    call.end(EndCause.WE_HUNG_UP, Q850_NORMAL)
                await media.close()
        return call, media

    async def _wide_enough(self, hops: Sequence[Hop], headers: tuple[tuple[str, str], ...]) -> Sequence[Hop]:
        """Return the hops over TCP where an INVITE with these headers may not fit a datagram (section 18.1.1)."""
        size = INVITE_BYTES + sum(len(name) + len(value) for name, value in headers)
        first = hops[0]
        if first.transport is not Transport.UDP or size <= MAX_DATAGRAM_BYTES:
            return hops
        over_tcp = Hop(Transport.TCP, first.host, first.port)
        # A peer without TCP gets the datagram after all.
        return [over_tcp, *hops[1:]] if await self._endpoint.transports.connect(over_tcp) else hops

    def _plan(self, target: URI, hop: Hop, caller: str, headers: tuple[tuple[str, str], ...]) -> CallPlan:
        host, _ = self._endpoint.transports.local(hop)
        proxy = self._policy.proxy
        domain = proxy.host if proxy is not None else host
        identity = URI(
            "sip", f"[{domain}]" if ":" in domain and "[" not in domain else domain, user=caller or self._policy.caller
        )
        return CallPlan(target, Address(identity), headers, credentials=self._policy.credentials)

    def _leg(self, call: Call, media: Media, caller: str, called: str) -> SipLeg:
        def signal(party: Party) -> Answered:
            call.party = party
            return Answered(call)

        info = LegInfo(
            leg_id=self._endpoint.new_id(),
            channel=Channel.SIP,
            direction=Direction.OUTBOUND,
            caller=caller or self._policy.caller,
            called=called,
            carrier_call_id=call.dialog.id.call_id,
            capabilities=CAPABILITIES,
        )
        _log.info("call was answered", leg_id=info.leg_id, called=Personal(called))
        return SipLeg(info, media, signal, clock=self._clock, on_referral=self._on_referral)

    def _refused(self, why: str) -> DialFailed:
        self._on_refused(why)
        _log.warning("a call out was refused", why=why)
        return DialFailed(DialFailure.NOT_ALLOWED)
