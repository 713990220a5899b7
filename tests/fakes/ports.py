"""Ports for tests that count them to the last one, and so can share them with nobody."""

from __future__ import annotations

import os

from voicebot.telephony.rtp.media import PortRange


def few_ports(count: int) -> PortRange:
    """Return `count` (20 at most) ports of this process, below those that the system gives to whoever asks for any."""
    assert count <= 20
    first = 10_000 + os.getpid() % 500 * 20
    return PortRange(first, first + count - 1)
