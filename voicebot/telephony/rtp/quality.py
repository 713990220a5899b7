"""How well media travels: what we tell the peer of its stream, and what it tells us of ours. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from voicebot.telephony.leg import SAMPLE_RATE_HZ
from voicebot.telephony.rtp.rtcp import (
    Goodbye,
    ReceiverReport,
    Report,
    ReportBlock,
    SenderReport,
    build,
    parse,
)

_SEQUENCES = 1 << 16
#: RFC 3550, A.1: larger steps of the sequence are a restart, backward ones within the second a reordering.
_MAX_DROPOUT = 3000
_MAX_MISORDER = 100


@dataclass(frozen=True, slots=True)
class Quality:
    """One reading. Losses are shares of packets since the last report; None for what is not known yet."""

    lost_in: float | None = None
    jitter_in_ms: float | None = None
    lost_out: float | None = None
    jitter_out_ms: float | None = None
    round_trip_ms: float | None = None


class Reception:
    """Statistics of one incoming stream (RFC 3550, A.3 and A.8)."""

    def __init__(self, ssrc: int, sequence: int, timestamp: int, now_s: float) -> None:
        """Begin with the first packet, before it is `received`."""
        self.ssrc = ssrc
        self._base = sequence
        self._highest = sequence - 1
        self._received = 0
        self._jitter = 0.0
        self._travel = int(now_s * SAMPLE_RATE_HZ) - timestamp
        self._reported_expected = 0
        self._reported_received = 0

    @property
    def jitter_ms(self) -> float:
        return self._jitter * 1000 / SAMPLE_RATE_HZ

    def received(self, sequence: int, timestamp: int, now_s: float) -> None:
        following = self._highest + 1
        if sequence == following & 0xFFFF:
            self._highest = following
        else:
            self._out_of_order(sequence)
        self._received += 1
        travel = int(now_s * SAMPLE_RATE_HZ) - timestamp
        change = travel - self._travel
        self._travel = travel
        if not -SAMPLE_RATE_HZ < change < SAMPLE_RATE_HZ:
            # The timestamp wraps; the difference of two travels is small.
            change = (change + 0x80000000) % 0x100000000 - 0x80000000
            if not -SAMPLE_RATE_HZ < change < SAMPLE_RATE_HZ:
                return
        self._jitter += ((change if change > 0 else -change) - self._jitter) / 16

    def block(self, last_report: int, delay: int) -> ReportBlock:
        """Return the report since the last one."""
        expected = self._highest - self._base + 1
        expected_now = expected - self._reported_expected
        lost_now = expected_now - (self._received - self._reported_received)
        self._reported_expected, self._reported_received = expected, self._received
        fraction = min(255, max(0, lost_now) * 256 // expected_now) if expected_now > 0 else 0
        return ReportBlock(
            self.ssrc,
            fraction,
            expected - self._received,
            self._highest & 0xFFFFFFFF,
            min(int(self._jitter), 0xFFFFFFFF),
            last_report,
            delay,
        )

    def _out_of_order(self, sequence: int) -> None:
        step = (sequence - self._highest) % _SEQUENCES
        if step < _MAX_DROPOUT:
            self._highest += step
        elif step < _SEQUENCES - _MAX_MISORDER:
            self._restart(sequence)

    def _restart(self, sequence: int) -> None:
        self._base = self._highest = sequence
        self._received = self._reported_expected = self._reported_received = 0


class Control:
    """The RTCP side of one call. `cname` names us to the peer."""

    def __init__(self, ssrc: int, cname: str) -> None:
        self._ssrc = ssrc
        self._cname = cname
        #: The middle 32 bits of the peer's last sender report, and when it came.
        self._last_report = 0
        self._last_report_s = 0.0
        self._lost_out: float | None = None
        self._jitter_out_ms: float | None = None
        self._round_trip_ms: float | None = None

    def receive(self, datagram: bytes, now_s: float) -> None:
        """Take a compound packet; raises `RemoteProtocolError` of kind ``bad_rtcp``."""
        for control in parse(datagram):
            if isinstance(control, Goodbye):
                continue  # signalling ends the call, or the media timeout
            if isinstance(control, SenderReport):
                self._last_report, self._last_report_s = (control.ntp >> 16) & 0xFFFFFFFF, now_s
            for block in control.blocks:
                if block.ssrc == self._ssrc:
                    self._take(block, now_s)

    def report(
        self, reception: Reception | None, *, timestamp: int, packets: int, octets: int, now_s: float, leaving: bool
    ) -> tuple[bytes, Quality]:
        """Return the packet to send now and what is known of both ways."""
        blocks: tuple[ReportBlock, ...] = ()
        if reception is not None:
            delay = round((now_s - self._last_report_s) * 65536) & 0xFFFFFFFF if self._last_report else 0
            blocks = (reception.block(self._last_report, delay),)
        # Elapsed time serves as well as the time of day (RFC 3550, section 6.4.1).
        ntp = round(now_s * (1 << 32)) & 0xFFFFFFFFFFFFFFFF
        report: Report = ReceiverReport(self._ssrc, blocks)
        if packets:
            report = SenderReport(self._ssrc, ntp, timestamp, packets, octets, blocks)
        quality = Quality(
            lost_in=blocks[0].fraction_lost / 256 if blocks else None,
            jitter_in_ms=reception.jitter_ms if reception else None,
            lost_out=self._lost_out,
            jitter_out_ms=self._jitter_out_ms,
            round_trip_ms=self._round_trip_ms,
        )
        return build(report, self._cname, Goodbye((self._ssrc,)) if leaving else None), quality

    def _take(self, block: ReportBlock, now_s: float) -> None:
        self._lost_out = block.fraction_lost / 256
        self._jitter_out_ms = block.jitter * 1000 / SAMPLE_RATE_HZ
        if block.last_report:
            now = round(now_s * 65536) & 0xFFFFFFFF
            round_trip = (now - block.last_report - block.delay) & 0xFFFFFFFF
            if round_trip < 1 << 31:
                self._round_trip_ms = round_trip * 1000 / 65536
