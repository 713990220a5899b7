"""What one call's media may be, and who hears how it went."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from voicebot.telephony.rtp.codecs import CODECS, Codec
from voicebot.telephony.rtp.quality import Quality
from voicebot.telephony.rtp.srtp import SrtpMode

#: A deadline missed by more than this is counted: the peer's jitter buffer may notice.
LATE_S = 0.01


class MediaObserver(Protocol):
    """Where media's figures go."""

    def violated(self, kind: str) -> None:
        """Count a peer's mistake; `kind` is a constant."""
        ...

    def late(self, frames: int) -> None:
        """Count frames sent more than `LATE_S` after their time."""
        ...

    def measured(self, quality: Quality) -> None:
        """Take a reading of loss, jitter and round trip, about every five seconds of a call."""
        ...


class Nobody:
    """Listens to nothing."""

    def violated(self, kind: str) -> None:
        pass

    def late(self, frames: int) -> None:
        pass

    def measured(self, quality: Quality) -> None:
        pass


@dataclass(frozen=True, slots=True)
class MediaPlan:
    """What one call's media may be.

    `bind_address` is an address of this machine, IPv4 or IPv6; `public_address` is what peers are told if it is
    another one (NAT). `signalling_address` is where the call's signalling comes from, empty if unknown: media of a
    peer behind NAT is believed from there as well as from the negotiated address. `key_ms` and `key_gap_ms` time keys
    that we send.
    """

    bind_address: str
    public_address: str = ""
    signalling_address: str = ""
    codecs: tuple[Codec, ...] = CODECS
    srtp: SrtpMode = SrtpMode.OFF
    media_timeout_s: float = 20.0
    symmetric: bool = True
    report_every_s: float = 5.0
    key_events: bool = True
    key_ms: int = 120
    key_gap_ms: int = 80
