"""Audio of any length cut into the frames of a leg. Pure."""

from __future__ import annotations

from voicebot.telephony.leg import FRAME_BYTES


class Framer:
    """Keeps what is less than a frame for the next piece."""

    def __init__(self) -> None:
        self._rest = b""

    def cut(self, mulaw: bytes) -> list[bytes]:
        """Return the whole frames of what came before and now."""
        audio = self._rest + mulaw if self._rest else mulaw
        whole = len(audio) - len(audio) % FRAME_BYTES
        self._rest = audio[whole:]
        return [audio[offset : offset + FRAME_BYTES] for offset in range(0, whole, FRAME_BYTES)]
