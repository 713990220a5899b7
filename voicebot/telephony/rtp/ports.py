"""The range of UDP ports for media: an even one for RTP and the next for RTCP (RFC 3550, section 11)."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

from voicebot.errors import LocalProtocolError, VoicebotError

#: The port is somebody else's, or not for us to use.
_TAKEN = frozenset({errno.EADDRINUSE, errno.EACCES})


class PortsExhausted(VoicebotError):
    """Every port of the range is taken; signalling answers 503."""


@dataclass(frozen=True, slots=True)
class PortPair:
    """Two bound sockets. Whoever takes them closes them, then gives the pair back."""

    rtp_port: int
    rtp: socket.socket
    rtcp: socket.socket


class PortRange:
    """Lends pairs of ports between `first` and `last`, both included.

    Pairs are lent in turn, so that a late packet of an ended call rarely meets a new one. Ports that something else
    on the machine holds are passed over. ValueError if the range holds no pair.
    """

    def __init__(self, first: int, last: int) -> None:
        begin = first + first % 2
        if not 1 <= first <= last <= 65535 or begin + 1 > last:
            raise ValueError(f"ports {first} to {last} hold no even port with its successor; widen the range")
        self._ports = range(begin, last, 2)
        self._lent: set[int] = set()
        self._next = 0

    @property
    def lent(self) -> int:
        """Pairs in use."""
        return len(self._lent)

    @property
    def capacity(self) -> int:
        return len(self._ports)

    def take(self, address: str) -> PortPair:
        """Bind the next free pair on `address` (IPv4 or IPv6); raises `PortsExhausted`."""
        for _ in self._ports:
            port = self._ports[self._next]
            self._next = (self._next + 1) % len(self._ports)
            if port in self._lent:
                continue
            rtp = _bind(address, port)
            if rtp is None:
                continue
            rtcp = _bind(address, port + 1)
            if rtcp is None:
                rtp.close()
                continue
            self._lent.add(port)
            return PortPair(port, rtp, rtcp)
        raise PortsExhausted(
            f"All {self.capacity} pairs of media ports are taken; widen the range or lower the number of calls."
        )

    def give_back(self, pair: PortPair) -> None:
        """Take back a pair whose sockets are closed; raises `LocalProtocolError` if it was not lent."""
        if pair.rtp_port not in self._lent:
            raise LocalProtocolError(f"Port {pair.rtp_port} was not lent.")
        self._lent.remove(pair.rtp_port)


def _bind(address: str, port: int) -> socket.socket | None:
    """Return a socket bound there, or None if the port is taken; an address that is not ours raises OSError."""
    bound = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    bound.settimeout(0)
    try:
        bound.bind((address, port))
    except OSError as error:
        bound.close()
        if error.errno in _TAKEN:
            return None
        raise
    return bound
