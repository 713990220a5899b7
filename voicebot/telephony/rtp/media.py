"""One call's audio over UDP: sockets, clock and SDP around the pure parts. Signalling stands beside it.

Media in both directions is timed by one deadline every 20 ms: the frame that is due comes out of the jitter buffer,
and the next one of ours leaves.
"""

from __future__ import annotations

import asyncio
import errno
import random
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable

import structlog

from voicebot.errors import LocalProtocolError, RemoteProtocolError
from voicebot.telephony.inbox import LegInbox
from voicebot.telephony.leg import (
    FRAME_BYTES,
    SAMPLE_RATE_HZ,
    AudioPlayed,
    EndCause,
    LegEnded,
    LegEvent,
    LegHeld,
)
from voicebot.telephony.rtp.datagrams import Datagrams
from voicebot.telephony.rtp.latch import Address, Latch
from voicebot.telephony.rtp.metronome import FRAME_S, Metronome
from voicebot.telephony.rtp.negotiation import Agreed, LocalMedia, Negotiation, NotAcceptable
from voicebot.telephony.rtp.packet import MAX_PACKET_BYTES
from voicebot.telephony.rtp.plan import LATE_S, MediaObserver, MediaPlan, Nobody
from voicebot.telephony.rtp.ports import PortPair, PortRange, PortsExhausted
from voicebot.telephony.rtp.quality import Control
from voicebot.telephony.rtp.receiver import Receiver
from voicebot.telephony.rtp.sender import Sender
from voicebot.telephony.rtp.srtp import SECRET_BYTES, Protector, SrtpMode, Unprotector

__all__ = ["MediaObserver", "MediaPlan", "NotAcceptable", "PortRange", "PortsExhausted", "RtpMedia", "SrtpMode"]

#: After a stall so many frames are caught up with at once; what is more is skipped.
_MOST_CAUGHT_UP = 10
#: Our deadlines are the metronome's, but for rounding.
_SAME_S = 1e-6
#: Violations logged one by one; the rest of a flood is only counted.
_LOGGED_VIOLATIONS = 10

#: This machine has no route from the stream's own address to the peer's: it is another network's, behind a NAT.
_NO_WAY = frozenset({errno.EINVAL, errno.ENETUNREACH, errno.EADDRNOTAVAIL})

_log = structlog.get_logger()


