"""The simulated caller's way in over SIP: a real SIP call, which the caller's line sees as a media stream."""

from __future__ import annotations

import asyncio
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
from sipmessage import URI

from voicebot.simulation.carrier import CallRefused, CarrierError, Numbers
from voicebot.simulation.impairment import Impairment
from voicebot.simulation.line import CarrierLine, Listener
from voicebot.telephony.dialing import DialFailed, DialFailure
from voicebot.telephony.leg import SILENT_FRAME, EndCause, FrameReceived, HangUpReason, LegEnded
from voicebot.telephony.numbers import DialLimits, NumberPlan
from voicebot.telephony.rtp.media import MediaPlan, PortRange, RtpMedia
from voicebot.telephony.rtp.metronome import Metronome
from voicebot.telephony.sip.dialer import Dialer, OutboundPolicy
from voicebot.telephony.sip.endpoint import Endpoint, Identity
from voicebot.telephony.sip.leg import SipLeg
from voicebot.telephony.sip.media import Media
from voicebot.telephony.sip.message import parse_uri
from voicebot.telephony.sip.resolve import DnsLookup, Resolver
from voicebot.telephony.twilio import messages
from voicebot.telephony.twilio.messages import Dtmf, PlayMedia, Start, Stop, parse_carrier, serialise

_ANSWER_TIMEOUT_S = 20.0
#: Frames kept between the call's audio and the caller's ear or mouth, whose clocks tick at other moments.
_SLACK_FRAMES = 3


class SipCarrier:
    """Places calls to one server. `address` is a SIP address such as ``sip:127.0.0.1:5060``."""

    def __init__(self, address: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            self._uri = parse_uri(address)
        except ValueError as error:
            raise CarrierError(f"{address} is no SIP address; give one such as sip:127.0.0.1:5060") from error
        self._clock = clock
        #: Of all its calls; a timer for each would make many callers late themselves.
        self._metronome = Metronome(clock)
        #: Of all its calls too: reading the authorities' certificates holds up everybody who is speaking.
        self._tls = ssl.create_default_context()

    @asynccontextmanager
    async def dial(
        self,
        *,
        numbers: Numbers = Numbers(),  # noqa: B008 # frozen, so sharing it is safe
        impairment: Impairment = Impairment(),  # noqa: B008 # frozen, so sharing it is safe
        listener: Listener | None = None,
    ) -> AsyncIterator[CarrierLine]:
        """Place a call and yield its line, which is hung up at the end of the block.

        Raises CallRefused when the server refuses it, CarrierError when it does not answer.
        """
        dialled_s = self._clock()
        endpoint = Endpoint(
            Identity(user="caller", user_agent="voicebot caller"),
            client_tls=self._tls,
            # The Call-ID must be one that the line's own protocol knows too.
            new_id=lambda: "CA" + secrets.token_hex(16),
            on_violation=lambda _kind: None,
        )
        try:
            await endpoint.transports.listen("::" if ":" in self._uri.host else "0.0.0.0", 0)  # noqa: S104  # to call anywhere
            leg = await self._answered(endpoint, numbers)
            running = asyncio.create_task(leg.run())
            start = Start(
                sequence=1,
                stream_sid="MZ" + secrets.token_hex(16),
                account_sid="AC" + "5" * 32,
                call_sid=leg.info.carrier_call_id,
                parameters={},
            )
            line = CarrierLine(
                _Gateway(leg, start.stream_sid),
                start,
                impairment=impairment,
                listener=listener,
                clock=self._clock,
                dialled_s=dialled_s,
            )
            carrying = asyncio.create_task(line.carry())
            try:
                yield line
            finally:
                await line.hang_up()
                await carrying
                await running
        finally:
            await endpoint.close()

    async def _answered(self, endpoint: Endpoint, numbers: Numbers) -> SipLeg:
        ports = PortRange(40000, 59999)

        async def open_media(local_host: str, peer_host: str) -> Media:
            plan = MediaPlan(local_host, signalling_address=peer_host)
            return await RtpMedia.open(plan, ports, now=self._clock, metronome=self._metronome)

        dialer = Dialer(
            endpoint,
            OutboundPolicy(None, frozenset({self._uri.host.lower()}), numbers.caller, None),
            numbers=NumberPlan((), region="US"),
            limits=DialLimits(per_hour=1, at_once=1, clock=self._clock),
            reach=Resolver(DnsLookup()),
            open_media=open_media,
            on_refused=lambda _why: None,
            on_referral=lambda _leg, _call, _referral: False,
            clock=self._clock,
        )
        uri = self._uri
        target = URI(uri.scheme, uri.host, uri.user or numbers.called, port=uri.port, parameters=uri.parameters)
        try:
            return await dialer.dial(str(target), timeout_s=_ANSWER_TIMEOUT_S)
        except DialFailed as failed:
            if failed.status:
                raise CallRefused(f"[SIP {failed.status}, {failed.reason}]", ()) from failed
            if failed.reason is DialFailure.NO_ANSWER:
                raise CarrierError(f"{target} did not answer within {_ANSWER_TIMEOUT_S:.0f} s") from failed
            raise CarrierError(f"{target} cannot be reached over SIP. Is the server running there?") from failed


class _Gateway:
    """A SIP leg in a media stream's clothes: the line's messages go to the leg, what it tells comes as messages."""

    def __init__(self, leg: SipLeg, stream_sid: str) -> None:
        self._leg = leg
        self._stream_sid = stream_sid
        self.close_code: int | None = None
        for _ in range(_SLACK_FRAMES):
            leg.send(SILENT_FRAME)

    async def send_str(self, data: str) -> None:
        match parse_carrier(data):
            case messages.Media(payload=payload):
                self._leg.send(payload)
            case Dtmf(digit=digit):
                self._leg.send_keys(digit)
            case Stop():
                await self._leg.hang_up(HangUpReason.COMPLETED)
            case _:
                pass

    async def __aiter__(self) -> AsyncIterator[aiohttp.WSMessage]:
        held: list[bytes] = []
        async for event in self._leg.events():
            match event:
                case FrameReceived(payload=payload):
                    held.append(payload)
                    if len(held) == _SLACK_FRAMES:
                        yield self._media(b"".join(held))
                    elif len(held) > _SLACK_FRAMES:
                        yield self._media(payload)
                case LegEnded(cause=cause):
                    lost = cause in {EndCause.CONNECTION_LOST, EndCause.MEDIA_TIMEOUT}
                    self.close_code = aiohttp.WSCloseCode.ABNORMAL_CLOSURE if lost else aiohttp.WSCloseCode.OK
                case _:
                    pass

    async def close(self) -> None:
        await self._leg.hang_up(HangUpReason.COMPLETED)

    def get_extra_info(self, name: str) -> None:
        """Return nothing: a SIP call has no one socket that could be cut."""

    def _media(self, payload: bytes) -> aiohttp.WSMessage:
        return aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, serialise(PlayMedia(self._stream_sid, payload)), None)
