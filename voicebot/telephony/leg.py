"""The seam between the server and whatever carries a party's voice: Twilio, SIP, AudioSocket or a browser.

Audio on both sides of the seam is G.711 mu-law, 8 kHz, mono, in frames of 20 ms (160 bytes). A leg that speaks
another codec to its peer converts at its own edge, so any two legs can be bridged frame by frame.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable

SAMPLE_RATE_HZ = 8000
FRAME_MS = 20
FRAME_SAMPLES = SAMPLE_RATE_HZ * FRAME_MS // 1000
#: Bytes of one mu-law frame; mu-law has one byte a sample.
FRAME_BYTES = FRAME_SAMPLES
#: Digital silence in mu-law (ITU-T G.711, positive zero).
SILENT_FRAME = b"\xff" * FRAME_BYTES


class Channel(StrEnum):
    TWILIO = "twilio"
    SIP = "sip"
    AUDIOSOCKET = "audiosocket"
    CHAN_WEBSOCKET = "chan_websocket"
    BROWSER = "browser"


class Direction(StrEnum):
    INBOUND = "inbound"
    OUTBOUND = "outbound"


class Capability(StrEnum):
    """What a leg can do beyond carrying audio; ask before calling."""

    SEND_KEYS = "send_keys"
    #: Keys come as messages; without it they may be tones in the audio.
    KEYS_APART = "keys_apart"
    HOLD = "hold"
    REDIRECT = "redirect"
    #: The carrier confirms playback, so `AudioPlayed` is measured, not estimated.
    PLAYBACK_CONFIRMED = "playback_confirmed"
    #: The page shows captions.
    CAPTIONS = "captions"


class EndCause(StrEnum):
    """Why a leg ended. `REDIRECTED` is not a hang-up: the call goes on elsewhere."""

    PEER_HUNG_UP = "peer_hung_up"
    WE_HUNG_UP = "we_hung_up"
    REDIRECTED = "redirected"
    CONNECTION_LOST = "connection_lost"
    MEDIA_TIMEOUT = "media_timeout"
    PROTOCOL_ERROR = "protocol_error"
    REFUSED = "refused"
    #: The carrier says that a machine is on the line, and nobody showed that they are none.
    VOICEMAIL = "voicemail"


class HangUpReason(StrEnum):
    """Why we end a leg; a leg maps it to what its carrier knows (a SIP cause, a close code)."""

    COMPLETED = "completed"
    REFUSED_BUSY = "refused_busy"
    SHUTTING_DOWN = "shutting_down"
    TOO_LONG = "too_long"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class LegInfo:
    """What is known about a leg when it appears. `caller` and `called` are personal: never in plain logs."""

    leg_id: str
    channel: Channel
    direction: Direction
    caller: str
    called: str
    #: The carrier's own name of the call (Twilio's call SID, SIP's Call-ID); empty if it has none.
    carrier_call_id: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    capabilities: frozenset[Capability] = frozenset()


class FrameReceived(NamedTuple):
    """20 ms from the party. `arrived_s` is on the monotonic clock; `lost_before` counts frames known to be missing.

    `concealed` marks a frame that never came and was made up from those before it. A tuple, since one is made for
    every frame and a frozen dataclass takes three times as long to make.
    """

    payload: bytes
    arrived_s: float
    lost_before: int = 0
    concealed: bool = False


@dataclass(frozen=True, slots=True)
class KeyPressed:
    """One DTMF key, 0-9, *, # or A-D. Personal in a secret state: never logged."""

    key: str
    at_s: float
    duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class AudioPlayed:
    """The party has heard our audio up to `position_samples`, counted from the first `send` of the leg.

    After `clear` the position of what was really heard is reported once, smaller than what was sent.
    """

    position_samples: int
    at_s: float


@dataclass(frozen=True, slots=True)
class LegAnswered:
    at_s: float


@dataclass(frozen=True, slots=True)
class LegHeld:
    """The peer put us on hold (`held`) or took us back."""

    held: bool
    at_s: float


@dataclass(frozen=True, slots=True)
class LegEnded:
    """Always the last event of a leg, exactly once."""

    cause: EndCause
    at_s: float


LegEvent = FrameReceived | KeyPressed | AudioPlayed | LegAnswered | LegHeld | LegEnded


class CallLeg(Protocol):
    """One party's line. `send` and `clear` never block; everything the party does comes out of `events()`."""

    @property
    def info(self) -> LegInfo: ...

    @property
    def sent_samples(self) -> int:
        """Samples handed to `send` since the leg began; the unit of `AudioPlayed.position_samples`."""
        ...

    @property
    def queued_samples(self) -> int:
        """How long a frame sent now would wait for the party to hear it, or to leave, as far as this leg knows."""
        ...

    def events(self) -> AsyncIterator[LegEvent]:
        """Yield what the party does, ending after `LegEnded`. One consumer only."""
        ...

    async def answer(self) -> None:
        """Accept an inbound call; a no-op where the carrier has already answered."""
        ...

    def send(self, frame: bytes) -> None:
        """Queue one frame of `FRAME_BYTES` towards the party. The caller of `send` paces; the leg only forwards.

        Frames sent after the leg ended are dropped silently, since the sender cannot know yet.
        """
        ...

    def clear(self) -> int:
        """Drop what the party has not heard yet and return the position in samples that was really heard."""
        ...

    async def hang_up(self, reason: HangUpReason) -> None:
        """End the leg. Idempotent; `LegEnded` follows in `events()`."""
        ...

    def show_caption(self, speaker: str, text: str, *, final: bool) -> None:
        """Show text beside the audio where the leg has `Capability.CAPTIONS`; a no-op elsewhere."""
        ...


@runtime_checkable
class SendsKeys(Protocol):
    """A leg with `Capability.SEND_KEYS`."""

    def send_keys(self, keys: str) -> None: ...


def key_sender(leg: CallLeg) -> Callable[[str], None] | None:
    """Return what sends keys to the party; None where the leg cannot."""
    if Capability.SEND_KEYS in leg.info.capabilities and isinstance(leg, SendsKeys):
        return leg.send_keys
    return None
