"""RTP packets (RFC 3550, section 5.1). Pure."""

from __future__ import annotations

import struct
from typing import NamedTuple

from voicebot.errors import RemoteProtocolError

#: Larger than 60 ms of L16 with every header there is; what is longer is no telephone audio.
MAX_PACKET_BYTES = 2048
HEADER_BYTES = 12

_HEADER = struct.Struct("!BBHII")
_PLAIN = 0x80  # version 2; no padding, extension or contributing sources


class RtpPacket(NamedTuple):
    """One packet. `timestamp` counts the payload's clock, both it and `sequence` wrap around.

    A tuple, since one is made for every packet and a frozen dataclass takes three times as long to make.
    """

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes
    marker: bool = False


def is_rtcp(datagram: bytes) -> bool:
    """Tell RTCP from RTP on a shared port (RFC 5761, section 4)."""
    return len(datagram) >= 2 and 192 <= datagram[1] <= 223


def parse(datagram: bytes) -> RtpPacket:
    """Return the packet; raises `RemoteProtocolError` of kind ``bad_rtp``. Header extensions are skipped."""
    second, sequence, timestamp, ssrc, payload = fields(datagram)
    return RtpPacket(second & 0x7F, sequence, timestamp, ssrc, payload, second > 0x7F)


def fields(datagram: bytes) -> tuple[int, int, int, int, bytes]:
    """Do what `parse` does for who reads every packet: marker bit and payload type in one, and a plain tuple."""
    if len(datagram) < HEADER_BYTES:
        raise RemoteProtocolError("bad_rtp", "A packet is shorter than an RTP header.")
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(datagram)
    payload = datagram[HEADER_BYTES:] if first == _PLAIN else _payload(datagram, first)
    return second, sequence, timestamp, ssrc, payload


def build(packet: RtpPacket) -> bytes:
    """Return the packet's bytes."""
    payload_type, sequence, timestamp, ssrc, payload, marker = packet
    return header(payload_type | 0x80 if marker else payload_type, sequence, timestamp, ssrc) + payload


def header(second: int, sequence: int, timestamp: int, ssrc: int) -> bytes:
    """Return the bytes before a payload; `second` is the payload type, with 0x80 added for the marker."""
    return _HEADER.pack(_PLAIN, second, sequence, timestamp, ssrc)


def _payload(datagram: bytes, first: int) -> bytes:
    if first >> 6 != 2:
        raise RemoteProtocolError("bad_rtp", "A packet's RTP version is not 2.")
    start = HEADER_BYTES + 4 * (first & 0x0F)
    end = len(datagram)
    if first & 0x10:
        if end < start + 4:
            raise RemoteProtocolError("bad_rtp", "A packet ends within its header extension.")
        start += 4 + 4 * int.from_bytes(datagram[start + 2 : start + 4], "big")
    if first & 0x20:
        padding = datagram[-1]
        if not padding:
            raise RemoteProtocolError("bad_rtp", "A packet's padding has no length.")
        end -= padding
    if end < start:
        raise RemoteProtocolError("bad_rtp", "A packet is shorter than its headers and padding.")
    return datagram[start:end]
