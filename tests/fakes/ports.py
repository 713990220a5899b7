"""Ports for tests that count them to the last one, and so can share them with nobody."""

from __future__ import annotations

import os
import socket

from voicebot.telephony.rtp.media import PortRange


def bound_socket() -> socket.socket:
    """Return a TCP socket at a free port of loopback on which nobody listens yet, so that nobody else can have it."""
    found = socket.socket()
    found.bind(("127.0.0.1", 0))
    return found


def few_ports(count: int) -> PortRange:
    """Return `count` (20 at most) ports of this process, below those that the system gives to whoever asks for any."""
    first = own_port(0)
    assert count <= 20
    return PortRange(first, first + count - 1)


def own_port(number: int) -> int:
    """Return one of the 20 ports of this process, for what must know its port before it listens; counted from 0."""
    return 10_000 + os.getpid() % 500 * 20 + number
