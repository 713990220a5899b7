"""RTCP packets: sender and receiver reports, SDES and BYE (RFC 3550, section 6). Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from voicebot.errors import RemoteProtocolError

_CNAME = 1
_HEADER = struct.Struct("!BBH")
_SENDER = struct.Struct("!QIII")
_BLOCK = struct.Struct("!IIIIII")
_WORD = struct.Struct("!I")


class _Kind(IntEnum):
    SENDER_REPORT = 200
    RECEIVER_REPORT = 201
    SOURCE_DESCRIPTION = 202
    GOODBYE = 203


@dataclass(frozen=True, slots=True)
class ReportBlock:
    """How one stream arrived (section 6.4.1).

    `fraction_lost` is in 1/256 since the last report, `jitter` in timestamp units, `last_report` the middle 32 bits of
    the stream's last sender report, and `delay` the time since then in 1/65536 s.
    """

    ssrc: int
    fraction_lost: int
    total_lost: int
    highest_sequence: int
    jitter: int
    last_report: int
    delay: int


@dataclass(frozen=True, slots=True)
class SenderReport:
    """`ntp` is a time of the sender's clock in 1/2**32 s, at which its stream is at `timestamp`."""

    ssrc: int
    ntp: int
    timestamp: int
    packets: int
    octets: int
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class ReceiverReport:
    ssrc: int
    blocks: tuple[ReportBlock, ...] = ()


@dataclass(frozen=True, slots=True)
class Goodbye:
    ssrcs: tuple[int, ...]


Report = SenderReport | ReceiverReport
Control = Report | Goodbye


def parse(datagram: bytes) -> list[Control]:
    """Return the reports and goodbyes of a compound packet; others are skipped.

    Raises `RemoteProtocolError` of kind ``bad_rtcp``.
    """
    found: list[Control] = []
    start = 0
    while start < len(datagram):
        if len(datagram) < start + _HEADER.size:
            raise _bad("it ends within a header")
        first, kind, words = _HEADER.unpack_from(datagram, start)
        if first >> 6 != 2:
            raise _bad("its version is not 2")
        end = start + 4 * (words + 1)
        if end > len(datagram):
            raise _bad("it is shorter than its length says")
        control = _control(kind, first & 0x1F, datagram[start + _HEADER.size : end])
        if control is not None:
            found.append(control)
        start = end
    return found


def build(report: Report, cname: str, goodbye: Goodbye | None = None) -> bytes:
    """Return a compound packet: the report, who sends it, and a goodbye (section 6.1)."""
    parts = _report(report) + _sdes(report.ssrc, cname)
    if goodbye is not None:
        parts += _packet(_Kind.GOODBYE, len(goodbye.ssrcs), b"".join(map(_WORD.pack, goodbye.ssrcs)))
    return parts


def _bad(what: str) -> RemoteProtocolError:
    return RemoteProtocolError("bad_rtcp", f"An RTCP packet cannot be read: {what}.")


def _control(kind: int, count: int, body: bytes) -> Control | None:
    match kind:
        case _Kind.SENDER_REPORT:
            if len(body) < _WORD.size + _SENDER.size:
                raise _bad("a sender report is too short")
            (ssrc,) = _WORD.unpack_from(body)
            ntp, timestamp, packets, octets = _SENDER.unpack_from(body, _WORD.size)
            return SenderReport(ssrc, ntp, timestamp, packets, octets, _blocks(body[24:], count))
        case _Kind.RECEIVER_REPORT:
            if len(body) < _WORD.size:
                raise _bad("a receiver report is too short")
            return ReceiverReport(_WORD.unpack_from(body)[0], _blocks(body[4:], count))
        case _Kind.GOODBYE:
            if len(body) < 4 * count:
                raise _bad("a goodbye is too short")
            return Goodbye(tuple(ssrc for (ssrc,) in _WORD.iter_unpack(body[: 4 * count])))
        case _:
            return None


def _blocks(body: bytes, count: int) -> tuple[ReportBlock, ...]:
    if len(body) < count * _BLOCK.size:
        raise _bad("a report is shorter than its blocks")
    blocks = []
    for ssrc, loss, highest, jitter, last, delay in _BLOCK.iter_unpack(body[: count * _BLOCK.size]):
        total = loss & 0xFFFFFF
        # Duplicates can make the loss negative.
        total -= (total & 0x800000) << 1
        blocks.append(ReportBlock(ssrc, loss >> 24, total, highest, jitter, last, delay))
    return tuple(blocks)


def _report(report: Report) -> bytes:
    blocks = b"".join(_block(block) for block in report.blocks)
    match report:
        case SenderReport():
            sender = _SENDER.pack(report.ntp, report.timestamp, report.packets & 0xFFFFFFFF, report.octets & 0xFFFFFFFF)
            return _packet(_Kind.SENDER_REPORT, len(report.blocks), _WORD.pack(report.ssrc) + sender + blocks)
        case ReceiverReport():
            return _packet(_Kind.RECEIVER_REPORT, len(report.blocks), _WORD.pack(report.ssrc) + blocks)


def _block(block: ReportBlock) -> bytes:
    total = max(-0x800000, min(0x7FFFFF, block.total_lost)) & 0xFFFFFF
    loss = block.fraction_lost << 24 | total
    return _BLOCK.pack(block.ssrc, loss, block.highest_sequence, block.jitter, block.last_report, block.delay)


def _sdes(ssrc: int, cname: str) -> bytes:
    name = cname.encode()[:255]
    chunk = _WORD.pack(ssrc) + bytes((_CNAME, len(name))) + name + b"\0"
    return _packet(_Kind.SOURCE_DESCRIPTION, 1, chunk + bytes(-len(chunk) % 4))


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return _HEADER.pack(0x80 | count, kind, len(body) // 4) + body