class RtpMedia:
    """Owns a pair of ports from `open` to `close`; nothing it does blocks.

    After either `answer` or `accept`, media flows both ways. Frames are those of `CallLeg`. Once the call is answered,
    call `expect_media`: from then on a peer that sends nothing for `media_timeout_s` ends the leg.
    """

    @classmethod
    async def open(
        cls,
        plan: MediaPlan,
        ports: PortRange,
        *,
        now: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
        observer: MediaObserver | None = None,
        metronome: Metronome | None = None,
    ) -> RtpMedia:
        """Bind a pair of ports. Calls that share a `metronome` share one timer, which is cheaper; its clock is `now`.

        Raises `PortsExhausted`, or OSError if `bind_address` is not this machine's.
        """
        pair = ports.take(plan.bind_address)
        metronome = metronome or Metronome(now)
        media = cls(plan, ports, pair, now=now, chance=chance, observer=observer or Nobody(), metronome=metronome)
        try:
            await media._listen()
        except BaseException:
            await media.close()
            raise
        return media

    def __init__(
        self,
        plan: MediaPlan,
        ports: PortRange,
        pair: PortPair,
        *,
        now: Callable[[], float],
        chance: Callable[[], float],
        observer: MediaObserver,
        metronome: Metronome,
    ) -> None:
        self._plan = plan
        self._ports = ports
        self._pair = pair
        self._now = now
        self._chance = chance
        self._observer = observer
        self._metronome = metronome
        self._loop = asyncio.get_running_loop()
        local = LocalMedia(
            address=plan.public_address or plan.bind_address,
            rtp_port=pair.rtp_port,
            rtcp_port=pair.rtp_port + 1,
            codecs=plan.codecs,
            srtp=plan.srtp,
            key_events=plan.key_events,
            session_id=secrets.randbits(62),
        )
        self._negotiation = Negotiation(local, lambda: secrets.token_bytes(SECRET_BYTES))
        #: Signalling may put what it learns of the party here: answered, keys by INFO.
        self.inbox = LegInbox()
        #: Set when the peer has sent nothing for too long; signalling then ends the call.
        self.timed_out = asyncio.Event()
        self._receiver = Receiver(self.inbox.put)
        self._sender = Sender(
            ssrc=secrets.randbits(32),
            sequence=secrets.randbits(15),
            timestamp=secrets.randbits(32),
            key_ms=plan.key_ms,
            gap_ms=plan.key_gap_ms,
        )
        self._control = Control(self._sender.ssrc, secrets.token_hex(8))
        self._report_due_s = 0.0
        self._latch: Latch | None = None
        self._protector: Protector | None = None
        self._unprotector: Unprotector | None = None
        self._rtp_datagrams = Datagrams(self._on_rtp, self._on_refused)
        self._rtcp_datagrams = Datagrams(self._on_rtcp)
        self._rtp: asyncio.DatagramTransport | None = None
        self._rtcp: asyncio.DatagramTransport | None = None
        self._beats = False
        self._due_s = 0.0
        self._silent_since_s: float | None = None
        self._violations = 0
        self._held = False
        self._closed = False

    @property
    def rtp_port(self) -> int:
        return self._pair.rtp_port

    @property
    def agreed(self) -> Agreed | None:
        """How media flows now; None before the first agreement."""
        return self._negotiation.agreed

    @property
    def sent_samples(self) -> int:
        """Samples handed to `send` so far, the unit of `AudioPlayed.position_samples`."""
        return self._sender.playout.queued_samples

    @property
    def queued_samples(self) -> int:
        """How long a frame sent now would wait until it leaves: what is before it, and until the next deadline."""
        playout = self._sender.playout
        until_due_s = max(0.0, self._due_s - self._now()) if self._beats else 0.0
        return playout.queued_samples - playout.left_samples + round(until_due_s * SAMPLE_RATE_HZ)

    def offer(self) -> bytes:
        """Return the SDP of an offer; also for a re-INVITE without one."""
        return self._negotiation.offer()

    def answer(self, offer: bytes) -> bytes:
        """Return the SDP that answers an offer or re-offer, and take effect; raises `NotAcceptable`."""
        body = self._negotiation.answer(offer)
        self._take_effect()
        return body

    def accept(self, answer: bytes) -> None:
        """Take the peer's answer to our last offer; raises `NotAcceptable`. May come again from another branch."""
        self._negotiation.accept(answer)
        self._take_effect()

    def hold(self, held: bool) -> bytes:  # noqa: FBT001  # the one thing it says
        """Return an offer that puts the peer on hold (they hear us, we do not hear them) or takes them back."""
        self._negotiation.hold(held=held)
        return self._negotiation.offer()

    def withdraw(self) -> None:
        """The peer refused our last offer: everything stays as it was, and a hold that it asked for is forgotten."""
        self._negotiation.withdraw()

    def expect_media(self) -> None:
        """From now on the peer must send: before the answer it often sends nothing."""
        self._silent_since_s = self._now()

    def events(self) -> AsyncIterator[LegEvent]:
        """Yield frames, keys, playback (estimated: what has left), hold, and last `LegEnded`. One consumer only."""
        return self.inbox.events()

    def send(self, frame: bytes) -> None:
        if len(frame) != FRAME_BYTES:
            raise LocalProtocolError(f"A frame has {FRAME_BYTES} bytes, not {len(frame)}.")
        if not self._closed:
            self._sender.playout.queue(frame)

    def clear(self) -> int:
        """Drop what has not left and return the position in samples of what has."""
        left = self._sender.playout.clear()
        if left is None:
            return self._sender.playout.left_samples
        self.inbox.put(AudioPlayed(left, self._now()))
        return left

    def send_keys(self, keys: str) -> None:
        """Send DTMF keys: telephone-events, or tones to a peer that knows none. `LocalProtocolError` for no key."""
        if self.agreed is None:
            raise LocalProtocolError("Keys can be sent once media is agreed.")
        self._sender.press(keys, self.agreed)

    async def close(self, cause: EndCause = EndCause.WE_HUNG_UP) -> None:
        """End the stream for `cause` (the first one stands) and give the ports back. Idempotent."""
        self.inbox.put(LegEnded(cause, self._now()))
        if self._closed:
            return
        self._closed = True
        if self._beats:
            self._metronome.leave(self._tick)
            self._report(self._now(), leaving=True)
        for transport, datagrams in ((self._rtp, self._rtp_datagrams), (self._rtcp, self._rtcp_datagrams)):
            if transport is not None:
                transport.abort()
                await datagrams.closed.wait()
        self._pair.rtp.close()
        self._pair.rtcp.close()
        self._ports.give_back(self._pair)

    async def _listen(self) -> None:
        self._rtp = await self._endpoint(self._rtp_datagrams, self._pair.rtp)
        self._rtcp = await self._endpoint(self._rtcp_datagrams, self._pair.rtcp)

    async def _endpoint(self, datagrams: Datagrams, bound: socket.socket) -> asyncio.DatagramTransport:
        transport, _ = await self._loop.create_datagram_endpoint(lambda: datagrams, sock=bound)
        if hasattr(transport, "max_size"):
            # asyncio allocates 256 KiB for every packet otherwise, which costs more than the packet.
            transport.max_size = MAX_PACKET_BYTES
        return transport

    def _take_effect(self) -> None:
        agreed = self._negotiation.agreed
        if agreed is None:
            raise LocalProtocolError("Nothing was agreed.")
        if agreed.address:
            negotiated = (agreed.address, agreed.rtp_port)
            if self._latch is None or self._latch.negotiated != negotiated:
                plan = self._plan
                self._latch = Latch(negotiated, plan.signalling_address, symmetric=plan.symmetric, before=self._latch)
        self._encrypt(agreed)
        if agreed.held_by_peer != self._held:
            self._held = agreed.held_by_peer
            self.inbox.put(LegHeld(self._held, self._now()))
        if not agreed.receives:
            self._receiver.jitter.pause()
        elif self._silent_since_s is not None:
            self._silent_since_s = self._now()
        if not self._beats and not self._closed:
            self._beats = True
            self._due_s = self._metronome.join(self._tick)
            self._report_due_s = self._due_s + self._report_every_s()

    def _report_every_s(self) -> float:
        """Return when to report again: spread out, so that many calls do not report together (RFC 3550, 6.2)."""
        return self._plan.report_every_s * (0.5 + self._chance())

    def _encrypt(self, agreed: Agreed) -> None:
        """Keep sessions whose keys did not change, since their packet counters must go on."""
        ours, theirs = agreed.our_crypto, agreed.peer_crypto
        if ours is None or theirs is None:
            self._protector = self._unprotector = None
            return
        if self._protector is None or self._protector.crypto != ours:
            self._protector = Protector(ours)
        if self._unprotector is None or self._unprotector.crypto != theirs:
            self._unprotector = Unprotector(theirs)

    def _on_rtp(self, datagram: bytes, source: Address) -> None:
        agreed, latch = self._negotiation.agreed, self._latch
        if agreed is None or latch is None:
            return
        now_s = self._now()
        is_known = source == latch.source
        if not is_known and not latch.admits(source, now_s):
            self._violated("stranger", "Media came from an address that was not negotiated.")
            return
        try:
            if self._unprotector is not None:
                datagram = self._unprotector(datagram)
            if len(datagram) > 1 and 192 <= datagram[1] <= 223:  # as `is_rtcp` has it, for every packet
                self._control.receive(datagram, now_s)
                return
            if agreed.receives:
                self._receiver.receive(datagram, agreed, now_s)
        except RemoteProtocolError as error:
            self._violated(error.kind, str(error))
            return
        if is_known:
            latch.heard_s = now_s
        elif latch.heard(source, now_s):
            _log.debug("media comes from", port=source[1], negotiated=source == (agreed.address, agreed.rtp_port))
        if self._silent_since_s is not None:
            self._silent_since_s = now_s

    def _on_rtcp(self, datagram: bytes, source: Address) -> None:
        latch = self._latch
        if latch is None:
            return
        if not latch.knows(source[0]):
            self._violated("stranger", "A report came from an address that was not negotiated.")
            return
        try:
            self._control.receive(self._unprotector(datagram) if self._unprotector else datagram, self._now())
        except RemoteProtocolError as error:
            self._violated(error.kind, str(error))

    def _on_refused(self, error: OSError) -> None:
        """Look for another way to the peer where there is none to the address it named.

        What is refused by ICMP is not: nobody listens there yet, or no longer, and the media timeout decides.
        """
        latch = self._latch
        if error.errno in _NO_WAY and latch is not None and latch.unreachable():
            _log.info(
                "media's address cannot be reached, trying the host that signals", error=errno.errorcode[error.errno]
            )

    def _report(self, now_s: float, *, leaving: bool = False) -> None:
        """Send a report of both ways; what is known of them goes to the observer."""
        agreed, latch, sender = self._negotiation.agreed, self._latch, self._sender
        if agreed is None or latch is None:
            return
        datagram, quality = self._control.report(
            self._receiver.reception,
            timestamp=sender.timestamp,
            packets=sender.packets,
            octets=sender.octets,
            now_s=now_s,
            leaving=leaving,
        )
        self._observer.measured(quality)
        multiplexed = agreed.rtcp_port == agreed.rtp_port
        transport = self._rtp if multiplexed else self._rtcp
        destination = latch.destination if multiplexed else (latch.destination[0], agreed.rtcp_port)
        if transport is not None:
            transport.sendto(self._protector.rtcp(datagram) if self._protector else datagram, destination)

    def _violated(self, kind: str, what: str) -> None:
        self._observer.violated(kind)
        self._violations += 1
        if self._violations <= _LOGGED_VIOLATIONS:
            _log.warning("peer broke the protocol", kind=kind, what=what)

    def _tick(self, now_s: float) -> None:
        """Carry both directions over every deadline that has passed."""
        behind_s = now_s - self._due_s
        if behind_s > LATE_S:
            self._observer.late(int((behind_s - LATE_S) / FRAME_S) + 1)
            if behind_s > _MOST_CAUGHT_UP * FRAME_S:
                # A stall, not a late wake-up: the peer has played silence, and would only be overrun.
                self._due_s += (int(behind_s / FRAME_S) - _MOST_CAUGHT_UP) * FRAME_S
        while self._due_s <= now_s + _SAME_S:
            self._step(self._due_s)
            self._due_s += FRAME_S

    def _step(self, due_s: float) -> None:
        agreed = self._negotiation.agreed
        if agreed is None:
            return
        frame = self._receiver.pull(due_s)
        if frame is not None:
            self.inbox.put(frame)
        sender, protector = self._sender, self._protector
        datagrams = sender.step(agreed)
        if datagrams and self._rtp is not None and self._latch is not None:
            destination = self._latch.destination
            for datagram in datagrams:
                self._rtp.sendto(protector.rtp(datagram) if protector else datagram, destination)
        if due_s >= self._report_due_s:
            self._report_due_s = due_s + self._report_every_s()
            self._report(due_s)
        playout = sender.playout
        played = playout.played()
        if played is not None:
            # What is noticed to have been the last left with the deadline before.
            self.inbox.put(AudioPlayed(played, due_s - FRAME_S if playout.resting else due_s))
        since_s = self._silent_since_s
        if since_s is not None and agreed.receives and due_s - since_s > self._plan.media_timeout_s:
            self.inbox.put(LegEnded(EndCause.MEDIA_TIMEOUT, due_s))
            self.timed_out.set()
